"""The common ground of all rooms: checks, columns, the tuples of kernels, the registry, files, numba's internals."""
