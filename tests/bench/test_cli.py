"""The command as a user meets it: in this process where that will do, else in one of its own."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

from sgdbench.analysis.advice import DEFAULT_RATE
from sgdbench.cli import app
from sgdbench.data import load_table
from sgdbench.data.table import builtin
from sgdbench.study.schema import folder_name
from sgdbench.system.atomic import replace_atomically
from tests.support.constants import HANG
from tests.support.documents import parse_command
from tests.support.refusals import refusal_of

PARABOLA = "a*x**2 + b*x + c"
QUADRATIC = ["fit", "quadratic", "--model", PARABOLA]
# A fit of a table, with all that is usual.
CARS = ["--x", "hp", "--y", "mpg", "--model", "a*hp**2 + b*hp + c", "--standardize", "--shuffle"]
CARS += ["--lr", "0.05", "--schedule", "halve(10)"]
SMALL = ["--epochs", "2", "--lr", "0.1,0.5", "--batch-size", "16", "--seed", "0", "--optimizer", "sgd"]
SMALL += ["--set", "run.kernel=fused"]


@pytest.fixture
def cars(tmp_path):
    """The cars as a user's own file, CSV."""
    data = builtin("auto-mpg")
    path = tmp_path / "cars.csv"
    pd.DataFrame({"hp": data.x[:, 0], "name": "x", "mpg": data.y}).to_csv(path, index=False)
    return path


def test_help_is_quick_and_complete(python):
    code = """
import sys
from sgdbench.cli import main
for arguments in ([], ["--help"], ["fit", "--help"]):
    sys.argv = ["sgdbench", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
    print("----")
slow = {"numba", "pandas", "sympy", "matplotlib", "numpy", "pyarrow"} & set(sys.modules)
assert not slow, slow
"""
    alone, asked_for, fit, _ = python(code).split("----\n")
    assert alone == asked_for
    for command in ("fit", "run", "studies", "info"):
        assert f"\n  {command} " in alone
    assert "...\n" not in alone.partition("\nCommands:\n")[2]  # no summary is cut off
    shown = {"--lr": f"[default: {DEFAULT_RATE}]", "--kernel": "[default: fused]", "--drop-missing": ""}
    for option, default in shown.items():
        assert default in " ".join(fit[fit.index(f"\n  {option} ") :].split("\n  --")[1].split())


def test_the_version_is_that_of_the_package(ran):
    assert ran("--version") == f"sgdbench {version('sgdbench')}\n"


def test_the_help_of_each_command_ends_with_two_examples_that_it_understands(sgdbench, pytestconfig):
    for command in get_command(app).commands:
        _, out, _ = sgdbench(command, "--help")
        heading, *lines = out.rstrip().splitlines()[-3:]
        assert heading.strip() == "Examples:"
        for line in lines:
            assert line.strip().startswith(f"sgdbench {command}")
            parse_command(line.strip(), pytestconfig)


def test_shells_complete_commands_and_options():
    environment = os.environ | {"_SGDBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "sgdbench re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "sgdbench.cli"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG,
    )
    assert done.stdout.split() == ["report"]


def test_a_standardized_fit_tells_its_quality_in_the_tables_units(sgdbench, cars):
    _, out, _ = sgdbench("fit", cars, *CARS)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    data = builtin("auto-mpg")
    powers = np.vander(data.x[:, 0], 3)
    best, (total,), *_ = np.linalg.lstsq(powers, data.y)
    deviation = np.sqrt(total / (data.y.size - 3))
    expected = deviation * np.sqrt(np.diag(np.linalg.inv(powers.T @ powers)))
    np.testing.assert_allclose([float(rows[name][1]) for name in "abc"], expected, rtol=0.01)
    np.testing.assert_allclose([float(rows[name][2]) for name in "abc"], best, rtol=1e-8)
    root = np.sqrt(total / data.y.size)
    assert float(rows["RMSE"][0]) == pytest.approx(root, rel=1e-3)
    assert f"\nLowest loss: {root**2:.6g} by least squares; " in out
    assert out.rstrip().endswith("Every parameter is within one standard error of its optimum.")
    # In these units too: a target that no run can reach is named, and none that some can.
    for target, impossible in ((18, True), (20, False)):
        _, out, _ = sgdbench("fit", cars, *CARS, "--target", str(target))
        assert (f"\nTarget: The target {target} is below the lowest loss that was found, " in out) is impossible


