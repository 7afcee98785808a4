"""Drawings of what is worn: T-shirts, shoes, hats and bags."""

from __future__ import annotations

from collections.abc import Callable

from ingest.demo.canvas import Canvas, arc, box, curve, mirrored, mix, oval, soft
from ingest.demo.styles import BRASS, DARK_WOOD, INK, PAPER, RUBBER


def _tshirt(c: Canvas) -> None:
    c.fill(oval(38, 10, 62, 20), c.deep)
    c.fill(mirrored((61, 15, 1), (73, 19, 4), (94, 40, 2), (81, 53, 2), (73, 44, 1), (74, 89, 2)))
    _neck(c)
    _armholes(c)


def _v_neck(c: Canvas) -> None:
    c.fill(mirrored((61, 15, 1), (73, 19, 4), (94, 40, 2), (81, 53, 2), (73, 44, 1), (74, 89, 2)))
    c.fill([(38, 15), (62, 15), (50, 38)], c.accent)
    c.fill([(41.5, 15), (58.5, 15), (50, 32)], c.deep)
    _armholes(c)


def _long_sleeved(c: Canvas) -> None:
    c.fill(mirrored((61, 15, 1), (73, 19, 5), (93, 76, 2), (83, 80, 2), (72, 46, 1), (73, 89, 2)))
    cuff = ((91.2, 71), (93.4, 77), (83.4, 80.5), (81.2, 74.5))
    for side in (1, -1):
        c.fill([(50 + side * (x - 50), y) for x, y in cuff], c.accent)
    _neck(c)
    _armholes(c)


def _neck(c: Canvas) -> None:
    """A round neckline, with the inner side of the back."""
    c.fill([(38, 15), *arc(38, 6, 62, 26, 180, 0), (62, 15)], c.accent)
    c.fill([(41, 15), *arc(41, 9, 59, 22, 180, 0), (59, 15)], c.deep)


def _armholes(c: Canvas) -> None:
    for side in (1, -1):
        c.crease(curve(*((50 + side * x, y) for x, y in ((22, 20), (20, 32), (22.5, 45)))), 0.9, 0.25)


def _sneaker(c: Canvas) -> None:
    c.fill(soft((10, 72, 2), (11, 40, 4), (20, 34, 6), (34, 40, 6), (40, 31, 3), (49, 34, 4), (66, 56, 12),
                (90, 60, 12), (92, 76, 2)))
    c.fill(soft((74, 56, 4), (90, 60, 12), (92, 76, 1), (68, 76, 1)), PAPER)
    c.fill(soft((10, 72, 1), (11, 42, 3), (21, 44, 3), (23, 72, 1)), c.accent)
    c.fill(arc(14, 29, 40, 45, 0, 180), c.deep)
    for i in range(4):
        x, y = 45 + 5.6 * i, 41 + 5.4 * i
        c.stroke([(x, y), (x - 9, y + 5)], 2.2, PAPER)
    c.fill(soft((8, 71, 3), (93, 71, 4), (94, 82, 5), (9, 82, 5)), PAPER)
    c.crease([(10, 77), (93, 77)], 1.4, 0.3)


def _ankle_boot(c: Canvas) -> None:
    c.fill(soft((20, 14, 2), (54, 14, 2), (55, 46, 10), (84, 58, 14), (91, 78, 2), (20, 78, 2)))
    c.fill(soft((36, 22, 2), (48, 22, 2), (45, 52, 4), (39, 52, 4)), c.accent)
    c.stroke(curve((20, 20), (15, 12), (24, 9), (26, 15)), 2.4, c.accent)
    c.fill(oval(20, 11, 54, 17), c.deep)
    c.fill(soft((18, 77, 1), (92, 77, 2), (93, 84, 3), (44, 84, 1), (41, 91, 1), (18, 91, 1)), RUBBER)
    c.crease(curve((55, 50), (64, 60), (80, 60)), 1, 0.2)


