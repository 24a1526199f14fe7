"""Runs: one, several side by side, part by part; and what is said of their results."""
