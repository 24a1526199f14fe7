"""Parquet and Arrow files that are read in pieces: the rows of the table, and faults with their file and row."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from bench.data import load_table, open_table
from bench.data import stream as streams
from bench.data import table as tables
from kernels import fit
from tests.test_stream import MODEL, START, assert_same, samples

COMMAND = ["--x", "x", "--y", "y", "--model", MODEL, "--init", "a=1,b=-2,c=0.5", "--lr", "0.02", "--epochs", "2"]


@pytest.fixture
def rows():
    """A thousand of them, with a column of text that nobody asks for."""
    x, y = samples(1003)
    return pa.table({"name": ["a"] * 1003, "y": y, "x": x})


@pytest.fixture
def write(tmp_path):
    """Write rows in a form that a stream can read, in groups of a hundred, and return their path."""

    def write(rows, form):
        if form == "folder":
            path = tmp_path / "rows"
            (path / "later").mkdir(parents=True)
            pa.parquet.write_table(rows[:400], path / "a.parquet", row_group_size=100)
            pa.feather.write_feather(rows[400:700], path / "b.feather", chunksize=100)
            pa.parquet.write_table(rows[700:], path / "later" / "a.parquet", row_group_size=100)
            (path / "_SUCCESS.parquet").write_text("no rows")
            (path / "notes.txt").write_text("no rows")
            return path
        path = tmp_path / f"rows.{form}"
        if form == "parquet":
            pa.parquet.write_table(rows, path, row_group_size=100)
        else:
            packed = "lz4" if form == "feather" else "uncompressed"
            pa.feather.write_feather(rows, path, chunksize=100, compression=packed)
        return path

    return write


@pytest.mark.parametrize("form", ["parquet", "feather", "arrow", "folder"])
def test_all_rows_in_their_order(monkeypatch, rows, write, form):
    monkeypatch.setattr(streams, "PIECE", 8 * 2 * 64)  # row groups in pieces
    monkeypatch.setattr(streams, "FEWEST_ROWS", 1)
    stream = open_table(write(rows, form), "x", "y")
    assert (stream.samples, stream.inputs) == (1003, 1)
    assert list(stream.blocks) == [100] * 10 + [3]
    for _ in range(2):
        read = list(stream.parts())
        np.testing.assert_array_equal(np.concatenate([x for (x,), _ in read]), rows["x"])
        np.testing.assert_array_equal(np.concatenate([y for _, y in read]), rows["y"])
    read = list(stream.read(4))
    np.testing.assert_array_equal(np.concatenate([x for (x,), _ in read]), rows["x"][400:500])
    np.testing.assert_array_equal(np.concatenate([y for _, y in read]), rows["y"][400:500])


@pytest.mark.parametrize("form", ["parquet", "folder"])
def test_row_groups_are_the_blocks(rows, write, form):
    """A fit is that of the rows in memory, as they stand and in blocks."""
    stream = open_table(write(rows, form), "x", "y")
    arrays = rows["x"].to_numpy(), rows["y"].to_numpy()
    asked = START | {"epochs": 2, "seed": 9, "batch_size": 16}
    assert_same(fit(MODEL, stream, **asked), fit(MODEL, *arrays, **asked))
    shuffled = fit(MODEL, stream, **asked, shuffle="blocks(buffer=250)")
    assert_same(shuffled, fit(MODEL, *arrays, **asked, shuffle="blocks(size=100, buffer=250)"))
    assert shuffled.order == "11 blocks of 100 samples in a random order, and the samples of 2 at a time shuffled"


def test_numbers_of_all_kinds(tmp_path):
    path = tmp_path / "kinds.parquet"
    whole = pa.array([1, 2, 3], pa.int16())
    pa.parquet.write_table(pa.table({"u": whole, "v": pa.array([0.5, 1, 2], pa.float32()), "w": [1, 2, 3]}), path)
    (((u, v), w),) = open_table(path, ["u", "v"], "w").parts()
    assert u.dtype == v.dtype == w.dtype == np.float64
    table = load_table(path, ["u", "v"], "w")
    np.testing.assert_array_equal(np.stack([u, v], axis=1), table.x)
    np.testing.assert_array_equal(w, table.y)


@pytest.mark.parametrize(("value", "found"), [(None, "missing"), (np.nan, "missing"), (-np.inf, "infinite")])
@pytest.mark.parametrize(("form", "place"), [("parquet", 858), ("feather", 858), ("folder", 158)])
@pytest.mark.parametrize("shuffle", [False, "blocks"])
def test_a_value_that_is_no_number_is_named_with_its_file_and_row(write, rows, value, found, form, place, shuffle):
    y = rows["y"].to_pylist()
    y[857] = value
    path = write(rows.set_column(1, "y", pa.array(y)), form)
    file = path / "later" / "a.parquet" if form == "folder" else path
    with pytest.raises(ValueError, match=f"^{file}: row {place}, column 'y' is {found}; fill it in, or write"):
        fit(MODEL, open_table(path, "x", "y"), epochs=1, kernel="reference", batch_size=100, shuffle=shuffle)


@pytest.mark.parametrize(
    ("name", "content", "asked", "message"),
    [
        (
            "rows.csv",
            b"x,y",
            ("x", "y"),
            "must be a .parquet, .arrow, .feather or .ipc file, or a folder of such files",
        ),
        ("rows.parquet", b"PAR1 and no more", ("x", "y"), "is damaged: "),
        ("rows.arrow", b"", ("x", "y"), "is damaged: "),
        ("rows.arrow", b"FEA1 and more", ("x", "y"), "must be in Arrow's file format, which is Feather version 2 too"),
        ("rows.parquet", None, ("x", "z"), "has no column 'z'; its columns are 'name', 'y', 'x'"),
        ("rows.feather", None, ("name", "y"), "column 'name' must hold real numbers, not string"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, rows, name, content, asked, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    elif path.suffix == ".parquet":
        pa.parquet.write_table(rows, path)
    else:
        pa.feather.write_feather(rows, path)
    with pytest.raises(ValueError, match=f"^{path}.*{message}") as caught:
        open_table(path, *asked)
    assert "\n" not in str(caught.value)


def test_paths_that_hold_no_rows(tmp_path, rows):
    for path, message in (
        (tmp_path, "has no .parquet, .arrow, .feather or .ipc files"),
        (tmp_path / "none", "is no file and no folder; give a .parquet, .arrow,"),
        (tmp_path / "none.parquet", "cannot be read: No such file or directory; give a .parquet, .arrow,"),
        ("/dev/null", "must be a .parquet"),
    ):
        with pytest.raises(ValueError, match=f"^{path} {message}"):
            open_table(path, "x", "y")
    pa.parquet.write_table(rows[:0], tmp_path / "empty.parquet")
    with pytest.raises(ValueError, match="has columns but no rows of data"):
        open_table(tmp_path, "x", "y")
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(ValueError, match="it is a named pipe, and only regular files are read"):
        open_table(tmp_path, "x", "y")


def test_a_list_of_files_is_no_path():
    with pytest.raises(ValueError, match=r"^path must be a file or a folder, not \['a.parquet', 'b.parquet'\]$"):
        open_table(["a.parquet", "b.parquet"], "x", "y")


def test_a_folder_that_is_called_like_a_file(tmp_path, rows):
    (tmp_path / "all.parquet").mkdir()
    pa.parquet.write_table(rows, tmp_path / "all.parquet" / "part-0.parquet")
    assert open_table(tmp_path, "x", "y").samples == open_table(tmp_path / "all.parquet", "x", "y").samples == 1003


def test_a_wrong_class_is_named_with_its_file_and_row(write, rows):
    path = write(rows.set_column(1, "y", pa.array([0.0] * 857 + [0.5] + [1.0] * 145)), "folder")
    with pytest.raises(ValueError, match=f"and is 0.5 in {path / 'later' / 'a.parquet'}, row 158$"):
        fit("a*x + b", open_table(path, "x", "y"), loss="logistic", kernel="reference", batch_size=100)


def test_a_file_that_changes_is_not_read_on(write, rows):
    path = write(rows, "parquet")
    stream = open_table(path, "x", "y")
    write(rows[:900], "parquet")
    with pytest.raises(ValueError, match=f"^{path} has changed since it was opened"):
        next(stream.parts())


def test_a_table_that_memory_cannot_hold_is_refused_with_a_way_out(monkeypatch, write, rows):
    monkeypatch.setattr(tables, "available_memory", lambda: 20_000)
    with pytest.raises(ValueError, match=r"has 1,003 rows, which take 0\.0 GB of memory, .*; 'sgdbench fit --stream'"):
        load_table(write(rows, "parquet"), "x", "y")


def test_the_command_fits_in_pieces_what_it_fits_in_memory(sgdbench, write, rows):
    path = write(rows, "parquet")
    found, expected = (
        json.loads(sgdbench("fit", path, *COMMAND, "--json", *options)[1]) for options in ([], ["--stream"])
    )
    assert found["params"] == expected["params"]
    assert (found["loss"], expected["order"]) == (expected["loss"], "as they stand")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(KeyboardInterrupt, "interrupted before the rows were read once more"), (ValueError("it is gone"), "it is gone")],
)
def test_a_fit_is_printed_also_where_its_rows_cannot_be_read_again(sgdbench, write, rows, monkeypatch, fault, reason):
    def fail(*_):
        raise fault

    monkeypatch.setattr("bench.commands.fit.table_quality", fail)
    code, out, _ = sgdbench("fit", write(rows, "parquet"), *COMMAND, "--stream")
    assert code == 0
    assert "max_epochs" in out
    assert f"Standard errors: none: {reason}." in out


def test_row_groups_that_memory_cannot_hold_are_not_shuffled(sgdbench, write, rows, monkeypatch):
    monkeypatch.setattr(streams, "available_memory", lambda: 3000)
    code, _, err = sgdbench("fit", write(rows, "parquet"), *COMMAND, "--stream", "--shuffle")
    assert code == 2
    assert "--shuffle needs 100 rows of" in err
    assert sgdbench("fit", write(rows, "parquet"), *COMMAND, "--stream")[0] == 0


def test_the_command_shuffles_row_groups(sgdbench, write, rows, tmp_path):
    plot = tmp_path / "fit.png"
    options = ["--stream", "--shuffle", "--buffer", "300", "--standardize", "--every", "1", "--plot", plot]
    code, out, err = sgdbench("fit", write(rows, "folder"), *COMMAND, *options)
    assert (code, err) == (0, "")
    assert "11 blocks of 100 samples in a random order, and the samples of 3 at a time shuffled" in out
    assert "In standardized units:" in out
    assert "standard error" in out
    assert plot.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stream", "--validation", "0.2"], "--validation needs all rows in memory"),
        (["--stream", "--drop-missing"], "--drop-missing needs all rows in memory"),
        (["--stream", "--animate", "fit.gif"], "--animate needs all rows in memory"),
        (["--buffer", "10"], "--buffer is for rows that are read in pieces and shuffled: give --stream and --shuffle"),
        (
            ["--stream", "--buffer", "10"],
            "--buffer is for rows that are read in pieces and shuffled: give --stream and",
        ),
        (["--stream", "--batch-size", "2000"], "batch_size must be "),
    ],
    ids=str,
)
def test_what_the_command_refuses(sgdbench, write, rows, options, message):
    code, out, err = sgdbench("fit", write(rows, "parquet"), *COMMAND, *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"sgdbench: {message}")
    assert err.count("\n") == 1


def test_folders_without_the_option(sgdbench, write, rows):
    _, _, err = sgdbench("fit", write(rows, "folder"), *COMMAND)
    assert "folders and Arrow files are read in pieces, with --stream" in err
