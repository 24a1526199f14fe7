"""Animations as files, and the picture of which they are made."""

import gc
import json
import os
import re
import shutil
import subprocess
import warnings
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

from sgdbench import Model, fit, models
from sgdbench.plots.film.animate import FilmAnimation
from sgdbench.plots.film.film import FRAMES_PER_SECOND, fit_film
from sgdbench.plots.film.frame import HEIGHT, WIDTH, FrameRenderer
from sgdbench.tables.formatting import text
from tests.support.pages import Reader

SETTINGS = {"batch_size": 16, "shuffle": True, "kernel": "reference"}
LESSON_FIT = {"init": [-11 / 6, -395 / 3, -2400], "lr": 0.5, "schedule": "halve(10)", "epochs": 30} | SETTINGS
BLUE = (0, 114, 178)


@pytest.fixture(scope="module")
def result(classic):
    return fit(models.quadratic, *classic, **LESSON_FIT)


@pytest.fixture(scope="module")
def short(classic):
    """A fit of few moments, whose film is soon drawn."""
    return fit(models.quadratic, *classic, **LESSON_FIT | {"epochs": 3})


def read_gif(path):
    """The pictures of a GIF and how long each stays, in milliseconds."""
    with Image.open(path) as image:
        return [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]


def durations(film):
    """How long each moment stays, in milliseconds."""
    return [1000 * int((film.frames == moment).sum()) / FRAMES_PER_SECOND for moment in film.shown]


def find_blue(picture):
    """Where the left panel has the color of the model: rows, columns."""
    near = np.abs(picture[50:290, 60:360].astype(int) - BLUE).max(axis=2) < 12
    return np.nonzero(near)


def test_the_curve_moves_in_a_small_gif(result, classic, tmp_path):
    path = tmp_path / "bend.gif"
    result.animate(*classic, settings=LESSON_FIT).save(path)
    assert path.stat().st_size < 500_000
    pictures, stays = zip(*read_gif(path), strict=True)
    film = fit_film(result, *classic, settings=LESSON_FIT)
    assert 60 < len(film.shown) < 130
    assert list(stays) == durations(film)
    assert pictures[0].shape == (360, 640, 3)
    rows, columns = find_blue(pictures[0])
    assert columns.max() < 200, "the far start is left of the middle"
    assert rows.min() > 90, "and below"
    rows, columns = find_blue(pictures[-1])
    assert 120 < np.median(columns) < 180
    assert rows.min() < 10, "the target leaves the view at the top"
    assert (pictures[-1][-1, 0] == 255).all(), "white is white"


def test_notebooks_show_the_film_and_matplotlibs_writers_save_it(noisy, tmp_path, monkeypatch):
    for name, frames in (("MAX_FRAMES", 10), ("START_FRAMES", 2), ("END_FRAMES", 4)):
        monkeypatch.setattr(f"sgdbench.plots.film.film.{name}", frames)
    x, y = noisy
    fitted = fit("a*x + b", {"x": x}, y, lr=0.1, epochs=2, kernel="reference")
    animation = fitted.animate({"x": x}, y)
    shown = b64decode(re.search('src="data:image/gif;base64,(.*?)"', animation._repr_html_()).group(1))
    (tmp_path / "shown.gif").write_bytes(shown)
    animation.save(tmp_path / "saved.gif", "pillow")
    pictures = [read_gif(tmp_path / name) for name in ("shown.gif", "saved.gif")]
    assert len(pictures[0]) == 3
    assert (np.abs(pictures[0][-1][0].astype(int) - pictures[1][-1][0]).max(axis=2) > 40).mean() < 1e-2


