"""The loops that are compiled, as plain Python."""
