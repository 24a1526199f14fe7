"""Theoretical stable rates and convergence of models that are linear in their parameters.

A whole epoch is one affine map of the distance d to the solution (`sgdbench.analysis.epoch_matrix`). In the long run
the distance shrinks per epoch by the spectral radius of the map's linear part, and grows if that exceeds 1 (B. T.
Polyak, Introduction to Optimization, 1987). Gradient descent has one batch, and the largest stable rate 2 /
lambda_max(X^T X / n). Momentum adds a velocity to d, and its map is twice as large. Optimizers that divide by a running
size of the gradient have no such map.

An order that is drawn for each epoch has no fixed map either. The prediction is then the growth per epoch, as a
geometric mean, over the orders of some seeds and epochs in endless rotation. With more orders this approaches the
Lyapunov exponent of the random products (H. Furstenberg, H. Kesten, 1960), at which almost every single run turns from
shrinking to growing; means over many runs, which a few of them dominate, grow earlier.
"""

from collections.abc import Iterable
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from sgdbench.analysis.epoch_matrix import AFFINE_OPTIMIZERS, batch_curvatures, epoch_matrices
from sgdbench.kernels.base.checks import describe
from sgdbench.kernels.base.run import Floats, samples_per_epoch
from sgdbench.kernels.data.order import allocate_order, make_shuffle, visiting_order
from sgdbench.kernels.data.samples import check_batch_size
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer

# At most this many orders represent all; fewer if orders are long, because their differences even out within them.
MAX_ORDERS = 16
ORDERED_SAMPLES = 100_000

# An edge is searched upwards in steps of 5 %, many rates at a time, and then between two of them.
RATES_AT_A_TIME, RATE_FACTOR, SEARCHED_RANGE = 16, 1.05, 1e9
PRECISION = 1e-5
# The spectral radius above which a rate counts as unstable; that of a barely determined parameter is 1 plus rounding.
UNSTABLE_RADIUS = 1 + 1e-9


