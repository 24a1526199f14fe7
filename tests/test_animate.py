"""Animations as files, and the picture of which they are made."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

import bench.plots.film.film
from bench.plots.film.animate import _render_frames, animate, film_caption
from bench.plots.film.film import QUADRATIC_VIEW, fit_film
from bench.plots.film.frame import HEIGHT, WIDTH, FrameRenderer
from bench.plots.style import STYLE
from kernels import Model, fit, models

SETTINGS = {"batch_size": 16, "shuffle": True, "kernel": "reference"}
LESSON_FIT = {"init": [-11 / 6, -395 / 3, -2400], "lr": 0.5, "schedule": "halve(10)", "epochs": 30} | SETTINGS
FFMPEG = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
BLUE = (0, 114, 178)


@pytest.fixture(scope="module")
def result(classic):
    return fit(models.quadratic, *classic, **LESSON_FIT)


@pytest.fixture
def few(monkeypatch):
    """Few frames, and none that stays long: each takes as long to draw as the next."""
    for name, value in {"MAX_FRAMES": 6, "FIRST_TICKS": 3, "MAX_TICKS": 2, "LAST_TICKS": 4}.items():
        monkeypatch.setattr(bench.plots.film.film, name, value)


def frames(path):
    """The pictures of a GIF and how long each stays, in milliseconds."""
    with Image.open(path) as image:
        return [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]


def blue(picture):
    """Where the left panel has the color of the model: rows, columns."""
    near = np.abs(picture[50:290, 60:360].astype(int) - BLUE).max(axis=2) < 12
    return np.nonzero(near)


def test_the_curve_moves_in_a_gif(result, classic, few, tmp_path):
    path = animate(result, *classic, tmp_path / "bend.gif", settings=LESSON_FIT)
    shown = frames(path)
    told = fit_film(result, *classic, settings=LESSON_FIT)
    assert len(shown) == len(told.ticks) > 4
    assert [duration for _, duration in shown] == [50 * ticks for ticks in told.ticks]
    assert shown[0][0].shape == (360, 640, 3)
    rows, columns = blue(shown[0][0])
    assert columns.max() < 200, "the far start is left of the middle"
    assert rows.min() > 90, "and below"
    rows, columns = blue(shown[-1][0])
    assert 120 < np.median(columns) < 180
    assert rows.min() < 10, "the target leaves the view at the top"
    assert (shown[-1][0][-1, 0] == 255).all(), "white is white"


def test_a_whole_gif_is_small(result, classic, tmp_path):
    path = animate(result, *classic, tmp_path / "bend.gif", settings=LESSON_FIT)
    assert path.stat().st_size < 500_000
    assert 60 < len(frames(path)) < 130


def test_the_same_run_is_the_same_file(result, classic, few, tmp_path):
    one, two = (animate(result, *classic, tmp_path / name, settings=SETTINGS) for name in ("1.gif", "2.gif"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("inputs", [1, 2])
def test_a_frame_is_what_matplotlib_draws_as_a_whole(result, classic, few, inputs):
    """Though what stays in all frames is drawn once."""
    x, y = classic
    if inputs == 2:
        x = np.stack([x, x**2], axis=1)
        result = fit(models.plane, x, y, lr=0.5, epochs=30, **SETTINGS)
    film = fit_film(result, x, y)
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=100)
    canvas, renderer = FigureCanvasAgg(figure), FrameRenderer(figure, film)
    for frame, picture in enumerate(_render_frames(film, 100, lambda done: None)):
        renderer.draw(frame)
        with rc_context(STYLE):
            canvas.draw()
        whole = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        expected = np.asarray(whole.quantize(palette=picture, dither=Image.Dither.NONE).convert("RGB"))
        found = np.asarray(picture.convert("RGB"))
        # What is almost white was made white.
        ink = (found < 255).any(axis=2)
        assert 0.01 < ink.mean() < 0.5
        np.testing.assert_array_equal(found[ink], expected[ink])


class Page(HTMLParser):
    """Every attribute and the text of each element of a page."""

    def __init__(self, text):
        super().__init__()
        self.attributes, self.texts, self.open = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, *attribute) for attribute in attributes]
        self.open.append(tag)

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)

    def value(self, tag, name):
        return next(value for element, attribute, value in self.attributes if (element, attribute) == (tag, name))


def test_a_page_needs_nothing_but_itself(result, classic, few, tmp_path):
    path = animate(result, *classic, tmp_path / "bend.html", settings=LESSON_FIT, names=("x", "<script>y</script>"))
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.texts["title"] == ["<script>y</script> = a*x**2 + b*x + c"]
    assert "<script>y" not in text
    assert page.value("img", "alt").startswith("The curve a*x**2 + b*x + c moves from its start onto the data; ")
    for _, name, value in page.attributes:
        if name in ("src", "href"):
            assert value.startswith("data:image/png;base64,")
    assert "http" not in text.replace("http-equiv", "")
    told = fit_film(result, *classic, settings=LESSON_FIT)
    played = json.loads(page.texts["script"][0])
    assert [frame["milliseconds"] for frame in played] == [50 * ticks for ticks in told.ticks]
    assert played[-1]["said"] == "epoch 30"
    assert page.value("img", "src") == played[-1]["image"], "without scripts the end is seen"
    pictures = [Image.open(BytesIO(b64decode(frame["image"].partition(",")[2]))) for frame in played]
    assert {picture.size for picture in pictures} == {(960, 540)}
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


@FFMPEG
def test_a_film_that_players_read(result, classic, few, tmp_path):
    path = animate(result, *classic, tmp_path / "bend.mp4", settings=SETTINGS)
    decoded = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    told = fit_film(result, *classic, settings=SETTINGS)
    assert len(decoded) == sum(told.ticks) * 1280 * 720 * 3


def test_mp4_without_ffmpeg_says_what_to_install(result, classic, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"^MP4 needs ffmpeg: install it \(Debian: apt install ffmpeg\), or write .gif"
    ):
        animate(result, *classic, tmp_path / "bend.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["cat > /dev/null; exit 1", "exit 1"])
def test_an_ffmpeg_that_fails_leaves_what_was_there(script, result, classic, few, monkeypatch, tmp_path):
    broken = tmp_path / "bin" / "ffmpeg"
    broken.parent.mkdir()
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent), prepend=os.pathsep)
    path = tmp_path / "out" / "bend.mp4"
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(ValueError, match="ffmpeg failed to write MP4"):
        animate(result, *classic, path)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["bend.webm", "bend", "gif"])
def test_another_suffix_is_refused(name, result, classic, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .gif, .mp4 or .html, not "):
        animate(result, *classic, tmp_path / name)


# The picture


def scene(told):
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=100)
    return figure, FrameRenderer(figure, told)


def head(figure):
    return [text.get_text() for text in figure.texts]


def test_numbers_stand_still(result, classic):
    told = fit_film(result, *classic, settings=SETTINGS)
    figure, picture = scene(told)
    seen = []
    for frame in range(len(told.epoch)):
        picture.draw(frame)
        first, second = head(figure)
        seen.append([first.index("loss"), second.index(" b "), second.index(" c "), len(second.rstrip())])
    assert len({tuple(places) for places in seen}) == 1
    assert head(figure)[0].split() == ["epoch", "30.00", "rate", "0.0625", "loss", f"{told.loss[-1]:.2e}"]
    assert head(figure)[1].split() == ["a", "2.000", "b", "-4.000", "c", "3.000"]


def test_the_loss_is_drawn_up_to_now(result, classic):
    told = fit_film(result, *classic, settings=SETTINGS)
    figure, picture = scene(told)
    frame = len(told.epoch) // 2
    picture.draw(frame)
    way, tip = figure.axes[1].lines
    np.testing.assert_array_equal(way.get_xdata(), told.epoch[: frame + 1])
    np.testing.assert_allclose(way.get_ydata(), told.loss[: frame + 1])
    assert (tip.get_xdata(), tip.get_ydata()) == (told.epoch[frame], pytest.approx(told.loss[frame]))


def test_the_lesson_is_seen_on_the_lessons_axes(result, classic):
    figure, _ = scene(fit_film(result, *classic))
    curves = figure.axes[0]
    assert (curves.get_xlim(), curves.get_ylim()) == (QUADRATIC_VIEW.xlim, QUADRATIC_VIEW.ylim)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["data", "target", "start", "model"]


def test_the_last_frame_says_how_it_ended(classic):
    for settings, said in [
        ({"lr": 0.5, "target": 1e-3}, "   converged in epoch "),
        ({"validation": ([0.0], [1.0]), "patience": 2}, "   stopped early in epoch "),
        ({"lr": 300.0, "batch_size": 100}, "   no longer finite in epoch "),
    ]:
        ended = fit(
            models.quadratic, *classic, **{"kernel": "reference", "batch_size": 16, "init": [1, 1, 1]} | settings
        )
        told = fit_film(ended, *classic)
        figure, picture = scene(told)
        picture.draw(len(told.epoch) - 1)
        assert head(figure)[0].endswith(f"{said}{ended.epochs}")
        picture.draw(0)
        assert said not in head(figure)[0]
        figure.draw_without_rendering()
    assert "moves away from the data" in film_caption(told)


def test_many_parameters_are_cut_and_long_names_shortened(classic):
    model = Model(" + ".join(f"a_very_long_name_{k}*x**{k}" for k in range(1, 15)))
    told = fit_film(fit(model, *classic, epochs=1, lr=0.01, batch_size="full", kernel="reference"), *classic)
    figure, picture = scene(told)
    picture.draw(0)
    figure.draw_without_rendering()
    second = figure.texts[1]
    assert second.get_text().rstrip().endswith("…")
    assert second.get_window_extent().x1 < 640


def test_values_beyond_all_bounds_are_drawn(noisy):
    x, y = noisy
    ended = fit(Model("a*exp(b*x)"), x, y, init=[1, 300], epochs=1, lr=1e-300, batch_size="full", kernel="reference")
    told = fit_film(ended, x, y)
    assert np.abs(told.curves).max() > 1e100
    figure, picture = scene(told)
    picture.draw(0)
    figure.savefig(BytesIO(), format="png")


def test_what_is_infinite_from_the_start_is_nothing_to_be_seen(noisy, tmp_path):
    x, y = noisy
    ended = fit(Model("a*exp(b*x)"), x, y, init=[1, 690], epochs=1, kernel="reference")
    for settings in (None, {"kernel": "reference"}):
        with pytest.raises(ValueError, match="its loss is not finite at the start"):
            animate(ended, x, y, tmp_path / "nothing.gif", settings=settings)
    assert not list(tmp_path.iterdir())


# The command

QUADRATIC = ["fit", "quadratic", "--model", "a*x**2 + b*x + c", "--lr", "0.5", "--batch-size", "16", "--epochs", "3"]
QUADRATIC += ["--kernel", "reference"]


def test_a_fit_is_animated(sgdbench, few):
    code, out, err = sgdbench(*QUADRATIC, "--shuffle", "--animate", "deep/bend.gif", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["epochs"] == 3
    assert len(frames("deep/bend.gif")) > 4


def test_a_table_is_animated_line_by_line(sgdbench, few):
    cars = ["fit", "auto-mpg", "--model", "a*x + b", "--standardize", "--epochs", "2", "--kernel", "reference"]
    code, out, err = sgdbench(*cars, "--every", "1", "--animate", "cars.html")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["epoch", "0", "1", "2"]
    assert Path("cars.html").read_text("utf-8").count("data:image/png") > 4


def test_a_wrong_suffix_is_refused_before_training(sgdbench, monkeypatch):
    monkeypatch.setattr("bench.data.fit_table.kernels_fit", None)
    code, out, err = sgdbench(*QUADRATIC, "--animate", "bend.avi")
    assert (code, out) == (2, "")
    assert err == "sgdbench: --animate must end in .gif, .mp4 or .html, not 'bend.avi'\n"


def test_missing_ffmpeg_is_noticed_before_training(sgdbench, monkeypatch):
    monkeypatch.setattr("bench.data.fit_table.kernels_fit", None)
    monkeypatch.setenv("PATH", "")
    code, out, err = sgdbench(*QUADRATIC, "--animate", "bend.mp4")
    assert (code, out) == (2, "")
    assert err.startswith("sgdbench: MP4 needs ffmpeg: install it")


def test_a_place_that_cannot_be_written_costs_no_result(sgdbench, few, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = sgdbench(*QUADRATIC, "--animate", "file/bend.gif")
    assert code == 2
    assert "a*x**2 + b*x + c" in out
    assert err.startswith("sgdbench: --animate: file/bend.gif cannot be written: ")
    assert err.count("\n") == 1


def test_what_was_reached_before_ctrl_c_is_animated(sgdbench, few, monkeypatch):
    def impatient(*args, callback, **settings):
        seen = []

        def interrupt(result):
            seen.append(result)
            callback(result)
            if len(seen) == 2:
                raise KeyboardInterrupt

        return fit(*args, callback=interrupt, **settings)

    monkeypatch.setattr("bench.data.fit_table.kernels_fit", impatient)
    code, out, err = sgdbench(*QUADRATIC, "--epochs", "100000", "--animate", "bend.gif")
    assert code == 130
    assert "interrupted" in out
    assert err.startswith("sgdbench: interrupted after epoch ")
    assert len(frames("bend.gif")) > 4
