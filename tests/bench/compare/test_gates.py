"""How much slower a row may be, by its name."""

import numpy as np
import pytest

from bench.compare.gates import Gates, load_gates


def test_the_first_pattern_counts_and_brackets_are_brackets():
    gates = Gates(1.5, {"t.py::up[[]*": 9.0, "t.py::up[1]": 1.1, "t.py::*": 1.2, "unknown?": 2.0})
    assert gates.of("t.py::up[1]") == 1.1
    assert gates.of("t.py::up[2]") == 1.2
    assert gates.of("other") == 1.5
    assert gates.named("other") is None
    assert gates.unused(["t.py::up[1]", "other"]) == ["t.py::up[[]*", "unknown?"]


def test_gates_are_read_and_an_option_takes_the_place_of_the_default(tmp_path):
    path = tmp_path / "gates.toml"
    path.write_text('[gates]\ndefault = 1.05\n"fused*" = 2\n')
    assert load_gates(None, path) == Gates(1.05, {"fused*": 2.0})
    assert load_gates(1.5, path) == Gates(1.5, {"fused*": 2.0})
    assert load_gates(None, None) == Gates(None, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[gates]\nx = 0", "gates.x must be a positive finite ratio such as 1.05, not 0.0"),
        ("[gates]\nx = nan", "gates.x must be"),
        ("[gates]\nx.y = 1.0", "gates.x must be a positive finite ratio such as 1.05, not {'y': 1.0}"),
        ("[gates]\n[gate]\nx = 1", "expected one table [gates]"),
        ("[gates", "is not valid TOML"),
        (b"\xff", "is not valid TOML"),
        pytest.param("[gates]\nx = " + 5000 * "[", "nested too deeply", id="deep"),
    ],
)
def test_bad_gates_are_refused_in_a_line(content, words, tmp_path):
    path = tmp_path / "gates.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r"gates\.toml") as refused:
        load_gates(None, path)
    assert words in str(refused.value)


@pytest.mark.parametrize("gate", [0, np.nan])
def test_a_gate_is_a_positive_finite_ratio(gate):
    with pytest.raises(ValueError, match="--gate must be a positive finite ratio"):
        load_gates(gate, None)
