"""Samples: checked, held out, cut into pieces; checkpoints, and the orders in which epochs visit samples."""
