"""What to run: study files and grids."""
