"""Drawings of what makes a room soft: chairs, cushions and blankets."""

from __future__ import annotations

import math
from collections.abc import Callable

from ingest.demo.canvas import Canvas, box, curve, mix, oval, soft
from ingest.demo.styles import DARK_WOOD, PAPER, WOOD


def _dining_chair(c: Canvas) -> None:
    for side in (1, -1):
        c.stroke([(50 + 16 * side, 62), (50 + 18 * side, 88)], 3.4, DARK_WOOD)
        c.stroke([(50 + 18 * side, 14), (50 + 16 * side, 62)], 4, WOOD)
    c.fill(soft((27, 10, 8), (73, 10, 8), (70, 42, 7), (30, 42, 7)), volume="puffed")
    for side in (1, -1):
        c.stroke([(50 + 23 * side, 66), (50 + 27 * side, 94)], 4.4, WOOD)
    c.fill(soft((29, 55, 3), (71, 55, 3), (80, 68, 4), (20, 68, 4)))
    c.fill(box(20, 66, 80, 71, 2.5), mix(c.colour, DARK_WOOD, 0.35))


def _armchair(c: Canvas) -> None:
    for side in (1, -1):
        c.stroke([(50 + 30 * side, 80), (50 + 33 * side, 93)], 4.6, WOOD)
    c.fill(soft((24, 12, 16), (76, 12, 16), (78, 70, 4), (22, 70, 4)), volume="puffed")
    c.fill(box(22, 68, 78, 84, 3))
    c.fill(box(25, 54, 75, 70, 6), c.accent, "puffed")
    for side in (1, -1):
        x = 50 + 32 * side
        c.fill(box(x - 9, 42, x + 9, 85, 8), volume="puffed")


def _stool(c: Canvas) -> None:
    c.stroke([(50, 40), (50, 84)], 4, DARK_WOOD)
    for side in (1, -1):
        c.stroke([(50 + 18 * side, 40), (50 + 28 * side, 92)], 4.6, WOOD)
    c.stroke([(28, 70), (72, 70)], 3, DARK_WOOD)
    c.fill(box(20, 28, 80, 44, 7), c.deep)
    c.fill(oval(19, 16, 81, 40), volume="puffed")


def _square_cushion(c: Canvas) -> None:
    c.fill(soft((13, 14, 3), (50, 20, 30), (87, 14, 3), (80, 50, 30), (87, 88, 3), (50, 81, 30),
                (13, 88, 3), (20, 50, 30)), volume="puffed")
    for x, y in ((14, 15), (86, 15), (86, 87), (14, 87)):
        c.fill(oval(x - 3.4, y - 3.4, x + 3.4, y + 3.4), c.accent)
    for x, y, dx, dy in ((20, 21, 8, 9), (80, 21, -8, 9), (80, 81, -8, -9), (20, 81, 8, -9)):
        c.crease([(x, y), (x + dx, y + dy)], 1.2, 0.2)


def _round_cushion(c: Canvas) -> None:
    c.fill(oval(10, 12, 90, 88), volume="puffed")
    for pleat in range(12):
        a = math.pi * pleat / 6
        c.crease([(50 + r * math.cos(a), 50 + 0.95 * r * math.sin(a)) for r in (7, 24)], 1.2, 0.22)
    c.fill(oval(44, 44, 56, 56), c.accent, "puffed")


def _lumbar_cushion(c: Canvas) -> None:
    for x in (8, 92):
        for y in (32, 41, 50, 59, 68):
            c.stroke([(50 + (x - 50) * 0.9, y), (x, y)], 2.2, c.accent)
    c.fill(soft((11, 26, 4), (50, 30, 40), (89, 26, 4), (86, 50, 16), (89, 74, 4), (50, 70, 40), (11, 74, 4),
                (14, 50, 16)), volume="puffed")


def _folded_blanket(c: Canvas) -> None:
    for y in (66, 48, 30):
        c.fill(soft((16, y, 9), (86, y, 2), (86, y + 19, 2), (16, y + 19, 9)))
        c.crease([(24, y + 9.5), (86, y + 9.5)], 1.0, 0.34)
        for x in range(4):
            c.stroke([(86, y + 3 + 4.4 * x), (92, y + 3.6 + 4.4 * x)], 1.2, c.accent)
    c.fill(box(38, 28, 50, 87, 1), mix(c.accent, PAPER, 0.2))


def _fringed_throw(c: Canvas) -> None:
    for x in range(17):
        for y, end in ((18, 9), (82, 91)):
            c.stroke([(19 + 3.9 * x, y), (18.4 + 3.95 * x, end)], 1.6, c.accent)
    c.fill(soft((17, 16, 1), (84, 16, 1), (84, 62, 1), (64, 84, 1), (17, 84, 1)))
    c.fill(soft((84, 62, 1), (64, 84, 1), (61, 60, 4)), mix(c.colour, PAPER, 0.4))
    for x in (36, 58):
        c.crease(curve((x, 16), (x + 2, 40), (x - 2, 60), (x, 84)), 1.6, 0.1)


def _picnic_blanket(c: Canvas) -> None:
    c.fill(box(12, 30, 82, 76, 20), volume="round")
    c.fill(oval(62, 30, 92, 76), mix(c.colour, PAPER, 0.3))
    for shrink in (3, 7.5, 12):
        c.stroke(oval(62 + shrink, 30 + 1.5 * shrink, 92 - shrink, 76 - 1.5 * shrink), 1.4, c.deep)
    for x in (26, 50):
        c.fill(box(x, 29, x + 6, 77, 1), DARK_WOOD)
    c.stroke(curve((29, 29), (32, 16), (50, 16), (53, 29)), 3.4, DARK_WOOD)


DRAWINGS: dict[str, Callable[[Canvas], None]] = {
    "dining chair": _dining_chair, "armchair": _armchair, "stool": _stool,
    "square cushion": _square_cushion, "round cushion": _round_cushion, "lumbar cushion": _lumbar_cushion,
    "folded blanket": _folded_blanket, "fringed throw": _fringed_throw, "picnic blanket": _picnic_blanket,
}
