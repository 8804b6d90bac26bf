"""Land use and objects by stated rules."""
