"""Tables that are mapped into memory: the fits of the same table in memory, and faults with their file and row."""

import errno
import json
import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

from sgdbench import Grid, fit, sweep
from sgdbench.data import batches, column_file, hold_out_share, load_table, memory_maps, open_table, standardize
from sgdbench.kernels.data import samples as data_samples
from sgdbench.study.load import load_study
from sgdbench.system.lock import lock_folder
from tests.support.bits import flip_a_bit
from tests.support.constants import HANG
from tests.support.parabola import MODEL, START, samples
from tests.support.refusals import refusal_of

COMMAND = ["--x", "x", "--y", "y", "--model", MODEL, "--init", "a=1,b=-2,c=0.5", "--lr", "0.02", "--epochs", "2"]


@pytest.fixture
def rows():
    """A thousand of them, with a column of text that is not asked for."""
    x, y = samples(1003)
    return pa.table({"name": ["a"] * 1003, "y": y, "x": x})


@pytest.fixture
def write(tmp_path):
    """Write rows in a form that can be mapped, in groups of a hundred, and return their path."""

    def write(rows, form):
        path = tmp_path / f"rows.{form}"
        if form == "folder":
            path = tmp_path / "rows"
            (path / "later").mkdir(parents=True)
            pa.parquet.write_table(rows[:400], path / "a.parquet", row_group_size=100)
            pa.feather.write_feather(rows[400:700], path / "b.feather", chunksize=100)
            pa.csv.write_csv(rows[700:], path / "later" / "a.csv")
            (path / "_SUCCESS.parquet").write_text("no rows")
            (path / "notes.txt").write_text("no rows")
        elif form == "parquet":
            pa.parquet.write_table(rows, path, row_group_size=100)
        elif form == "csv":
            pa.csv.write_csv(rows, path)
        else:
            packed = "lz4" if form == "feather" else "uncompressed"
            pa.feather.write_feather(rows, path, chunksize=2000 if form == "arrow" else 100, compression=packed)
        return path

    return write


@pytest.mark.parametrize("form", ["parquet", "feather", "arrow", "csv", "folder"])
def test_columns_are_those_of_the_file(rows, write, form):
    table = open_table(write(rows, form), "x", "y")
    np.testing.assert_array_equal(table.x[:, 0], rows["x"])
    np.testing.assert_array_equal(table.y, rows["y"])
    assert not table.x.flags.writeable
    assert (table.mapped_in.exists(), table.mapped_in.suffix) == (form != "arrow", ".columns")


def test_an_uncompressed_arrow_file_is_mapped_itself(tmp_path):
    columns = {name: np.random.default_rng(k).standard_normal(999) for k, name in enumerate("uvwz")}
    path = tmp_path / "rows.arrow"
    pa.feather.write_feather(pa.table(columns), path, compression="uncompressed", chunksize=2000)
    table = open_table(path, ["w", "u"], "z")
    converted = open_table(path, ["u", "z"], "v")
    np.testing.assert_array_equal(converted.x, np.column_stack([columns["u"], columns["z"]]))
    for found, name in ((table.x[:, 0], "w"), (table.x[:, 1], "u"), (table.y, "z"), (converted.y, "v")):
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, columns[name])
    # Two columns that were decompressed lie at one distance, but not in the file.
    pa.feather.write_feather(pa.table(columns), packed := tmp_path / "packed.arrow", compression="lz4", chunksize=2000)
    np.testing.assert_array_equal(open_table(packed, "u", "z").y, columns["z"])
    # Three columns at distances that differ cannot be one array.
    assert {path.suffix for path in tmp_path.rglob("*")} == {".arrow", ".columns", ".float64", ".json", ".lock"}


