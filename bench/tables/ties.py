"""Comparison of choices of settings by paired runs: which one is the best, and how the others compare with it.

All choices are run from the same starts with the same seeds, so that a start that is easy or hard for all of them
cancels in their differences. A matrix of costs has a row per choice and a column per start and seed; a failed run is
infinitely expensive, and one that was not made is NaN.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.tables.intervals import (
    CONFIDENCE,
    Pairs,
    count_independent,
    design_effects,
    holm_rejections,
    median_interval,
    row_medians,
)

# Relative differences of costs up to this are called small.
TOLERANCE = 0.05
# Logarithms of costs that differ by less than this differ by rounding.
ROUNDING = 1e-6
# Verdicts on the cost of a choice compared with another: see `classify`.
BEST, INDISTINGUISHABLE, WITHIN, WORSE, FAILS = "best", "indistinguishable", "within 5 %", "worse", "fails"
BETTER, TOO_FEW_RUNS = "better", "too few runs"
NOT_TIED = [WORSE, FAILS]
# Shares of successful runs that differ by at most this count as equal.
SUCCESS_MARGIN = 0.1
# The share of the error probability for wrong conclusions from success; the rest is for those from cost.
SUCCESS_SHARE = 0.2
# The weight of the variance of the other choices relative to that of a comparison's own pairs, in degrees of freedom.
PRIOR_FREEDOM = 4
# From this many variances on, their spread among choices can be estimated.
FEWEST_VARIANCES = 8
# From this many pairs on, the sign test distinguishes choices, however many there are.
SIGN_PAIRS = 20
ONE_SIGMA = 0.6827
# The maximum number of passes of median polish, which converges soon; its last digits are not needed.
PASSES = 4
# Noise is estimated from comparisons of the best choice with choices that cost at most this many times as much.
NEAR = 2.0


class Ranks(NamedTuple):
    """The ranks of choices: `order` has their rows, best first, and the two others are by row.

    `ratio` is the cost of each choice as a multiple of the best, compared start by start and seed by seed, and
    `reliable` tells whether its share of successful runs equals that of the most successful choice, within the margin.
    """

    order: NDArray[np.intp]
    ratio: Floats
    reliable: NDArray[np.bool_]


def rank_choices(costs: Floats, tiebreak: Floats) -> Ranks:
    """Sort choices: reliable ones by their cost, then the others by their success.

    A choice is reliable if its share of successful runs is at most `SUCCESS_MARGIN` below the highest of all choices.
    No cost, however low, makes up for failures, but one failure in a hundred runs does not count either. Reliable
    choices are ranked by the median over their runs of the cost relative to what is typical of that start and seed,
    estimated from the reliable choices that cost at most twice as much as the best (median polish: J. W. Tukey,
    Exploratory Data Analysis, 1977). Medians of the costs themselves would compare single runs, and hide differences
    between choices behind those between starts. A failed run is infinitely expensive. Equal costs are decided by
    success, and then by `tiebreak`, smaller is better. The other choices are ranked by success, then cost, then
    `tiebreak`.
    """
    succeeded, trained = np.isfinite(costs), ~np.isnan(costs)
    success = np.count_nonzero(succeeded, axis=1) / np.count_nonzero(trained, axis=1)
    reliable = success >= success.max() - SUCCESS_MARGIN - 1e-9
    score = _scores(np.log(costs), reliable)
    keys = [np.where(reliable, score, -success), np.where(reliable, -success, score), tiebreak]
    order = np.lexsort([*reversed(keys), ~reliable])
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.exp(score - score[order[0]])
    ratio[np.isnan(ratio) | ~np.isfinite(score)] = np.inf
    ratio[order[0]] = 1.0
    return Ranks(order, ratio, reliable)


def _scores(logs: Floats, reliable: NDArray[np.bool_]) -> Floats:
    """Return the effect of each choice on the logarithms of costs, by median polish; infinite where most runs fail."""
    score: Floats = np.zeros(len(logs))
    usual = reliable
    for _ in range(PASSES):
        # Without the effect of the choice itself, so that it does not matter which choices were run in a pair.
        typical = row_medians((logs[usual] - np.where(np.isfinite(score), score, 0.0)[usual, np.newaxis]).T)
        solved = np.isfinite(typical)
        before, effects = score, row_medians(logs[:, solved] - typical[solved])
        # Scores that differ in the last digits are equal.
        score = np.where(np.isnan(effects), np.inf, np.round(effects, 9))
        if np.array_equal(before, score):
            break
        usual = reliable & (score <= score[reliable].min() + np.log(NEAR))
    return score


def classify(
    ratio: Floats, *, differs: NDArray[np.bool_], fails: NDArray[np.bool_], unknown: NDArray[np.bool_]
) -> NDArray[np.str_]:
    """Return verdicts on the cost of each choice compared with that of one reference choice.

    The words mean the same wherever choices are compared:

    - "fails": it succeeds clearly less often (`fails`);
    - "too few runs": there are too few pairs to tell (`unknown`);
    - "indistinguishable": the interval of the paired differences includes no difference (not `differs`);
    - "within 5 %": a difference is shown, and the `ratio` of the costs is at most 1.05, either way;
    - "worse", or "better": a difference is shown, and it is larger.
    """
    with np.errstate(divide="ignore"):
        little = np.maximum(ratio, 1 / ratio) <= 1 + TOLERANCE
    conditions = [fails, unknown, ~differs, little, ratio > 1]
    return np.select(conditions, [FAILS, TOO_FEW_RUNS, INDISTINGUISHABLE, WITHIN, WORSE], BETTER)


def compare_choices(
    costs: Floats, ranks: Ranks, reference: int, *, tolerance: float | Floats = 0.0, pairs: Pairs | None = None
) -> NDArray[np.str_]:
    """Compare each choice with the one in the row `reference`; return the words of `classify`, and "best" for that one.

    With a probability of at least `CONFIDENCE` the choice that is truly best is not called worse, although the
    reference was picked for its low cost: whichever is picked, the comparison with the best one goes wrong that seldom.
    This is the subset selection of S. S. Gupta (Technometrics 7, 1965), or multiple comparisons with the best (J. C.
    Hsu, Annals of Statistics 9, 1981). A choice fails if it succeeds clearly less often (`fails_more_often`). Its cost
    differs if it is clearly higher or lower than that of the reference, by more than rounding and the `tolerance`, one
    for all or one for each. The `costs` decide whether choices differ, and the `ranks` by how much: if differences may
    be negligible, the latter come from other costs.

    *Cost* is compared in the pairs in which both succeeded, by the logarithm of the ratio. For fewer than 20 pairs this
    is a t-test, which heavy tails make conservative. The variance of the other choices near the best contributes to its
    variance as four more degrees of freedom (the moderated t of G. K. Smyth, Statistical Applications in Genetics and
    Molecular Biology 3, 2004): with hundreds of choices, the variance of a few pairs alone is too often small by
    chance. A test without assumptions would be too weak: five pairs point the same way by chance with a probability of
    1/16. For 20 pairs and more it is such a test, the sign test. Either is two-sided and is corrected for the number of
    choices by Holm's method. With more choices and fewer pairs, fewer differences are therefore shown, and with a
    single pair none is. Pairs of a seed from several starts count as fewer (`sgdbench.tables.intervals`).

    If no run of any choice succeeds, all of them fail.
    """
    fails = fails_more_often(costs, pairs=pairs)
    others = ~fails
    others[reference] = False
    compared = _compare(costs, ranks, pairs, reference)
    allowed = np.broadcast_to(np.log1p(tolerance), len(costs)) + ROUNDING
    opposite = compared._replace(differences=-compared.differences, means=-compared.means)
    p_values = 2 * np.minimum(_p_values(compared, allowed), _p_values(opposite, allowed))
    differs = np.zeros(len(costs), np.bool_)
    differs[others] = holm_rejections(p_values[others], (1 - SUCCESS_SHARE) * (1 - CONFIDENCE))
    with np.errstate(invalid="ignore"):
        ratio = ranks.ratio / ranks.ratio[reference]
    words = classify(ratio, differs=differs, fails=fails, unknown=(compared.freedom == 0) | (compared.pairs == 0))
    if np.isfinite(costs[reference]).any():
        words[reference] = BEST
    return words


def fails_more_often(costs: Floats, *, confidence: float = CONFIDENCE, pairs: Pairs | None = None) -> NDArray[np.bool_]:
    """Return which choices succeed clearly less often than the most successful one.

    These are the choices without any success, and those whose number of successes, or fewer, has a probability below a
    fifth of 1 - `confidence` in the binomial distribution with the highest success rate minus `SUCCESS_MARGIN`. The
    highest rate is not that of the most successful choice, which may have been lucky. It is the rate at which as many
    choices as observed, among those that succeeded at all, do as well as the most successful one: 5 of 5 runs are
    evidence of a rate close to 1 if most choices have them, but not if one in a hundred has. Runs of a seed that fail
    from several starts together count as fewer (`sgdbench.tables.intervals`).
    """
    from scipy.special import bdtr, betaincinv  # noqa: PLC0415 (heavy)

    trained = ~np.isnan(costs)
    none = ~np.isfinite(costs).any(axis=1)
    outcomes = np.where(trained, np.isfinite(costs), np.nan)
    effects = design_effects(outcomes, pairs, np.ones(len(costs), np.bool_))
    runs, failures = (
        count_independent(np.count_nonzero(counted, axis=1), effects)
        for counted in (trained, trained & np.isinf(costs))
    )
    successes = np.where(none, 0, runs - failures)
    rates = successes / runs
    top = np.lexsort([runs, rates])[-1]
    k, n = int(successes[top]), int(runs[top])
    if not k:
        return np.ones(len(costs), bool)
    share = np.count_nonzero(rates >= rates[top]) / np.count_nonzero(successes)
    # The probability of at least k successes is the incomplete beta function of the rate.
    highest = min(float(betaincinv(k, n - k + 1, share)), k / n) if share < 1 else k / n
    level = SUCCESS_SHARE * (1 - confidence)
    fails: NDArray[np.bool_] = none | (bdtr(successes, runs, max(highest - SUCCESS_MARGIN, 0.0)) <= level)
    return fails


def nearly_as_cheap(costs: Floats, ranks: Ranks, *, tolerance: float, pairs: Pairs | None = None) -> NDArray[np.bool_]:
    """Return which choices cost so little more than the best that any of them may be taken.

    Their ratio is at most half a standard error above 1, or two errors below 1 + `tolerance`, and never above that. The
    choice taken instead of the first one is then truly no worse, or hardly. The rule of L. Breiman, J. H. Friedman, R.
    A. Olshen and C. J. Stone (Classification and Regression Trees, 1984) allows a whole error. That is too much if
    there are several candidates, of which the robust ones often cost more: in one of twenty simulated studies it led to
    a choice that 30 runs show to be more expensive.
    """
    compared = _compare(costs, ranks, pairs, int(ranks.order[0]))
    allowed, error = np.log1p(tolerance), compared.errors
    many = compared.pairs >= SIGN_PAIRS
    # The error of a median, robust against outliers: half its interval of one standard deviation on either side.
    low, high = median_interval(np.exp(compared.differences[many]), ONE_SIGMA, pairs)
    error[many] = (np.log(high) - np.log(low)) / 2
    with np.errstate(divide="ignore"):
        excess = np.log(ranks.ratio)
    near: NDArray[np.bool_] = ranks.reliable & (excess <= np.clip(error / 2, allowed - 2 * error, allowed))
    near[ranks.order[0]] = True
    return near


class _Comparison(NamedTuple):
    """How the logarithms of the costs of each choice differ from those of the reference, where both succeeded."""

    differences: Floats  # NaN for the other pairs
    effects: Floats  # the number of pairs that are worth one independent pair
    pairs: Floats  # independent pairs
    means: Floats
    errors: Floats  # of the means
    freedom: Floats  # of the errors; 0 where they are not known


def _compare(costs: Floats, ranks: Ranks, runs: Pairs | None, reference: int) -> _Comparison:
    both = np.isfinite(costs) & np.isfinite(costs[reference])
    differences = np.log(costs, where=both, out=np.zeros_like(costs))
    differences -= np.where(both, differences[reference], 0.0)
    pairs = np.count_nonzero(both, axis=1)
    means = differences.sum(axis=1) / np.maximum(pairs, 1)
    squares = (np.where(both, differences - means[:, np.newaxis], 0.0) ** 2).sum(axis=1)

    near = ranks.reliable & (ranks.ratio <= NEAR)
    near[reference] = False
    differences = np.where(both, differences, np.nan)
    effects = design_effects(differences, runs, near)
    independent = pairs / effects
    # The sum over dependent pairs counts as many times that over independent ones.
    squares, own_freedom = squares / effects, np.maximum(independent - 1, 0.0)
    usual, prior = _usual_variances(squares, own_freedom, near)
    freedom = own_freedom + prior
    variances = np.divide(squares + prior * usual, freedom, out=np.zeros_like(squares), where=freedom > 0)
    errors = np.sqrt(variances / np.maximum(independent, 1))
    return _Comparison(differences, effects, independent, means, errors, freedom)


def _usual_variances(squares: Floats, freedom: Floats, near: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the usual variance among the choices `near` the best, and its degrees of freedom, for each choice.

    It is that of the other choices together, with `PRIOR_FREEDOM`. If their variances differ by more than that allows,
    as with losses that are noisy at high rates and nearly constant at low ones, it counts for less accordingly, and is
    a typical one (Smyth's estimates, from the logarithms of the variances).
    """
    all_squares, all_freedom = squares[near].sum(), freedom[near].sum()
    others_squares = np.maximum(all_squares - np.where(near, squares, 0.0), 0.0)
    others_freedom = np.maximum(all_freedom - np.where(near, freedom, 0.0), 0.0)
    prior = np.minimum(PRIOR_FREEDOM, others_freedom)
    usual = np.divide(others_squares, others_freedom, out=np.zeros_like(squares), where=others_freedom > 0)
    noisy = near & (squares > 0) & (freedom > 0)
    count = np.count_nonzero(noisy)
    if count < FEWEST_VARIANCES:
        return usual, prior
    from scipy.optimize import brentq  # noqa: PLC0415 (heavy)
    from scipy.special import digamma, polygamma  # noqa: PLC0415

    halves = freedom[noisy] / 2
    logs = np.log(squares[noisy] / freedom[noisy]) - digamma(halves) + np.log(halves)
    excess = float(logs.var(ddof=1) - polygamma(1, halves).mean())
    if excess <= polygamma(1, PRIOR_FREEDOM / 2):
        return usual, prior
    half = brentq(lambda half: float(polygamma(1, half)) - excess, 1e-3, PRIOR_FREEDOM / 2)
    typical = np.exp(logs.mean() + digamma(half) - np.log(half))
    return np.full_like(usual, typical), np.minimum(2 * half, others_freedom)


def _p_values(compared: _Comparison, allowed: Floats) -> Floats:
    """Return the p-values of the hypotheses that, in logarithms, choices cost at most `allowed` more than another."""
    from scipy.special import bdtrc, stdtr  # noqa: PLC0415 (heavy)

    with np.errstate(divide="ignore", invalid="ignore"):
        t_test = stdtr(compared.freedom, (allowed - compared.means) / compared.errors)
    # There is no variation and no difference, or nothing to estimate them from.
    t_test = np.where((compared.freedom == 0) | (compared.pairs == 0) | np.isnan(t_test), 1.0, t_test)
    worse, better = (
        np.count_nonzero(compared.differences * sign > allowed[:, np.newaxis] * sign, axis=1) for sign in (1, -1)
    )
    worse, better = (count_independent(number, compared.effects) for number in (worse, better))
    sign_test = np.where(worse > 0, bdtrc(np.maximum(worse, 1) - 1, np.maximum(worse + better, 1), 0.5), 1.0)
    p_values: Floats = np.where(compared.pairs < SIGN_PAIRS, t_test, sign_test)
    return p_values
