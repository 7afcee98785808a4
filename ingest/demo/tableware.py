"""Drawings of small things for the home: mugs, vases, clocks, posters and lamps."""

from __future__ import annotations

import math
from collections.abc import Callable

from ingest.demo.canvas import Canvas, arc, box, curve, mirrored, mix, oval, soft
from ingest.demo.styles import BRASS, COFFEE, DARK_WOOD, GLOW, INK, LEAF, PAPER, STEEL, WOOD


def _mug(c: Canvas) -> None:
    c.stroke(oval(60, 38, 86, 68), 6, c.colour)
    c.fill(soft((22, 26, 0), (72, 26, 0), (71, 82, 9), (23, 82, 9)), volume="round")
    _mouth(c, 22, 72, 26, 5)


def _coffee_cup(c: Canvas) -> None:
    c.fill(oval(12, 74, 88, 88), c.accent)
    c.fill(oval(26, 76, 74, 84), mix(c.accent, INK, 0.15))
    c.stroke(oval(66, 42, 88, 62), 5, c.colour)
    bowl = soft((20, 36, 0), (76, 36, 0), (73, 66, 16), (58, 81, 8), (38, 81, 8), (23, 66, 16))
    c.fill(bowl, volume="round")
    _mouth(c, 20, 76, 36, 6)


def _tall_mug(c: Canvas) -> None:
    c.stroke(curve((66, 32), (82, 30), (86, 44), (80, 60), (64, 68)), 5.5, c.accent)
    c.fill(soft((28, 16, 0), (70, 16, 0), (66, 88, 7), (32, 88, 7)), volume="round")
    _mouth(c, 28, 70, 16, 4.5)


def _mouth(c: Canvas, left: float, right: float, y: float, half: float) -> None:
    """The open top of a cup: rim, inner side and coffee."""
    c.fill(oval(left, y - half, right, y + half), mix(c.colour, PAPER, 0.45))
    c.fill(oval(left + 3, y - half + 1.2, right - 3, y + half - 1.2), c.deep)
    c.fill(oval(left + 6, y - half + 3.6, right - 6, y + half - 1.4), COFFEE)


def _bottle_vase(c: Canvas) -> None:
    _sprig(c, 48, 38, 38, 9)
    _sprig(c, 52, 38, 62, 14)
    c.fill(mirrored((56, 36, 1), (55, 50, 8), (72, 64, 14), (69, 90, 8)), volume="round")
    c.fill(oval(44, 34, 56, 38), c.deep)


def _round_vase(c: Canvas) -> None:
    for foot, x, y in ((46, 30, 21), (50, 50, 13), (54, 70, 21)):
        _blossom(c, foot, 44, x, y)
    c.fill(soft((38, 40, 2), (62, 40, 2), (63, 46, 4), (82, 58, 14), (78, 80, 16), (62, 90, 6),
                (38, 90, 6), (22, 80, 16), (18, 58, 14), (37, 46, 4)), volume="round")
    c.fill(oval(38, 37.5, 62, 42.5), c.deep)


def _handled_vase(c: Canvas) -> None:
    handle = ((12, 26), (26, 28), (28, 40), (20, 50))
    for side in (1, -1):
        c.stroke(curve(*((50 + side * x, y) for x, y in handle)), 4, c.accent)
    profile = ((62, 16, 1), (59, 32, 6), (73, 48, 12), (70, 64, 12), (58, 84, 6), (64, 91, 2))
    c.fill(mirrored(*profile), volume="round")
    c.fill(oval(38, 13, 62, 19), c.deep)


def _sprig(c: Canvas, x: float, y: float, tip_x: float, tip_y: float) -> None:
    """A stem with leaves in pairs."""
    c.stroke(curve((x, y), ((x + tip_x) / 2, (y + tip_y) / 2 + 2), (tip_x, tip_y)), 1.2, LEAF)
    for share in (0.35, 0.6, 0.85, 1.0):
        at_x, at_y = x + (tip_x - x) * share, y + (tip_y - y) * share
        for side in (-1, 1):
            c.fill(oval(at_x + 4 * side - 3.6, at_y - 4, at_x + 4 * side + 3.6, at_y + 0.4), LEAF)


def _blossom(c: Canvas, foot: float, y: float, x: float, top: float) -> None:
    """A stem with one round flower in the accent colour."""
    c.stroke([(foot, y), (x, top)], 1.4, LEAF)
    for petal in range(6):
        dx, dy = 4.6 * math.cos(petal * math.pi / 3), 4.6 * math.sin(petal * math.pi / 3)
        c.fill(oval(x + dx - 3.6, top + dy - 3.6, x + dx + 3.6, top + dy + 3.6), c.accent)
    c.fill(oval(x - 2.6, top - 2.6, x + 2.6, top + 2.6), BRASS)


def _wall_clock(c: Canvas) -> None:
    c.fill(oval(12, 12, 88, 88), WOOD)
    c.fill(oval(17, 17, 83, 83))
    _dial(c, 50, 50, 31)