def test_numbers_of_all_kinds(tmp_path):
    path = tmp_path / "kinds.parquet"
    whole = pa.array([1, 2, 3], pa.int16())
    pa.parquet.write_table(pa.table({"u": whole, "v": pa.array([0.5, 1, 2], pa.float32()), "w": [1, 2, 3]}), path)
    found, table = open_table(path, ["u", "v"], "w"), load_table(path, ["u", "v"], "w")
    np.testing.assert_array_equal(found.x, table.x)
    np.testing.assert_array_equal(found.y, table.y)
    categories = {"u": [3, 1, None], "v": [True, False, True], "w": [0.5, 1.5, 0.5]}
    encoded = pa.table({name: pa.array(values).dictionary_encode() for name, values in categories.items()})
    pa.feather.write_feather(encoded, tmp_path / "kinds.feather")
    found = open_table(tmp_path / "kinds.feather", "v", "w")
    assert (found.x[:, 0].tolist(), found.y.tolist()) == ([1, 0, 1], [0.5, 1.5, 0.5])
    with pytest.raises(ValueError, match="row 3 has no value in column 'u'"):
        open_table(tmp_path / "kinds.feather", "u", "w")


def test_truth_values_of_parquet_are_the_words_of_a_text_file_beside_it(tmp_path):
    (folder := tmp_path / "rows").mkdir()
    (folder / "1.csv").write_text("u,good\n1,True\n2,False\n", "utf-8")
    pa.parquet.write_table(pa.table({"u": [3.0, 4.0], "good": [False, True]}), folder / "2.parquet")
    table = load_table(folder, "u", "good", loss="logistic")
    assert (table.y.tolist(), table.classes.labels) == ([1.0, 0.0, 0.0, 1.0], ("False", "True"))


def test_decimal_commas_may_come_late(tmp_path):
    path, long = tmp_path / "rows.csv", "a" * 100_000  # of 20 MB, which are read in more than one block
    path.write_text("x;y;z\n" + "".join(f"{k};1;{long}\n" for k in range(200)) + "0,5;2;\n")
    np.testing.assert_array_equal(open_table(path, "x", "y").x[:, 0], [*range(200), 0.5])
    path.write_text("x;y;z\n" + "".join(f"{k}.5;1;{long}\n" for k in range(200)) + "0,5;2;\n")
    with pytest.raises(ValueError, match=r"line 202, column 'x' must be a number .*, not '0,5'; a comma stands"):
        open_table(path, "x", "y")


def test_what_is_converted_is_said_and_done_once(rows, write):
    path, said, seen = write(rows, "parquet"), [], []

    class Bar:
        def __init__(self, what, total):
            seen.append((what, total))

        def __enter__(self):
            return seen.append

        def __exit__(self, *_):
            pass

    def opened():
        return open_table(path, "x", "y", announce=said.append, progress=Bar)

    first = opened()
    assert said == [f"1,003 rows of {path} are written to {path}.columns, once: 16.0 kB."]
    assert seen[0] == ("rows", 1003)
    assert seen[-1] == 1003
    np.testing.assert_array_equal(opened().y, first.y)
    assert len(said) == 1
    write(rows[:900], "parquet")  # another file of that name
    assert opened().y.size == 900
    assert len(said) == 2


def test_a_table_of_the_size_and_the_time_of_another_one_is_not_taken_for_it(tmp_path):
    """As copies and archives keep times."""
    path = tmp_path / "table.csv"
    for value in (2, 3):
        path.write_text(f"x,y\n1,{value}\n")
        os.utime(path, ns=(0, 0))
        assert load_table(path, "x", "y", mapped=True).y == [value]


@pytest.mark.parametrize("suffix", [".float64", ".json"])
def test_columns_that_have_changed_are_written_anew(rows, write, suffix):
    path, said = write(rows, "parquet"), []
    open_table(path, "x", "y")
    (file,) = path.with_name("rows.parquet.columns").glob(f"*{suffix}")
    flip_a_bit(file)
    np.testing.assert_array_equal(open_table(path, "x", "y", announce=said.append).y, rows["y"])
    assert len(said) == 1


