"""The page without a browser: what travels in it, how little may run in it, and how large it is."""

import json
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sgdbench import Grid, sweep
from sgdbench.charts.chart import Cells
from sgdbench.kernels.data.checkpoints import thin_checkpoints
from sgdbench.plots.style import save
from sgdbench.report import page_data as payload
from sgdbench.report.charts import fit_chart, maps_by_start
from sgdbench.report.packing import compress
from sgdbench.report.page import LIBRARY_FILE, charting_library, embed_figures
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import read_run_data, run_data_of
from sgdbench.store.evidence import store_tables
from sgdbench.tables.formatting import duration, text
from sgdbench.tables.rank import recommended_choice
from sgdbench.tables.render import text_table
from sgdbench.tables.words import describe_choice, format_count
from tests.support.frames import make_frame
from tests.support.gallery import gallery
from tests.support.pages import Reader
from tests.support.speeds import TABLE


@pytest.fixture(scope="module")
def folder(hostile_folder, one_figure_here):
    return hostile_folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reader(page):
    return Reader(page)


def unpacked(packed):
    width = int(packed["type"][1:])
    planes = np.frombuffer(b64decode(packed["data"]), np.uint8).reshape(width, -1)
    return np.ascontiguousarray(planes.T).view("<" + packed["type"]).ravel()


