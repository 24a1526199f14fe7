"""Animations of a fit as GIF, MP4 or HTML."""

import json
import subprocess
from base64 import b64encode
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

from bench.plots.film.film import FRAMES_PER_SECOND, Film, fit_film
from bench.plots.film.frame import HEIGHT, WIDTH, FrameRenderer
from bench.plots.style import STYLE
from bench.system.atomic import replace_atomically
from bench.tables.formatting import text
from bench.tables.words import format_count
from kernels import FitResult

COLORS = 128  # of the palette that all frames share: three hues and their shades

Progress = Callable[[int], None]


def animate(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    path: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    names: tuple[str, str] | None = None,
) -> Path:
    """Write an animation of a fit: the curve moves onto its data, beside it the loss falls.

    Parameters
    ----------
    result : FitResult
        A fit that diverged is shown for as long as it is finite.
    x : array, shape (n,) or (n, inputs)
        For several inputs predicted values are plotted against observed ones.
    y : array, shape (n,)
        The training data.
    path : path
        The file to write, which ends in .gif, .mp4 or .html.
    settings : mapping, optional
        The settings given to `kernels.fit`. With them (``{}`` if all were left at their defaults) the first epochs are
        shown update by update; without them, epoch by epoch.
    names : pair of str, optional
        The names of x and y; without them that of the model's input, and y.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the path has another suffix, MP4 is requested and ffmpeg is not installed, the data and settings do not
        reproduce the run, or the loss is not finite at the start.
    """
    path = check_writable(path)
    return write_film(fit_film(result, x, y, settings=settings, names=names), path)


def check_writable(path: str | Path, what: str = "path") -> Path:
    """Return the path of an animation after a check that it can be written, before there is anything to write."""
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"{what} must end in .gif, .mp4 or .html, not {str(path)!r}")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise ValueError("MP4 needs ffmpeg: install it (Debian: apt install ffmpeg), or write .gif or .html")
    return path


def write_film(film: Film, path: Path, progress: Progress = lambda done: None) -> Path:
    """Write a film to a path from `check_writable`, in one step; `progress` is told the number of frames drawn."""
    with rc_context(STYLE), replace_atomically(path) as temporary:
        WRITERS[path.suffix](film, temporary, progress)
    return path


def _write_gif(film: Film, path: Path, progress: Progress) -> None:
    # matplotlib's own writer takes three times as long and twice the room: it keeps a picture for each frame.
    first, *others = _draw_moments(film, 100, progress)
    first.save(path, format="GIF", save_all=True, append_images=others, duration=_milliseconds(film), loop=0)


def _write_html(film: Film, path: Path, progress: Progress) -> None:
    # The page of matplotlib's own writer loads its buttons from the network.
    images = [_data_uri(picture) for picture in _draw_moments(film, 150, progress)]
    epochs = [text(round(epoch, 2)) for epoch in film.epoch[film.shown].tolist()]
    frames = [
        {"image": image, "milliseconds": stays, "said": f"epoch {epoch}"}
        for image, stays, epoch in zip(images, _milliseconds(film), epochs, strict=True)
    ]
    page = Template(Path(__file__).with_name("player.html").read_text(encoding="utf-8"))
    filled = page.substitute(
        title=escape(f"{text(film.names[1])} = {film.result.model.expression}"),
        alt=escape(film_caption(film)),
        still=images[-1],
        width=round(100 * WIDTH),
        height=round(100 * HEIGHT),
        frames=json.dumps(frames),
    )
    path.write_text(filled, encoding="utf-8")


def _write_mp4(film: Film, path: Path, progress: Progress) -> None:
    # The temporary file has no suffix from which ffmpeg could tell the format.
    writer = FFMpegWriter(FRAMES_PER_SECOND, extra_args=["-f", "mp4", "-movflags", "+faststart"])
    animation = FrameRenderer(Figure(figsize=(WIDTH, HEIGHT)), film, frozen_dpi=200).animation()
    try:
        animation.save(path, writer, dpi=200, progress_callback=lambda frame, _: progress(frame + 1))
    except (BrokenPipeError, subprocess.CalledProcessError):
        raise ValueError("ffmpeg failed to write MP4, for which it needs libx264: write .gif or .html") from None


WRITERS: dict[str, Callable[[Film, Path, Progress], None]] = {
    ".gif": _write_gif,
    ".mp4": _write_mp4,
    ".html": _write_html,
}


def film_caption(film: Film) -> str:
    """Return a text alternative of the animation."""
    result = film.result
    first, last = map(text, film.loss[[0, -1]].tolist())
    if film.loss.size == 1:
        ends = f" and is no longer finite in epoch {text(film.last_epoch)}" if result.status == "diverged" else ""
        return f"The curve {result.model.expression} where it starts; the loss is {first} there{ends}."
    if result.status == "diverged":
        return (
            f"The curve {result.model.expression} moves away from the data; the loss grows from {first} to {last} "
            f"and is no longer finite in epoch {text(film.last_epoch)}."
        )
    where = "from its start onto the data" if film.loss[-1] < film.loss[0] else "away from the data"
    return (
        f"The curve {result.model.expression} moves {where}; the loss goes from {first} to {last} "
        f"in {format_count(round(film.epoch[-1], 2), 'epoch')}."
    )


def _milliseconds(film: Film) -> list[int]:
    """Return how long each moment stays."""
    counts = np.unique(film.frames, return_counts=True)[1]
    return [round(1000 * count / FRAMES_PER_SECOND) for count in counts.tolist()]


def _draw_moments(film: Film, dpi: int, progress: Progress) -> Iterator[Image.Image]:
    """Draw the moments that the film shows one after the other, all in one palette."""
    renderer = FrameRenderer(Figure(figsize=(WIDTH, HEIGHT)), film, frozen_dpi=dpi)
    canvas = FigureCanvasAgg(renderer.figure)
    palette = None
    _, first, counts = np.unique(film.frames, return_index=True, return_counts=True)
    for frame, shown in zip(first.tolist(), np.cumsum(counts).tolist(), strict=True):
        renderer.draw(frame)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        palette = palette or picture.quantize(COLORS)
        yield _set_corner_to_white(picture.quantize(palette=palette, dither=Image.Dither.NONE))
        progress(shown)


def _set_corner_to_white(picture: Image.Image) -> Image.Image:
    """Make the corner pure white: Pillow compares colors roughly, and would take one that is almost white."""
    colors = picture.getpalette() or []
    corner = 3 * int(np.asarray(picture)[-1, 0])
    colors[corner : corner + 3] = [255] * 3
    picture.putpalette(colors)
    return picture


def _data_uri(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode("ascii")
