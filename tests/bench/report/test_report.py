import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

import sgdbench.commands.measure
import sgdbench.commands.run
from sgdbench import Grid, load_run, sweep
from sgdbench.analysis.paths import ReplayError
from sgdbench.cli import main
from sgdbench.commands.options import RunOptions
from sgdbench.commands.report import make_reports
from sgdbench.commands.run import run_study
from sgdbench.kernels.model.program_cache import compile_program
from sgdbench.report.charts import fit_chart
from sgdbench.report.measurements import find_check
from sgdbench.report.report import write_reports, write_run_report
from sgdbench.report.run_data import read_run_data
from sgdbench.store.evidence import EVIDENCE_COLUMNS
from sgdbench.store.run_folder import read_identity
from sgdbench.store.seal import name_owner, read_text, seal_text
from sgdbench.study.load import load_study, with_settings
from sgdbench.tables.costs import PER_UPDATE
from sgdbench.tables.outcomes import best_runs, lowest_run, typical_runs
from sgdbench.timing.update import update_seconds
from tests.support.frames import make_frame
from tests.support.hostile import hostile_study
from tests.support.pages import Reader

pytestmark = pytest.mark.usefixtures("_short_measurements")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, _short_measurements):
    """The folder of a small study whose every name is up to something."""
    place = tmp_path_factory.mktemp("study")
    assert run_study(hostile_study(place), RunOptions(place / "run"))
    return place / "run"


@pytest.fixture(scope="module")
def report(folder):
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def run_a_part(folder, tmp_path):
    """Run a part of the study for few epochs, for tests of what is done with runs; return whether it is sound."""
    few = {"grid.lr": [0.2], "grid.batch_size": [4], "run.epochs": 2, "run.confirm": 0}
    return lambda: run_study(with_settings(load_study(folder / "run.toml"), few), RunOptions(tmp_path / "run"))


@pytest.fixture
def unwritten(monkeypatch):
    """The report of a run is empty, for tests of what is measured before it; lists whether SVG is asked for."""
    asked = []

    def write(run_data, *, svg, **_):
        asked.append(svg)
        (run_data.result.run.folder / "report.md").touch()
        return run_data.result.run.folder / "report.html"

    monkeypatch.setattr(sgdbench.commands.measure, "write_run_report", write)
    return asked


@pytest.fixture
def no_own_pages(monkeypatch):
    """Of several runs nothing but the page that compares them is written."""
    monkeypatch.setattr(
        "sgdbench.report.report.write_run_report", lambda run_data, svg: run_data.result.run.folder / "report.html"
    )


@pytest.fixture
def unsaved(monkeypatch):
    """Figures are drawn and not written, for tests of the words of a report: to write them takes most of its time."""
    monkeypatch.setattr("sgdbench.report.figures.save", lambda *args, **kwargs: [])


def test_the_report_opens_with_a_verdict(report):
    verdict, _ = report.split("\n## ", 1)
    said = dict(re.findall(r"- \*\*(.+?)\.\*\* (.+)\n", verdict))
    leading = ["Best choice", "Ties", "Confirmed", "Edge of the grid", "Optimizers"]
    others = ["Robustness", "Safe learning rates", "Divergence", "Solution", "Units", "Lowest loss"]
    assert [about for about in said if about not in leading] == others
    assert list(said)[: -len(others)] == [about for about in leading if about in said]
    assert "; over 3 starts and 2 seeds. " in said["Best choice"]
    assert " at 5 (1 of 3 rates; " in said["Divergence"]
    assert "in the table's own units" in said["Solution"]
    assert said["Units"].startswith("The data were standardized. ")


def test_losses_beside_curves_in_the_units_of_the_table_say_that_theirs_are_others(folder):
    _, *runs = fit_chart(read_run_data(folder), with_words=True).keys
    assert all(re.search(r" seen, loss .+ \(standardized\)$", run.name) for run in runs)


def test_the_parameters_it_gives_fit_the_table(folder, report):
    values = re.search(r"has a = (\S+), b = (\S+), c = (\S+) in the table's own units, with loss (\S+)\.\n", report)
    *params, loss = map(float, values.groups())
    x, y = pd.read_csv(folder.parent / "table.csv").to_numpy().T
    assert np.mean((np.polyval(params, x) - y) ** 2) == pytest.approx(loss, rel=0.01)


