import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdbench.data import builtin, load_table
from sgdbench.data.columns import usable_columns
from sgdbench.data.table_errors import NoNumbersError, check_inputs, find_columns
from tests.support.refusals import refusal_of


@pytest.fixture
def write(tmp_path):
    """Write text, bytes or an Arrow table under tmp_path and return the path."""

    def write(content, name="cars.csv"):
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pa.parquet.write_table(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_arrays_are_what_the_kernels_expect(write):
    path = write("mpg,name,hp,weight\n18,chevy,130,3504\n15.5,buick,165,3693\n")
    data = load_table(path, ["weight", "hp"], "mpg")
    np.testing.assert_array_equal(data.x, [[3504, 130], [3693, 165]])
    np.testing.assert_array_equal(data.y, [18, 15.5])
    assert data.x.dtype == data.y.dtype == np.float64
    assert data.x.flags.c_contiguous
    assert data.x.flags.writeable
    assert data.y.flags.writeable
    assert (data.x_names, data.y_name, data.dropped) == (("weight", "hp"), "mpg", 0)
    assert data.source.endswith("cars.csv")


def test_a_table_is_shown_in_one_line():
    assert repr(builtin("auto-mpg")) == "<Dataset of 392 samples from built-in auto-mpg: hp and the target mpg>"


@pytest.mark.parametrize(
    "text",
    [
        b"hp,mpg\n1,2\n3,4",
        b"hp,mpg\r\n1,2\r\n3,4\r\n",
        b"hp,mpg\r1,2\r3,4\r",
        b"\xef\xbb\xbfhp,mpg\n1,2\n3,4\n",
        b"\n\nhp,mpg\n\n1,2\n\n3,4\n",
        b' hp , mpg\n 1, 2\n3 ,"4"\n',
        b'"hp","mpg"\n1,+2\n3.0,.4e1\n',
        b'"two\nlines",hp,mpg\n"more\nlines",1,2\nx,3,4\n',
        b"name,hp,mpg\nCitro\xebn,1,2\nSeat,3,4\n",
        b"name,name,mpg,hp\na,b,2,1\nc,d,4,3\n",
        b'hp,mpg,disk\n1,2,5" floppy\n3,4,none',
    ],
    ids=["plain", "crlf", "cr", "bom", "blank", "spaces", "signs", "multiline", "latin1", "doubles", "inches"],
)
def test_text_files_in_the_wild(write, text):
    data = load_table(write(text), ["hp"], "mpg")
    np.testing.assert_array_equal(data.x, [[1], [3]])
    np.testing.assert_array_equal(data.y, [2, 4])


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n1,5;2\n-2;3,25e1\n",
        'name;a;b\n"x, y";1.5;2\nz;-2;32.5\n',
        "a\tb\n1.5\t2\n-2\t32.5\n",
        "a; b\n1,5; 2\n-2; 32,5\n",
        '"a";"size, cm";"b"\n1,5;3,0;2\n-2;4,1;32,5\n',
    ],
    ids=["commas", "points", "tabs", "blanks", "comma in the header"],
)
def test_semicolons_and_decimal_commas(write, text):
    data = load_table(write(text), ["a"], "b")
    np.testing.assert_array_equal(np.column_stack([data.x, data.y]), [[1.5, 2], [-2, 32.5]])


@pytest.mark.parametrize("word", ["", "?", " -"])
def test_words_for_a_missing_value(write, word):
    data = load_table(write(f"a,b\n1,2\n3,{word}\n-5,6\n"), ["a"], "b", drop_missing=True)
    assert (data.x[:, 0].tolist(), data.dropped) == ([1, -5], 1)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1))
