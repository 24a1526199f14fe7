"""Nothing on disk is believed unless it is what was written, for this run."""

import json
import os
import shutil
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import Grid, load_run, sweep
from bench.report.run_data import read_run_data
from bench.store import seal
from bench.store.evidence import COLUMNS, read_tables, store_tables
from bench.store.run_folder import read_identity, read_run
from bench.store.seal import name_owner, read_json, seal_json
from bench.study.load import load_study, with_settings
from kernels import models
from kernels.base.checksum import LAST_LINE, add_checksum, find_flaw
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
run = { epochs = 3, kernel = "fused", confirm = 0 }
"""
# What a checksum looks like before there is one.
ROOM = "sgdbench-sha256-" + 64 * "0"
# The columns of any part.
REQUIRED = ["config_id", "marks", "losses_after", "losses_every", "losses"]
TABLE = pd.DataFrame({"variant": ["fused", "C"], "ns": [1.0, np.nan]})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A place with a study, its data and the folder of its run, which has evidence."""
    place = tmp_path_factory.mktemp("vouched")
    pd.DataFrame({"x": X, "y": Y}).to_csv(place / "table.csv", index=False)
    (place / "study.toml").write_text(STUDY, encoding="utf-8")
    train_study(load_study(place / "study.toml"), place / "run")
    store_tables(place / "run", rounds=TABLE, others=TABLE)
    return place


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made / "run", tmp_path / "run")


@contextmanager
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def another_run(place, **changed):
    """The folder of a run that differs in its target alone."""
    settings = {"epochs": 3, "target": 1e-9, "kernel": "fused", "confirm": 0} | changed
    sweep(models.quadratic, X, Y, Grid(lr=[0.1, 0.2]), out=place, **settings)
    store_tables(place, rounds=TABLE)
    return place


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
        ],
        ids=["no seal", "nested", "no UTF-8", "no table"],
    )
    def test_the_right_checksum_of_something_else_is_refused_in_one_line(self, tmp_path, read, content):
        (tmp_path / "a").write_bytes(add_checksum(content))
        assert find_flaw((tmp_path / "a").read_bytes()) is None
        with pytest.raises(seal.DamagedError, match=r"a is damaged \(.+\)$") as caught:
            read(tmp_path / "a")
        assert len(str(caught.value).splitlines()) == 1

    def test_the_right_checksum_of_a_table_that_pandas_cannot_read(self, tmp_path):
        metadata = '{"columns": [{}], "index_columns": []}'
        table = pa.Table.from_pandas(TABLE, preserve_index=False)
        pq.write_table(table.replace_schema_metadata({"pandas": metadata, "seal": ROOM}), tmp_path / "a.parquet")
        (tmp_path / "a.parquet").write_bytes(add_checksum((tmp_path / "a.parquet").read_bytes(), b"me"))
        with pytest.raises(seal.DamagedError, match=r"a.parquet is damaged \([^\n]+\)$"):
            seal.read_table(tmp_path / "a.parquet", b"me")


class TestData:
    def test_data_that_have_changed_are_not_taken_for_those_of_the_run(self, made, tmp_path, sgdbench):
        place = shutil.copytree(made, tmp_path / "place")
        study = place / "run" / "run.toml"
        before = (made / "table.csv").read_bytes()
        told = "The data are no longer those of the run: table.csv has changed since."
        try:
            pd.DataFrame({"x": X, "y": Y * 10}).to_csv(made / "table.csv", index=False)
            with pytest.warns(RuntimeWarning, match=told):
                assert sgdbench("report", study.parent)[0] == 0
        finally:
            (made / "table.csv").write_bytes(before)
        page = (study.parent / "report.html").read_text(encoding="utf-8")
        assert told in page
        assert "Learning rates, starts, losses and parameters refer to columns with mean 0" in page
        assert "in the table&#39;s own units" not in page
        assert "own units" not in (study.parent / "report.md").read_text(encoding="utf-8")

    def test_the_samples_held_out_are_data_of_the_run_too(self, tmp_path):
        pd.DataFrame({"x": X, "y": Y}).to_csv(tmp_path / "table.csv", index=False)
        pd.DataFrame({"x": X[::4] + 0.01, "y": Y[::4]}).to_csv(tmp_path / "other.csv", index=False)
        text = STUDY.replace('y = "y"', 'y = "y", validation_path = "other.csv"')
        (tmp_path / "study.toml").write_text(text, encoding="utf-8")
        train_study(load_study(tmp_path / "study.toml"), tmp_path / "run")
        with silence():
            assert read_run_data(tmp_path / "run").data.validation is not None
        pd.DataFrame({"x": X[::4] + 0.02, "y": Y[::4]}).to_csv(tmp_path / "other.csv", index=False)
        with pytest.warns(RuntimeWarning, match="no longer those of the run: other.csv has changed"):
            assert read_run_data(tmp_path / "run").data is None


