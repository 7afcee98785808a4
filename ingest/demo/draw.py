"""The picture of a product."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from ingest.demo import furniture, tableware, wear
from ingest.demo.canvas import Canvas
from ingest.demo.dice import Dice
from ingest.demo.patterns import weave
from ingest.demo.products import Product
from ingest.demo.styles import COLOURS, RGB

DRAWINGS: dict[str, Callable[[Canvas], None]] = {
    **tableware.DRAWINGS, **furniture.DRAWINGS, **wear.DRAWINGS,
}
TINT = 5  # how far a shade may be from its named colour, in steps of 255


def draw(product: Product, dice: Dice) -> Image.Image:
    """The product in its shape, colours and pattern on an off-white ground, 224 x 224 RGB."""
    colour, accent = _shade(product.colour, dice), _shade(product.accent, dice)
    cloth = weave(product.pattern, colour, accent, dice.between(11, 14), upright=dice.unit() < 0.4)
    canvas = Canvas(cloth, colour, accent)
    DRAWINGS[product.form](canvas)
    return canvas.finish()


def _shade(name: str, dice: Dice) -> RGB:
    """A named colour, a little brighter or darker from product to product."""
    shift = dice.whole(-TINT, TINT)
    red, green, blue = (min(255, max(0, part + shift)) for part in COLOURS[name])
    return red, green, blue
