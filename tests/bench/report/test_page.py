"""The page without a browser: what travels in it, how little may run in it, and how large it is."""

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

from bench import Grid, sweep
from bench.charts.chart import Cells
from bench.plots.style import save
from bench.report import page_data as payload
from bench.report.charts import fit_chart, maps_by_start
from bench.report.packing import compress
from bench.report.page import LIBRARY_FILE, charting_library, embed_figures
from bench.report.report import write_run_report
from bench.report.run_data import read_run_data, run_data_of
from bench.store.evidence import store_tables
from bench.tables.rank import recommended_choice
from bench.tables.render import text_table
from bench.tables.words import describe_choice, format_count
from tests.support.frames import make_frame
from tests.support.gallery import gallery
from tests.support.hostile import STARTS
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


def test_the_rows_travel_bit_for_bit(folder, reader):
    data, frame = reader.data, read_run_data(folder).frame
    assert data["count"] == data["total"] == len(frame)
    for name in ("samples_seen", "final_loss", "seconds", "param_a", "param_c"):
        np.testing.assert_array_equal(unpacked(data["numbers"][name]), frame[name])
    for name in ("samples_to_target", "updates_to_target"):
        reached = frame[name].astype("Float64").to_numpy(float, na_value=np.nan)
        np.testing.assert_array_equal(unpacked(data["numbers"][name]), reached)
    for name in ("optimizer", "lr", "schedule", "batch_size", "init"):
        column = data["settings"][name]
        assert [column["values"][code] for code in unpacked(column["codes"])] == frame[name].tolist()
    assert sorted(data["settings"]["init"]["values"]) == sorted(STARTS)
    assert bytes(unpacked(data["ids"])).hex() == "".join(frame["config_id"])
    starts = unpacked(data["starts"]["values"]).reshape(-1, 3)[unpacked(data["starts"]["codes"])]
    np.testing.assert_array_equal(starts, read_run_data(folder).result.starts)


def test_the_data_travel_bit_for_bit(folder):
    """In 32 bits, seconds since 1970 have two minutes in common."""
    run_data = read_run_data(folder)
    made = payload.page_data(run_data)
    np.testing.assert_array_equal(unpacked(made["play"]["inputs"][0]), run_data.data.x[:, 0])
    np.testing.assert_array_equal(unpacked(made["play"]["y"]), run_data.data.y)


def test_the_chart_of_a_memory_map_has_some_of_its_samples_and_counts_all(folder, monkeypatch):
    monkeypatch.setattr("bench.data.fit_table.MAX_ROWS_SHOWN", 20)
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
        assert made["settings"][name]["values"][code] == best[name]
    assert len(made["pooled"]["maps"]) == len(made["families"]["names"])
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


def decoded(made, frame):
    """The losses and the samples seen of each row, as the page's own script reads them."""
    curves = made["curves"]
    steps = unpacked(curves["losses"]).astype(float)
    with np.errstate(over="ignore"):
        losses = 10 ** (curves["low"] + (steps - 2) * curves["unit"])
    losses[steps == 0], losses[steps == 1] = np.nan, 0
    counts = unpacked(curves["counts"])
    assert counts.sum() == steps.size
    rows = np.split(losses, np.cumsum(counts)[:-1])
    sizes = unpacked(made["settings"]["batch_size"]["codes"])
    checkpoints = [curves["checkpoints"][code] for code in sizes]
    return rows, [
        [*own[: len(row) - 1], end] for row, own, end in zip(rows, checkpoints, frame["samples_seen"], strict=True)
    ]


def test_the_curves_are_those_of_the_sweep(folder):
    material = read_run_data(folder)
    rows, samples = decoded(payload.page_data(material), material.frame)
    expected = dict(list(material.result.curves.groupby("config_id", observed=True)))
    for config_id, losses, seen in zip(material.frame["config_id"], rows, samples, strict=True):
        curve = expected[config_id]
        assert seen == curve["samples"].tolist()
        finite = np.isfinite(curve["loss"].to_numpy())
        np.testing.assert_allclose(losses[finite], curve["loss"].to_numpy()[finite], rtol=0.02)
        assert np.isnan(losses[~finite]).all()


def test_where_there_is_no_room_checkpoints_are_left_out_but_never_the_last(folder, monkeypatch):
    material = read_run_data(folder)
    monkeypatch.setattr(payload, "CURVE_BYTES", 2 * 8 * len(material.frame))
    made = payload.page_data(material)
    for size, checkpoints in zip(made["settings"]["batch_size"]["values"], made["curves"]["checkpoints"], strict=True):
        assert len(checkpoints) <= 8
        assert checkpoints[:2] == [0, size]
    rows, samples = decoded(made, material.frame)
    last = material.result.curves.groupby("config_id", observed=True, sort=False)["loss"].last()
    for row, at, loss in zip(rows, samples, last.loc[material.frame["config_id"]], strict=True):
        assert sorted(set(at)) == list(at)
        np.testing.assert_allclose(row[-1], loss if np.isfinite(loss) else np.nan, rtol=0.02)


def test_where_there_is_no_room_rows_are_left_out_and_the_page_can_say_so(folder, monkeypatch):
    material = read_run_data(folder)
    monkeypatch.setattr(payload, "ROW_BYTES", 3000)
    made = payload.page_data(material)
    assert made["total"] == 72
    assert made["count"] == -(-72 // made["every"]) < 72
    np.testing.assert_array_equal(
        unpacked(made["numbers"]["final_loss"]), material.frame["final_loss"][:: made["every"]]
    )
    assert len(decoded(made, material.frame.iloc[:: made["every"]])[0]) == made["count"]


@pytest.mark.parametrize(
    ("stored", "most", "least"), [(5, 101, 5), (101, 101, 101), (1000, 101, 95), (50, 4, 4), (2, 4, 2), (0, 4, 0)]
)
def test_checkpoints_are_thinned_early_ones_last(stored, most, least):
    kept = payload.thin_checkpoints(np.arange(stored), most)
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
    monkeypatch.setattr("bench.report.figures.DRAWN", {})
    x = np.linspace(-1, 1, 16)
    grid = Grid(lr="log:0.0001:0.001:50", init="normal:3:10", seed=range(10))
    sweep("a*x**2 + b*x + c", x, 2 * x, grid, epochs=100, kernel="fused", out=tmp_path / "run")
    page = write_run_report(read_run_data(tmp_path / "run"))
    assert page.stat().st_size < 1_800_000
    assert 'id="time"' not in page.read_text(encoding="utf-8")
    data = Reader(page.read_text(encoding="utf-8")).data
    assert data["count"] == 5000
    (checkpoints,) = data["curves"]["checkpoints"]
    assert unpacked(data["curves"]["counts"]).min() == len(checkpoints) > 70
    assert checkpoints[-1] == 1600


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
