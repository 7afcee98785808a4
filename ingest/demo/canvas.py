"""A canvas for flat, softly shaded pictures, and the outlines that are filled on it.

Lengths are in units of a hundredth of the picture's side; y grows downwards. All is drawn twice too large
and reduced at the end, so that edges are smooth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from ingest.demo.styles import INK, RGB

SIDE = 224  # pixels
OVERSAMPLING = 2
LARGE = SIDE * OVERSAMPLING
UNIT = LARGE / 100  # pixels of the large picture
SHADOW = 0.30  # darkness of the shadow on the background
EDGE = 0.22  # darkness of the line around each piece
WALL: RGB = (247, 244, 239)

Point = tuple[float, float]
Outline = Sequence[Point]
Area = tuple[int, int, int, int]  # left, top, right, bottom, in pixels
Paint = RGB | Image.Image
Volume = Literal["flat", "round", "puffed"]


def oval(left: float, top: float, right: float, bottom: float) -> Outline:
    """An ellipse within a box."""
    return arc(left, top, right, bottom, 0, 360)


def arc(left: float, top: float, right: float, bottom: float, start: float, end: float) -> Outline:
    """Part of an ellipse within a box; degrees, clockwise from the right (180 to 360 is the upper half)."""
    steps = max(2, round(abs(end - start) / 4))
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    x, y = (left + right) / 2, (top + bottom) / 2
    return [(x + (right - left) / 2 * math.cos(a), y + (bottom - top) / 2 * math.sin(a)) for a in angles]


def box(left: float, top: float, right: float, bottom: float, radius: float = 0) -> Outline:
    """A rectangle with rounded corners."""
    return soft(*((x, y, radius) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))))


def soft(*corners: tuple[float, float, float]) -> Outline:
    """A polygon of (x, y, radius): each corner is rounded by a curve that starts `radius` before it."""
    outline: list[Point] = []
    for i, (x, y, radius) in enumerate(corners):
        before, after = corners[i - 1], corners[(i + 1) % len(corners)]
        a, b = _towards((x, y), before, radius), _towards((x, y), after, radius)
        outline += [(x, y)] if not radius else [_bend(a, (x, y), b, step / 8) for step in range(9)]
    return outline


def mirrored(*corners: tuple[float, float, float]) -> Outline:
    """As `soft`, from the right half alone, top to bottom; the left half is its mirror image."""
    return soft(*corners, *((100 - x, y, radius) for x, y, radius in reversed(corners)))


def curve(*points: Point) -> Outline:
    """A smooth open line through the points (Catmull-Rom)."""
    p = [points[0], *points, points[-1]]
    return [
        _spline(p[i : i + 4], step / 12) for i in range(len(points) - 1) for step in range(12)
    ] + [points[-1]]


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Colour a with a share of b."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


class Canvas:
    """A picture in the making.

    Attributes:
        cloth: the product's pattern, as large as the canvas.
        colour: its main colour.
        accent: its second colour.
    """

    def __init__(self, cloth: Image.Image, colour: RGB, accent: RGB) -> None:
        self.cloth = cloth
        self.colour = colour
        self.accent = accent
        self._image = Image.new("RGB", (LARGE, LARGE), WALL)
        self._cover = Image.new("L", (LARGE, LARGE))  # what is drawn on

    @property
    def deep(self) -> RGB:
        """The main colour in the shade, for inner sides."""
        return mix(self.colour, INK, 0.35)

    def fill(self, outline: Outline, paint: Paint | None = None, volume: Volume = "flat") -> None:
        """Fill an outline with a colour or picture (the cloth, if none is given), with shade and an edge."""
        area = _area(outline, 0)
        pixels = _pixels(outline, area)
        mask, edge = _blank(area), _blank(area)
        ImageDraw.Draw(mask).polygon(pixels, fill=255)
        ImageDraw.Draw(edge).line([*pixels, pixels[0]], fill=round(255 * EDGE), width=round(0.9 * UNIT))
        self._lay(mask, area, self.cloth if paint is None else paint, volume)
        self._image.paste(INK, area, ImageChops.darker(edge, mask))

    def stroke(self, line: Outline, width: float, colour: RGB) -> None:
        """Draw a line with round ends, of a width in units; like a filled piece it has a darker edge."""
        area = _area(line, width)
        pixels = _pixels(line, area)
        for breadth, tone in ((width, mix(colour, INK, EDGE)), (width - min(0.9, 0.3 * width), colour)):
            mask = _blank(area)
            pen = ImageDraw.Draw(mask)
            pen.line(pixels, fill=255, width=max(1, round(breadth * UNIT)), joint="curve")
            for end in (pixels[0], pixels[-1]):
                pen.circle(end, breadth * UNIT / 2, fill=255)
            self._image.paste(tone, area, mask)
            self._cover.paste(255, area, mask)

    def crease(self, line: Outline, width: float = 0.8, darkness: float = 0.3) -> None:
        """Darken a thin line on what is drawn already, for seams and folds."""
        area = _area(line, width)
        mask = _blank(area)
        pen = ImageDraw.Draw(mask)
        pen.line(_pixels(line, area), fill=round(255 * darkness), width=round(width * UNIT), joint="curve")
        self._image.paste(INK, area, ImageChops.darker(mask, self._cover.crop(area)))

    def finish(self) -> Image.Image:
        """The picture on its background with a soft shadow, 224 x 224 RGB."""
        cover = self._cover.reduce(OVERSAMPLING)
        shadow = Image.new("L", cover.size)
        shadow.paste(cover.filter(ImageFilter.GaussianBlur(5)), (3, 6))
        ground = _wall().copy()
        ground.paste(INK, mask=shadow.point([round(v * SHADOW) for v in range(256)]))
        return Image.composite(self._image.reduce(OVERSAMPLING), ground, cover)

    def _lay(self, mask: Image.Image, area: Area, paint: Paint, volume: Volume) -> None:
        """Lay paint on an area, where the mask is set, and shade it."""
        self._image.paste(paint if isinstance(paint, tuple) else paint.crop(area), area, mask)
        self._cover.paste(255, area, mask)
        for tone, ramp in ((INK, _ramp(volume, False)), ((255, 255, 255), _ramp(volume, True))):
            self._image.paste(tone, area, ImageChops.multiply(mask, ramp.resize(mask.size)))


def _area(outline: Outline, width: float) -> Area:
    """The pixels around an outline that is drawn with a width, within the canvas."""
    xs, ys = zip(*outline, strict=True)
    low = [max(0, math.floor((min(values) - width) * UNIT)) for values in (xs, ys)]
    high = [min(LARGE, math.ceil((max(values) + width) * UNIT) + 1) for values in (xs, ys)]
    return low[0], low[1], high[0], high[1]


def _pixels(outline: Outline, area: Area) -> list[Point]:
    return [(x * UNIT - area[0], y * UNIT - area[1]) for x, y in outline]


def _blank(area: Area) -> Image.Image:
    return Image.new("L", (area[2] - area[0], area[3] - area[1]))


@lru_cache
def _ramp(volume: Volume, light: bool) -> Image.Image:
    """How much a filled piece is darkened or lightened over its box; light falls from the upper left."""
    y, x = np.mgrid[0:64, 0:64] / 63.0
    if volume == "flat":
        dark, bright = 0.14 * (0.3 * x + 0.7 * y), 0.10 * np.clip(1 - 1.6 * y, 0, 1)
    elif volume == "round":
        dark = 0.38 * np.clip((x - 0.45) / 0.55, 0, 1) ** 1.6 + 0.12 * np.clip(1 - x / 0.12, 0, 1)
        bright = 0.30 * np.exp(-(((x - 0.26) / 0.11) ** 2))
    else:
        far = np.hypot(x - 0.5, y - 0.5)
        dark = 0.34 * np.clip((far - 0.22) / 0.4, 0, 1) ** 1.5 * (0.55 + 0.45 * (x + y) / 2)
        bright = 0.22 * np.exp(-((np.hypot(x - 0.38, y - 0.34) / 0.22) ** 2))
    return Image.fromarray(np.round(255 * (bright if light else dark)).astype(np.uint8))


@lru_cache
def _wall() -> Image.Image:
    """The background: off-white, a little darker towards the floor."""
    y = np.linspace(0, 1, SIDE)[:, None, None]
    tones = np.asarray(WALL) - 12 * y**2 + np.zeros((1, SIDE, 1))
    return Image.fromarray(np.round(tones).astype(np.uint8))


def _towards(a: Point, b: tuple[float, float, float], length: float) -> Point:
    """The point at a length from a towards b, at most half way."""
    span = math.dist(a, b[:2])
    share = min(0.5, length / span) if span else 0.0
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _bend(a: Point, b: Point, c: Point, t: float) -> Point:
    """A point of the quadratic Bezier curve from a to c with the control point b."""
    u, v, w = (1 - t) ** 2, 2 * t * (1 - t), t * t
    return u * a[0] + v * b[0] + w * c[0], u * a[1] + v * b[1] + w * c[1]


def _spline(p: Sequence[Point], t: float) -> Point:
    """A point of the Catmull-Rom curve between the second and the third of four points."""
    a, b, c, d = (
        0.5 * (-t + 2 * t**2 - t**3), 0.5 * (2 - 5 * t**2 + 3 * t**3),
        0.5 * (t + 4 * t**2 - 3 * t**3), 0.5 * (-(t**2) + t**3),
    )
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = p
    return a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3