@pytest.mark.parametrize("counted", [900, 1100])
def test_a_file_that_changes_while_it_is_read(rows, write, monkeypatch, counted):
    path = write(rows, "parquet")
    monkeypatch.setattr(memory_maps, "count_rows", lambda path, names, labels=None: counted)
    with pytest.raises(ValueError, match=rf"rows.parquet has changed .*: there were {counted:,} rows, and now 1,003$"):
        open_table(path, "x", "y")


def test_a_disk_without_room_is_said_beforehand(rows, write, monkeypatch):
    path, refused = write(rows, "parquet"), r"has room for 100 bytes, and the columns take 16\.0 kB; .* --cache-dir"
    arrow = open_table(write(rows, "arrow"), "x", "y")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(ValueError, match=refused):
        open_table(path, "x", "y")
    assert not list(path.with_name("rows.parquet.columns").glob("[!.]*"))
    with pytest.raises(ValueError, match=refused):
        standardize(arrow)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system does not have it")
def test_a_disk_that_others_fill_meanwhile_does_not_end_the_process(rows, write, monkeypatch):
    path, arrow = write(rows, "parquet"), open_table(write(rows, "arrow"), "x", "y")
    monkeypatch.setattr(memory_maps, "check_room", lambda folder, needed: None)
    monkeypatch.setattr(column_file, "check_room", lambda folder, needed: None)

    def fill(handle, offset, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fill)
    with pytest.raises(OSError, match=r"No space left on device: '.*columns/\w+\.float64'$"):
        open_table(path, "x", "y")
    assert not list(path.with_name("rows.parquet.columns").glob("[!.]*"))
    with pytest.raises(OSError, match="No space left on device"):
        standardize(arrow)


def test_processes_convert_a_file_one_at_a_time_and_clear_up_after_one_that_was_killed(rows, write):
    path, said = write(rows, "parquet"), []
    open_table(path, "x", "y")
    (lock,) = path.with_name("rows.parquet.columns").glob(".*.lock")
    leftover = lock.with_suffix(".0123.partial")
    leftover.touch()
    os.utime(path, ns=(0, 0))  # it has changed
    with ThreadPoolExecutor() as pool:
        with lock_folder(lock.parent, lock.name):
            both = threading.Barrier(3)

            def announce(sentence):
                said.append(sentence)
                if len(said) <= 2:
                    both.wait(HANG)

            opened = [pool.submit(open_table, path, "x", "y", announce=announce) for _ in range(2)]
            both.wait(HANG)
        assert all(table.result().y.size == 1003 for table in opened)
    assert [sentence.split(" ", 2)[2][:2] for sentence in said] == [
        "pr",
        "pr",
        "of",
    ]  # waited for, twice, and written
    assert not leftover.exists()


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_that_cannot_be_made_or_written_is_refused_with_a_remedy(rows, write, monkeypatch, made):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    path = write(rows, "parquet")
    if made:  # on a file system without locks
        monkeypatch.setattr("fcntl.flock", refuse)
    else:
        path.with_name("rows.parquet.columns").touch()  # as on a disk that is read-only
    refused = r"columns cannot be made or written: (No locks available|File exists); name another place with"
    with pytest.raises(ValueError, match=refused):
        open_table(path, "x", "y")


@pytest.mark.parametrize("names", [("z", "y"), ("x", "name"), ("name", "y")])
def test_a_wrong_column_of_any_file_is_said_before_anything_is_written(rows, write, names):
    path = write(rows, "folder")
    with pytest.raises(ValueError, match=r"no column 'z'|column 'name' must hold real numbers, not string"):
        open_table(path, *names, announce=pytest.fail)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
@pytest.mark.parametrize("asked", [{}, {"batch_size": 16, "shuffle": True}, {"shuffle": "blocks(size=99, buffer=300)"}])
def test_a_fit_is_that_of_arrays(rows, write, form, asked):
    table = open_table(write(rows, form), "x", "y")
    found = fit(MODEL, table.x, table.y, **START, epochs=3, **asked)
    expected = fit(MODEL, rows["x"].to_numpy(), rows["y"].to_numpy(), **START, epochs=3, **asked)
    np.testing.assert_array_equal(found.trajectory, expected.trajectory)
    np.testing.assert_array_equal(found.loss, expected.loss)
    assert found.r2 == expected.r2


