"""Advice on a fit that diverged or did not arrive."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import signature

import numpy as np

from bench.analysis.curvature import MOST_PARAMS, edges_of_runs, name_places, nearby_edges, some_samples
from bench.analysis.default_study import choose_centering
from bench.analysis.stability import EpochMap, has_linear_map, sample_orders
from bench.data.fit_table import TableFit
from bench.data.table import Dataset
from bench.data.table_quality import TableQuality
from bench.tables.formatting import text
from bench.tables.phrases import settling_schedule
from kernels import FitResult, Model, fit
from kernels.base.run import Floats
from kernels.losses.loss import Loss
from kernels.optimizers import make_optimizer
from kernels.train.yardstick import ARRIVED

# Full batches need the eigenvalues of one matrix, which takes seconds with more parameters.
MOST_OF_FULL = 1000
# Where the lowest loss is not known, a run with a lower R² than this that stands still is in a place with no way out.
WEAK_R2 = 0.01
# The loss stands still where it fell by less than this share over the last half of the epochs.
STILL = 1e-3
# A loss that is further from the lowest than this many times its fall in the last quarter of the epochs falls slowly.
SLOW = 20.0
# Rates below the largest stable one by more than this factor are low.
LOW = 10.0
# No rate is advised below this share of the largest stable one.
QUIETEST = 0.01
# A loss above the lowest by no more than this many times what theory says of noise is held up by noise.
NOISE = 5.0
# A rate that is advised is tried for this many seconds of training, and where the run goes astray with it, the rate
# that is this part of it, up to this many rates.
SECONDS, NEXT, TRIALS = 1.0, 1 / 4, 20
# The share of the weight decay with which a run is tried.
LESS = 0.01
DEFAULT_RATE: float = signature(fit).parameters["lr"].default
# By noise alone a run with it may end at this many times the loss of its start.
HELD_UP = 2.0
# Columns whose sizes differ by more than this are worth standardizing.
SIZES = 10.0


def predicted_edge(
    model: Model, data: Dataset, optimizer: str, batch_size: int | str, *, shuffle: bool | str, seed: int
) -> float | None:
    """Return the largest stable learning rate; None where theory does not know it.

    It is known for models that are linear in their parameters, and the optimizers in
    `bench.analysis.epoch_matrix.AFFINE`. Large data, as trained, are represented by some of their samples.
    """
    if not model.is_linear or not has_linear_map(optimizer):
        return None
    x = data.x[some_samples(data)]
    n = len(x)
    size = n if batch_size == "full" else min(int(batch_size), n)
    if len(model.params) > (MOST_PARAMS if size < n else MOST_OF_FULL):
        return None
    orders = sample_orders(n, [seed], 16, shuffle) if shuffle else None
    edge = EpochMap(model.design_matrix(x), size, optimizer=optimizer, orders=orders).largest_stable_rate()
    return edge if 0 < edge < np.inf else None


def advise(
    fitted: TableFit,
    quality: TableQuality,
    train: Callable[..., TableFit],
    *,
    lr: float,
    optimizer: str,
    batch_size: int | str,
    epochs: int,
    shuffle: bool | str,
    seed: int,
) -> list[str]:
    """Return sentences on what would help a run that diverged, stands still or has not arrived; none for a good one.

    `train` makes the same run with another `lr`, `optimizer` or `schedule`, `standardized` or not, and with `watch`, as
    `bench.data.fit_table.fit_table` does. By it the rates that are advised are tried.
    """
    result = fitted.result
    diverged, strays = result.status == "diverged", _strays(result)
    # A run that starts at the lowest loss ends above it, by noise or rounding.
    arrived = not diverged and quality.yardstick.remaining(result.kept.loss) <= ARRIVED
    if result.status == "converged" or arrived or not (strays or _falls_short(result, quality)):
        return []
    if diverged and result.loss.size == 1:
        return ["The loss is not finite where the run starts: no rate helps, but another start, model or data might."]
    if not diverged and _weight_decay_holds(result, quality, optimizer, train):
        return ["Less weight decay would help: it keeps the parameters from the lowest loss."]
    edge = (
        predicted_edge(result.model, fitted.rows, optimizer, batch_size, shuffle=shuffle, seed=seed)
        if result.criterion.is_squared
        else None
    )
    noisy = not diverged and result.model.is_linear and batch_size != "full" and not _is_endless(quality)
    noisy = noisy and (not strays if edge is None else lr <= edge) and _is_noise(result, quality, lr, edge)
    # In a random order a stable run falls to where noise keeps it, also where its moves up and down hide that.
    hidden = edge is not None and shuffle is True and batch_size != "full" and not _rate_was_lowered(result)
    settles = partial(_settles, result, quality, epochs, train)
    if noisy and edge is None and _can_settle(result, quality) and not settles():
        noisy, hidden = False, True
    falls = not noisy and (_drifts(result) or (hidden and not strays))
    quiet = np.inf if batch_size == "full" else _quiet_share(quality)
    # The edges of the curvature are those of single samples, whose noise a batch averages.
    averaged = quiet if batch_size == "full" else quiet * int(batch_size)
    if edge is not None:
        sentences = [_advise_rate(lr, edge, quiet, train, diverged=diverged, falls=falls)]
    else:
        slow = not strays and result.model.is_linear and _is_far(result, quality)
        slow = slow and _drifts(result) and not _rate_was_lowered(result)
        bound = _stable_bound(fitted, quality, optimizer) if strays or slow else None
        exact = result.criterion.is_squared and result.model.is_linear
        where = "" if exact else f" {name_places(result.model)}"
        if strays:
            sentences = [_advise_lower_rate(lr, bound, averaged, where, train)]
        else:
            sentences = [_advise_higher_rate(lr, bound, averaged, where, train)] if slow else []
    if fitted.scaling is None and is_worth_standardizing(result.model, fitted.rows, result.criterion):
        sentences.append(_advise_standardizing(train, mapped=fitted.data.mapped_in is not None, another=any(sentences)))
    if not shuffle and batch_size != "full" and not diverged:
        sentences.append("--shuffle visits the samples in a new order each epoch, which averages out the order.")
    if noisy:
        sentences.append(_advise_settling(result, batch_size, epochs))
    elif not strays and (edge is None or lr <= edge):
        sentences.append(_advise_patience(result, quality, batch_size, epochs, settles, falls=falls))
    return [sentence for sentence in sentences if sentence]


def _strays(result: FitResult, most: float = 1.0) -> bool:
    """Return whether a run diverged, or ended with a higher loss than `most` times that of its start."""
    return result.status == "diverged" or bool(result.loss[-1] > most * result.loss[0])


def _advise_standardizing(train: Callable[..., TableFit], *, mapped: bool, another: bool) -> str:
    """Return a sentence on columns of one size, and on the rate for them.

    The rate that was given, and `another` one that is advised, suit the columns as they are. The default rate is tried
    where another one is advised, but for columns that are mapped, as these would be written.
    """
    use = "gives all columns the same size, so that one learning rate suits them all."
    if mapped or not another:
        return f"--standardize, perhaps with another --lr, {use}"
    lr, _ = _find_steady_rate(DEFAULT_RATE, partial(train, standardized=True), HELD_UP)
    if lr is None:
        return ""
    how = "without that --lr" if float(lr) == DEFAULT_RATE else f"with --lr {lr}"
    return f"Or --standardize, {how}: it {use}"


def _advise_tried(sentence: str, rate: float, train: Callable[..., TableFit]) -> str:
    """Return the sentence with the rate, or the next lower one of some with which the run does not go astray."""
    lr, tried = _find_steady_rate(rate, train)
    if lr is not None:
        return f"{sentence} --lr {lr}."
    return (
        f"The run goes astray at every learning rate that was tried, from {tried[0]} to {tried[-1]}: another start "
        "(--init, --seed), model or scale of the data might help."
    )


def _advise_higher(sentence: str, lr: float, rate: float, train: Callable[..., TableFit]) -> str:
    """Return the sentence with the rate, or the next lower one above lr with which the run does not go astray."""
    steady, tried = _find_steady_rate(rate, train, above=lr)
    return f"{sentence}. Try --lr {steady}." if steady else f"{sentence}, but the run goes astray at --lr {tried[0]}."


def _find_steady_rate(
    rate: float, train: Callable[..., TableFit], most: float = 1.0, *, above: float = 0.0
) -> tuple[str | None, list[str]]:
    """Return the rate, or the next lower one of some with which the run does not go astray, and all of these."""
    tried = [f"{rate * NEXT**number:.2g}" for number in range(TRIALS) if rate * NEXT**number > above]
    return next((lr for lr in tried if not _strays(train(lr=float(lr), watch=_stop).result, most)), None), tried


def _stop(result: FitResult, data: Dataset) -> None:
    """Stop a run that is tried when it has taken its seconds."""
    if result.seconds > SECONDS:
        raise KeyboardInterrupt  # upon which `train` returns the result so far


def _weight_decay_holds(
    result: FitResult, quality: TableQuality, optimizer: str, train: Callable[..., TableFit]
) -> bool:
    """Return whether the run ends less than half as far above the lowest loss with a hundredth of its weight decay."""
    made = make_optimizer(optimizer)
    if not any(made.weight_decays.values()):
        return False
    options = {name: value * LESS if name in made.weight_decays else value for name, value in made.options.items()}
    less = replace(made, weight_decay=made.weight_decay * LESS, options=options)
    return _ends_nearer(train(optimizer=less, watch=_stop), result, quality, 1 / 2)


def _settles(result: FitResult, quality: TableQuality, epochs: int, train: Callable[..., TableFit]) -> bool:
    """Return whether the run ends nearer to the lowest loss, by a quarter or more, where a schedule lowers its rate.

    So it does where only noise holds the loss up, and not where the noise hides how slowly the loss falls.
    """
    return _ends_nearer(train(schedule=settling_schedule(epochs), patience=None), result, quality, 3 / 4)


def _can_settle(result: FitResult, quality: TableQuality) -> bool:
    """Return whether `_settles` can be told of a run, by training it once more."""
    return not _rate_was_lowered(result) and result.seconds <= SECONDS and bool(np.isfinite(quality.yardstick.loss))


def _ends_nearer(tried: TableFit, result: FitResult, quality: TableQuality, share: float) -> bool:
    """Return whether a run ends less far above the lowest loss than this share of the given one's distance.

    It is the share of the best constant's distance where that is less: dead units leave a constant.
    """
    remaining = quality.yardstick.remaining
    return remaining(tried.result.kept.loss) < share * min(remaining(result.kept.loss), 1.0)


def _falls_short(result: FitResult, quality: TableQuality) -> bool:
    """Return whether a run has not arrived: far from the lowest loss or, where that is unknown, near a constant."""
    remaining = quality.yardstick.remaining(result.kept.loss)
    return remaining > ARRIVED or (np.isnan(remaining) and not _falls(result) and bool(quality.r2 < WEAK_R2))


def _falls(result: FitResult, least: float = STILL) -> bool:
    """Return whether the loss fell over the last half of the epochs, by a share of it and by more than it moves."""
    before, last = _late_losses(result)
    fell = np.median(before) - np.median(last)
    return bool(fell > 0 and fell >= least * abs(np.median(before)) and fell >= np.ptp(last) / 2)


def _drifts(result: FitResult) -> bool:
    """Return whether the loss fell over the last half of the epochs, however slowly.

    A rate that is too low brings it down by next to nothing, but steadily. So does one that a schedule has lowered: the
    loss must fall by its share there.
    """
    return _falls(result, STILL if _rate_was_lowered(result) else 0.0)


def _swings(result: FitResult, quality: TableQuality) -> bool:
    """Return whether the loss moves by as much as it is above the lowest, and no schedule lowers the rate."""
    range_of_last = np.ptp(_late_losses(result)[1])
    return not _rate_was_lowered(result) and bool(range_of_last >= result.kept.loss - quality.yardstick.loss)


def _is_far(result: FitResult, quality: TableQuality) -> bool:
    """Return whether it would take many times the epochs to arrive, as the loss falls now."""
    before, last = _late_losses(result)
    fell, left = np.median(before) - np.median(last), result.kept.loss - quality.yardstick.loss
    return not _falls(result) if np.isnan(left) else bool(left > SLOW * fell)


def _rate_was_lowered(result: FitResult) -> bool:
    return bool(result.rates[-1] < result.rates[0] / LOW)


def _late_losses(result: FitResult) -> tuple[Floats, Floats]:
    """Return the losses of the third and of the last quarter of the epochs."""
    late = result.loss[result.loss.size // 2 :]
    before, last = np.array_split(late, 2) if late.size > 1 else (result.loss[:1], late)
    return before, last


def _is_noise(result: FitResult, quality: TableQuality, lr: float, edge: float | None) -> bool:
    """Return whether a run is as far from the lowest loss as the noise of its batches keeps it.

    At a constant rate lr the loss exceeds the lowest one by the share lr / (edge - lr), or little more. Where theory
    knows no edge, a loss that no longer falls is taken for one that only noise holds up.
    """
    if edge is None:
        return not _drifts(result)
    lowest, moves = quality.yardstick.loss, _drifts(result) if lr >= edge / LOW else _falls(result)
    return not moves and bool((result.kept.loss - lowest) * (edge - lr) <= NOISE * lowest * lr)


def _ends_past_best(result: FitResult) -> bool:
    """Return whether the loss on held-out rows was lowest before the last quarter of the epochs, or ended the run."""
    ended = result.status == "stopped" or result.best.epoch < 3 / 4 * result.epochs
    return result.validation_loss is not None and ended


def _is_endless(quality: TableQuality) -> bool:
    """Return whether the loss has no minimum: it falls for as long as the parameters grow."""
    return quality.yardstick.params is None and bool(np.isfinite(quality.yardstick.loss))


def _stable_bound(fitted: TableFit, quality: TableQuality, optimizer: str) -> float | None:
    """Return a rate up to which sgd is stable, by the curvature of the loss; None where it is not known.

    It is the lowest of those at the places that runs pass, of a model that is not linear of the `nearby_edges`.
    """
    if make_optimizer(optimizer).name != "sgd":
        return None
    result = fitted.result
    found = edges_of_runs(result.model, result.criterion, fitted.rows, quality.yardstick.params, [result.trajectory[0]])
    lowest = [min(edges) for edges in found]
    return min(lowest if result.model.is_linear else nearby_edges(lowest), default=None)


def _advise_patience(
    result: FitResult,
    quality: TableQuality,
    batch_size: int | str,
    epochs: int,
    settles: Callable[[], bool],
    *,
    falls: bool,
) -> str:
    endless, linear = _is_endless(quality), result.model.is_linear
    # In a model linear in its parameters there is one minimum, and any start leads there.
    on_its_way = endless or _falls(result) or (linear and falls)
    if on_its_way and _ends_past_best(result):
        return "The loss on held-out rows no longer falls: more --epochs would not lower it."
    if on_its_way and not (_rate_was_lowered(result) and _is_far(result, quality)):
        reason = "has no minimum and falls as the parameters grow" if endless else "was still falling"
        return f"The loss {reason}: more --epochs would help."
    if linear or on_its_way or (settles() if _can_settle(result, quality) else _swings(result, quality)):
        return _advise_settling(result, batch_size, epochs)
    return "The loss stands still: try another start (--init, --seed) or --lr."


def _advise_settling(result: FitResult, batch_size: int | str, epochs: int) -> str:
    """Return a sentence on a loss that noise holds up, or steps of full batches that are too long.

    `epochs` are those that were asked for: a run may be stopped sooner.
    """
    if _rate_was_lowered(result):
        return "The loss no longer falls, as the schedule has lowered the rate: try a slower one, or a higher --lr."
    if batch_size == "full":
        return "The loss no longer falls: a schedule that lowers the rate lets it settle, and so does a lower --lr."
    what = "single samples" if batch_size == 1 else "small batches"
    return (
        f"The loss no longer falls: the noise of {what} keeps the parameters on the move. "
        f'--schedule "{settling_schedule(epochs)}" lets them settle, and so does a lower --lr.'
    )


def is_worth_standardizing(model: Model, data: Dataset, loss: Loss) -> bool:
    """Return whether the columns, and the 1 of an offset, differ in size, and the model allows other units of them."""
    sizes = np.append(np.sqrt(np.mean(data.x**2, axis=0)), 1.0)
    return bool(sizes.max() > SIZES * sizes.min()) and choose_centering(model, data, loss)[0] is not None


def _quiet_share(quality: TableQuality) -> float:
    """Return the share of the largest stable rate at which noise leaves a run near enough; inf where none is known.

    Where a model hardly improves on a constant, a rate that low would get nowhere: so there is a floor, and a schedule
    does the rest.
    """
    yardstick = quality.yardstick
    share = ARRIVED * yardstick.improvement / yardstick.loss if yardstick.loss > 0 else np.inf
    return max(share, QUIETEST) if np.isfinite(share) else np.inf


def _advise_rate(
    lr: float, edge: float, quiet: float, train: Callable[..., TableFit], *, diverged: bool, falls: bool
) -> str:
    """Return a sentence on the learning rate, where theory knows the largest stable one."""
    known = f"the largest stable learning rate here is about {text(edge, 2)}, by theory"
    if lr > edge:
        told = f"The learning rate {text(lr)} is too high: {known}. Try"
        return _advise_tried(told, edge * min(quiet, 1 / 2), train)
    if diverged:
        told = f"By theory a rate below {text(edge, 2)} is stable in the end; try"
        return _advise_tried(told, edge * min(quiet, 1 / 4), train)
    better = edge * min(quiet, 1 / 2)
    if lr < min(edge / LOW, better / 2) and falls:
        return _advise_higher(f"The learning rate {text(lr)} is low: {known}", lr, better, train)
    return ""


def _advise_higher_rate(
    lr: float, bound: float | None, quiet: float, where: str, train: Callable[..., TableFit]
) -> str:
    """Return a sentence on a rate at which the loss falls by next to nothing."""
    low = f"The learning rate {text(lr)} is low"
    if bound is None:
        return _advise_higher(f"{low}: the loss falls slowly", lr, lr * LOW, train)
    better = bound * min(quiet, 1 / 2)
    known = f"by theory those up to about {text(bound, 2)} are stable{where}"
    return _advise_higher(f"{low}: {known}", lr, better, train) if lr < better / 2 else ""


def _advise_lower_rate(lr: float, bound: float | None, quiet: float, where: str, train: Callable[..., TableFit]) -> str:
    """Return a sentence on a rate at which a run went astray, with one up to which runs are stable if that is known."""
    if bound is None or lr <= bound:
        return _advise_tried("A lower learning rate would help, such as", lr / 10, train)
    told = (
        f"The learning rate {text(lr)} is too high: by theory those up to about {text(bound, 2)} are stable{where}. Try"
    )
    return _advise_tried(told, bound * min(quiet, 1 / 2), train)