def test_every_figure_and_table_is_there(folder, report):
    shown = re.findall(r"!\[.+\]\(figures/(.+?)\.png\)\n", report)
    assert len(shown) > 6
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{name}.png" for name in shown}
    rows = pd.read_parquet(folder / "tables" / "configurations.parquet")
    assert rows["config_id"].tolist() == load_run(folder).frame["config_id"].tolist()
    assert len(pd.read_csv(folder / "tables" / "configurations.csv")) == len(rows) == 72
    for name in ("best", "best_by_optimizer_and_batch_size"):
        assert (folder / "tables" / f"{name}.md").read_text(encoding="utf-8").strip() in report
    for name in ("best", "check", "speed"):
        assert {path.suffix for path in (folder / "tables").glob(f"{name}.*")} == {".csv", ".parquet", ".md", ".tex"}


def test_the_columns_that_are_read_of_the_evidence_are_those_that_a_run_writes(folder):
    written = {path.stem: set(pd.read_parquet(path)) for path in (folder / "evidence").iterdir()}
    # A search writes the one, and a study with rows for the test the other.
    assert written.keys() == EVIDENCE_COLUMNS.keys() - {"trials", "test"}
    assert not set().union(*(EVIDENCE_COLUMNS[name] - columns for name, columns in written.items()))


def test_what_the_answer_rests_on_is_folded_away(report):
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    html = parser.render(report)
    assert html.count("<details>") == html.count("</details>") == report.count("<details>") > 4
    opening = html.split("<details>")[0]
    assert opening.count("<table>") == 1
    assert opening.count("<img") == 3


def test_the_check_is_told(report):
    told = report.split("## Measurements and checks")[1]
    assert "6 of 72 configurations" in told
    assert "Every loss is the same to the last bit." in told


def test_a_check_of_a_part_of_the_runs_says_of_which(folder):
    whole = read_run_data(folder)
    part = whole.evidence["check"].assign(epochs=0.5)
    found = find_check(replace(whole, evidence=whole.evidence | {"check": part}))
    assert (found.epoch, found.error, found.checked, found.configurations) == (0.5, 0.0, 6, 72)


def test_names_are_shown_literally(folder, report):
    prose, fences = re.subn(r"^(`{3,})toml\n.*?^\1$", "", report, flags=re.DOTALL | re.MULTILINE)
    assert fences == 1
    tags = re.findall("<[^>]*>", prose)
    assert set(tags) == {"<details>", "<summary>", "</summary>", "</details>"}
    assert "$" not in prose
    code = re.findall(r"(?<!\\)`([^`]*)`", prose)
    assert code == ["a*x**2 + b*x + c", "run.toml", "sgdbench run run.toml --out FOLDER"]
    assert prose.startswith("# # &lt;script&gt;")
    assert [line for line in prose.splitlines() if line.startswith("#")][1:] == [
        "## The best choices, over all starts and seeds",
        "## Figures",
        "## Measurements and checks",
    ]
    for table in (folder / "tables").glob("*.tex"):
        assert "<" not in table.read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_speed")
def test_the_study_in_the_folder_runs_again_to_the_same_results_and_verdict(
    folder, tmp_path, monkeypatch, capsys, unwritten
):
    """The verdict is printed before anything is timed, also where times would favour other choices.

    Those that were printed last take no time at all.
    """
    printed = []

    def absurd(*args, **kwargs):
        printed.append(capsys.readouterr().out)
        costs = update_seconds(*args, **kwargs)
        slower = 1e6 ** np.arange(len(costs))[:, np.newaxis]
        return costs.assign(**(costs[PER_UPDATE] * slower))

    monkeypatch.setattr(sgdbench.commands.measure, "update_seconds", absurd)
    assert run_study(load_study(folder / "run.toml"), RunOptions(tmp_path / "run", svg=True))
    assert unwritten == [True]
    assert capsys.readouterr().out == f"Report: {tmp_path / 'run' / 'report.html'}\n"
    pd.testing.assert_frame_equal(load_run(tmp_path / "run").frame, load_run(folder).frame)
    said = dict(line.split(": ", 1) for line in printed[0].splitlines())
    assert list(said)[-1] == "Run"
    run_data = read_run_data(tmp_path / "run")
    assert run_data.evidence["costs"]["seconds_per_update"].max() > 1e3
    shown = run_data.headline
    assert {name: sentence for name, sentence in said.items() if name != "Run"} == shown
    # The page's sentence on the best choice adds what was measured to the same settings and figures.
    settings, success = shown["Best choice"].rstrip(".").split(": ", 1)
    assert all(part in run_data.verdict["Best choice"] for part in (*settings.split(", "), success))


