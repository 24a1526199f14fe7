"""The Python interface: sweeps, searches, and what their results answer."""
