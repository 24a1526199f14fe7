"""The fitted curve moving onto its data, as GIF, MP4 or a page of HTML."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from bench.plots.film.film import TICK, Film, View, fit_film
from bench.plots.film.frame import HEIGHT, WIDTH, Scene
from bench.plots.style import STYLE
from bench.system.atomic import replace_atomically
from bench.tables.formatting import text
from kernels import FitResult

COLORS = 64  # one palette for all frames: three hues and their shades

Progress = Callable[[int], None]


def animate(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    path: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    view: View | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> Path:
    """Write an animation of a fit: the curve moves onto its data, beside it the loss falls.

    Parameters
    ----------
    result : FitResult
        One that diverged is shown for as long as it is finite.
    x : array, shape (n,) or (n, inputs)
        For several inputs predicted values are shown against observed ones.
    y : array, shape (n,)
        The data that were trained.
    path : path
        Ends in .gif, .mp4 or .html.
    settings : mapping, optional
        Those that were given to `kernels.fit`. With them, if only ``{}``, the first epochs are shown update by update;
        without, epoch by epoch.
    view : View, optional
        Without it the view follows the data; that of the built-in quadratic is the one of the lesson,
        `bench.plots.film.film.LESSON`.
    names : pair of str, optional
        What x and y are called.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    ValueError
        If the path has another suffix, MP4 is asked for and there is no ffmpeg, these data and settings do not lead
        where the run went, or the loss is not finite at the start.
    """
    path = check_writable(path)
    return write(fit_film(result, x, y, settings=settings, view=view, names=names), path)


def check_writable(path: str | Path, what: str = "path") -> Path:
    """The path of an animation, if it can be written as that; to be asked before there is anything to write.

    Raises
    ------
    ValueError
        If it has another suffix, or MP4 is asked for and there is no ffmpeg.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"{what} must end in .gif, .mp4 or .html, not {str(path)!r}")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise ValueError("MP4 needs ffmpeg: install it (Debian: apt install ffmpeg), or write .gif or .html")
    return path


def write(film: Film, path: Path, progress: Progress = lambda done: None) -> Path:
    """Write a film, replaced as a whole.

    Parameters
    ----------
    film : Film
    path : pathlib.Path
        As `check_writable` has it.
    progress : callable
        Called with the number of frames drawn.
    """
    with replace_atomically(path) as temporary:
        WRITERS[path.suffix](film, temporary, progress)
    return path


def _gif(film: Film, path: Path, progress: Progress) -> None:
    first, *others = _pictures(film, 100, progress)
    times = [round(1000 * TICK * ticks) for ticks in film.ticks]
    first.save(path, format="GIF", save_all=True, append_images=others, duration=times, loop=0)


def _html(film: Film, path: Path, progress: Progress) -> None:
    images = [_data_uri(picture) for picture in _pictures(film, 150, progress)]
    said = [text(round(float(epoch), 2)) for epoch in film.epoch]
    frames = [
        {"image": image, "milliseconds": round(1000 * TICK * ticks), "said": f"epoch {epoch}"}
        for image, ticks, epoch in zip(images, film.ticks, said, strict=True)
    ]
    page = Template(Path(__file__).with_name("player.html").read_text(encoding="utf-8"))
    path.write_text(
        page.substitute(
            title=escape(f"{text(film.names[1])} = {film.result.model.expression}"),
            alt=escape(film_caption(film)),
            still=images[-1],
            width=round(100 * WIDTH),
            height=round(100 * HEIGHT),
            frames=json.dumps(frames),
        ),
        encoding="utf-8",
    )


def _mp4(film: Film, path: Path, progress: Progress) -> None:
    figure = Figure(figsize=(WIDTH, HEIGHT))
    FigureCanvasAgg(figure)
    scene = Scene(figure, film)
    # The format is said because a temporary file has no suffix that would tell it.
    writer = FFMpegWriter(fps=round(1 / TICK), extra_args=["-f", "mp4", "-movflags", "+faststart"])
    try:
        with rc_context(STYLE), writer.saving(figure, str(path), dpi=200):
            for frame, ticks in enumerate(film.ticks):
                scene.show(frame)
                for _ in range(ticks):
                    writer.grab_frame()
                progress(frame + 1)
    except (BrokenPipeError, subprocess.CalledProcessError):
        raise ValueError("ffmpeg failed to write MP4, for which it needs libx264: write .gif or .html") from None


WRITERS: dict[str, Callable[[Film, Path, Progress], None]] = {".gif": _gif, ".mp4": _mp4, ".html": _html}


def film_caption(film: Film) -> str:
    """What is to be seen, for who cannot see it."""
    result = film.result
    first, last = map(text, film.loss[[0, -1]].tolist())
    if result.status == "diverged":
        return (
            f"The curve {result.model.expression} moves away from the data; the loss grows from {first} to {last}, and "
            f"in epoch {text(result.epochs)} it is no longer finite."
        )
    return (
        f"The curve {result.model.expression} moves from its start onto the data; the loss goes from {first} to {last} "
        f"in {text(result.epochs)} epochs."
    )


def _pictures(film: Film, dpi: int, progress: Progress) -> Iterator[Image.Image]:
    """Every frame, in one palette."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    scene = Scene(figure, film)

    def drawn(frame: int) -> Image.Image:
        scene.show(frame)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    with rc_context(STYLE):
        # A third of the way nothing hides anything else: all colors are to be seen.
        palette = drawn(len(film.epoch) // 3).quantize(COLORS)
        for frame in range(len(film.epoch)):
            yield _with_white(drawn(frame).quantize(palette=palette, dither=Image.Dither.NONE))
            progress(frame + 1)


def _with_white(picture: Image.Image) -> Image.Image:
    """The picture with a corner that is white: Pillow compares colors roughly, and takes one that is almost white."""
    colors = picture.getpalette() or []
    corner = 3 * int(np.asarray(picture)[-1, 0])
    colors[corner : corner + 3] = [255] * 3
    picture.putpalette(colors)
    return picture


def _data_uri(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