def test_a_run_that_is_not_what_the_reference_gives_is_not_reported(run_a_part, tmp_path, monkeypatch, capsys):
    honest = sgdbench.commands.run.check

    def wrong(*args, **kwargs):
        checked = honest(*args, **kwargs)
        return checked.assign(verified=checked.index > 0)

    monkeypatch.setattr(sgdbench.commands.run, "check", wrong)
    assert not run_a_part()
    assert not (tmp_path / "run" / "report.md").exists()
    assert "the kernel and the reference give different results; no report was written" in capsys.readouterr().err


def test_a_run_of_a_wrong_program_is_not_reported(folder, tmp_path, monkeypatch, capsys):
    """The reference computes the program too, and so agrees with the kernels."""

    def wrong(*model):
        program = compile_program(*model)
        return program._replace(derivatives=(2, *program.derivatives[1:]))

    monkeypatch.setattr("sgdbench.kernels.model.model.compile_program", wrong)
    study = with_settings(load_study(folder / "run.toml"), {"run.kernel": "reference", "run.epochs": 1})
    assert not run_study(study, RunOptions(tmp_path / "run"))
    assert not (tmp_path / "run" / "report.md").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "sgdbench: the trained program is not the model 'a*x**2 + b*x + c': the derivative by a differs"
    )
    assert line.endswith("; no report was written")


@pytest.mark.usefixtures("nothing_timed")
def test_a_run_that_ends_elsewhere_when_it_is_trained_once_more_is_not_reported(
    run_a_part, tmp_path, monkeypatch, capsys
):
    def elsewhere(*args):
        raise ReplayError("configuration 7 ends elsewhere")

    monkeypatch.setattr(sgdbench.commands.measure, "recorded_paths", elsewhere)
    assert not run_a_part()
    assert not (tmp_path / "run" / "report.md").exists()
    assert capsys.readouterr().err == "sgdbench: configuration 7 ends elsewhere; no report was written\n"


@pytest.mark.parametrize("promised", [True, False])
@pytest.mark.usefixtures("unwritten", "no_speed")
def test_a_kernel_that_is_not_timed_because_it_is_wrong_is_named(run_a_part, tmp_path, monkeypatch, capsys, promised):
    """It fails the run where the same bits are promised; elsewhere training may have made a rounding large."""

    def some_wrong(*args, **kwargs):
        costs = update_seconds(*args, **kwargs)
        return costs.assign(note=["not verified: off by 1" if row in (0, 1) else "" for row in costs.index])

    monkeypatch.setattr(sgdbench.commands.measure, "update_seconds", some_wrong)
    monkeypatch.setattr(sgdbench.commands.measure, "is_exact", lambda *args: promised)
    assert run_a_part() != promised
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "sgdbench: fused, sgd, batches of 4, shuffled: not verified: off by 1",
        "sgdbench: fused, momentum(0.9), batches of 4, shuffled: not verified: off by 1",
    ]
    assert out.endswith(f"Report: {tmp_path / 'run' / 'report.html'}\n")
    assert (tmp_path / "run" / "report.md").exists()


@pytest.mark.usefixtures("one_figure", "few_variants")
def test_a_wrong_kernel_in_the_table_of_speeds_fails_the_run(run_a_part, tmp_path, monkeypatch, wrong_fused):
    monkeypatch.setattr(
        sgdbench.commands.measure,
        "update_seconds",
        lambda *args, **kwargs: update_seconds(*args, **kwargs).assign(note=""),
    )
    assert not run_a_part()
    assert re.search(r"\| fused \| ✗ no: off by 0\.\d+ ", (tmp_path / "run" / "report.md").read_text(encoding="utf-8"))


def runs_of(start, samples_to_target, **columns):
    size = len(samples_to_target)
    reached = [samples is not None for samples in samples_to_target]
    return make_frame(
        size,
        init=start,
        samples_to_target=[samples or pd.NA for samples in samples_to_target],
        status=["converged" if one else "max_epochs" for one in reached],
        **columns,
    )


