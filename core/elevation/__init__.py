"""Continuous elevation models: cards, surfaces, networks, training. Importing the package itself is light."""
