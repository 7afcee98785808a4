"""Styles of the demo shop: each has its colours and patterns, so that taste shows in the pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "white": (247, 246, 243), "grey": (163, 169, 177), "black": (54, 55, 61), "beige": (221, 201, 170),
    "cream": (246, 232, 200), "brown": (128, 84, 58), "sky blue": (146, 190, 220), "navy": (42, 60, 104),
    "sage": (160, 186, 152), "mint": (168, 220, 196), "teal": (30, 136, 140), "mustard": (220, 166, 44),
    "orange": (234, 124, 46), "pink": (243, 164, 184), "lilac": (188, 162, 216), "red": (216, 48, 54),
    "blue": (42, 88, 204), "yellow": (251, 212, 52), "green": (34, 152, 90), "olive": (120, 126, 66),
    "terracotta": (198, 98, 70),
}

# Tones that are the same in every style.
INK: RGB = (48, 40, 58)  # of shadows, edges and hands
PAPER: RGB = (252, 250, 246)
WOOD: RGB = (204, 158, 108)
DARK_WOOD: RGB = (140, 100, 66)
STEEL: RGB = (120, 124, 132)
BRASS: RGB = (206, 166, 84)
RUBBER: RGB = (74, 56, 48)
COFFEE: RGB = (92, 58, 40)
LEAF: RGB = (104, 150, 96)
POLLEN: RGB = (244, 196, 72)
GLOW: RGB = (255, 232, 160)  # of a lamp that is on


# Who makes things of a style, the largest first.
BRANDS: dict[str, tuple[str, ...]] = {
    "nordic": ("Nordhus", "Askild", "Vinterlys", "Brisa", "Fenn & Lind"),
    "retro": ("Orbitron", "Casa Lola", "Twistline", "Radiola", "Sunset Works"),
    "romantic": ("Maison Lys", "Petal & Co", "Aurelie", "Dove Lane", "Sweetbriar"),
    "bold": ("Kaboom", "Prisma", "Hullabaloo", "Toucan", "Bright Side"),
    "minimal": ("Nul", "Plainly", "Tenfold", "Studio Grau", "Axis"),
    "rustic": ("Oakwell", "Old Mill", "Harrow", "Stonecrop", "Thistle Farm"),
}


@dataclass(frozen=True, slots=True)
class Style:
    """What a style looks like.

    Attributes:
        colours: main colours of its products.
        accents: second colours, used for patterns and trims.
        patterns: its patterns; one that is named twice is twice as frequent.
    """

    colours: tuple[str, ...]
    accents: tuple[str, ...]
    patterns: tuple[str, ...]


STYLES: dict[str, Style] = {
    "nordic": Style(
        ("sky blue", "grey", "sage", "white"), ("white", "navy", "grey"),
        ("plain", "stripes", "pines", "pines", "dots"),
    ),
    "retro": Style(
        ("mustard", "orange", "teal", "brown"), ("cream", "orange", "brown", "teal"),
        ("rings", "zigzag", "diamonds", "rings", "stripes"),
    ),
    "romantic": Style(
        ("pink", "lilac", "cream", "mint"), ("white", "pink", "lilac", "red"),
        ("flowers", "flowers", "hearts", "dots", "plain"),
    ),
    "bold": Style(
        ("red", "blue", "yellow", "green"), ("white", "yellow", "blue", "black", "red"),
        ("stripes", "stripes", "squares", "zigzag", "dots"),
    ),
    "minimal": Style(
        ("white", "black", "grey", "beige"), ("black", "white", "grey"),
        ("plain", "plain", "plain", "grid", "stripes"),
    ),
    "rustic": Style(
        ("olive", "terracotta", "brown", "navy"), ("cream", "beige", "terracotta"),
        ("checks", "checks", "leaves", "leaves", "plain"),
    ),
}


def contrast(a: str, b: str) -> float:
    """How far apart two named colours are, in steps of brightness and hue (Euclidean RGB)."""
    return math.dist(COLOURS[a], COLOURS[b])


def accents_for(style: str, colour: str) -> list[str]:
    """The accents of a style that can be seen well on a colour."""
    return [accent for accent in STYLES[style].accents if contrast(accent, colour) > 100]
