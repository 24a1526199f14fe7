import pytest

from sgdbench.commands import parse
from tests.support.refusals import refusal_of


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sgd, adam(0.9, 0.99) ,momentum(0.9)", ["sgd", "adam(0.9, 0.99)", "momentum(0.9)"]),
        ("multistep([3, 5], 0.5),constant", ["multistep([3, 5], 0.5)", "constant"]),
        ("f([1, (2, [3, 4]), 5], g(6, 7)), h([], 8)", ["f([1, (2, [3, 4]), 5], g(6, 7))", "h([], 8)"]),
        ("(" * 2000 + "a,b" + ")" * 2000 + ",c", ["(" * 2000 + "a,b" + ")" * 2000, "c"]),
        ("a,,b", ["a", "", "b"]),
        ("", [""]),
    ],
)
def test_commas_in_parentheses_do_not_split(text, parts):
    assert parse.split_list(text) == parts


@pytest.mark.parametrize("text", ["sgd,adam(0.9, 0.99", "f(1),g)2(", "]"])
def test_unbalanced_brackets_are_refused(text):
    assert refusal_of(parse.split_list, text) == f"brackets must be balanced, not {text!r}"


def test_figures_are_asked_for_by_their_format(ran, monkeypatch):
    asked = []
    monkeypatch.setattr("sgdbench.commands.run.run_study", lambda study, how: asked.append(how.svg) or True)
    monkeypatch.setattr("sgdbench.commands.report.write_reports", lambda *_, svg: asked.append(svg) or [])
    for command in (["run"], ["report", "."]):
        for figures in ([], ["--figures", "svg"]):
            ran(*command, *figures)
    assert asked == [False, True] * 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-3, 2", [1e-3, 2]),
        ("log:0.01:1:20", "log:0.01:1:20"),
        ("1,16,full", [1, 16, "full"]),
        ("9" * 5000, float("inf")),
        ("0.1,fast", [0.1, "fast"]),
        ("sgd,adam(0.9, 0.99)", ["sgd", "adam(0.9, 0.99)"]),
    ],
)
def test_values_are_numbers_or_texts(text, values):
    assert parse.parse_values(text) == values


def test_a_start():
    assert parse.parse_start("a=1, b=-2.5e3") == {"a": 1.0, "b": -2500.0}
    assert parse.parse_start("-1, 2.5e3") == [-1.0, 2500.0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ('"log"', "log"),
        ("adam(beta1=0.9)", "adam(beta1=0.9)"),
        ("[1, 'full']", [1, "full"]),
        ("{near = [1, 2]}", {"near": [1, 2]}),
        ("1\nlr = 2", "1\nlr = 2"),
        ("[" * 10_000, "[" * 10_000),
    ],
)
def test_settings_are_values_of_toml_or_texts(text, value):
    assert parse.parse_settings([f"run.refine={text}"], run={"epochs": 3, "loss": None}) == {
        "run.epochs": 3,
        "run.refine": value,
    }


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["refine"], "--set must be a key of the study and its value, such as run.refine=2, not 'refine'"),
        (["=2"], "--set must be a key of the study and its value, such as run.refine=2, not '=2'"),
        (["a.b=1", "a.b=1"], "a.b must be given once, by --set or by its own option"),
        (["run.epochs=1"], "run.epochs must be given once, by --set or by its own option"),
    ],
)
def test_settings_that_are_none_are_refused(assignments, words):
    assert refusal_of(parse.parse_settings, assignments, run={"epochs": 3}) == words


@pytest.mark.parametrize("text", ["a=one", "1,b=2", "=1", "a=1,a=2", "a", ""])
def test_starts_that_are_none_are_refused(text):
    wanted = 'init must be distinct names with their values, such as "a=1,b=2", or all values in order, such as "1,2"'
    assert refusal_of(parse.parse_start, text) == f"{wanted}, not {text!r}"


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("near=-1,10,26; far=-1.83,-131.7,-2400", {"near": [-1, 10, 26], "far": [-1.83, -131.7, -2400]}),
        ("-1,10,26", {"init[0]": [-1, 10, 26]}),
        ("a=2,b=-4,c=3", {"init[0]": {"a": 2, "b": -4, "c": 3}}),
        ("near=a=2,b=-4; 1,2; zero", {"near": {"a": 2, "b": -4}, "init[1]": [1, 2], "zero": "zero"}),
        ("a=1", {"init[0]": {"a": 1}}),
        ("a=1; b=2", {"a": [1], "b": [2]}),
        ("normal:1:5", {"normal": "normal:1:5"}),
        ("wide=uniform:-5:5:20", {"wide": "uniform:-5:5:20"}),
    ],
)
def test_starts(text, starts):
    assert parse.parse_starts(text) == starts


def test_two_starts_of_one_name_are_refused():
    wanted = "init must have starts with distinct names, and 'near' occurs twice"
    assert refusal_of(parse.parse_starts, "near=1; near=2") == f"{wanted} in 'near=1; near=2'"


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("0-4", [0, 1, 2, 3, 4]), ("0-2, 9", [0, 1, 2, 9]), ("7-7", [7]), ("-2", [-2])]
)
def test_seeds(text, seeds):
    assert parse.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["4-0", "0-1000000", "1,9-8"])
def test_ranges_of_seeds_that_are_none(text):
    with pytest.raises(ValueError, match="each from low to high with at most 1,000,000 seeds"):
        parse.parse_seeds(text)