def test_only_the_scripts_of_the_page_may_run(reader):
    (policy,) = [attrs["content"] for tag, attrs in reader.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert not any("http" in rule or "*" in rule for rule in rules.values())
    scripts = [source for tag, kind, source in reader.scripts if tag == "script" and kind is None]
    scripts += reader.packed["scripts"]
    hashes = [f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'" for source in scripts]
    assert rules["script-src"].split() == hashes


def test_nothing_is_fetched_and_no_element_has_a_handler(reader):
    for _, attrs in reader.tags:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "action", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png"))


def test_names_make_no_elements(reader):
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("script") == 3
    assert "img" not in tags or all(attrs["src"].startswith("data:") for tag, attrs in reader.tags if tag == "img")
    assert "".join(reader.texts).count("<script>") >= 2


def values(column, kind="shown"):
    """What a column has in each row."""
    return [column[kind][code] for code in unpacked(column["codes"])]


def test_the_rows_travel_as_text_and_in_order(folder, reader):
    data, frame = reader.data, read_run_data(folder).frame
    assert data["count"] == len(frame)
    for name in ("samples_seen", "final_loss", "param_a", "param_c", "samples_to_target", "updates_to_target"):
        column, numbers = data["outcomes"][name], frame[name].astype("Float64").to_numpy(float, na_value=np.nan)
        assert values(column) == [text(value) for value in frame[name].tolist()]
        codes = unpacked(column["codes"])
        assert (np.isnan(numbers) == (codes == column["missing"])).all()
        ranked = np.unique(numbers[~np.isnan(numbers)], return_inverse=True)[1]
        np.testing.assert_array_equal(codes[codes != column["missing"]], ranked)
    assert values(data["outcomes"]["seconds"]) == [duration(seconds) for seconds in frame["seconds"]]
    assert set(values(data["outcomes"]["status"])) == {"converged", "target missed", "diverged"}
    for name in ("optimizer", "schedule", "init"):
        assert [json.loads(code) for code in values(data["settings"][name], "code")] == frame[name].tolist()
    assert [float(code) for code in values(data["settings"]["lr"], "code")] == frame["lr"].tolist()
    assert values(data["settings"]["batch_size"], "code") == [
        "4" if size == 4 else '"full"' for size in frame["batch_size"]
    ]
    assert bytes(unpacked(data["ids"])).hex() == "".join(frame["config_id"])
    starts = data["start_texts"]
    written = [json.loads(starts["texts"][code]["python"]) for code in unpacked(starts["codes"])]
    np.testing.assert_array_equal(written, read_run_data(folder).result.starts)


def test_the_data_travel_bit_for_bit(folder):
    """In 32 bits, seconds since 1970 have two minutes in common."""
    run_data = read_run_data(folder)
    made = payload.page_data(run_data)
    np.testing.assert_array_equal(unpacked(made["play"]["inputs"][0]), run_data.data.x[:, 0])
    np.testing.assert_array_equal(unpacked(made["play"]["y"]), run_data.data.y)


def test_the_chart_of_a_memory_map_has_some_of_its_samples_and_counts_all(folder, monkeypatch):
    monkeypatch.setattr("sgdbench.data.fit_table.MAX_ROWS_SHOWN", 20)
    run_data = read_run_data(folder)
    chart = fit_chart(replace(run_data, data=replace(run_data.data, mapped_in=folder)))
    (samples, *_), size = chart.panels[0].layers, run_data.data.y.size
    assert len(samples.y) <= 20 < size
    assert (chart.keys[0].name, chart.notes.split(". ")[-1]) == (f"{size} samples", f"20 of {size} samples are drawn.")


def test_the_maps_of_the_page_hold_every_choice_and_the_recommended_one_is_selected(folder):
    run_data = read_run_data(folder)
    made = payload.page_data(run_data)
    best = recommended_choice(run_data.ranked)
    for name, code in made["chosen"].items():
        assert made["settings"][name]["shown"][code] in describe_choice(best[[name]], run_data.samples)
    assert len(made["pooled"]["maps"]) == len(made["starts"])
    charts = maps_by_start(run_data, run_data.outcomes, ["samples", "share"])[0]["charts"]
    cells = [layer for layer in charts["share"].panels[0].layers if isinstance(layer, Cells)]
    runs = [share.split("/") for layer in cells for share in layer.texts if "/" in share]
    assert sum(int(converged) for converged, _ in runs) == run_data.ranked["converged"].sum()
    (words,) = [
        said
        for layer in charts["samples"].panels[0].layers
        if isinstance(layer, Cells)
        for said in layer.words
        if said.startswith(describe_choice(best[["optimizer", "lr", "batch_size"]], run_data.samples))
    ]
    assert f"after a median of {format_count(best['samples'], 'sample')}, " in words


def restored(made):
    """The charts of the page, as its own script puts them together."""
    packed, parts = made["lines"], []
    moves = unpacked(packed["moves"]).astype(int)
    moves = np.where(moves % 2, -(moves + 1) // 2, moves // 2)
    lines = np.split(moves, np.cumsum(unpacked(packed["counts"]).astype(int))[:-1])
    steps = [np.cumsum(line) for line in lines]
    heights = [np.where(line, 10 ** (packed["low"] + (line - 1) * packed["unit"]), np.nan) for line in steps]

    def put_together(part):
        if isinstance(part, dict):
            if "line" in part:
                return heights[part["line"]]
            return parts[part["part"]] if "part" in part else {name: put_together(one) for name, one in part.items()}
        return [put_together(one) for one in part] if isinstance(part, list) else part

    for part in made["parts"]:
        parts += [put_together(part)]  # one after the other: later ones have numbers of earlier ones
    return put_together(made["pooled"])


def cell_of(made, row, run_data):
    """The chart of the cell of a row."""
    sizes, rates = (len(made["settings"][name]["shown"]) for name in ("batch_size", "lr"))
    size, rate = (unpacked(made["settings"][name]["codes"])[row] for name in ("batch_size", "lr"))
    cells = restored(made)["cells"][run_data.frame["optimizer"].iloc[row]]
    assert len(cells) == sizes * rates
    return cells[size * rates + rate]


def test_the_curves_of_a_cell_are_those_of_its_runs(folder):
    run_data = read_run_data(folder)
    made = payload.page_data(run_data)
    row = int(np.flatnonzero(run_data.frame["lr"] == 0.2)[0])
    (panel,) = cell_of(made, row, run_data)["panels"]
    lines = [layer for layer in panel["layers"] if layer["kind"] == "line"]
    same = ["optimizer", "lr", "batch_size"]
    own = run_data.frame.merge(run_data.frame.iloc[[row]][same], on=same)
    assert len(lines) == len(own) == 6
    bottom, top = panel["y"]["range"]
    for line, (_, run) in zip(lines, own.iterrows(), strict=True):
        curve = run_data.result.read_curves([run["config_id"]])
        assert line["x"] == curve["samples"].tolist()
        placed = run_data.loss_axis.place(curve["loss"].to_numpy()).clip(bottom, 10 * top)
        np.testing.assert_allclose(line["y"], placed, rtol=0.02)
        assert line["words"].endswith(f"loss {text(run['final_loss'])}")
    played = restored(made)["played"]
    assert len(played) == unpacked(made["play"]["counts"]).size
    assert {chart["notes"] for chart in played if "notes" in chart} >= {"target reached", "target missed"}


def test_where_there_is_no_room_checkpoints_are_left_out_but_never_the_last(folder, monkeypatch):
    run_data = read_run_data(folder)
    monkeypatch.setattr(payload, "CURVE_BYTES", 2 * 8 * len(run_data.frame))
    made = payload.page_data(run_data)
    cells = [cell for own in restored(made)["cells"].values() for cell in own]
    lines = [layer for cell in cells for layer in cell["panels"][0]["layers"] if layer["kind"] == "line"]
    assert len(lines) == len(run_data.frame)
    assert all(line["x"][0] == 0 and len(line["x"]) <= 9 for line in lines)
    assert max(len(line["x"]) for line in lines) >= 7
    assert sorted(line["x"][-1] for line in lines) == sorted(run_data.frame["samples_seen"])


def test_where_there_is_no_room_rows_are_left_out_and_the_page_says_so(folder, monkeypatch):
    run_data = read_run_data(folder)
    monkeypatch.setattr(payload, "ROW_BYTES", 3000)
    made = payload.page_data(run_data)
    every = -(-72 // made["count"])
    assert made["count"] < 72
    shown = [text(loss) for loss in run_data.frame["final_loss"][::every]]
    assert values(made["outcomes"]["final_loss"]) == shown
    assert made["constant"].startswith(f"This page holds {made['count']} of 72 configurations, evenly spaced; ")


@pytest.mark.parametrize(
    ("stored", "most", "least"), [(5, 101, 5), (101, 101, 101), (1000, 101, 95), (50, 4, 4), (2, 4, 2), (0, 4, 0)]
)
def test_checkpoints_are_thinned_early_ones_last(stored, most, least):
    kept = thin_checkpoints(np.arange(stored), most)
    assert least <= len(kept) <= most
    assert (np.diff(kept) > 0).all()
    assert kept.tolist()[:2] == list(range(min(2, stored)))
    assert stored == 0 or kept[-1] == stored - 1
    # No gap is longer than a few of an even spacing.
    assert len(kept) < 10 or np.diff(kept).max() <= 4 * stored / most


def test_figures_in_the_page_have_a_palette_and_the_colors_of_their_files(tmp_path):
    drawn = next(gallery(make_frame(2, lr=[0.1, 0.2])))
    (path,) = save(drawn, tmp_path, "basin")
    (about,) = embed_figures(tmp_path, {"basin": "a basin", "rate_map": "which the page draws itself"})
    content = b64decode(about["source"].partition(",")[2])
    with Image.open(BytesIO(content)) as shown, Image.open(path) as file:
        assert shown.mode == "P"
        assert shown.size == file.size
        assert (about["width"], about["height"]) == (shown.width // 2, shown.height // 2)
        error = np.abs(np.asarray(shown.convert("RGB"), int) - np.asarray(file.convert("RGB"), int))
    assert error.mean() < 0.5
    assert len(content) < 0.5 * path.stat().st_size


def test_the_charting_library_is_what_was_published_and_small():
    published = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
    assert sha256(LIBRARY_FILE.read_bytes()).hexdigest() == published
    assert "Licensed under the MIT license" in charting_library()[:300]
    assert len(charting_library().encode()) < 2_000_000
    told = (LIBRARY_FILE.parent / "README.md").read_text(encoding="utf-8")
    assert re.search(r" v(\d+\.\d+\.\d+)", charting_library())[1] in told


def test_a_large_run_stays_below_1800_kilobytes(tmp_path, monkeypatch):
    monkeypatch.setattr("sgdbench.report.figures.DRAWN", {})
    x = np.linspace(-1, 1, 16)
    grid = Grid(lr="log:0.0001:0.001:50", init="normal:3:10", seed=range(10))
    sweep("a*x**2 + b*x + c", x, 2 * x, grid, epochs=100, kernel="fused", out=tmp_path / "run")
    page = write_run_report(read_run_data(tmp_path / "run"))
    assert page.stat().st_size < 1_800_000
    assert 'id="time"' not in page.read_text(encoding="utf-8")
    data = Reader(page.read_text(encoding="utf-8")).data
    assert data["count"] == 5000
    assert unpacked(data["lines"]["counts"])[:5000].min() > 70
    (cells,) = restored(data)["cells"].values()
    assert {layer["x"][-1] for cell in cells for layer in cell["panels"][0]["layers"]} == {1600}


def test_an_optimizer_has_one_color_in_all_charts_of_the_page():
    # More than the figures name.
    grid = Grid(optimizer=["adadelta", "adam", "adamax", "lion", "momentum(0.9)", "nadam", "radam", "sgd"], seed=[0, 1])
    found = sweep("a*x", [1.0, 2.0], [1.0, 2.0], grid, epochs=1, confirm=2, kernel="reference")
    data = payload.page_data(run_data_of(found))
    optimizers, (panel,) = data["settings"]["optimizer"], data["charts"]["compared"]["panels"]
    names = panel["y"]["ticks"][0]["labels"]
    colors = [layer["color"] for layer in panel["layers"] if layer["kind"] == "points"]
    assert len(names) == 8
    assert dict(zip(names, colors, strict=True)) == dict(zip(optimizers["shown"], optimizers["colors"], strict=True))


def test_half_a_character_pair_is_no_obstacle():
    assert compress(["\ud800"])


def test_not_a_number_is_refused_rather_than_written():
    with pytest.raises(ValueError, match="JSON"):
        compress([np.nan])


SPEED = TABLE.replace({"variant": {"wrong": "<b>wrong</b>"}})


def test_the_best_choices_are_named_by_all_that_varies_in_the_grid(folder):
    run_data = read_run_data(folder)
    best = run_data.tables["best"].assign(batch_size=4, shuffle=True)
    shown = text_table(run_data.readable("best", best))
    assert [column.title for column in shown.columns][:3] == ["optimizer", "learning rate", "batch size"]
    assert {row[2] for row in shown.rows} == {"4"}


def test_what_was_measured_around_the_sweep_is_on_the_page(folder, tmp_path):
    copy = copytree(folder, tmp_path / "copy")
    choice = {"optimizer": ["sgd"], "batch_size": [4], "shuffle": [True]}
    edges = {"predicted_edge": [0.75], "stable_up_to": [0.2], "diverges_from": [5.0], "agrees": [True]}
    theory = pd.DataFrame(choice | edges)
    store_tables(copy, speed=SPEED, theory=theory)
    page = write_run_report(read_run_data(copy)).read_text(encoding="utf-8")
    texts = [text.strip() for text in Reader(page).texts]
    for expected in ("Speed of the variants", "✓ bit for bit", "predicted edge", "0.75"):
        assert expected in texts
    assert "&lt;b&gt;wrong&lt;/b&gt; was not timed: off by 0.12345." in page