class TestPlan:
    def test_a_damaged_plan_is_refused_with_what_to_do(self, folder, refused):
        flip_a_bit(folder / "plan.parquet")
        err = refused("report", folder)
        assert err.startswith(f"sgdbench: {folder}/plan.parquet is damaged (")
        assert err.endswith(f"`sgdbench run STUDY --out {folder} --resume` writes it anew, and trains nothing again\n")


class TestEvidence:
    @pytest.mark.parametrize("damage", ["flip", "other columns", "another run", "link", "folder"])
    def test_what_is_damaged_is_named_and_left_out(self, folder, tmp_path, damage):
        path = folder / "evidence" / "rounds.parquet"
        if damage == "flip":
            flip_a_bit(path)
        else:
            path.unlink()
        if damage == "other columns":
            TABLE.rename(columns={"ns": "us"}).to_parquet(path)
        if damage == "another run":
            shutil.copy(another_run(tmp_path / "other") / "evidence" / "rounds.parquet", path)
        if damage == "link":
            path.symlink_to("/dev/zero")
        if damage == "folder":
            path.mkdir()
        with pytest.warns(RuntimeWarning, match=r"rounds.parquet .*: it is left out") as told:
            tables = read_tables(folder)
        assert len(told) == 1
        assert list(tables) == ["others", "settings", "yardstick"]

    def test_a_table_that_is_whole_and_has_other_columns_is_left_out(self, folder):
        """As another version may have written it."""
        whole = pd.DataFrame([dict.fromkeys(COLUMNS["costs"], 1.0)])
        store_tables(folder, costs=whole.assign(more=1))
        with silence():
            assert "costs" in read_tables(folder)
        store_tables(folder, costs=whole.drop(columns="variant"))
        with pytest.warns(RuntimeWarning, match=r"costs.parquet cannot be used \(it has no column variant.*left out"):
            assert "costs" not in read_tables(folder)

    def test_a_damaged_yardstick_is_refused_with_a_remedy(self, made, folder):
        known = load_run(folder).yardstick
        flip_a_bit(folder / "evidence" / "yardstick.parquet")
        with pytest.raises(
            ValueError, match=rf"stick.parquet is damaged .*: `sgdbench run .* {folder} --resume` makes it anew$"
        ):
            _ = load_run(folder).yardstick
        train_study(load_study(made / "study.toml"), folder)
        assert load_run(folder).yardstick.loss == known.loss

    def test_a_file_in_the_place_of_the_folder(self, folder):
        shutil.rmtree(folder / "evidence")
        (folder / "evidence").touch()
        with pytest.warns(RuntimeWarning, match=r"evidence cannot be read \(Not a directory\)"):
            assert read_tables(folder) == {}


class TestRecords:
    def test_a_damaged_environment_is_named_and_left_out(self, folder):
        flip_a_bit(folder / "environment.json")
        run = read_run_data(folder).result.run
        with pytest.warns(RuntimeWarning, match=r"environment.json is damaged .*: the machine .* left out"):
            assert run.environment == {}
        with silence():
            assert run.environment == {}

    def test_a_damaged_study_is_named_and_left_out(self, folder, sgdbench):
        flip_a_bit(folder / "run.toml")
        with pytest.warns(RuntimeWarning, match=r"run.toml is damaged \(.*\): the study is left out") as told:
            code, out, err = sgdbench("report", folder)
        assert (code, out, err) == (0, f"Report: {folder}/report.html\n", "")
        assert len(told) == 1
        for name in ("report.html", "report.md"):
            text = (folder / name).read_text(encoding="utf-8")
            assert "The study of this run, run.toml, is not what was written, and is left out." in text
            assert "made by a sweep in Python" not in text

    def test_also_where_all_checksums_are_right(self, folder):
        """As a program that writes them in another order would make them."""
        plan = pd.read_parquet(folder / "plan.parquet")
        (part,) = (folder / "parts").iterdir()
        identity = read_identity(folder) | {"parameters": "c, b, a"}
        (folder / "sgdbench.json").write_bytes(seal_json({"format": 4, "identity": identity}))
        rewrite(part, pq.read_table(part), number=1)
        seal.write_table(folder / "plan.parquet", plan, name_owner(identity))
        with pytest.raises(ValueError, match=r"plan.parquet has the columns start_a, .* the parameters c, b, a"):
            load_run(folder)
        plan = plan[[*plan.columns[:-3], "start_c", "start_b", "start_a"]]
        seal.write_table(folder / "plan.parquet", plan, name_owner(identity))
        with pytest.raises(ValueError, match=r"parts has the columns param_a, .* the parameters c, b, a"):
            load_run(folder)

    def test_a_plan_without_a_setting_is_refused(self, folder):
        plan, owner = pd.read_parquet(folder / "plan.parquet"), name_owner(read_identity(folder))
        seal.write_table(folder / "plan.parquet", plan.drop(columns="lr"), owner)
        with pytest.raises(ValueError, match=r"plan.parquet has no column lr of a sweep"):
            load_run(folder)

    def test_an_identity_without_what_a_sweep_needs(self, folder):
        for part in (folder / "parts").iterdir():
            part.unlink()
        for identity in ({}, {"model": "a*"}, {**read_identity(folder), "samples": "many"}):
            (folder / "sgdbench.json").write_bytes(seal_json({"format": 4, "identity": identity}))
            assert "is not that of a sweep" in refusal_of(load_run, folder)

    def test_runs_on_fresh_seeds_that_are_damaged_are_named_and_left_out(self, tmp_path):
        settings = {"epochs": 40, "target": 0.1, "kernel": "fused", "confirm": 2}
        sweep(models.quadratic, X, Y, Grid(lr=[0.1, 0.2]), out=tmp_path, **settings)
        assert load_run(tmp_path).confirmation is not None
        flip_a_bit(tmp_path / "confirmation" / "plan.parquet")
        remedy = f"--out {tmp_path} --resume"
        with pytest.warns(RuntimeWarning, match=f"fresh seeds are left out: .*plan.parquet is damaged .*{remedy}"):
            assert load_run(tmp_path).confirmation is None

    def test_a_run_that_came_to_nothing_leaves_nothing_that_would_be_another_s(self, folder):
        for part in (folder / "parts").iterdir():
            part.unlink()
        another_run(folder)
        with silence():
            found = load_run(folder)
            assert found.run.environment
            assert found.run.study == ""
            assert list(read_tables(folder)) == ["rounds", "settings", "yardstick"]


