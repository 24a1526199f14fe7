"""Runs: one, several side by side, epoch by epoch; their results, and the quality of a fit."""
