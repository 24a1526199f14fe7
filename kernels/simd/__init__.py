"""SIMD vectors as numba types: lanes of several runs, their arithmetic and functions."""
