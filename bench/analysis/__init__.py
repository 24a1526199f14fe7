"""What theory and repeated runs say of a sweep: stability, convergence, basins, trajectories."""
