"""The compiled loops, as plain Python."""
