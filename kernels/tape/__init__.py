"""Rules, losses and models called with symbols: what they compute, as one straight-line program."""