def _alarm_clock(c: Canvas) -> None:
    for side in (1, -1):
        c.stroke([(50 + 16 * side, 76), (50 + 25 * side, 90)], 5, STEEL)
        bell = 50 + 22 * side
        c.fill(arc(bell - 14, 11, bell + 14, 37, 180 + 18 * side, 360 + 18 * side), c.accent)
    c.stroke(arc(42, 10, 58, 26, 180, 360), 2.4, STEEL)
    c.fill(oval(18, 22, 82, 86), c.colour, "puffed")
    c.fill(oval(24, 28, 76, 80))
    _dial(c, 50, 54, 24)


def _sunburst_clock(c: Canvas) -> None:
    for ray in range(16):
        a = math.pi * ray / 8
        reach = 43 if ray % 2 else 36
        x, y = 50 + reach * math.cos(a), 50 + reach * math.sin(a)
        c.stroke([(50, 50), (x, y)], 3.2, WOOD)
        c.fill(oval(x - 3, y - 3, x + 3, y + 3), c.accent)
    c.fill(oval(25, 25, 75, 75))
    _dial(c, 50, 50, 23)


def _dial(c: Canvas, x: float, y: float, radius: float) -> None:
    """A pale inner disc with twelve marks and the hands at ten past ten."""
    inner = 0.7 * radius
    c.fill(oval(x - inner, y - inner, x + inner, y + inner), PAPER)
    for hour in range(12):
        a = math.pi * hour / 6
        start = (0.78 if hour % 3 == 0 else 0.86) * inner
        c.stroke([(x + s * math.cos(a), y + s * math.sin(a)) for s in (start, 0.93 * inner)], 1.3, INK)
    for degrees, length, width in ((-150, 0.5, 2.4), (-30, 0.72, 1.7)):
        a = math.radians(degrees)
        c.stroke([(x, y), (x + length * inner * math.cos(a), y + length * inner * math.sin(a))], width, INK)
    c.fill(oval(x - 2, y - 2, x + 2, y + 2), c.colour)


def _framed_poster(c: Canvas) -> None:
    c.fill(box(20, 8, 80, 92, 1), WOOD)
    c.fill(box(24, 12, 76, 88), PAPER)
    c.fill(box(31, 20, 69, 80))


def _landscape_print(c: Canvas) -> None:
    c.fill(box(18, 8, 82, 92, 1), STEEL)
    c.fill(box(21, 11, 79, 89), mix(c.colour, PAPER, 0.78))
    c.fill(oval(52, 20, 70, 38), c.accent)
    c.fill([(21, 58), *curve((21, 58), (36, 44), (52, 58), (66, 50), (79, 60)), (79, 89), (21, 89)],
           mix(c.colour, PAPER, 0.4))
    c.fill([(21, 74), *curve((21, 74), (40, 64), (60, 70), (79, 58)), (79, 89), (21, 89)])


def _hanging_print(c: Canvas) -> None:
    c.stroke([(24, 18), (50, 5), (76, 18)], 0.9, INK)
    c.fill(box(22, 18, 78, 88), PAPER)
    c.fill([(30, 84), (30, 52), *arc(30, 32, 70, 72, 180, 360), (70, 84)])
    c.fill(oval(56, 24, 70, 38), c.accent)
    for y in (16, 86):
        c.fill(box(19, y, 81, y + 4.5, 2), DARK_WOOD)


def _table_lamp(c: Canvas) -> None:
    c.fill(mirrored((53, 52, 1), (54, 58, 4), (68, 68, 12), (64, 86, 8)), c.accent, "round")
    c.fill(box(32, 85, 68, 90, 2), WOOD)
    c.fill(oval(24, 51, 76, 58), GLOW)
    c.fill(soft((37, 14, 2), (63, 14, 2), (79, 55, 2), (21, 55, 2)), volume="round")


def _floor_lamp(c: Canvas) -> None:
    c.stroke([(50, 38), (50, 90)], 2.8, DARK_WOOD)
    for x in (28, 72):
        c.stroke([(50, 38), (x, 94)], 2.8, WOOD)
    c.fill(oval(27, 36, 73, 42), GLOW)
    c.fill(soft((36, 6, 2), (64, 6, 2), (74, 40, 2), (26, 40, 2)), volume="round")
    c.stroke([(40, 66), (60, 66)], 2, DARK_WOOD)


def _pendant_lamp(c: Canvas) -> None:
    c.stroke([(50, 0), (50, 30)], 1.2, INK)
    c.fill(box(45, 24, 55, 36, 2), c.accent, "round")
    c.fill(oval(40, 66, 60, 86), GLOW, "puffed")
    c.fill([*arc(14, 32, 86, 110, 180, 360), (86, 74), (14, 74)], volume="round")
    c.fill(box(12, 71, 88, 76, 2), c.accent)


DRAWINGS: dict[str, Callable[[Canvas], None]] = {
    "mug": _mug, "coffee cup": _coffee_cup, "tall mug": _tall_mug,
    "bottle vase": _bottle_vase, "round vase": _round_vase, "handled vase": _handled_vase,
    "wall clock": _wall_clock, "alarm clock": _alarm_clock, "sunburst clock": _sunburst_clock,
    "framed poster": _framed_poster, "landscape print": _landscape_print, "hanging print": _hanging_print,
    "table lamp": _table_lamp, "floor lamp": _floor_lamp, "pendant lamp": _pendant_lamp,
}
