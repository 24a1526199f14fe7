"""Samples: checked, held out, cut into pieces; marks, and the orders in which epochs visit samples."""