@pytest.mark.parametrize("options", [[], ["--lr", "4.7e-07"], ["--standardize"], ["--standardize", "--lr", "5"]])
def test_a_fit_that_does_not_arrive_says_what_would_help(sgdbench, options):
    """Columns that are not standardized are the only reason that is given; whoever follows the advice arrives."""
    _, out, _ = sgdbench("fit", "auto-mpg", *options)
    (advice,) = re.findall(r"^Advice: (.*)$", out, re.M)
    assert ("--standardize" in advice) == advice.startswith("The columns are not on one scale")
    assert ("--standardize" in advice) == ("--standardize" not in options)
    more, left = re.search(r" Try (--.*) \(tried: (.*) of the achievable improvement is left\)", advice).groups()
    _, out, _ = sgdbench("fit", "auto-mpg", *options, *shlex.split(more))
    assert f"Lowest loss: 18.9848 by least squares; {left} of the achievable improvement is still missing." in out
    assert "Advice" not in out


@pytest.mark.parametrize(
    ("given", "title"),
    [
        (["quadratic"], "y = a*x**2 + b*x + c"),
        (["auto-mpg"], "mpg = a*hp**2 + b*hp + c"),
        (["exponential"], "y = a*exp(-b*x) + c"),  # of a suite
        (["digits"], "digit = W @ x + b"),
        (["digits", "--loss", "squared"], "digit = w @ x + b"),  # W @ x + b has scores of classes
    ],
)
def test_builtin_data_bring_the_model_of_their_study(sgdbench, given, title):
    _, out, _ = sgdbench("fit", *given, "--epochs", "1", "--batch-size", "full", "--kernel", "reference")
    assert out.startswith(f"{title}\n")


@pytest.mark.parametrize("command", ["run", "tune"])
def test_a_target_on_the_command_line_is_in_the_tables_units(sgdbench, cars, studies, command):
    table, variance = ["cars.csv", "--x", "hp", "--y", "mpg"], np.var(builtin("auto-mpg").y)
    assert sgdbench(command, *table, "--target", "30")[0] == 0
    assert studies[-1].run.target == pytest.approx(30 / variance, rel=1e-12)
    # Deviations are those of the rows that are trained on.
    assert sgdbench(command, *table, "--target", "30", "--validation", "0.5")[0] == 0
    assert studies[-1].run.target != pytest.approx(30 / variance, rel=1e-6)
    assert sgdbench(command, "quadratic", "--target", "0.25")[0] == 0
    assert studies[-1].run.target == 0.25
    code, _, err = sgdbench(command, *table, "--target", "-3")
    assert (code, "target must be a finite number >= 0, not -3.0" in err) == (2, True)


def test_every_option_of_fit_reaches_the_fit(sgdbench, cars, monkeypatch):
    seen = {}

    def spy(model, x, y, **settings):
        seen.update(settings)
        raise ValueError("seen")

    monkeypatch.setattr("sgdbench.data.fit_table.kernels_fit", spy)
    given = {"lr": 0.2, "batch_size": "full", "epochs": 7, "schedule": "cosine", "optimizer": "adam", "seed": 5}
    given |= {"loss": "huber(2.0)", "target": 3.0, "kernel": "reference", "record": "log:5", "dtype": "float32"}
    options = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    options += ["--init", "a=1,b=2", "--shuffle", "--drop-missing"]
    sgdbench("fit", cars, "--x", "hp", "--y", "mpg", "--model", "a*hp + b", *options)
    del seen["callback"]
    others = {"init": {"a": 1.0, "b": 2.0}, "shuffle": True} | dict.fromkeys(["validation", "test", "patience"])
    assert seen == given | others


