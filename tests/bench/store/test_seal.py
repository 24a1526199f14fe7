"""Nothing on disk is believed unless it is what was written, for this run."""

import json
import os
import re
import shutil
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sgdbench import Grid, load_run, models, sweep
from sgdbench.kernels.base.checksum import LAST_LINE, add_checksum, find_flaw
from sgdbench.report.run_data import read_run_data
from sgdbench.store import seal
from sgdbench.store.evidence import EVIDENCE_COLUMNS, read_tables, store_tables
from sgdbench.store.run_folder import read_identity, read_run
from sgdbench.store.seal import name_owner, read_json, seal_json
from sgdbench.study.load import load_study, with_settings
from tests.support.bits import flip_a_bit
from tests.support.refusals import refusal_of
from tests.support.studies import train_study

X = np.linspace(-1, 1, 40)
Y = 2 * X**2 - 4 * X + 3
STUDY = """
name = "mine"
data = { path = "table.csv", x = ["x"], y = "y", standardize = true }
model.expression = "a*x**2 + b*x + c"
grid.lr = [0.1, 0.2]
run = { epochs = 3, kernel = "reference", confirm = 0 }
"""
# What a checksum looks like before there is one.
ROOM = "sgdbench-sha256-" + 64 * "0"
# The columns of any part.
REQUIRED = ["config_id", "marks", "losses_after", "losses_every", "losses"]
TABLE = pd.DataFrame({"variant": ["fused", "C"], "ns": [1.0, np.nan]})
REMEDY = r": `sgdbench run STUDY --out \S+/run --resume` writes it again without training$"
NO_PANDAS = {"pandas": '{"columns": [{}], "index_columns": []}', "seal": ROOM}


def make_run(place, text=STUDY):
    """Train a study of a table in a place; return the folder of its run."""
    pd.DataFrame({"x": X, "y": Y}).to_csv(place / "table.csv", index=False)
    (place / "study.toml").write_text(text, encoding="utf-8")
    train_study(load_study(place / "study.toml"), place / "run")
    return place / "run"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a run, which has evidence."""
    run = make_run(tmp_path_factory.mktemp("vouched"))
    store_tables(run, rounds=TABLE, others=TABLE)
    return run


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


@contextmanager
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def another_run(place, **changed):
    """The folder of a run that differs in its target alone."""
    settings = {"epochs": 3, "target": 1e-9, "kernel": "reference", "confirm": 0} | changed
    sweep(models.quadratic, X, Y, Grid(lr=[0.1, 0.2]), out=place, **settings)
    store_tables(place, rounds=TABLE)
    return place


def one_more(folder, lr=0.3):
    """Train one configuration more."""
    train_study(with_settings(load_study(folder / "run.toml"), {"grid.lr": [0.1, 0.2, lr]}), folder)


def first_part(folder):
    return min((folder / "parts").iterdir())


def write_part(folder, content, number=1):
    """Put a table, or bytes with room for a checksum, in the place of the first part, with the run's checksum."""
    part, owner = first_part(folder), name_owner(read_identity(folder))
    path = part.with_name(f"{number:06}.parquet")
    part.unlink()
    path.write_bytes(add_checksum(content, owner) if isinstance(content, bytes) else seal.seal_table(content, owner))


def write_plan(folder, plan):
    seal.write_table(folder / "plan.parquet", plan, name_owner(read_identity(folder)))


def as_parquet(table):
    content = pa.BufferOutputStream()
    pq.write_table(table, content)
    return content.getvalue().to_pybytes()


