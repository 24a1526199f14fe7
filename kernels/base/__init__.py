"""What every room needs: checks, columns, named tuples that kernels take, the registry, files, numba's internals."""
