"""The lane type: functions against mpmath, arithmetic against NumPy's bits, on this processor and on plainer ones."""

from functools import cache as once

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from numba import config, njit
from numba.core.errors import TypingError

from sgdbench import models
from sgdbench.kernels.compile.build import name_of
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.functions import FUNCTIONS as FUNCTIONS_OF_PROGRAMS
from sgdbench.kernels.model.program import OPERAND_COUNTS
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.simd import math as lane_math
from sgdbench.kernels.simd.lanes import broadcast, read_lane, read_spaced, write_lane
from sgdbench.kernels.simd.sums import sum_each
from tests.support.lane_functions import EPS, EXACT, FUNCTIONS, LARGEST, arguments, results

# As `lane_exp` and `lane_log` state them; there the vector library has no part in these.
ON_AVX512 = {"expm1": 2, "log": 1.5, "log1p": 2}

PLACES = {
    "here": {},
    "AVX2": {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"},
    "generic, no vector library": {"NUMBA_CPU_NAME": "generic"},
}


def operands(name):
    """What a function is called with, among which the condition of a choice is any number."""
    u, v = arguments()
    if name == "our where":
        return v, u, v
    return (u, v) if name.startswith("our ") or OPERAND_COUNTS.get(name, 2) == 2 else (u,)


@once
def numpy_results(name):
    ours = name == "erf" or name.startswith("our ")
    function = FUNCTIONS_OF_PROGRAMS[name.removeprefix("our ")] if ours else getattr(np, name)
    with np.errstate(all="ignore"):
        return function(*operands(name))


@once
def distances(name):
    """Where values are neither special nor 0, and how far NumPy's are there from the true ones, in ULP."""
    given, near = np.stack(operands(name)), numpy_results(name)
    ordinary = np.isfinite(given).all(axis=0) & (near != 0) & (np.abs(near) < LARGEST)
    given, near = given[:, ordinary], near[ordinary]
    ulp = np.spacing(np.abs(near))
    with mpmath.workprec(160):
        true = [FUNCTIONS[name][0](*map(mpmath.mpf, one)) for one in given.T.tolist()]
        distance = [float((n - t) / u) for t, n, u in zip(true, near.tolist(), ulp.tolist(), strict=True)]
    return ordinary, np.array(distance)


@pytest.fixture(scope="module", params=PLACES)
def computed(request, python, tmp_path_factory):
    """The results of a process that compiles for such a processor, or that finds no vector library."""
    if request.param == "here":
        return dict(zip([*FUNCTIONS, *EXACT], results(), strict=True)) | {"place": request.param}
    if request.param == "AVX2" and not all(llvm.get_host_cpu_features().get(name) for name in ("avx2", "fma")):
        pytest.skip("this processor has no AVX2")
    file = tmp_path_factory.mktemp("lanes") / "results.npz"
    code = ["import numpy as np", "from sgdbench.kernels.simd import math as lane_math"]
    code += ["lane_math.LIBRARY_FUNCTIONS = ()"] if "no vector library" in request.param else []
    code += ["from tests.support.lane_functions import results", "divided = ()"]
    if request.param == "AVX2":
        code += ["from tests.support.divided import arguments, quotients_and_roots", "pairs = arguments()"]
        code += ["divided = [*pairs, *quotients_and_roots('fma', *pairs)]"]
    code += [f"np.savez({str(file)!r}, functions=results(), divided=divided)"]
    python("\n".join(code), **PLACES[request.param])
    made = np.load(file)
    found = dict(zip([*FUNCTIONS, *EXACT], made["functions"], strict=True))
    return found | {"place": request.param, "divided": made["divided"]}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_over_the_whole_range(computed, name):
    ours, expected = computed[name], numpy_results(name)
    ordinary, distance = distances(name)
    np.testing.assert_array_equal(ours[~ordinary], expected[~ordinary])
    assert_same_signs(ours, expected)
    expected = expected[ordinary]
    error = (ours[ordinary] - expected) / np.spacing(np.abs(expected)) + distance
    on_avx512 = llvm.get_host_cpu_features().get("avx512f") and "NUMBA_CPU_NAME" not in PLACES[computed["place"]]
    bound = FUNCTIONS[name][1]
    assert np.abs(error).max() <= (ON_AVX512.get(name, bound) if on_avx512 and not config.DISABLE_JIT else bound)


@pytest.mark.parametrize("name", EXACT)
def test_arithmetic_has_the_bits_of_numpy(computed, name):
    ours, expected = computed[name], numpy_results(name)
    np.testing.assert_array_equal(ours, expected)
    if name not in ("minimum", "maximum"):  # of 0 and -0, NumPy takes either
        assert_same_signs(ours, expected)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("computed", ["AVX2"], indirect=True)
def test_processors_without_estimates_divide(computed):
    """Where operations may be fused, too; tests/kernels/simd/test_division.py has those that estimate."""
    u, v, *divided = computed["divided"]
    with np.errstate(all="ignore"):
        expected = u / v, np.sqrt(u)
    for found, true in zip(divided, expected, strict=True):
        np.testing.assert_array_equal(found, true)
        assert_same_signs(found, true)


def assert_same_signs(ours, expected):
    """Of zeros too; that of a nan is the processor's affair."""
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(ours[known]), np.signbit(expected[known]))


