"""The dozen kinds of the demo shop: their forms, materials, prices and what they are good for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of product.

    Attributes:
        name: the category, as it stands in ids and attributes.
        forms: names of its shapes; each has a drawing of its own.
        materials: what it may be made of.
        price: lowest and highest price.
        uses: sentences on what it is good for.
    """

    name: str
    forms: tuple[str, ...]
    materials: tuple[str, ...]
    price: tuple[float, float]
    uses: tuple[str, ...]

    @property
    def typical_price(self) -> float:
        """A price around the middle of what is asked (prices lean to the low end)."""
        low, high = self.price
        return low + 0.35 * (high - low)


KINDS: tuple[Kind, ...] = (
    Kind("mug", ("mug", "coffee cup", "tall mug"),
         ("stoneware", "porcelain", "glazed clay"), (7, 26), (
        "Holds a generous morning coffee and goes straight into the dishwasher.",
        "Keeps tea warm through a long chapter.",
        "The handle is wide enough for three fingers, even with gloves on.",
        "Made for slow breakfasts and quick espressos alike.",
        "A small gift for somebody who never says no to cocoa.",
    )),
    Kind("t-shirt", ("T-shirt", "V-neck T-shirt", "long-sleeved T-shirt"),
         ("organic cotton", "soft jersey", "a linen blend"), (12, 46), (
        "Easy to wear under a jacket or on its own.",
        "It keeps its shape after many washes.",
        "Cut a little loose, for warm days and long walks.",
        "Goes with jeans at the weekend and with a blazer on Monday.",
        "Light on the skin, with a neckline that does not stretch.",
    )),
    Kind("lamp", ("table lamp", "floor lamp", "pendant lamp"),
         ("linen", "pleated paper", "steel"), (28, 150), (
        "Gives a warm light for reading in the evening.",
        "It brightens a dark corner without dazzling anybody.",
        "Takes an ordinary LED bulb and has a long textile cord.",
        "The shade softens the light over a desk or a dinner table.",
        "Dims down to a glow when the film begins.",
    )),
    Kind("poster", ("framed poster", "landscape print", "hanging print"),
         ("heavy matte paper", "recycled paper", "cotton paper"), (9, 60), (
        "Hang it above a desk, a bed or a sideboard.",
        "Printed with inks that do not fade in the sun.",
        "An easy way to give a bare wall something to say.",
        "Looks good alone and even better in a group of three.",
        "Arrives ready to hang, with all that you need.",
    )),
    Kind("shoe", ("sneaker", "ankle boot", "ballet flat"),
         ("canvas", "suede", "soft leather"), (38, 150), (
        "The sole is cushioned for a whole day on your feet.",
        "Comfortable from the first step, on cobbles as on carpet.",
        "Slips on fast and grips well on wet pavements.",
        "Wear it to work, to a concert or across half a city.",
        "Fits true to size, with room for the toes.",
    )),
    Kind("chair", ("dining chair", "armchair", "stool"),
         ("felt and oak", "cotton and ash", "velvet and beech"), (55, 260), (
        "Comfortable through a dinner with many courses.",
        "The seat is firm, the legs are solid wood, and nothing wobbles.",
        "A good place to read, to nap or to tie your shoes.",
        "Stands well at a table and just as well alone by the window.",
        "Put together in ten minutes, made to last for decades.",
    )),
    Kind("bag", ("tote bag", "backpack", "handbag"),
         ("waxed canvas", "recycled nylon", "smooth leather"), (24, 140), (
        "Carries a laptop, a lunch box and an umbrella.",
        "There is a small inner pocket for keys and cards.",
        "Big enough for the market, light enough for every day.",
        "The straps sit softly on the shoulder.",
        "Shrugs off rain on the way to the office.",
    )),
    Kind("cushion", ("square cushion", "round cushion", "lumbar cushion"),
         ("velvet", "washed linen", "wool"), (14, 56), (
        "Makes a hard sofa kind again.",
        "The cover comes off with a zip and can be washed.",
        "Plump and springy, for the back or for an afternoon nap.",
        "Throw two of them on a bench and it becomes a daybed.",
        "Filled with feathers from recycled duvets.",
    )),
    Kind("vase", ("bottle vase", "round vase", "handled vase"),
         ("stoneware", "hand-blown glass", "earthenware"), (12, 80), (
        "Tall enough for tulips, steady enough for branches.",
        "Pretty on a windowsill, with or without flowers.",
        "One stem from the garden is all that it asks for.",
        "Watertight, and heavy enough to stand up to cats.",
        "A quiet centre for a long table.",
    )),
    Kind("hat", ("beanie", "sun hat", "baseball cap"),
         ("recycled cotton", "a linen blend", "soft felt"), (12, 48), (
        "Keeps the ears out of the wind and the hair out of the face.",
        "Folds into a coat pocket and comes out in shape.",
        "One size fits nearly every head.",
        "For the beach, the bike and bad hair days.",
        "Light enough to forget that you are wearing it.",
    )),
    Kind("clock", ("wall clock", "alarm clock", "sunburst clock"),
         ("painted beech", "enamelled steel", "bamboo"), (16, 90), (
        "The movement is silent, so it may hang in a bedroom.",
        "Easy to read from the other side of the kitchen.",
        "Runs for two years on a single battery.",
        "It tells the time and asks for nothing else.",
        "Gets you to breakfast on time.",
    )),
    Kind("blanket", ("folded blanket", "fringed throw", "picnic blanket"),
         ("lambswool", "brushed cotton", "recycled fleece"), (26, 120), (
        "Warm enough for an open window in winter.",
        "Spread it over the bed, the sofa or two people.",
        "It comes out of the wash softer each time.",
        "For cold feet, late films and the first picnic of the year.",
        "Large enough to hide under.",
    )),
)
KIND = {kind.name: kind for kind in KINDS}