def test_held_out_standardized_and_swept_it_is_the_table_in_memory(rows, write, monkeypatch):
    monkeypatch.setattr("sgdbench.data.column_file.ROWS_AT_A_TIME", 100)
    monkeypatch.setattr("sgdbench.data.scaling.ROWS_AT_A_TIME", 100)
    path = write(rows, "parquet")
    table, other = open_table(path, "x", "y"), load_table(path, "x", "y")
    (found, scaling), (expected, expected_scaling) = (
        standardize(hold_out_share(data, 0.2, test=0.1)) for data in (table, other)
    )
    assert isinstance(found.y.base, np.memmap)
    np.testing.assert_allclose(scaling.x_scale, expected_scaling.x_scale, rtol=1e-13)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-12, atol=1e-14)
    for held in ("validation", "test"):
        for one, same in zip(getattr(found, held), getattr(expected, held), strict=True):
            np.testing.assert_allclose(one, same, rtol=1e-12, atol=1e-13)
    grid = Grid(lr=[0.01, 0.1], batch_size=[1, "full"], init={"start": START["init"]}, shuffle=[True, False])
    frames = [sweep(MODEL, data.x, data.y, grid, epochs=2, validation=0.2, confirm=0).frame for data in (table, other)]
    assert frames[0].equals(frames[1])


WIDE = [f"c{number}" for number in range(20)]


def write_wide(path, rows):
    x = np.random.default_rng(0).standard_normal((rows, 20))
    y = x.sum(axis=1)
    table = pa.table(dict(zip(WIDE, x.T, strict=True)) | {"y": y})
    write = pa.parquet.write_table if path.suffix == ".parquet" else pa.feather.write_feather
    write(table, path, compression="none" if path.suffix == ".parquet" else "uncompressed")
    return x, y


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_for_models_with_vectors_inputs_of_a_row_lie_side_by_side(tmp_path, monkeypatch, form):
    monkeypatch.setattr("sgdbench.data.column_file.ROWS_AT_A_TIME", 100)
    path = tmp_path / f"rows.{form}"
    x, y = write_wide(path, 1000)
    by_column, table = open_table(path, WIDE, "y"), open_table(path, WIDE, "y", by_row=True)
    assert (by_column.x.flags.f_contiguous, table.x.flags.c_contiguous) == (True, True)
    for found in (by_column, table, open_table(path, WIDE, "y", by_row=True)):
        np.testing.assert_array_equal(found.x, x)
        np.testing.assert_array_equal(found.y, y)
    (found, scaling), (expected, same) = (standardize(hold_out_share(data, 0.2)) for data in (table, by_column))
    assert (found.x.flags.c_contiguous, found.validation[0].flags.c_contiguous) == (True, True)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(scaling.x_scale, same.x_scale)


@pytest.mark.parametrize("form", ["parquet", "feather", "csv"])
@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("softmax", [10, 20, 30]),
        ("logistic", [1, 2]),
        ("softmax", [0, 1, 2]),
        ("logistic", ["-", "-", "+"]),
        ("softmax", ["yes ", "no", "maybe"]),
    ],
)
@pytest.mark.parametrize("by_row", [False, True])
def test_labels_are_those_of_the_table_in_memory(rows, write, form, by_row, loss, labels):
    path = write(rows.set_column(1, "y", pa.array(np.resize(labels, 1003))), form)
    given = [{"mapped": True, "by_row": by_row}, {}]
    found, expected = (load_table(path, "x", "y", loss=loss, **one) for one in given)
    np.testing.assert_array_equal(found.x, expected.x)
    assert found.classes == expected.classes
    assert (found.classes is None) == (labels[0] == 0)
    np.testing.assert_array_equal(found.y, expected.y)
    others = write(pa.table({"x": [1.0, 2.0], "y": labels[-2:]}), "feather")
    other = load_table(others, "x", "y", loss=loss, like=found, mapped=True)
    np.testing.assert_array_equal(other.y, expected.y[len(labels) - 2 : len(labels)])


