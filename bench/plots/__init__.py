"""Figures from the frame of results. Each function is pure: it takes a frame and returns a matplotlib Figure.

`frame` is described in `sgdbench.tables.rank`. `predict(params, x)` is the model's curve. Nothing is imported here.
"""
