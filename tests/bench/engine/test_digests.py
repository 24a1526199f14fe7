"""The published bits: on this machine, in code for plainer processors, and what a digest depends on."""

import json

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import config

from sgdbench.commands import verify
from sgdbench.engine import digests
from sgdbench.engine.digests import WITHOUT_POWERS, Case, Result, Step, digest, published, sweep_digests, verification
from sgdbench.kernels.optimizers import OPTIMIZERS, make_optimizer
from sgdbench.kernels.tape.trace import trace_optimizer

CASE = Case("sgd", "float64", "in blocks")
# All orders, precisions and optimizers of a quick verification, in as few kernels as there may be.
CROSSED = [CASE, Case("adam", "float64", "in order"), Case("adam", "float32", "shuffled")]
# Their features, the runs in a lane of float64, and what is trained for them: each kernel has to be compiled there.
PROCESSORS = {
    "x86-64": ("", 8, [("lanes", Case("adam", "float64", "shuffled"))]),
    "haswell": ("+avx,+avx2,+fma", 16, [("lanes", Case("adam", "float32", "shuffled"))]),
}


def test_the_reference_gives_the_published_bits_of_every_optimizer():
    runs = {case.name: case.digest("reference") for case in digests.all_cases()}
    assert runs | sweep_digests("reference") == published()
    assert len(set(runs.values())) == len(runs)
    assert {make_optimizer(case.optimizer).name for case in digests.all_cases()} == set(OPTIMIZERS)


@pytest.mark.parametrize("kernel", ["fused", "lanes"])
def test_kernels_give_the_published_bits(kernel):
    """Those of single runs, of every lane, and of a sweep."""
    steps = [step for step in verification() if step.kernel == kernel and step.case in [*CROSSED, None]]
    assert len(steps) == len(CROSSED) + (kernel == "lanes")
    assert [result for step in steps for result in step.results() if result.found != result.published] == []


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_code_for_other_processors_gives_the_published_bits(processor, python):
    if not llvm.get_process_triple().startswith("x86_64") or not llvm.get_host_cpu_features().get("avx2"):
        pytest.skip(f"code for {processor} does not run here")
    features, width, steps = PROCESSORS[processor]
    code = f"""
import json
from numba.core.registry import cpu_target
from sgdbench.engine.digests import Case, Step, quadratic
from sgdbench.kernels.compile.kinds import lane_width
from sgdbench.kernels.losses import make_loss
results = [result for kernel, case in {steps!r} for result in Step(kernel, Case(*case)).results()]
width = lane_width("lanes", "float64", quadratic.program, make_loss("squared"))
print(json.dumps([*cpu_target.target_context.codegen().magic_tuple()[1:], width, results]))
"""
    *about, results = json.loads(python(code, NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features))
    assert about == [processor, features, width]
    assert [result[2] for result in results] == [published()[case.name] for _, case in steps]


def test_optimizers_that_take_powers_are_published_for_the_power_of_1():
    """In their rules or clocks; nadam's power is taken of an option before it runs."""
    code = {name: trace_optimizer(make_optimizer(name)).values() for name in OPTIMIZERS}
    inexact = {name for name, functions in code.items() if not all(one.is_exact for one in functions)}
    assert inexact | {"nadam"} == set(WITHOUT_POWERS)


class TestDigest:
    def test_the_last_bit_the_sign_of_a_zero_and_the_shape_count(self):
        known = {
            digest([np.array(values)]) for values in ([1.0, 0.0], [1.0, -0.0], [np.nextafter(1, 2), 0.0], [[1.0, 0.0]])
        }
        assert len(known) == 4

    def test_payloads_of_nan_sizes_of_types_and_orders_of_bytes_do_not(self):
        odd = np.array([0xFFF8_0000_0000_0001], np.uint64).view(float)
        assert digest([odd]) == digest([np.array([np.nan])])
        values = np.array([1.5, -2.0])
        assert digest([values.astype(">f8")]) == digest([values.astype("f4")]) == digest([values])
        assert digest([np.array([1, 2], "i4")]) == digest([np.array([1, 2], "u8")])

    @pytest.mark.parametrize("name", ["STARTS", "RATES", 0, 1])
    def test_that_of_runs_depends_on_each_number_they_are_made_of(self, monkeypatch, name):
        """Starts, rates, inputs and targets."""
        parts = {"STARTS": digests.STARTS, "RATES": digests.RATES} | dict(
            enumerate(digests.make_samples(digests.SAMPLES))
        )
        changed = parts[name].copy()
        changed.flat[1] = np.nextafter(changed.flat[1], np.inf)
        parts[name] = changed
        for place in ("STARTS", "RATES"):
            monkeypatch.setattr(digests, place, parts[place])
        monkeypatch.setattr(digests, "make_samples", lambda _: (parts[0], parts[1]))
        assert CASE.digest("reference") != published()[CASE.name]

    @pytest.mark.parametrize("kept", ["params", "memory", "losses", "path"])
    def test_a_single_lane_that_is_wrong_is_noticed(self, monkeypatch, kept):
        case, train_runs = Case("adam", "float64", "in order"), digests.train_runs

        def wrong(*args, **settings):
            runs = train_runs(*args, **settings)
            values = getattr(runs, kept)
            # A run that goes on to the end, in the second half of the first block.
            place = (..., 20, slice(None)) if kept in ("params", "memory", "path") else (..., 20)
            values[place] = np.nextafter(values[place], np.inf)
            return runs

        monkeypatch.setattr(digests, "train_runs", wrong)
        assert case.digest("lanes") != published()[case.name]


class TestCommand:
    STEPS = (Step("reference", CASE), Step("fused", CASE), Step("lanes"))

    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch):
        monkeypatch.setattr(verify, "verification", lambda *, every_optimizer: self.STEPS)

    def test_says_that_the_bits_are_the_published_ones(self, sgdbench):
        code, out, err = sgdbench("info", "--verify")
        assert (code, err) == (0, "")
        assert out.splitlines()[-1].startswith(
            "Verified: all 6 digests of results match the published ones, in code for "
        )

    def test_names_what_differs(self, sgdbench, monkeypatch):
        known = published() | {CASE.name: "0123456789abcdef", "sweep, ids": "fedcba9876543210"}
        monkeypatch.setattr(digests, "published", lambda: known)
        code, out, err = sgdbench("info", "--verify")
        assert (code, err) == (1, "")
        rows = [line for line in out.splitlines() if "0123456789abcdef" in line or "fedcba9876543210" in line]
        assert [line.split()[0] for line in rows] == ["reference", "fused", "lanes"]
        assert CASE.name in rows[0]
        assert "sweep, ids" in rows[2]
        assert "Not verified: 3 of 6 digests of results differ" in out

    def test_is_told_what_to_compile_only_where_it_verifies(self, sgdbench):
        assert sgdbench("info", "--every-optimizer")[::2] == (
            2,
            "sgdbench: --every-optimizer needs --verify; give both\n",
        )


def test_all_of_it_is_a_step_for_each_case_and_compiled_kernel():
    cases = digests.all_cases()
    steps = verification(every_optimizer=True)
    assert len(steps) == 3 * len(cases) + 1
    assert {*verification()} < {*steps}
    assert Result("lanes", CASE.name, *[published()[CASE.name]] * 2) in Step("lanes", CASE).results()