def test_labels_may_be_any_texts_of_arrow(tmp_path):
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        path = tmp_path / "texts.arrow"
        table = pa.table({"x": [1.0, 2.0, 3.0], "y": pa.array(["b", "a", "b"]).cast(kind)})
        pa.feather.write_feather(table, path, compression="uncompressed")  # views crash compression before pyarrow 25
        assert load_table(path, "x", "y", loss="logistic").y.tolist() == [1, 0, 1]


def test_a_folder_numbers_labels_alike_in_all_files(rows, write):
    y = np.where(np.arange(1003) % 3, "yes", "no")
    y[:400] = "yes"
    path = write(rows.set_column(1, "y", pa.array(y)), "folder")
    found = load_table(path, "x", "y", loss="logistic")
    assert found.classes.labels == ("no", "yes")
    np.testing.assert_array_equal(found.y, y == "yes")
    other = load_table(path / "b.feather", "x", "y", loss="logistic", like=found)
    np.testing.assert_array_equal(other.y, found.y[400:700])


def test_rows_for_models_with_vectors_take_little_memory_too(tmp_path):
    path = tmp_path / "rows.parquet"
    x, _ = write_wide(path, 200_000)
    table = open_table(path, WIDE, "y", by_row=True)
    settings = {"epochs": 1, "batch_size": 32, "lr": 0.01, "init": np.r_[np.full(20, 0.5), 0.0]}
    model = "w @ x + b"  # which tests/kernels/test_equality.py compiles too
    for shuffle in (False, "blocks"):
        fit(model, table.x[:1000], table.y[:1000], shuffle=shuffle, **settings)
        tracemalloc.start()
        found = fit(model, table.x, table.y, shuffle=shuffle, **settings)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.2 * x.nbytes
        assert found.loss[-1] < 1e-3


def test_it_takes_little_memory(tmp_path, monkeypatch):
    """Of samples in a memory map there is no copy, and of shuffled ones only their places or the buffer."""
    monkeypatch.setattr(data_samples, "MAX_COPIED_SAMPLES", 1000)
    x, y = samples(600_000)
    path = tmp_path / "rows.parquet"
    pa.parquet.write_table(pa.table({"x": x, "y": y}), path)
    table = open_table(path, "x", "y")
    for shuffle in (False, True, "blocks(size=4000, buffer=16000)"):
        fit(MODEL, table.x[:300_000], table.y[:300_000], **START, epochs=1, shuffle=shuffle)
        tracemalloc.start()
        fit(MODEL, table.x, table.y, **START, epochs=1, shuffle=shuffle).best  # noqa: B018
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.5 * (x.nbytes + y.nbytes)


@pytest.mark.parametrize(
    ("value", "found", "loss"),
    [(None, "has no value", "squared"), (-np.inf, "holds -inf", "squared"), (None, "has no value", "logistic")],
)
@pytest.mark.parametrize(
    ("form", "place"), [("parquet", 858), ("feather", 858), ("arrow", 858), ("csv", 858), ("folder", 158)]
)
def test_what_is_no_number_and_no_label_is_named_with_its_file_and_row(write, rows, value, found, loss, form, place):
    y = rows["y"].to_pylist() if loss == "squared" else np.resize(["no", "yes"], 1003).tolist()
    y[857] = value
    path = write(rows.set_column(1, "y", pa.array(y)), form)
    file = path / "later" / "a.csv" if form == "folder" else path
    with pytest.raises(ValueError, match=f"^{file}: row {place} {found} in column 'y'; fill it in, or write"):
        load_table(path, "x", "y", loss=loss, mapped=True)