class TestSeal:
    @pytest.mark.parametrize("text", ["", "\n", "a = 1", "a = 1\r\n", f"# {ROOM}\n", "é😀\n# "])
    def test_a_text_comes_back_as_it_was(self, tmp_path, text):
        (tmp_path / "a.toml").write_bytes(seal.seal_text(text, b"me"))
        assert seal.read_text(tmp_path / "a.toml", b"me") == text

    def test_facts_and_tables_come_back_and_others_can_read_them(self, tmp_path):
        facts = {"a": ROOM, "b": 3, "": [1.5]}
        (tmp_path / "a.json").write_bytes(seal_json(facts))
        assert read_json(tmp_path / "a.json") == facts
        assert list(json.loads((tmp_path / "a.json").read_text())) == [*facts, "seal"]
        table = pd.DataFrame({ROOM: [ROOM], "c": pd.Categorical(["x"])})
        seal.write_table(tmp_path / "a.parquet", table, b"me")
        pd.testing.assert_frame_equal(seal.read_table(tmp_path / "a.parquet", b"me"), table)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), table)

    def test_no_bit_can_change(self):
        content = add_checksum(b"a = 1\n" + LAST_LINE, b"me")
        assert find_flaw(content, b"me") is None
        for place in range(8 * len(content)):
            changed = bytearray(content)
            changed[place // 8] ^= 1 << place % 8
            assert find_flaw(bytes(changed), b"me")
        assert find_flaw(content, b"you")
        assert find_flaw(content + content, b"me")

    @pytest.mark.parametrize(
        ("read", "content"),
        [
            (read_json, f'{{"eal": "{ROOM}"}}'.encode()),
            (read_json, b"[" * 100_000 + ROOM.encode()),
            (seal.read_text, b"\xff\n# " + ROOM.encode() + b"\n"),
            (lambda path: seal.read_table(path, b""), b"PAR1" + ROOM.encode() + b"\x01\x00\x00\x00PAR1"),
            (lambda path: seal.read_table(path, b""), as_parquet(pa.table({"a": [1]}, metadata=NO_PANDAS))),
        ],
        ids=["no seal", "nested", "no UTF-8", "no table", "a table that pandas cannot read"],
    )
    def test_the_right_checksum_of_something_else_is_refused_in_one_line(self, tmp_path, read, content):
        (tmp_path / "a").write_bytes(add_checksum(content))
        assert find_flaw((tmp_path / "a").read_bytes()) is None
        assert re.search(r"a is damaged \(.+\)$", refusal_of(read, tmp_path / "a"))


class TestData:
    @pytest.mark.usefixtures("one_figure")
    def test_data_that_have_changed_are_not_taken_for_those_of_the_run(self, tmp_path, sgdbench):
        run = make_run(tmp_path)
        pd.DataFrame({"x": X, "y": Y * 10}).to_csv(tmp_path / "table.csv", index=False)
        told = "The data have changed since the run: table.csv has other samples."
        with pytest.warns(RuntimeWarning, match=told):
            assert sgdbench("report", run)[0] == 0
        page = (run / "report.html").read_text(encoding="utf-8")
        assert told in page
        assert "Learning rates, starts, losses and parameters refer to columns with mean 0" in page
        assert "in the table&#39;s own units" not in page
        assert "own units" not in (run / "report.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("held_out", ["validation", "test"])
    def test_the_samples_held_out_are_data_of_the_run_too(self, tmp_path, held_out):
        """Else a fit that is handed out would be judged on others than those that were announced."""
        pd.DataFrame({"x": X[::4] + 0.01, "y": Y[::4]}).to_csv(tmp_path / "other.csv", index=False)
        run = make_run(tmp_path, STUDY.replace('y = "y"', f'y = "y", {held_out}_path = "other.csv"'))
        with silence():
            found = read_run_data(run)
        assert found.data.validation is not None if held_out == "validation" else found.judged["rows"] == X[::4].size
        pd.DataFrame({"x": X[::4] + 0.02, "y": Y[::4]}).to_csv(tmp_path / "other.csv", index=False)
        with pytest.warns(RuntimeWarning, match="have changed since the run: other.csv has other samples"):
            assert read_run_data(run).data is None


class TestEvidence:
    @pytest.mark.parametrize("damage", ["flip", "another run", "link"])
    def test_what_is_damaged_is_named_and_left_out(self, folder, tmp_path, damage):
        path = folder / "evidence" / "rounds.parquet"
        if damage == "flip":
            flip_a_bit(path)
        if damage == "another run":
            shutil.copy(another_run(tmp_path / "other") / "evidence" / "rounds.parquet", path)
        if damage == "link":
            path.unlink()
            path.symlink_to("/dev/zero")
        with pytest.warns(RuntimeWarning, match=r"rounds.parquet .*: it is ignored") as told:
            tables = read_tables(folder)
        assert len(told) == 1
        assert list(tables) == ["others", "settings", "yardstick"]

    def test_a_table_that_is_whole_and_has_other_columns_is_left_out(self, folder):
        """As another version may have written it."""
        whole = pd.DataFrame([dict.fromkeys(EVIDENCE_COLUMNS["costs"], 1.0)])
        store_tables(folder, costs=whole.assign(more=1))
        with silence():
            assert "costs" in read_tables(folder)
        store_tables(folder, costs=whole.drop(columns="variant"))
        with pytest.warns(RuntimeWarning, match=r"costs.parquet cannot be used \(it has no column variant.*ignored"):
            assert "costs" not in read_tables(folder)

    def test_a_damaged_attainable_loss_is_refused_with_a_remedy(self, made, folder):
        known = load_run(folder).optimum
        flip_a_bit(folder / "evidence" / "yardstick.parquet")
        with pytest.raises(
            ValueError, match=rf"stick.parquet is damaged .*: `sgdbench run .* {folder} --resume` makes it again$"
        ):
            _ = load_run(folder).optimum
        train_study(load_study(made.parent / "study.toml"), folder)
        assert load_run(folder).optimum.loss == known.loss

    def test_a_file_in_the_place_of_the_folder(self, folder):
        shutil.rmtree(folder / "evidence")
        (folder / "evidence").touch()
        with pytest.warns(RuntimeWarning, match=r"evidence cannot be read \(Not a directory\)"):
            assert read_tables(folder) == {}


class TestRecords:
    def test_a_damaged_environment_is_named_and_left_out(self, folder):
        flip_a_bit(folder / "environment.json")
        run = read_run_data(folder).result.run
        with pytest.warns(RuntimeWarning, match=r"environment.json is damaged .*: the machine .* ignored"):
            assert run.environment == {}
        with silence():
            assert run.environment == {}

    @pytest.mark.usefixtures("one_figure")
    def test_a_damaged_study_is_named_and_left_out(self, folder, sgdbench):
        flip_a_bit(folder / "run.toml")
        with pytest.warns(RuntimeWarning, match=r"run.toml is damaged \(.*\): the study is ignored") as told:
            code, out, err = sgdbench("report", folder)
        assert (code, out, err) == (0, f"Report: {folder}/report.html\n", "")
        assert len(told) == 1
        for name in ("report.html", "report.md"):
            text = (folder / name).read_text(encoding="utf-8")
            assert "The study of this run, run.toml, has been changed since it was written, and is ignored." in text
            assert "made by a sweep in Python" not in text

    def test_also_where_all_checksums_are_right(self, folder):
        """As a program that writes them in another order would make them."""
        plan, part = pd.read_parquet(folder / "plan.parquet"), pq.read_table(first_part(folder))
        identity = read_identity(folder) | {"parameters": "c, b, a"}
        (folder / "sgdbench.json").write_bytes(seal_json({"format": 4, "identity": identity}))
        write_part(folder, part)
        write_plan(folder, plan)
        assert re.search(
            "plan.parquet has the columns start_a, .* the parameters c, b, a", refusal_of(load_run, folder)
        )
        others = [name for name in plan if not name.startswith("start_")]
        write_plan(folder, plan[[*others, "start_c", "start_b", "start_a"]])
        assert re.search("parts has the columns param_a, .* the parameters c, b, a", refusal_of(load_run, folder))

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda folder: flip_a_bit(folder / "plan.parquet"), r"plan.parquet is damaged \(.*" + REMEDY),
            (
                lambda folder: write_plan(folder, pd.read_parquet(folder / "plan.parquet").drop(columns="lr")),
                "plan.parquet has no column lr of a sweep",
            ),
            (
                lambda folder: write_part(folder, pq.read_table(first_part(folder)).drop_columns(["status"])),
                "its parts have no column status of a sweep",
            ),
            (
                lambda folder: write_part(folder, b"PAR1" + bytes(40) + first_part(folder).read_bytes()[44:]),
                "000001.parquet is damaged: ",
            ),
        ],
        ids=["a bit of the plan", "a plan without a setting", "parts without results", "the pages of a part"],
    )
    def test_a_folder_without_its_plan_or_results_is_refused_in_a_line(self, folder, damage, message):
        damage(folder)
        assert re.search(message, refusal_of(load_run, folder))

    def test_an_identity_without_what_a_sweep_needs(self, folder):
        first_part(folder).unlink()
        for identity in ({}, {"model": "a*"}, {**read_identity(folder), "samples": "many"}):
            (folder / "sgdbench.json").write_bytes(seal_json({"format": 4, "identity": identity}))
            assert "does not describe a sweep" in refusal_of(load_run, folder)

    def test_runs_on_fresh_seeds_that_are_damaged_are_named_and_left_out(self, tmp_path):
        another_run(tmp_path, epochs=40, target=0.1, confirm=2)
        assert load_run(tmp_path).confirmation is not None
        flip_a_bit(tmp_path / "confirmation" / "plan.parquet")
        remedy = f"--out {tmp_path} --resume"
        with pytest.warns(RuntimeWarning, match=f"fresh seeds are ignored: .*plan.parquet is damaged .*{remedy}"):
            assert load_run(tmp_path).confirmation is None

    def test_a_run_that_came_to_nothing_leaves_nothing_that_would_be_another_s(self, folder):
        first_part(folder).unlink()
        another_run(folder)
        with silence():
            found = load_run(folder)
            assert found.run.environment
            assert found.run.study == ""
            assert list(read_tables(folder)) == ["rounds", "settings", "yardstick"]