@pytest.mark.parametrize("inputs", [1, 2])
def test_a_frame_before_a_frozen_background_is_what_is_drawn_as_a_whole(short, classic, inputs):
    x, y = classic
    if inputs == 2:
        x = np.stack([x, x**2], axis=1)
        short = fit(models.plane, x, y, lr=0.5, epochs=3, **SETTINGS)
    film = fit_film(short, x, y)
    whole, frozen = (FrameRenderer(Figure((WIDTH, HEIGHT), dpi=100), film, frozen_dpi=dpi) for dpi in (None, 100))
    for frame in (0, len(film.frames) // 2, -1):
        pictures = []
        for renderer in (whole, frozen):
            renderer.draw(frame)
            canvas = FigureCanvasAgg(renderer.figure)
            canvas.draw()
            pictures.append(np.asarray(canvas.buffer_rgba()).astype(int))
        assert 0.01 < (pictures[0] < 255).any(axis=2).mean() < 0.5
        # The spines are drawn twice, the curves at their ends before and after them.
        assert (np.abs(pictures[0] - pictures[1]).max(axis=2) > 40).mean() < 1e-3


def test_a_page_needs_nothing_but_itself(short, classic, tmp_path):
    path = tmp_path / "bend.html"
    told = []
    film = fit_film(short, *classic, names=("x", "<script>y</script>"))
    FilmAnimation(film, progress=told.append).save(path)
    text = path.read_text(encoding="utf-8")
    page = Reader(text)
    assert page.texts.count("<script>y</script> = a*x**2 + b*x + c") == 2  # the title and the heading
    assert "<script>y" not in text
    (shown,) = (attrs for tag, attrs in page.tags if tag == "img")
    assert shown["alt"] == film.caption
    assert film.caption.startswith("The curve a*x**2 + b*x + c moves from its start onto the data; ")
    assert not [attrs for _, attrs in page.tags if attrs.keys() & {"src", "href"}]
    assert "http" not in text.replace("http-equiv", "")
    images = re.findall(r'"data:image/png;base64,([^"]*)"', text.replace("\\\n", ""))
    pictures = [Image.open(BytesIO(b64decode(image))) for image in images]
    assert {picture.size for picture in pictures} == {(640, 360)}
    # Frames in which the start and the end stay are left out.
    assert len(pictures) == 2 + ((film.frames > 0) & (film.frames < film.frames[-1])).sum()
    assert len({picture.tobytes() for picture in pictures}) == len(film.shown)
    assert told[-1] == len(film.frames)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_a_film_that_players_read(short, classic, tmp_path):
    path = tmp_path / "bend.mp4"
    short.animate(*classic, dpi=200).save(path)
    decoded = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    assert len(decoded) == len(fit_film(short, *classic).frames) * 1280 * 720 * 3


@pytest.mark.parametrize("script", ["exit 1", "cat > /dev/null; exit 1"])
def test_an_ffmpeg_that_fails_early_or_late_leaves_what_was_there(script, short, classic, monkeypatch, tmp_path):
    broken = tmp_path / "bin" / "ffmpeg"
    broken.parent.mkdir()
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent), prepend=os.pathsep)
    path = tmp_path / "out" / "bend.mp4"
    path.parent.mkdir()
    path.write_text("old")
    film = fit_film(short, *classic)
    with pytest.raises(ValueError, match="ffmpeg failed to write MP4"):
        FilmAnimation(replace(film, frames=film.frames[-2:])).save(path)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


# The picture


def draw(film):
    renderer = FrameRenderer(Figure(figsize=(WIDTH, HEIGHT), dpi=100), film)
    return renderer.figure, renderer


def head(figure):
    return [text.get_text() for text in figure.texts]


def test_the_last_frame_says_how_it_ended(classic):
    for settings, said in [
        ({"lr": 0.5, "target": 1e-3}, "   converged in epoch "),
        ({"validation": ([0.0], [1.0]), "patience": 2}, "   stopped early in epoch "),
        ({"lr": 300.0, "batch_size": 100}, "   no longer finite in epoch "),
    ]:
        ended = fit(
            models.quadratic, *classic, **{"kernel": "reference", "batch_size": 16, "init": [1, 1, 1]} | settings
        )
        film = fit_film(ended, *classic)
        figure, renderer = draw(film)
        renderer.draw(-1)
        assert head(figure)[0].endswith(f"{said}{ended.epochs}")
        assert f"loss {text(film.loss[-1])} " in head(figure)[0]
        renderer.draw(0)
        assert said not in head(figure)[0]
    assert "moves away from the data" in film.caption
    risen = fit(models.quadratic, *classic, init=[2, -4, 4], lr=3, batch_size="full", epochs=1, kernel="reference")
    assert fit_film(risen, *classic).caption.endswith(" in 1 epoch.")
    assert "moves away from the data" in fit_film(risen, *classic).caption


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lr": 1e200, "batch_size": "full"}, "the loss is 8.673 there and is no longer finite in epoch 1."),
        ({"target": 10}, "the loss is 8.673 there."),
    ],
)
def test_the_caption_of_a_start_alone_tells_no_movement(settings, said, classic):
    ended = fit(models.quadratic, *classic, init=[2, -4, 0.055], epochs=1, kernel="reference", **settings)
    film = fit_film(ended, *classic, settings={"kernel": "reference", **settings})
    assert film.caption == f"The curve a*x**2 + b*x + c where it starts; {said}"