def test_floats_survive_to_the_last_bit(suffix, rows):
    frame = pd.DataFrame(rows, columns=["a", "b"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table").with_suffix(suffix)
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
        data = load_table(path, ["a"], "b")
    np.testing.assert_array_equal(np.column_stack([data.x, data.y]), frame.to_numpy())


def test_integers_beyond_floats_are_rounded(write):
    big = 2**53 + 1
    data = load_table(write(f"a,b\n{big},{10**30}\n"), ["a"], "b")
    assert (data.x[0, 0], data.y[0]) == (float(big), 1e30)
    table = pa.table({"a": [big], "b": pa.array([2**64 - 1], pa.uint64())})
    data = load_table(write(table, "t.parquet"), ["a"], "b")
    assert (data.x[0, 0], data.y[0]) == (float(big), 2.0**64)


@pytest.mark.parametrize("kind", [pa.decimal128(20, 9), pa.decimal256(60, 9)])
def test_decimals_become_the_nearest_float(write, kind):
    numbers = [Decimal(int(n)).scaleb(-9) for n in np.random.default_rng(0).integers(-(10**17), 10**17, 2000)]
    table = pa.table({"a": pa.array(numbers, kind), "b": pa.array([*numbers[1:], None], kind)})
    data = load_table(write(table, "t.parquet"), ["a"], "b", drop_missing=True)
    assert data.x[:, 0].tolist() == [float(number) for number in numbers[:-1]]
    assert data.y.tolist() == [float(number) for number in numbers[1:]]


def test_parquet_decimals_half_floats_and_a_column_that_was_an_index(write, tmp_path):
    table = pa.table({"a": [Decimal("1.5"), Decimal(2)], "b": pa.array(np.array([2, 3], np.float16))})
    data = load_table(write(table, "t.parquet"), ["a"], "b")
    np.testing.assert_array_equal(np.column_stack([data.x, data.y]), [[1.5, 2], [2, 3]])
    path = tmp_path / "indexed.parquet"
    pd.DataFrame({"a": [1.0], "b": [2.0]}).set_index("a").to_parquet(path)
    assert load_table(path, ["a"], "b").x[0, 0] == 1


def test_a_number_with_the_other_decimal_point_beside_a_fault_is_none(write):
    """Without the column at fault, the others may be read with that point."""
    path = write("a;b;c\n1.5;x;2,5\n")
    with pytest.raises(NoNumbersError) as caught:
        load_table(path, ["a", "b"], "c")
    assert caught.value.faults == {"b": "no numbers: 'x' in line 2"}


def test_a_line_may_be_longer_than_a_block(write):
    names = [f"column_{k}" for k in range(100_000)]
    path = write("\n".join(",".join(cells) for cells in (names, ["1"] * len(names), ["2"] * len(names))))
    np.testing.assert_array_equal(load_table(path, names[:1], names[-1]).y, [1, 2])


def test_truth_values_of_inputs_are_0_and_1_as_in_python(write):
    """The target, which decides the loss, keeps them as labels."""
    rows = {"auto": [True, False, None], "mpg": [1.5, 2.0, 3.0], "good": [True, False, True]}
    csv = write("auto,mpg,good\nTrue, 1.5,True\n False,2,False\n,3,True\n")
    for path in (csv, write(pa.table(rows), "cars.parquet")):
        data = load_table(path, ["auto"], "mpg", drop_missing=True)
        np.testing.assert_array_equal(data.x, [[1], [0]])
        assert load_table(path, ["mpg"], "good", loss="logistic").classes.labels[1] in (True, "True")
        assert usable_columns(path, "mpg")[:2] == (["auto", "good"], {})


def test_a_column_with_an_infinite_value_is_not_constant(write):
    """It is an input, and so the value is refused with its line."""
    assert usable_columns(write("a,b\n1e400,1\n3,2\n"), "b")[:2] == (["a"], {})


def test_commas_in_headings_between_semicolons(write):
    path = write('"Power (PS)";"Size, cm";mpg\n100,5;1,5;2,25\n90,5;2,5;3,25\n')
    assert usable_columns(path, "mpg")[:2] == (["Power (PS)", "Size, cm"], {})
    # With as many commas in the rows, the name of the target tells.
    assert usable_columns(write("Size, cm;mpg\n1,5;20\n2,5;21\n"), "mpg")[:2] == (["Size, cm"], {})


def test_truth_values_may_begin_below_missing_ones(write):
    path = write("a,b,c\n,1,NA\n?,2,NA\ntrue,3,NA\nfalse,4,NA\n")
    assert usable_columns(path, "b")[:2] == (["a"], {"c": "no values"})
    np.testing.assert_array_equal(load_table(path, ["a"], "b", drop_missing=True).x, [[1], [0]])


def test_a_line_that_is_too_long_is_not_called_damaged(write):
    path = write("a,b," + ",".join(f"{k:01000}" for k in range(18_000)) + "\n" + "1," * 18_001 + "1\n")
    sentence = refusal_of(load_table, path, "a", "b")
    assert sentence.endswith(" has a line of more than 16,777,216 bytes, the maximum")


def test_a_link_to_a_file_is_read(write, tmp_path):
    (tmp_path / "link.csv").symlink_to(write("a,b\n1,2\n"))
    assert load_table(tmp_path / "link.csv", "a", "b").y == [2.0]


def test_damaged_parquet(write):
    whole = write(pa.table({"a": np.arange(1000), "b": np.arange(1000)}), "whole.parquet").read_bytes()
    for damaged in (b"", b"a,b\n1,2\n", whole[:-50], whole[:50] + bytes(1000) + whole[1050:]):
        path = write(damaged, "cars.parquet")
        assert refusal_of(load_table, path, ["a"], "b").startswith(f"{path} is damaged: ")


@pytest.mark.parametrize("mapped", [False, True])
def test_truth_values_of_held_out_rows_may_be_in_another_kind_of_file(write, mapped):
    rows = pa.table({"a": [1.0, 2.0, 3.0], "b": [True, False, True]})
    files = [write(rows, "rows.parquet"), write("a,b\n1,True\n2,False\n3,True\n", "rows.csv")]
    for path, other in (files, files[::-1]):
        known = load_table(path, "a", "b", loss="logistic")
        found = load_table(other, "a", "b", loss="logistic", like=known, mapped=mapped)
        assert (found.y.tolist(), found.classes) == ([1, 0, 1], known.classes)


def test_incomplete_rows_are_dropped_and_counted(write):
    rows = [(1, 2), (None, 4), (5, np.inf), (7, 8), (-np.inf, None)]
    table = pa.Table.from_pandas(pd.DataFrame(rows, columns=["a", "b"]))
    text = "a,b,other\n1,2,\n\nNA,4,0\n5,inf,0\n7,8,0\n-Infinity,,0\n"  # a gap in another column does not matter
    for path in (write(text), write(table, "cars.parquet")):
        data = load_table(path, ["a"], "b", drop_missing=True)
        np.testing.assert_array_equal(np.column_stack([data.x, data.y]), [[1, 2], [7, 8]])
        assert data.dropped == 3


def test_builtin_quadratic():
    data = builtin("quadratic")
    assert data.x.shape == (800, 1)
    assert data.x[[0, 400, 799], 0].tolist() == [-1, 0, 399 / 400]
    assert data.y[[0, 400]].tolist() == [9, 3]
    np.testing.assert_allclose(data.y, np.polyval([2, -4, 3], data.x[:, 0]), rtol=1e-15)


def test_builtin_auto_mpg():
    data = builtin("auto-mpg")
    assert data.x.shape == (392, 1)
    assert (data.x_names, data.y_name, data.source) == (("hp",), "mpg", "built-in auto-mpg")
    # As published: James, Witten, Hastie, Tibshirani, An Introduction to Statistical Learning, table 3.10.
    np.testing.assert_allclose(np.polyfit(data.x[:, 0], data.y, 2), [0.0012, -0.4662, 56.9001], atol=5e-5)


def test_the_patients_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    data, frame = builtin("diabetes"), datasets.load_diabetes(scaled=False, as_frame=True).frame
    np.testing.assert_allclose(data.x, frame[list(data.x_names)], rtol=1e-12)
    np.testing.assert_array_equal(data.y, frame["target"])


@pytest.mark.parametrize(
    ("name", "first", "degree"), [("noisy-quadratic", 9.0629, 2), ("exponential", 3.5, None), ("polynomial", -2.5, 5)]
)
def test_data_that_are_computed(name, first, degree):
    """Their curves are those described: what a polynomial of that degree leaves is nothing, or the noise."""
    data = builtin(name)
    assert data.y[0] == pytest.approx(first, abs=0.01)
    if degree:
        left = data.y - np.polynomial.Polynomial.fit(data.x[:, 0], data.y, degree)(data.x[:, 0])
        assert np.std(left) == pytest.approx(0.5 if name == "noisy-quadratic" else 0, abs=0.01)
    else:
        np.testing.assert_allclose(np.log((data.y - 0.5) / 3), -1.5 * data.x[:, 0], atol=1e-13)
    assert builtin("none").x.shape == (100, 0)


def test_each_name_among_many_columns_is_looked_up_once():
    """All names were compared with each, which took 11 s of 10,000 columns."""

    class Name(str):
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other):
            Name.compared += 1
            return str.__eq__(self, other)

    asked, existing = ([Name(f"g{number}") for number in range(1000)] for _ in range(2))
    check_inputs(asked)
    assert find_columns(Path("genes.csv"), asked[::-1], existing) == list(range(1000))[::-1]
    assert Name.compared < 10_000
