"""SIMD vectors as types of numba: lanes of several runs, their arithmetic and functions."""
