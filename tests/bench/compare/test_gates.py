"""How much slower a row may be, by its name."""

from sgdbench.compare.gates import Gates, load_gates


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