def test_a_fit_centers_no_columns_for_which_a_model_has_no_shift(ran, cars):
    fit = ["fit", cars, "--x", "hp", "--y", "mpg", "--model", "a/(b + hp)", "--standardize", "--kernel", "reference"]
    out = ran(*fit, "--init", "a=1,b=1", "--epochs", "20", "--shuffle")
    assert out.startswith("Scaling: y is scaled and not centered: the model has no parameters for a shift of it.\n")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    data = builtin("auto-mpg")
    a, b = (float(rows[name][0]) for name in "ab")
    loss = np.mean((a / (b + data.x[:, 0]) - data.y) ** 2)
    assert loss == pytest.approx(float(rows["loss"][0]), rel=1e-6)
    assert loss < 0.5 * np.var(data.y)


@pytest.mark.parametrize("rate", ["1e30", "2"])  # where the loss overflows, parameters may be finite still
def test_a_fit_that_diverged_has_no_curve(sgdbench, rate):
    figures = ["--plot", "fit.png", "--animate", "fit.gif"]
    code, out, err = sgdbench(*QUADRATIC, "--lr", rate, "--kernel", "reference", *figures)
    assert (code, err) == (2, "sgdbench: --plot: the run diverged, so there is no curve to draw\n")
    assert "diverged" in out
    assert Path("fit.gif").exists()


def test_a_fit_of_standardized_columns_that_diverged_is_shown_with_advice(ran, cars):
    out = ran("fit", cars, *CARS, "--lr", "1e300", "--kernel", "reference")
    assert "nan" not in out
    assert "How it ended" in out
    assert "The learning rate 1e300 is too high" in out


def test_a_fit_that_diverged_has_the_curve_of_the_parameters_that_it_keeps(ran, tmp_path):
    held_out = ["--validation", "0.25", "--patience", "300", "--plot", tmp_path / "fit.png"]
    assert "diverged" in ran(*QUADRATIC, "--lr", "2", "--kernel", "reference", *held_out)
    assert (tmp_path / "fit.png").exists()


def test_a_film_that_cannot_be_written_costs_no_result(sgdbench, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = sgdbench(*QUADRATIC, "--kernel", "reference", "--epochs", "2", "--animate", "file/bend.gif")
    assert (code, PARABOLA in out) == (2, True)
    assert err == "sgdbench: --animate: file/bend.gif cannot be written: File exists\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts there")
def test_names_of_files_that_are_not_utf_8_are_refused_with_what_to_do(refused):
    """pyarrow and study files cannot hold them."""
    path = Path(os.fsdecode(b"\xff.csv"))
    path.write_text("x,y\n1,2\n2,3\n", encoding="utf-8")
    told = "\\udcff.csv' is not UTF-8: rename the file or the folder"
    for command in ("fit", "new", "run"):
        assert told in refused(command, path, "--y", "y")
    assert refusal_of(load_table, path, "x", "y") == f"path: '{told}"


@pytest.mark.usefixtures("no_report")
def test_a_run_prints_its_verdict_what_was_run_and_where_its_report_is(ran):
    out = ran("run", *SMALL)
    lines = out.splitlines()
    assert lines[0].startswith("Best choice: learning rate 0.5: no run reached the target; final loss ")
    assert lines[-2].startswith("Run: 10 configurations of a*x**2 + b*x + c on built-in quadratic (800 samples), up to")
    assert lines[-1] == "Report: results/quadratic/report.md"
    assert len(lines) <= 7
    in_order = ran("run", *SMALL, "--set", "run.shuffling=blocks", "--set", "grid.shuffle=false", "--out", "in_order")
    assert "shuffled in blocks" not in in_order