class TestParts:
    def test_a_file_in_the_place_of_the_folder_leaves_the_report_alone(self, folder, sgdbench):
        shutil.rmtree(folder / "parts")
        (folder / "parts").touch()
        (folder / "report.html").write_text("good")
        code, out, err = sgdbench("report", folder)
        assert (code, out, err) == (2, "", f"sgdbench: {folder}/parts: Not a directory\n")
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
            with pytest.warns(RuntimeWarning, match=f"{path.name} is damaged .*not done") as told:
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
        (part, *_) = sorted((folder / "parts").iterdir())
        rewrite(part, pq.read_table(part).select(REQUIRED), number=7)
        with pytest.warns(RuntimeWarning, match=r"000007.parquet is damaged \(it"):
            assert len(load_run(folder).frame) == 1

    def test_parts_that_are_all_without_results_are_refused_in_a_line(self, folder):
        (part,) = (folder / "parts").iterdir()
        rewrite(part, pq.read_table(part).drop_columns(["status"]), number=1)
        with pytest.raises(ValueError, match="its parts have no column status of a sweep"):
            load_run(folder)

    @pytest.mark.parametrize("column", [*REQUIRED, None])
    def test_a_part_that_is_no_parquet_file_or_without_a_column_of_any_part_is_left_out(self, folder, column):
        (part,) = (folder / "parts").iterdir()
        rewrite(part, pq.read_table(part).drop_columns([column]) if column else None, number=1)
        flaw = f"it has no {column}" if column else "it is no Parquet file"
        with pytest.warns(RuntimeWarning, match=rf"000001.parquet is damaged \({flaw}"):
            assert load_run(folder).frame.empty

    def test_a_part_without_a_checksum_or_of_another_run_is_none(self, folder, tmp_path):
        (part,) = (folder / "parts").iterdir()
        (other,) = (another_run(tmp_path / "other") / "parts").iterdir()
        shutil.copy(other, part)
        with pytest.warns(RuntimeWarning, match="000001.parquet is damaged .*or is that of another run"):
            assert load_run(folder).frame.empty
        pq.write_table(pq.read_table(part).replace_schema_metadata(), part)
        with pytest.warns(RuntimeWarning, match="000001.parquet is damaged .*it holds no checksum"):
            assert load_run(folder).frame.empty

    def test_a_part_whose_pages_are_damaged_and_whose_checksum_is_right_is_refused_in_a_line(self, folder):
        (part,) = (folder / "parts").iterdir()
        content = b"PAR1" + bytes(40) + part.read_bytes()[44:]
        part.write_bytes(add_checksum(content, name_owner(read_identity(folder))))
        with pytest.raises(ValueError, match=r"000001.parquet is damaged: [^\n]+$"):
            load_run(folder)


def one_more(folder, lr=0.3):
    """Train one configuration more."""
    train_study(with_settings(load_study(folder / "run.toml"), {"grid.lr": [0.1, 0.2, lr]}), folder)


def rewrite(part, table, number):
    """Put another table in the place of a part, with its checksum."""
    part.unlink()
    path, owner = part.with_name(f"{number:06}.parquet"), name_owner(read_identity(part.parents[1]))
    if table is None:
        path.write_bytes(add_checksum(b"text" + LAST_LINE, owner))
    else:
        seal.write_table(path, table, owner)


def test_a_disk_that_fills_during_the_sweep_says_how_to_go_on(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.store.part.write_part", full)
    message = r"what was stored before is safe: once it can be written, --resume \(resume=True in Python\) goes on"
    with pytest.raises(OSError, match=message):
        another_run(tmp_path / "run")
