"""Theory and repeated runs beside a sweep: stability, convergence, basins, paths."""
