import pytest

from bench.commands import options


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (None, None),
        ("sgd", ["sgd"]),
        ("sgd, adam(0.9, 0.99) ,momentum(0.9)", ["sgd", "adam(0.9, 0.99)", "momentum(0.9)"]),
        ("multistep([3, 5], 0.5),constant", ["multistep([3, 5], 0.5)", "constant"]),
        ("multistep(gamma=0.1, milestones=[30, 60])", ["multistep(gamma=0.1, milestones=[30, 60])"]),
        ("f([1, (2, [3, 4]), 5], g(6, 7)), h([], 8)", ["f([1, (2, [3, 4]), 5], g(6, 7))", "h([], 8)"]),
        ("(" * 2000 + "a,b" + ")" * 2000 + ",c", ["(" * 2000 + "a,b" + ")" * 2000, "c"]),
        ("a,,b", ["a", "", "b"]),
        (",", ["", ""]),
        ("", [""]),
    ],
)
def test_commas_in_parentheses_do_not_split(text, parts):
    assert options.split_list(text) == parts


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sgd,adam(0.9, 0.99", "the '(' in column 9 is not closed"),
        ("multistep([30, 60), halve(10)", "the '[' in column 11 is not closed"),
        ("multistep((30, 60], 0.1)", "the '(' in column 11 is not closed"),
        ("f(1),g)2(", "the ')' in column 7 closes none"),
        ("]", "the ']' in column 1 closes none"),
    ],
)
def test_unbalanced_brackets_are_refused(text, fault):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the whole text is compared)
        options.split_list(text)
    assert str(refused.value) == f"brackets must be balanced, and in {text!r} {fault}"


def test_a_schedule_with_a_list_is_read_on_the_command_line(sgdbench, monkeypatch):
    schedules = []
    run = "bench.commands.run.run_study"
    monkeypatch.setattr(run, lambda study, *_, **__: schedules.extend(study.grid.schedule) or True)
    code, _, err = sgdbench("run", "--schedule", "multistep(gamma=0.1, milestones=[30, 60]),halve(10)")
    assert (code, err) == (0, "")
    assert schedules == ["multistep(gamma=0.1, milestones=[30, 60])", "halve(10)"]
    code, _, err = sgdbench("run", "--schedule", "multistep([30, 60)")
    assert code == 2
    assert err.startswith("sgdbench: brackets must be balanced, and in ")


def test_figures_are_asked_for_by_their_format(sgdbench, monkeypatch):
    asked = []
    monkeypatch.setattr("bench.commands.run.run_study", lambda *_, svg, **__: asked.append(svg) or True)
    monkeypatch.setattr("bench.commands.report.write_reports", lambda *_, svg: asked.append(svg) or [])
    for command in (["run"], ["report", "."]):
        for figures in ([], ["--figures", "svg"]):
            assert sgdbench(*command, *figures)[0] == 0
        code, _, err = sgdbench(*command, "--figures", "jpg")
        assert (code, err) == (2, 'sgdbench: figures must be "png", or "svg" for both, not \'jpg\'\n')
    assert asked == [False, True] * 2


@pytest.mark.parametrize(
    ("text", "rates"), [(None, None), ("0.5", [0.5]), ("1e-3, 2", [1e-3, 2.0]), ("log:0.01:1:20", "log:0.01:1:20")]
)
def test_rates(text, rates):
    assert options.parse_rates(text) == rates


@pytest.mark.parametrize(
    ("text", "sizes"), [(None, None), ("1,16,full", [1, 16, "full"]), ("-2, 1.5", [-2, "1.5"]), ("9" * 30, ["9" * 30])]
)
def test_sizes(text, sizes):
    assert options.parse_sizes(text) == sizes


def test_a_size_is_one():
    assert options.parse_size("16") == 16
    assert options.parse_size("1,2") == "1,2"


def test_starts():
    assert options.parse_start(None) is None
    assert options.parse_start("normal:1:20") == "normal:1:20"
    assert options.parse_start("a=1, b=-2.5e3") == {"given": {"a": 1.0, "b": -2500.0}}
    assert options.parse_assignments(None) is None


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (options.parse_rates, "0.1,fast", "lr must be a number such as 0.5 or 1e-3, not 'fast'"),
        (options.parse_rates, "", "lr must be a number such as 0.5 or 1e-3, not ''"),
        (options.parse_assignments, "a=one", "init a must be a number such as 0.5 or 1e-3, not 'one'"),
        (
            options.parse_assignments,
            "1,2",
            "init must be distinct names with their values, such as \"a=1,b=2\", not '1,2'",
        ),
        (
            options.parse_assignments,
            "=1",
            "init must be distinct names with their values, such as \"a=1,b=2\", not '=1'",
        ),
        (options.parse_assignments, "a=1,a=2", "init must be distinct names"),
    ],
)
def test_rubbish_is_refused(read, text, words):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        read(text)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [(None, None), ("3", [3]), ("0-4", [0, 1, 2, 3, 4]), ("0-2, 9", [0, 1, 2, 9]), ("7-7", [7]), ("-2", [-2])],
)
def test_seeds(text, seeds):
    assert options.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["4-0", "0-1000000", "1,9-8"])
def test_ranges_of_seeds_that_are_none(text):
    with pytest.raises(ValueError, match="each from low to high with at most 1,000,000 seeds"):
        options.parse_seeds(text)
