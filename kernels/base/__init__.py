"""Utilities that every room uses: checks, columns, arguments of kernels, the registry, files, numba's internals."""
