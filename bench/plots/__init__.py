"""Figures from the frame of results. Each function is pure: it takes a frame and returns a matplotlib Figure.

`frame` is described in `bench.tables.ranking`. `curves` is long: `config_id`, `epoch`, `samples`, `updates`, `loss`.
`trajectory` is long, too: `config_id`, `samples` and a column `param_<name>` per parameter. `predict(params, x)` is the
model's curve. A figure that has nothing to show says so.

Nothing is imported here: colors and choices, which pages need too, must not wait for what draws.
"""
