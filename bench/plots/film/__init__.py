"""Animations of a fit: moments, frames, files and a window."""