def sample_orders(n: int, seeds: Iterable[int], epochs: int, shuffle: bool | str = True) -> NDArray[np.int64]:
    """Return the first orders in which runs with these seeds visit n samples, at most `MAX_ORDERS`; shape (orders, n).

    They are shuffled as in `sgdbench.fit`.
    """
    blocks = allocate_order(n, make_shuffle(shuffle))
    most = max(1, min(MAX_ORDERS, ORDERED_SAMPLES // n))
    first = islice(product(range(epochs), seeds), most)
    return np.stack([visiting_order(n, blocks, seed, epoch) for epoch, seed in first])


def has_linear_map(optimizer: str | Optimizer) -> bool:
    """Return whether an update is linear in the distance from the optimum, and constant over time."""
    rule = make_optimizer(optimizer)
    return rule.name in AFFINE_OPTIMIZERS and rule.clock is None


class EpochMap:
    """The effect of an epoch on the distance to the solution, at any rate, in directions that the samples determine.

    Parameters
    ----------
    derivatives : array, shape (n, P)
        The x_i^T, as from `Model.design_matrix`.
    batch_size, drop_last
        As for `sgdbench.fit`.
    optimizer : str or Optimizer
        One of `sgdbench.analysis.epoch_matrix.AFFINE_OPTIMIZERS` with its options; others raise a ValueError.
    orders : array, shape (K, n), optional
        Orders that are visited in endless rotation, as from `sample_orders`, or beginnings of such orders, all equally
        long, which represent the whole. By default the samples are visited in order.
    """

    def __init__(
        self,
        derivatives: Floats,
        batch_size: int | str = 1,
        *,
        optimizer: str | Optimizer = "sgd",
        drop_last: bool = True,
        orders: NDArray[np.int64] | None = None,
    ) -> None:
        self.optimizer = made = make_optimizer(optimizer)
        if not has_linear_map(made):
            raise ValueError(
                f"optimizer must be one of {', '.join(AFFINE_OPTIMIZERS)}, whose updates are linear maps, not "
                f"{describe(made.text)}"
            )
        n, size = len(derivatives), check_batch_size(batch_size, len(derivatives))
        self.is_full = size == n
        per_epoch = samples_per_epoch(n, size, drop_last)
        if orders is None or self.is_full:
            orders = np.arange(per_epoch)[np.newaxis]
        self.share = min(1.0, orders.shape[1] / per_epoch)  # of an epoch
        seen = derivatives[np.bincount(orders.ravel(), minlength=n) > 0]
        if not made.weight_decay and np.isfinite(seen).all():
            # In the singular basis, coordinates that never move can be dropped.
            _, sizes, directions = np.linalg.svd(seen, full_matrices=False)
            determined = sizes > sizes.max() * max(seen.shape) * np.finfo(np.float64).eps
            derivatives = derivatives @ directions[determined].T
        self.curvatures = batch_curvatures(derivatives, size, drop_last, orders)

    def eigenvalue_moduli(self, rates: Floats) -> Floats:
        """Return the factors by which the distance changes per epoch, by direction, in descending order.

        The loss changes by their squares. Over several orders a factor is the geometric mean. If an epoch leaves the
        range of floats, or a derivative is not finite, they are inf. The shape is (rates, Q), with Q = P for sgd, and
        Q = 2 P with a velocity, minus the directions that no sample determines.
        """
        product, *others = epoch_matrices(self.curvatures, rates, self.optimizer)
        logarithm = np.zeros(len(rates))
        with np.errstate(all="ignore"):
            for other in others:
                # Many epochs together leave the range of floats long before one does.
                size = np.abs(product).max(axis=(-2, -1), initial=0.0)
                size[size == 0] = 1.0
                logarithm += np.log(size)
                product = other @ (product / size[:, np.newaxis, np.newaxis])
            finite = np.isfinite(product).all(axis=(-2, -1))
            moduli = np.abs(np.linalg.eigvals(np.where(finite[:, np.newaxis, np.newaxis], product, 0.0)))
            moduli = np.exp((logarithm[:, np.newaxis] + np.log(moduli)) / ((1 + len(others)) * self.share))
        moduli[~finite] = np.inf
        return np.sort(moduli)[:, ::-1]

    def largest_stable_rate(self) -> float:
        """Return the smallest learning rate at which an epoch no longer shrinks the distance to the solution.

        For gradient descent it is 2 / lambda_max(X^T X / n). Otherwise the spectral radius is followed upwards, in
        steps of 5 %, until it reaches 1, and the rate is found to a relative `PRECISION`. The radius of several batches
        need not be monotone: there may be stable rates above the edge, which are not reliable, and an unstable interval
        narrower than a step can be missed. sgd is stable in any order below 2 / max(trace H_b), where the search
        starts; with momentum beta, for which no such bound is known here, it starts at (1 - beta)**2 of that. If the
        samples are sorted, an epoch can stretch distances by many orders of magnitude and shrink them again: rounding
        then blurs the radius near the edge, as it blurs training. For the quadratic in order, sample by sample, this
        shifts the edge by 0.2 %.

        The rate is inf if no sample determines anything, and 0 if a derivative is not finite: no rate is stable then.
        """
        if not self.curvatures.any():
            return np.inf
        if not np.isfinite(self.curvatures).all():
            return 0.0
        decay, momentum = self.optimizer.weight_decay, self.optimizer.options.get("momentum", 0.0)
        if self.optimizer.name == "sgd" and self.is_full:
            return float(2.0 / (np.linalg.eigvalsh(self.curvatures[0, 0])[-1] + decay))
        start = 2.0 / float(np.trace(self.curvatures, axis1=-2, axis2=-1).max() + decay) * (1.0 - momentum) ** 2
        low, rates = 0.0, start * RATE_FACTOR ** np.arange(RATES_AT_A_TIME, dtype=np.float64)
        while not (unstable := self._is_unstable(rates)).any():
            low, rates = float(rates[-1]), rates * RATE_FACTOR**RATES_AT_A_TIME
            if low > SEARCHED_RANGE * start:
                return np.inf
        while True:
            first = int(np.argmax(unstable))
            low, high = float(rates[first - 1]) if first else low, float(rates[first])
            if high - low <= PRECISION * high:
                return low
            rates = np.linspace(low, high, RATES_AT_A_TIME + 1)[1:]
            unstable = self._is_unstable(rates)
            unstable[-1] = True  # as found before, despite rounding

    def _is_unstable(self, rates: Floats) -> NDArray[np.bool_]:
        """Return whether the spectral radius at each rate is above 1."""
        unstable: NDArray[np.bool_] = self.eigenvalue_moduli(rates).max(axis=-1, initial=0.0) > UNSTABLE_RADIUS
        return unstable
