"""Trains a grid: jobs, where they run, and the check against the reference."""