@pytest.mark.parametrize("width", [2, 8, 32])
def test_a_lane_comes_back_as_it_went(width):
    @njit
    def there_and_back(source, target):
        write_lane(read_lane(source, 3, width), target, 5)

    source, target = np.random.default_rng(2).standard_normal(40), np.zeros(40)
    there_and_back(source, target)
    np.testing.assert_array_equal(target[5 : 5 + width], source[3 : 3 + width])
    assert not target[:5].any()
    assert not target[5 + width :].any()


@njit(error_model="numpy")
def with_numbers(u, number, out):
    lane = read_lane(u, 0, 8)
    write_lane(lane + number, out[0], 0)
    write_lane(number - lane, out[1], 0)
    write_lane(number / lane, out[2], 0)
    write_lane(np.minimum(number, lane), out[3], 0)
    write_lane(np.power(lane, number), out[4], 0)
    write_lane(broadcast(number, 8), out[5], 0)


@pytest.mark.parametrize("number", [3, 0.1, np.float32(0.1)], ids=["int", "float", "float32"])
def test_a_number_stands_for_a_lane_full_of_it(number):
    u, out = np.linspace(0.5, 4, 8), np.empty((6, 8))
    with_numbers(u, number, out)
    number = float(number)
    np.testing.assert_array_equal(out[:4], [u + number, number - u, number / u, np.minimum(number, u)])
    np.testing.assert_allclose(out[4], u**number, rtol=4 * EPS)
    np.testing.assert_array_equal(out[5], number)


def test_columns_are_read_as_lanes_and_rows_added_up():
    @njit
    def sums(u, out):
        rows = (read_lane(u, 1, 4), read_lane(u, 6, 4), read_lane(u, 11, 4), read_lane(u, 16, 4))
        write_lane(sum_each(rows), out, 0)
        write_lane(read_spaced(u, 2, 5, 4), out, 4)

    u, out = np.random.default_rng(4).standard_normal(21), np.empty(8)
    sums(u, out)
    rows = u[1:].reshape(4, 5)
    a, b, c, d = rows[:, :4].T
    np.testing.assert_array_equal(out, [*((a + b) + (c + d)), *rows[:, 1]])


@pytest.mark.skipif(config.DISABLE_JIT, reason="there are no types")
def test_lanes_of_different_widths_do_not_mix():
    @njit
    def mixed(u, out):
        write_lane(read_lane(u, 0, 8) + read_lane(u, 0, 4), out, 0)

    with pytest.raises(TypingError, match=r"Lane\(8, float64\)"):
        mixed(np.ones(8), np.empty(8))


@pytest.mark.skipif(not lane_math.LIBRARY_FUNCTIONS, reason="there is no library that could be missing")
def test_code_that_calls_the_library_is_not_loaded_where_it_is_missing(monkeypatch):
    """Otherwise the process would end at once, without an exception."""

    def digest():
        """What a kernel is named after."""
        return name_of(module_of(KernelSpec("fused", models.linear, make_loss("squared"), make_optimizer("sgd"))))

    with_library = digest()
    assert with_library == digest()
    monkeypatch.setattr(lane_math, "LIBRARY_FUNCTIONS", ())
    assert with_library != digest()
