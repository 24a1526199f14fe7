"""The Python interface: sweeps, searches and their results."""