class TestParts:
    def test_a_file_in_the_place_of_the_folder_leaves_the_report_alone(self, folder, refused):
        shutil.rmtree(folder / "parts")
        (folder / "parts").touch()
        (folder / "report.html").write_text("good")
        assert refused("report", folder) == f"sgdbench: {folder}/parts: Not a directory\n"
        assert (folder / "report.html").read_text() == "good"

    @pytest.mark.parametrize("kind", ["device", "pipe", "folder", "dangling link"])
    def test_what_is_no_regular_file_is_not_read(self, folder, kind):
        path = folder / "parts" / "000009.parquet"
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
        signal.alarm(60)  # what is read without an end would hold the suite up for ever
        try:
            with pytest.warns(RuntimeWarning, match=f"{path.name} is damaged .*count as not trained") as told:
                assert len(load_run(folder).frame) == 2
            assert len(told) == 1
            with pytest.warns(RuntimeWarning, match=f"{path.name} is damaged .*set aside in"):
                one_more(folder)
        finally:
            signal.alarm(0)
        assert os.path.lexists(folder / "damaged" / path.name)
        with silence():
            assert len(read_run(folder).configurations()) == 3

    def test_a_part_with_other_columns_is_left_out(self, folder):
        one_more(folder)
        write_part(folder, pq.read_table(first_part(folder)).select(REQUIRED), number=7)
        with pytest.warns(RuntimeWarning, match=r"000007.parquet is damaged \(it"):
            assert len(load_run(folder).frame) == 1

    @pytest.mark.parametrize(
        ("flaw", "content"),
        [
            *((f"it has no {name}", pa.table({one: [1] for one in REQUIRED if one != name})) for name in REQUIRED),
            ("it is not a Parquet file", b"text" + LAST_LINE),
        ],
    )
    def test_a_part_without_a_column_of_any_part_is_left_out(self, folder, flaw, content):
        write_part(folder, content)
        with pytest.warns(RuntimeWarning, match=rf"000001.parquet is damaged \({flaw}"):
            assert load_run(folder).frame.empty

    @pytest.mark.parametrize(
        ("flaw", "content"),
        [
            (".* or it belongs to another run", add_checksum(b"text" + LAST_LINE, b"another")),
            ("it holds no checksum", b"text"),
        ],
    )
    def test_a_part_of_another_run_or_without_a_checksum_is_none(self, folder, flaw, content):
        first_part(folder).write_bytes(content)
        with pytest.warns(RuntimeWarning, match=rf"000001.parquet is damaged \({flaw}"):
            assert load_run(folder).frame.empty