def test_how_a_run_ended_stays_inside_the_picture():
    """The name of the loss pushed it past the right edge: of epoch 15 a 1 was seen."""
    x = np.arange(5.0)
    settings = {"loss": "poisson", "lr": 1e-7, "epochs": 5_000, "batch_size": "full", "kernel": "reference"}
    ended = fit("a*x + b", x, x, init=[0, 0], validation=([0.0], [9.0]), patience=5_000, **settings)
    figure, renderer = draw(fit_film(replace(ended, status="diverged"), x, x))
    renderer.draw(-1)
    figure.draw_without_rendering()
    assert head(figure)[0].endswith("no longer finite in epoch 5,000")
    assert figure.texts[0].get_window_extent().x1 < 640


def test_many_parameters_are_cut_and_long_names_shortened(classic):
    model = Model(" + ".join(f"a_very_long_name_{k}*x**{k}" for k in range(1, 15)))
    film = fit_film(fit(model, *classic, epochs=1, lr=0.01, batch_size="full", kernel="reference"), *classic)
    figure, renderer = draw(film)
    renderer.draw(0)
    figure.draw_without_rendering()
    second = figure.texts[1]
    assert second.get_text().rstrip().endswith("…")
    assert second.get_window_extent().x1 < 640


def test_a_loss_that_is_infinite_at_the_start_cannot_be_shown(noisy):
    ended = fit(Model("a*exp(b*x)"), *noisy, init=[1, 690], epochs=1, kernel="reference")
    for settings in (None, {"kernel": "reference"}):
        with pytest.raises(ValueError, match="its loss is not finite at the start"):
            ended.animate(*noisy, settings=settings)


# The command

QUADRATIC = ["fit", "quadratic", "--model", "a*x**2 + b*x + c", "--lr", "0.5", "--batch-size", "400", "--epochs", "3"]
QUADRATIC += ["--kernel", "reference"]


def test_a_fit_is_animated(ran):
    out = ran(*QUADRATIC, "--shuffle", "--animate", "deep/bend.gif", "--json")
    assert json.loads(out)["epochs"] == 3
    assert len(read_gif("deep/bend.gif")) > 4


def test_a_wrong_suffix_or_a_missing_ffmpeg_is_noticed_before_training(sgdbench, monkeypatch):
    monkeypatch.setenv("PATH", "")
    for name, said in [
        ("bend.avi", "--animate must end in .gif, .mp4 or .html, not 'bend.avi'\n"),
        ("bend.mp4", "MP4 needs ffmpeg: install it (Debian: apt install ffmpeg), or write .gif or .html\n"),
    ]:
        code, out, err = sgdbench(*QUADRATIC, "--every", "1", "--animate", name)
        assert (code, out, err) == (2, "", f"sgdbench: {said}")


def test_the_part_before_ctrl_c_is_animated(sgdbench, monkeypatch):
    def impatient(*args, callback, **settings):
        def interrupt(result):
            callback(result)
            raise KeyboardInterrupt

        return fit(*args, callback=interrupt, **settings)

    monkeypatch.setattr("sgdbench.data.fit_table.kernels_fit", impatient)
    code, out, err = sgdbench(*QUADRATIC, "--epochs", "500", "--batch-size", "100", "--animate", "bend.gif")
    assert code == 130
    assert "interrupted" in out
    assert err.startswith("sgdbench: interrupted after epoch ")
    assert len(read_gif("bend.gif")) > 4


def test_a_film_that_cannot_be_written_leaves_no_warning(short, classic, tmp_path):
    (tmp_path / "file").touch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(OSError, match="file"):
            short.animate(*classic).save(tmp_path / "file" / "film.gif")
        gc.collect()
    assert not [str(one.message) for one in caught if "rendering" in str(one.message)]
