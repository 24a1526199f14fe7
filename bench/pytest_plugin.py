"""A fixture for the benchmarks of other projects, `variant_benchmark`, which pytest finds automatically.

pytest imports this module in every project of the environment, so the fixture imports anything that takes time.
"""

from collections.abc import Callable
from functools import cache as once
from typing import TYPE_CHECKING, Any, Union

import pytest

if TYPE_CHECKING:
    from sgdbench.timing.problem import Problem
    from sgdbench.timing.variants import Variant

Measure = Callable[[Union[str, "Variant"], "Problem"], None]


@pytest.fixture
def variant_benchmark(benchmark: Any) -> Measure:
    """Return a function that times a variant on a problem, after comparing its result with the reference.

    Compilation is never timed. If benchmarks run only once, untimed, the problem is reduced. A variant that cannot run
    is skipped; one with another result fails.

    Examples
    --------
    >>> def test_mine(variant_benchmark):
    ...     variant_benchmark("mine", classic(epochs=100))
    """
    from sgdbench.kernels.base.checks import did_you_mean, list_names  # noqa: PLC0415
    from sgdbench.timing.own_variants import find_variant  # noqa: PLC0415
    from sgdbench.timing.problem import FailedError, UnavailableError  # noqa: PLC0415
    from sgdbench.timing.speed import compile_times  # noqa: PLC0415
    from sgdbench.timing.variants import VARIANTS_BY_NAME  # noqa: PLC0415
    from sgdbench.timing.verify import NotVerifiedError, no_compilation, verify  # noqa: PLC0415

    def measure(variant: "str | Variant", problem: "Problem") -> None:
        found_variant = find_variant(variant) if isinstance(variant, str) else variant
        if found_variant is None:
            close = did_you_mean(str(variant), VARIANTS_BY_NAME)
            raise ValueError(f"unknown variant {variant!r}{close}; available: {list_names(VARIANTS_BY_NAME, '; ')}")
        problem = problem if benchmark.enabled else small(problem)
        try:
            call, errors = verify(found_variant, problem)
        except (FailedError, NotVerifiedError) as reason:
            pytest.fail(f"{found_variant.name}: {reason}", pytrace=False)
        except UnavailableError as reason:
            pytest.skip(f"{found_variant.name}: {reason}")
        with no_compilation():
            benchmark(call)
        benchmark.extra_info |= {f"error_{name}": value for name, value in errors._asdict().items()}
        benchmark.extra_info |= compile_times(found_variant, problem)
        benchmark.extra_info |= {"updates": problem.updates, "sample_updates": problem.sample_updates}
        if benchmark.enabled:
            ns = 1e9 * benchmark.stats.stats.median / problem.sample_updates
            benchmark.extra_info |= {"samples_per_second": 1e9 / ns, "ns_per_sample_update": ns}

    return measure


@once
def small(problem: "Problem") -> "Problem":
    """Return the smallest part of a problem that shows that a variant works."""
    return problem.part(runs=33, epochs=2, samples=100)
