"""Samples (checks, held-out parts, pieces), checkpoints, and the orders in which epochs visit samples."""
