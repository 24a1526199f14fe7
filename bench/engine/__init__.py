"""Training of a grid: jobs, executors, and the check against the reference."""
