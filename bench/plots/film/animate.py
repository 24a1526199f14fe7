"""The animation of a fit, and the files in which it is written: GIF, MP4 or HTML."""

import re
import subprocess
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from sgdbench.kernels import FitResult
from sgdbench.plots.film.film import FRAMES_PER_SECOND, Film, fit_film
from sgdbench.plots.film.frame import HEIGHT, WIDTH, FrameRenderer
from sgdbench.plots.style import STYLE
from sgdbench.system.atomic import replace_atomically
from sgdbench.tables.formatting import text

COLORS = 128  # of the palette that all frames share: three hues and their shades
DPI = {".gif": 100, ".mp4": 200, ".html": 100}
NETWORK_LINK = re.compile(r"<link\b[^>]*>")


class FilmAnimation(FuncAnimation):
    """The animation of a film, which notebooks show.

    Parameters
    ----------
    film : Film
    figure : matplotlib.figure.Figure, optional
        Where the film is shown; without it, a figure that is only saved. Its frames take a quarter of the time.
    dpi : float, default 100
        The resolution of the files that are saved.
    progress : callable, optional
        Called with the number of frames that are drawn.
    """

    def __init__(
        self,
        film: Film,
        figure: Figure | None = None,
        *,
        dpi: float = 100,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self.film, self._dpi, self._progress = film, dpi, progress
        frozen = None if figure else dpi
        renderer = FrameRenderer(figure or Figure(figsize=(WIDTH, HEIGHT)), film, frozen_dpi=frozen)

        def draw(frame: int) -> None:
            renderer.draw(frame)
            progress(frame + 1)

        super().__init__(
            renderer.figure,
            draw,
            frames=len(film.frames),
            init_func=lambda: None,
            interval=1000 / FRAMES_PER_SECOND,
            repeat=False,
            cache_frame_data=False,
        )

    def save(self, filename: str | Path, writer: Any = None, *args: Any, **options: Any) -> None:
        """Write the film to a file that ends in .gif, .mp4 or .html, in one step; or with a writer of matplotlib's.

        Raises
        ------
        ValueError
            If the file has another suffix, or MP4 is requested and ffmpeg is not installed or fails.
        """
        if writer is not None:
            super().save(filename, writer, *args, **options)
            return
        path = check_writable(filename)
        # A temporary file has no suffix from which ffmpeg could tell the format.
        mp4 = ["-f", "mp4", "-movflags", "+faststart"]
        writer = _GifWriter(self.film) if path.suffix == ".gif" else FFMpegWriter(FRAMES_PER_SECOND, extra_args=mp4)
        # Otherwise matplotlib warns of an animation that was never rendered if the file cannot be opened.
        self._draw_was_started = True
        with rc_context(STYLE), replace_atomically(path) as temporary:
            if path.suffix == ".html":
                temporary.write_text(self._page(), encoding="utf-8")
                return
            try:
                super().save(temporary, writer, dpi=self._dpi)
            except (BrokenPipeError, subprocess.CalledProcessError):
                raise ValueError(
                    "ffmpeg failed to write MP4, for which it needs libx264: write .gif or .html"
                ) from None

    def _page(self) -> str:
        """Return a page with matplotlib's player, which needs no network: its link to an icon font is removed."""
        film = self.film
        # A viewer can pause at the start and at the end, so that these moments need one frame each.
        first, last = (np.flatnonzero(film.frames == moment) for moment in film.frames[[0, -1]])
        played = replace(film, frames=film.frames[min(first[-1], last[0]) : last[0] + 1])
        with rc_context({"animation.embed_limit": 100, "savefig.dpi": self._dpi}):  # MB; frames beyond are dropped
            player = FilmAnimation(played, dpi=self._dpi, progress=self._progress).to_jshtml()
        self._progress(len(film.frames))
        caption = escape(film.caption)
        page = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
        return page.substitute(
            title=escape(f"{text(film.names[1])} = {film.result.model.expression}"),
            width=round(100 * WIDTH),
            height=round(100 * HEIGHT),
            caption=caption,
            player=NETWORK_LINK.sub("", player).replace('<img id="', f'<img alt="{caption}" id="', 1),
        )

    def _repr_html_(self) -> str:
        """Return the HTML that Jupyter shows: a GIF, which has a thirtieth of the size of matplotlib's player."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "film.gif")
            self.save(path)
            image = b64encode(path.read_bytes()).decode("ascii")
        return f'<img src="data:image/gif;base64,{image}" alt="{escape(self.film.caption)}">'


class _GifWriter(PillowWriter):
    """A writer of one picture for each moment, all with one palette.

    matplotlib's own writer takes four times as long, and twice the room.
    """

    def __init__(self, film: Film) -> None:
        super().__init__(fps=FRAMES_PER_SECOND)
        self.film = film
        self._starts = iter(np.diff(film.frames, prepend=-1) > 0)
        self.pictures: list[Image.Image] = []
        self.milliseconds = [
            round(1000 * count / FRAMES_PER_SECOND) for count in np.unique(film.frames, return_counts=True)[1].tolist()
        ]

    def grab_frame(self, **options: Any) -> None:
        """Keep the picture of the figure, if the frame shows another moment than the one before."""
        if not next(self._starts):
            return
        buffer = BytesIO()
        self.fig.savefig(buffer, format="rgba", dpi=self.dpi, **options)
        picture = Image.frombuffer("RGBA", self.frame_size, buffer.getvalue(), "raw", "RGBA", 0, 1).convert("RGB")
        palette = self.pictures[0] if self.pictures else picture.quantize(COLORS)
        self.pictures.append(_set_corner_to_white(picture.quantize(palette=palette, dither=Image.Dither.NONE)))

    def finish(self) -> None:
        """Write the file."""
        first, *others = self.pictures
        options: dict[str, Any] = {"append_images": others, "duration": self.milliseconds, "loop": 0}
        first.save(self.outfile, format="GIF", save_all=True, **options)


def animate(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    *,
    settings: Mapping[str, Any] | None = None,
    names: tuple[str, str] | None = None,
    dpi: float = 100,
) -> FilmAnimation:
    """Return the animation of a fit; see `sgdbench.FitResult.animate`."""
    return FilmAnimation(fit_film(result, x, y, settings=settings, names=names), dpi=dpi)


def check_writable(path: str | Path, what: str = "path") -> Path:
    """Return the path of an animation after a check that it can be written, before there is anything to write."""
    path = Path(path)
    if path.suffix not in DPI:
        raise ValueError(f"{what} must end in .gif, .mp4 or .html, not {str(path)!r}")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise ValueError("MP4 needs ffmpeg: install it (Debian: apt install ffmpeg), or write .gif or .html")
    return path


def _set_corner_to_white(picture: Image.Image) -> Image.Image:
    """Make the corner pure white: Pillow compares colors roughly, and would take one that is almost white."""
    colors = picture.getpalette() or []
    corner = 3 * int(np.asarray(picture)[-1, 0])
    colors[corner : corner + 3] = [255] * 3
    picture.putpalette(colors)
    return picture