def test_the_best_and_the_typical_run_of_each_start():
    near = runs_of("near", [1, 9, 3, None, 2], final_loss=[1e-6, 1e-7, 1e-6, 0.1, 1e-6])
    far, lost = runs_of("far", [None, None], final_loss=[7.0, 5.0]), runs_of("lost", [None], final_loss=[np.nan])
    frame = pd.concat([near, far, lost], ignore_index=True)
    frame = frame.assign(init=pd.Categorical(frame["init"], categories=["near", "far", "lost"]))
    assert best_runs(frame).index.tolist() == [1, 6]  # the parameters of which the verdict gives
    assert typical_runs(frame).index.tolist() == [2, 6]
    assert typical_runs(frame.tail(1)).empty
    assert lowest_run(frame).name == 1
    assert lowest_run(frame.tail(1)) is None


def test_held_out_samples_tell_the_best_run_where_they_rank_choices():
    frame = runs_of("near", [None] * 3, final_loss=[1.0, 2.0, 3.0]).assign(validation_loss=[np.nan, 4.0, 3.0])
    assert lowest_run(frame).name == 2
    assert best_runs(frame).index.tolist() == typical_runs(frame).index.tolist() == [2]
    assert lowest_run(frame.assign(status="converged")).name == 0
    assert lowest_run(frame.assign(status=["max_epochs", "max_epochs", "diverged"])).name == 1  # patience kept the last