@pytest.mark.usefixtures("few_variants")
def test_all_tables_and_the_whole_verdict_are_for_those_who_ask(ran, monkeypatch):
    monkeypatch.setattr(
        "sgdbench.commands.measure.write_run_report", lambda run_data, **_: run_data.result.run.folder / "report.md"
    )
    out = ran("run", *SMALL, "--verbose")
    assert out.startswith("Best choice: learning rate 0.5")
    assert "Checked against the reference" in out
    assert "The best choices, over all starts and seeds" in out
    assert "\nBest choice: sgd, learning rate 0.5, batch size 16" in out
    assert out.endswith("Report: results/quadratic/report.md\n")


@pytest.mark.usefixtures("no_report")
def test_a_folder_with_results_is_only_resumed_and_only_by_the_same_study(sgdbench, ran, refused):
    sgdbench("run", *SMALL)
    assert "already holds results: continue with --resume" in refused("run", *SMALL)
    err = refused("run", "auto-mpg", *SMALL, "--out", "results/quadratic", "--resume")
    assert "results/quadratic holds another run (model: " in err
    assert "Report: " in ran("run", *SMALL, "--epochs", "3", "--resume")


def test_every_override_reaches_the_study(sgdbench, studies):
    options = ["--lr", "log:0.1:1:3", "--batch-size", "2,full", "--optimizer", "sgd,adam"]
    options += ["--init", "given=a=1,b=2.0,c=3", "--set", "run.drop_last=false"]
    options += ["--schedule", "constant,multistep([3, 5], 0.5)", "--seed", "7-9,12", "--no-shuffle", "--epochs", "9"]
    options += ["--target", "0.5", "--loss", "logcosh", "--set", "run.kernel = lanes-fma", "--record", "25"]
    options += ["--confirm", "7", "--refine", "3", "--validation", "0.25", "--patience", "4"]
    options += ["--dtype", "float64,float32", "--set", "run.shuffling=blocks(4)"]
    assert sgdbench("run", "quadratic", *options, "--test", "0.2")[0] == 0
    assert (studies[0].data.validation, studies[0].data.test) == (0.25, 0.2)
    grid = {"lr": "log:0.1:1:3", "batch_size": [2, "full"], "optimizer": ["sgd", "adam"], "seed": [7, 8, 9, 12]}
    grid |= {"init": {"given": {"a": 1, "b": 2.0, "c": 3}}, "schedule": ["constant", "multistep([3, 5], 0.5)"]}
    assert studies[0].grid.model_dump() == grid | {"shuffle": False, "dtype": ["float64", "float32"]}
    run = {"epochs": 9, "target": 0.5, "loss": "logcosh", "record": 25, "confirm": 7, "refine": 3, "patience": 4}
    run |= {"drop_last": False, "shuffling": "blocks(size=4, buffer=262144)", "kernel": "lanes-fma"}
    assert studies[0].run.model_dump() == run | {"target_loss": None}


@pytest.mark.parametrize(
    ("name", "folder"),
    [("mine", "mine"), ("../../x <b>|$z`", "x-b-z"), ("...", "study"), ("a b/c", "a-b-c"), ("π.2", "π.2")],
)
def test_a_studys_name_is_a_safe_folder_name(name, folder):
    assert folder_name(name) == folder


def test_info_has_the_versions_and_the_place_of_the_kernels(ran):
    out = ran("info")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert facts["numpy"] == np.__version__
    assert f"kernel cache         {os.environ['SGDBENCH_CACHE_DIR']}" in out


def test_what_would_act_on_a_terminal_is_taken_out_of_what_is_said(refused):
    assert "no such file: a b [2J.csv" in refused("fit", "a\nb\x1b[2J.csv", "--y", "mpg")


