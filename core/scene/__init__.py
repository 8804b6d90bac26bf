"""Scene generation: plausible towns on real ground, from fields on world lattices to vector layers."""
