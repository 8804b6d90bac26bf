"""Proofs on finished layers, which share nothing with what made them."""
