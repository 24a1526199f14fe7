"""A fit as moving pictures: moments, frames, files and a window."""