def test_a_folder_that_is_called_like_a_file(tmp_path, rows):
    (tmp_path / "all.parquet").mkdir()
    pa.parquet.write_table(rows, tmp_path / "all.parquet" / "part-0.parquet")
    assert open_table(tmp_path, "x", "y").y.size == open_table(tmp_path / "all.parquet", "x", "y").y.size == 1003


def test_a_table_that_memory_cannot_hold_is_refused_with_a_way_out(monkeypatch, write, rows):
    monkeypatch.setattr(batches, "available_memory", lambda: 20_000)
    told = refusal_of(load_table, write(rows, "parquet"), "x", "y")
    assert "has 1,003 rows, which take 0.0 GB of memory, " in told
    assert "; 'sgdbench fit --stream' (sgdbench.data.open_table) " in told


def test_the_command_fits_a_map_as_it_fits_a_table_in_memory(sgdbench, write, rows, monkeypatch):
    path = write(rows, "parquet")
    found, expected = (
        json.loads(sgdbench("fit", path, *COMMAND, "--json", "--validation", "0.2", *options)[1])
        for options in ([], ["--stream"])
    )
    assert (found["params"], found["validation_loss"]) == (expected["params"], expected["validation_loss"])
    assert (found["loss"], expected["order"]) == (expected["loss"], "as they stand")
    monkeypatch.setattr(memory_maps, "MAPPED_BYTES", 1000)
    large = json.loads(sgdbench("fit", path, *COMMAND, "--json", "--validation", "0.2")[1])
    assert (large["order"], large["params"]) == ("as they stand", found["params"])


def test_the_command_shuffles_a_map_in_blocks(ran, write, rows, tmp_path):
    plot = tmp_path / "fit.png"
    options = ["--shuffle", "--buffer", "300", "--standardize", "--every", "1", "--plot", plot]
    out = ran("fit", write(rows, "folder"), *COMMAND, *options, "--cache-dir", tmp_path / "elsewhere")
    assert out.startswith(f"Columns: 1,003 rows of {tmp_path / 'rows'} are written to {tmp_path / 'elsewhere'}, once: ")
    assert "one block of 1,003 samples, shuffled" in out
    assert "In standardized units:" in out
    assert "standard error" in out
    assert plot.stat().st_size > 10_000


@pytest.mark.parametrize("command", ["run", "tune", "new"])
def test_a_conversion_is_announced_shown_and_done_where_it_is_asked(
    ran, write, rows, studies, tmp_path, monkeypatch, command
):
    path, counted = write(rows, "folder"), []

    @contextmanager
    def bar(what, total):
        counted.append((what, total))
        yield lambda done: None

    monkeypatch.setattr("sgdbench.commands.console.show_progress", bar)
    about = ["--x", "x", "--y", "y", "--cache-dir", "elsewhere"]
    out = ran(command, path, *about, *(["--out", "a/rows.toml"] if command == "new" else []))
    assert out.startswith(f"Columns: 1,003 rows of {path} are written to elsewhere, once: 16.0 kB.\n")
    assert counted == [("rows", 1003)]
    assert not path.with_name("rows.columns").exists()
    study = load_study(tmp_path / "a" / "rows.toml") if command == "new" else studies[0]
    assert os.path.samefile(study.data.cache_dir, tmp_path / "elsewhere")
    assert study.dataset()[0].mapped_in.samefile(tmp_path / "elsewhere")
    assert not path.with_name("rows.columns").exists()


def test_the_columns_of_a_map_need_not_be_named(ran, write, rows):
    path = write(rows, "folder")
    out = ran("fit", path, "--y", "y", "--epochs", "2", "--lr", "0.01", "--kernel", "reference")
    assert "\nIgnored: name (no numbers: type string).\n" in out
    assert "\ny = a*x + b\n" in out


def test_a_fit_is_printed_also_where_ctrl_c_ends_what_is_said_of_it(ran, write, rows, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sgdbench.commands.fit.table_quality", stop)
    out = ran("fit", write(rows, "parquet"), *COMMAND)
    assert "max_epochs" in out
    assert "Standard errors: none: interrupted before the rows were read once more." in out
