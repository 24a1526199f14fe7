"""Samples of a parabola with noise, a model of it, and a start."""

import numpy as np

MODEL = "a*x**2 + b*x + c"
START = {"init": [1.0, -2.0, 0.5], "lr": 0.02}


def samples(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    return x, 2 * x * x - 4 * x + 3 + 0.1 * rng.standard_normal(n)