@pytest.mark.usefixtures("unsaved")
def test_a_report_is_made_again_from_what_is_stored(folder, report, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a report trains nothing")

    page = (folder / "report.html").read_bytes()
    monkeypatch.setattr("sgdbench.analysis.paths.train_again", refuse)
    monkeypatch.setattr("sgdbench.engine.check.fit", refuse)
    assert write_run_report(read_run_data(folder)) == folder / "report.html"
    assert (folder / "report.md").read_text(encoding="utf-8") == report
    assert (folder / "report.html").read_bytes() == page


@pytest.mark.usefixtures("unsaved")
def test_without_its_data_a_run_has_still_a_report(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "moved")
    study = moved / "run.toml"
    owner = name_owner(read_identity(moved))
    study.write_bytes(seal_text(read_text(study, owner).replace("table.csv", "gone.csv"), owner))
    with pytest.warns(RuntimeWarning, match=r"moved: The data can no longer be read: .*gone\.csv"):
        run_data = read_run_data(moved)
    assert "The data can no longer be read: " in write_run_report(run_data).read_text(encoding="utf-8")
    told = (moved / "report.md").read_text(encoding="utf-8")
    assert "loss_by_optimizer.png" in told
    assert "fitted_curve.png" not in told
    assert (folder / "figures" / "fitted_curve.png").exists()
    assert not (moved / "figures" / "fitted_curve.png").exists()  # an earlier report had it
    assert (moved / "figures" / "loss_by_optimizer.png").exists()
    assert "own units" not in told
    assert "- **Units.** The data were standardized. " in told


@pytest.mark.usefixtures("one_figure")
def test_a_sweep_without_a_study_has_a_report_and_names_that_spreadsheets_would_run_are_text(tmp_path):
    x, name = np.linspace(-1, 1, 40), "=cmd|'/C calc'!A0"
    grid = Grid(lr=[0.1], init={name: [1.0, -2.0]})
    sweep("a*x + b", x, -2 * x, grid, epochs=3, kernel="reference", out=tmp_path / "run")
    page = write_run_report(read_run_data(tmp_path / "run"))
    assert "made by a sweep in Python" in page.read_text(encoding="utf-8")
    told = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert told.startswith("# run\n")
    assert "Not checked: `sgdbench run` trains some runs again" in told
    for path in (tmp_path / "run" / "tables").glob("*.csv"):
        assert not re.search(r"(^|,)[=+@]", path.read_text(encoding="utf-8"), re.MULTILINE)
    table = pd.read_csv(tmp_path / "run" / "tables" / "configurations.csv")
    assert table["init"].tolist() == [f"'{name}"]
    assert table["param_a"][0] < 0


def test_a_run_that_has_only_begun_says_how_much_is_done(folder, tmp_path):
    begun = shutil.copytree(folder, tmp_path / "begun")
    shutil.rmtree(begun / "evidence")
    for part in (begun / "parts").iterdir():
        part.unlink()
    page = write_run_report(read_run_data(begun))
    for path in (page, page.with_suffix(".md")):
        told = path.read_text(encoding="utf-8")
        assert "0 of 72 configurations are trained so far." in told
        assert "0 configurations" in told


@pytest.mark.usefixtures("no_own_pages")
def test_several_runs_are_shown_side_by_side(folder, tmp_path, monkeypatch):
    x = np.linspace(-1, 1, 40)
    sweep("a*x + b", x, 2 * x, Grid(lr=[0.1, 0.2]), epochs=3, kernel="reference", out=tmp_path / "<i>run</i>")
    monkeypatch.chdir(tmp_path)
    *own, together = write_reports([folder, tmp_path / "<i>run</i>"])
    assert own == [folder / "report.html", tmp_path / "<i>run</i>" / "report.html"]
    assert together.samefile(tmp_path / "comparison.html")
    page = together.read_text(encoding="utf-8")
    assert "Comparison of 2 runs" in page
    assert 'href="%3Ci%3Erun%3C/i%3E/report.html"' in page
    assert "<i>run" not in page
    assert "a*x**2 + b*x + c" in page
    assert "None was recorded." in page


@pytest.mark.usefixtures("no_own_pages")
def test_runs_of_different_losses_are_not_compared_as_if_they_had_one(tmp_path):
    x = np.linspace(-1, 1, 40)
    for name, loss, record in (("one", "squared", 9), ("other", "logistic", "epoch"), ("same", "squared", 9)):
        y = (x > 0).astype(float)
        given = {"epochs": 3, "kernel": "reference", "record": record, "out": tmp_path / name}
        sweep("a*x + b", x, y, Grid(lr=[0.1]), loss=loss, **given)
    *_, page = write_reports([tmp_path / "one", tmp_path / "other"], tmp_path / "both.html")
    assert re.search(r"<td>loss</td>\s*<td>squared</td>\s*<td>logistic</td>", page.read_text("utf-8"))
    assert "loss, another one for each run" in json.dumps(Reader(page.read_text("utf-8")).data)
    assert re.search(r"<td>losses recorded</td>\s*<td>9</td>\s*<td>epoch</td>", page.read_text("utf-8"))
    *_, page = write_reports([tmp_path / "one", tmp_path / "same"], tmp_path / "both.html")
    assert not re.search("<td>(loss|losses recorded)</td>", page.read_text("utf-8"))
    assert "<td>converged</td>" not in page.read_text("utf-8")
    assert "another one for each run" not in json.dumps(Reader(page.read_text("utf-8")).data)


@pytest.mark.parametrize(
    ("folders", "out", "complaint"),
    [
        (["run", "run"], None, "each folder must come once, and run comes twice"),
        (["run"], "page.html", "--out needs several folders"),
        (["run", "other"], "page", "--out must name a page, such as comparison.html, not 'page'"),
        (["nowhere"], None, "no such folder: nowhere"),
        (["loop"], None, "no such folder: loop"),
    ],
)
def test_folders_that_make_no_report_are_refused(tmp_path, monkeypatch, folders, out, complaint):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(ValueError, match=complaint):
        make_reports([Path(folder) for folder in folders], out and Path(out), svg=False)


def test_a_folder_that_cannot_be_written_has_no_report_there(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda folder, mode: False)
    complaint = f"^{re.escape(str(tmp_path))} cannot be written, and the report goes to the folder of its run"
    with pytest.raises(ValueError, match=complaint):
        make_reports([tmp_path], None, svg=False)


@pytest.mark.usefixtures("one_figure")
def test_the_command_makes_reports_again(folder, tmp_path, monkeypatch, capsys):
    both = shutil.copytree(folder, tmp_path / "one"), shutil.copytree(folder, tmp_path / "other")
    for page in ("report.html", "report.md"):
        (both[0] / page).unlink()
    monkeypatch.setattr("sys.argv", ["sgdbench", "report", *map(str, both), "--out", str(tmp_path / "both.html")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    pages = [both[0] / "report.html", both[1] / "report.html", tmp_path / "both.html"]
    assert capsys.readouterr().out == "".join(f"Report: {page}\n" for page in pages)
    with pytest.raises(ValueError, match=r"page.html cannot be written: .*; choose another one with --out"):
        make_reports(both, pages[2] / "page.html", svg=False)
    # The command that is handed out names the folder in which the run is.
    again = (both[0] / "report.html").read_text("utf-8").replace(str(both[0]), str(both[1]))
    assert again == (both[1] / "report.html").read_text("utf-8")
    # Two runs of one title are told apart by their folders.
    assert f"({both[1]})" in pages[2].read_text(encoding="utf-8")