def _ballet_flat(c: Canvas) -> None:
    opening = curve((9, 51), (15, 50), (30, 63), (48, 66), (64, 57))
    c.fill(soft((9, 54, 3), (14, 47, 4), (40, 57, 10), (64, 55, 2), (50, 68, 4), (20, 66, 4)), c.deep)
    c.fill([(7, 78), (7, 66), *opening, *curve((64, 57), (80, 60), (93, 71), (93, 77))])
    c.stroke(opening, 1.8, c.accent)
    for side in (1, -1):
        c.fill(soft((68, 57, 1), (68 + 9 * side, 51, 2), (68 + 9 * side, 63, 2)), c.accent)
    c.fill(oval(65.4, 54.4, 70.6, 59.6), c.accent)
    c.fill(soft((7, 76, 1), (93, 75, 2), (92, 80, 2), (24, 80, 1), (23, 83, 1), (8, 83, 1)), RUBBER)


def _beanie(c: Canvas) -> None:
    c.fill(oval(40, 6, 60, 26), c.accent, "puffed")
    c.fill([*arc(20, 18, 80, 108, 180, 360), (80, 70), (20, 70)], volume="puffed")
    c.fill(box(16, 62, 84, 84, 6), c.accent)
    for x in range(11):
        c.crease([(21 + 5.8 * x, 63), (21 + 5.8 * x, 83)], 1.2, 0.2)


def _sun_hat(c: Canvas) -> None:
    c.fill(oval(3, 52, 97, 84), volume="puffed")
    c.fill([*arc(27, 22, 73, 92, 180, 360), (73, 62), *arc(27, 54, 73, 72, 0, 180)], volume="round")
    c.fill([*arc(26.4, 42, 73.6, 60, 0, 180), *arc(26.4, 54, 73.6, 72, 180, 0)], c.accent)


def _baseball_cap(c: Canvas) -> None:
    c.fill(soft((52, 60, 2), (84, 60, 12), (98, 70, 4), (94, 76, 3), (66, 72, 10)), c.accent)
    c.fill([*arc(12, 22, 76, 104, 180, 360), (76, 66), *curve((76, 66), (44, 71), (12, 66))], volume="puffed")
    c.crease(curve((46, 22), (58, 40), (62, 68)), 1, 0.28)
    c.crease(curve((42, 22), (30, 40), (26, 68)), 1, 0.28)
    c.fill(oval(40, 18.5, 48, 23.5), c.accent)


def _tote_bag(c: Canvas) -> None:
    c.stroke(arc(36, 12, 64, 60, 180, 360), 3.4, mix(c.accent, INK, 0.25))
    c.fill(soft((18, 36, 1), (82, 36, 1), (86, 91, 4), (14, 91, 4)))
    c.stroke([(33, 46), (33, 36), *arc(33, 8, 67, 64, 180, 360), (67, 46)], 3.8, c.accent)
    c.crease([(18, 40), (82, 40)], 0.8, 0.25)


def _backpack(c: Canvas) -> None:
    c.stroke(arc(40, 6, 60, 26, 180, 360), 3.4, c.accent)
    for side in (1, -1):
        c.stroke(curve((50 + 26 * side, 40), (50 + 37 * side, 52), (50 + 34 * side, 82)), 5, c.accent)
    c.fill(soft((22, 14, 22), (78, 14, 22), (82, 92, 8), (18, 92, 8)))
    c.fill(box(28, 56, 72, 86, 6), c.accent)
    c.crease([(28, 63), (72, 63)], 1.2, 0.4)
    c.crease(arc(26, 20, 74, 76, 195, 345), 1.2, 0.35)
    c.fill(box(48, 61, 52, 69, 1.5), BRASS)


def _handbag(c: Canvas) -> None:
    c.stroke([(30, 50), *arc(30, 10, 70, 66, 180, 360), (70, 50)], 4, DARK_WOOD)
    c.fill(soft((20, 40, 5), (80, 40, 5), (90, 86, 8), (10, 86, 8)))
    c.fill(soft((19.4, 40, 5), (80.6, 40, 5), (82, 56, 4), (50, 70, 18), (18, 56, 4)), c.accent)
    c.fill(oval(46, 57, 54, 65), BRASS)


DRAWINGS: dict[str, Callable[[Canvas], None]] = {
    "T-shirt": _tshirt, "V-neck T-shirt": _v_neck, "long-sleeved T-shirt": _long_sleeved,
    "sneaker": _sneaker, "ankle boot": _ankle_boot, "ballet flat": _ballet_flat,
    "beanie": _beanie, "sun hat": _sun_hat, "baseball cap": _baseball_cap,
    "tote bag": _tote_bag, "backpack": _backpack, "handbag": _handbag,
}
