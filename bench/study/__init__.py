"""Studies: files, grids, spaces and suites."""