@pytest.fixture
def shell(tmp_path):
    """Run a line of the shell in an empty folder, where `sgdbench` is the command: (exit code, standard error)."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    command = tmp_path / "bin" / "sgdbench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sgdbench.cli "$@"\n')
    command.chmod(0o700)
    folders = {"PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}

    def run(line, **environment):
        command = [bash, "-o", "pipefail", "-c", line]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "timeout": HANG}
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | folders | environment, check=False, **streams)
        return done.returncode, done.stderr

    return run


def test_a_fit_has_its_plot_though_its_streams_are_closed(shell, tmp_path):
    fit = "sgdbench fit quadratic --model quadratic --epochs 9 --every 1 --kernel reference --plot a.png"
    assert shell(f"{fit} <&- >&- 2>&-", PYTHONIOENCODING="ascii") == (0, "")
    assert (tmp_path / "a.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_output_that_cannot_be_written_is_said_once(shell, buffered):
    lost = shell("sgdbench studies > /dev/full", PYTHONUNBUFFERED=buffered)
    assert lost == (2, "sgdbench: standard output: No space left on device\n")


def test_a_command_whose_reader_has_gone_ends_silently(shell):
    assert shell("sgdbench schema | true", PYTHONUNBUFFERED="1") == (1, "")


def test_characters_that_a_terminal_lacks_are_replaced(shell, tmp_path):
    line = "sgdbench fit quadratic --model quadratic --epochs 9 --kernel reference > out"
    assert shell(line, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0") == (0, "")
    assert re.search(rb"epochs to target +\?\n", (tmp_path / "out").read_bytes())


def test_a_warning_is_one_line(shell):
    code, err = shell("sgdbench info", SGDBENCH_CACHE_DIR="/dev/null/cache")
    assert code == 0
    assert err.startswith("sgdbench: warning: the kernel cache /dev/null/cache cannot be written (Not a directory)")
    assert err.count("\n") == 1


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("phase", "kept"),
    [
        ("run.train_grid", "what is done is kept"),
        ("run.verify_runs", "all configurations are trained and kept"),
        ("measure.write_run_report", "all configurations are trained and kept"),
    ],
)
@pytest.mark.usefixtures("nothing_timed")
def test_an_interrupt_that_a_library_makes_another_error_of_says_how_to_go_on(sgdbench, monkeypatch, phase, kept):
    def interrupted(*args, **kwargs):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("something was not done") from None

    monkeypatch.setattr(f"sgdbench.commands.{phase}", interrupted)
    code, _, err = sgdbench("run", *SMALL)
    assert code == 143
    assert err.endswith(f"sgdbench: {kept} in results/quadratic; --resume continues from there\n")


@pytest.mark.parametrize("phase", ["run.store_tables", "measure.write_run_report"])
@pytest.mark.usefixtures("nothing_timed")
def test_a_disk_that_fills_after_the_training_names_the_file_and_what_brings_the_report(sgdbench, monkeypatch, phase):
    def full(*args, **kwargs):
        with replace_atomically("results/quadratic/file.csv"):
            raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(f"sgdbench.commands.{phase}", full)
    code, _, err = sgdbench("run", *SMALL)
    assert code == 2
    assert err == (
        "sgdbench: results/quadratic/file.csv cannot be written: No space left on device; all results are safe in "
        "results/quadratic: once it can be written, `sgdbench report results/quadratic` makes the report of what is "
        "there, and --resume also measures what is missing\n"
    )


def test_memory_that_a_library_finds_too_small_is_one_line(sgdbench, monkeypatch):
    def too_large(*args, **kwargs):
        raise MemoryError("Unable to allocate 7.45 GiB")

    monkeypatch.setattr("sgdbench.commands.fit.fit_table", too_large)
    code, _, err = sgdbench(*QUADRATIC)
    assert (code, err) == (2, "sgdbench: there is not enough memory: Unable to allocate 7.45 GiB\n")


def test_a_figure_of_a_fit_that_fails_costs_no_result(sgdbench, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("no glyph")

    monkeypatch.setattr("sgdbench.plots.style.save_as", fails)
    code, out, err = sgdbench(*QUADRATIC, "--plot", "fit.png")
    assert code == 2
    assert PARABOLA in out
    assert err == "sgdbench: --plot: fit.png cannot be drawn: RuntimeError: no glyph\n"
