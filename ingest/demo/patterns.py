"""Patterns of the demo shop, drawn as one large cloth from which products are cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from PIL import Image, ImageDraw

from ingest.demo.canvas import LARGE, UNIT, mix
from ingest.demo.styles import LEAF, POLLEN, RGB

Pen = ImageDraw.ImageDraw
Inks = tuple[RGB, RGB]  # ground, motif


def weave(pattern: str, colour: RGB, accent: RGB, pitch: float, upright: bool) -> Image.Image:
    """A cloth of the given pattern, as large as the canvas.

    Args:
        pattern: one of `PATTERNS`.
        colour: ground of the cloth.
        accent: colour of the pattern.
        pitch: distance between two motifs, in units.
        upright: whether stripes stand instead of lie.
    """
    cloth = Image.new("RGB", (LARGE, LARGE), colour)
    PATTERNS[pattern](ImageDraw.Draw(cloth), (colour, accent), pitch * UNIT)
    return cloth.transpose(Image.Transpose.ROTATE_90) if upright and pattern == "stripes" else cloth


def _plain(pen: Pen, inks: Inks, pitch: float) -> None:
    pass  # the ground is all


def _stripes(pen: Pen, inks: Inks, pitch: float) -> None:
    for y in _steps(pitch):
        pen.rectangle((0, y, LARGE, y + 0.42 * pitch), fill=inks[1])


def _squares(pen: Pen, inks: Inks, pitch: float) -> None:
    for x, y in _brick(0.75 * pitch):
        pen.rectangle((x, y, x + 0.75 * pitch, y + 0.75 * pitch), fill=inks[1])


def _checks(pen: Pen, inks: Inks, pitch: float) -> None:
    """Gingham: where two bands cross, the accent is full; between, it is half."""
    colour, accent = inks
    band, half = 0.5 * pitch, mix(colour, accent, 0.5)
    for at in _steps(pitch):
        pen.rectangle((0, at, LARGE, at + band), fill=half)
        pen.rectangle((at, 0, at + band, LARGE), fill=half)
    for x in _steps(pitch):
        for y in _steps(pitch):
            pen.rectangle((x, y, x + band, y + band), fill=accent)


def _grid(pen: Pen, inks: Inks, pitch: float) -> None:
    for at in _steps(pitch):
        pen.line((0, at, LARGE, at), fill=inks[1], width=round(0.9 * UNIT))
        pen.line((at, 0, at, LARGE), fill=inks[1], width=round(0.9 * UNIT))


def _zigzag(pen: Pen, inks: Inks, pitch: float) -> None:
    for y in _steps(pitch):
        points = [(i * pitch / 2, y + (pitch / 2 if i % 2 else 0)) for i in range(int(2 * LARGE / pitch) + 3)]
        pen.line(points, fill=inks[1], width=round(0.3 * pitch), joint="curve")


def _dots(pen: Pen, inks: Inks, pitch: float) -> None:
    for x, y in _brick(0.6 * pitch):
        _disc(pen, x, y, 0.2 * pitch, inks[1])


def _diamonds(pen: Pen, inks: Inks, pitch: float) -> None:
    w, h = 0.42 * pitch, 0.68 * pitch
    for column in range(int(LARGE / w / 2) + 2):
        for row in range(int(LARGE / h / 2) + 2):
            x, y = 2 * w * column, 2 * h * row
            pen.polygon([(x, y - h), (x + w, y), (x, y + h), (x - w, y)], fill=inks[1])


def _rings(pen: Pen, inks: Inks, pitch: float) -> None:
    colour, accent = inks
    pale = mix(colour, accent, 0.45)
    for x, y in _brick(0.8 * pitch):
        for radius, ink in ((0.62, accent), (0.44, colour), (0.28, pale), (0.12, colour)):
            _disc(pen, x, y, radius * pitch, ink)


def _flowers(pen: Pen, inks: Inks, pitch: float) -> None:
    colour, accent = inks
    leaf = mix(LEAF, colour, 0.25)
    for x, y in _brick(0.8 * pitch):
        _leaf(pen, x + 0.34 * pitch, y + 0.34 * pitch, 0.2 * pitch, 45, leaf)
        _leaf(pen, x - 0.34 * pitch, y + 0.34 * pitch, 0.2 * pitch, 135, leaf)
        for petal in range(5):
            a = math.radians(72 * petal - 90)
            dx, dy = 0.2 * pitch * math.cos(a), 0.2 * pitch * math.sin(a)
            _disc(pen, x + dx, y + dy, 0.15 * pitch, accent)
        _disc(pen, x, y, 0.11 * pitch, POLLEN)


def _hearts(pen: Pen, inks: Inks, pitch: float) -> None:
    r = 0.15 * pitch
    for x, y in _brick(0.62 * pitch):
        _disc(pen, x - 0.9 * r, y, r, inks[1])
        _disc(pen, x + 0.9 * r, y, r, inks[1])
        left, right, shoulder = x - 1.78 * r, x + 1.78 * r, y + 0.45 * r
        pen.polygon([(left, shoulder), (right, shoulder), (x, y + 2.5 * r)], fill=inks[1])


def _leaves(pen: Pen, inks: Inks, pitch: float) -> None:
    for x, y in _brick(0.66 * pitch):
        pen.line((x, y - 0.42 * pitch, x, y + 0.42 * pitch), fill=inks[1], width=round(0.05 * pitch))
        for side in (35, 145):
            for dy in (-0.1, 0.22):
                lean = math.cos(math.radians(side))
                _leaf(pen, x + 0.19 * pitch * lean, y + (dy - 0.1) * pitch, 0.2 * pitch, -side, inks[1])


def _pines(pen: Pen, inks: Inks, pitch: float) -> None:
    for x, y in _brick(0.66 * pitch):
        pen.rectangle((x - 0.04 * pitch, y, x + 0.04 * pitch, y + 0.46 * pitch), fill=inks[1])
        for top, width in ((-0.42, 0.16), (-0.22, 0.22), (0.02, 0.28)):
            base = y + (top + 0.32) * pitch
            left, right = x - width * pitch, x + width * pitch
            pen.polygon([(x, y + top * pitch), (right, base), (left, base)], fill=inks[1])


def _steps(pitch: float) -> Iterator[float]:
    """Positions a pitch apart over the whole cloth."""
    yield from (i * pitch for i in range(int(LARGE / pitch) + 2))


def _brick(pitch: float) -> Iterator[tuple[float, float]]:
    """Positions like bricks: every second row is moved by half a step of two pitches."""
    for row, y in enumerate(_steps(pitch)):
        yield from ((x + (row % 2) * pitch, y) for x in _steps(2 * pitch))


def _disc(pen: Pen, x: float, y: float, radius: float, ink: RGB) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


def _leaf(pen: Pen, x: float, y: float, length: float, degrees: float, ink: RGB) -> None:
    """A pointed leaf around (x, y)."""
    a = math.radians(degrees)
    cos, sin = length * math.cos(a), length * math.sin(a)
    shape = ((-1, 0), (-0.4, 0.4), (0.3, 0.36), (1, 0), (0.3, -0.36), (-0.4, -0.4))
    pen.polygon([(x + u * cos - v * sin, y + u * sin + v * cos) for u, v in shape], fill=ink)


PATTERNS: dict[str, Callable[[Pen, Inks, float], None]] = {
    "plain": _plain, "stripes": _stripes, "squares": _squares, "checks": _checks, "grid": _grid,
    "zigzag": _zigzag, "dots": _dots, "diamonds": _diamonds, "rings": _rings, "flowers": _flowers,
    "hearts": _hearts, "leaves": _leaves, "pines": _pines,
}
