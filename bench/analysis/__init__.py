"""Theory and additional runs beside a sweep: stability, convergence, basins, paths."""
