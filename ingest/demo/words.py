"""Titles and descriptions of the demo shop's products, in plain English."""

from __future__ import annotations

from ingest.demo.dice import Dice
from ingest.demo.kinds import KIND
from ingest.demo.products import Product

ADJECTIVES = {
    "plain": "plain", "stripes": "striped", "dots": "dotted", "checks": "checked", "zigzag": "zigzag",
    "flowers": "floral", "hearts": "heart-print", "diamonds": "harlequin", "rings": "circle-print",
    "grid": "grid-print", "leaves": "leaf-print", "pines": "pine-print", "squares": "chequered",
}
PHRASES = {
    "stripes": "stripes", "dots": "polka dots", "checks": "checks", "zigzag": "zigzags", "flowers": "flowers",
    "hearts": "hearts", "diamonds": "diamonds", "rings": "circles", "grid": "grid lines",
    "leaves": "leaves", "pines": "pine trees", "squares": "chequers",
}
SERIES = {
    "nordic": ("Fjord", "Lumi", "Birk", "Saga", "Tarn"),
    "retro": ("Disco", "Jive", "Apollo", "Rialto", "Vinyl"),
    "romantic": ("Rosalie", "Amour", "Belle", "Violetta", "Serenade"),
    "bold": ("Pop", "Zing", "Samba", "Circus", "Loud"),
    "minimal": ("Line", "Mono", "Pure", "Basis", "Still"),
    "rustic": ("Hearth", "Barn", "Meadow", "Orchard", "Bramble"),
}
TITLES = (
    "{adjective} {colour} {form}", "{adjective} {colour} {form}", "{colour} {form} with {phrase}",
    "{series} {form} in {colour}", "{adjective} {style} {form} in {colour}", "{colour} {form}, {phrase}",
    "{series} {adjective} {form}, {colour}",
)
OPENINGS = (
    "{A_style} {form} made of {material}, in {colour} with {phrase}.",
    "{A_colour} {form} of {material} with {phrase}.",
    "This {adjective} {form} is made of {material} and comes in {colour}.",
    "{Material} in {colour}, with {phrase}: {a_form} that people will ask about.",
    "We took {material}, chose {colour} and added {phrase}.",
    "{A_adjective} {form} in {colour}, made of {material} in small numbers.",
    "Here is {a_adjective} {form} for friends of {style} things, made of {material}.",
)
PLAIN_OPENINGS = (
    "{A_style} {form} made of {material}, in plain {colour}.",
    "{A_colour} {form} of {material}, without any pattern.",
    "This {form} is made of {material} and comes in one colour, {colour}.",
    "{Material} in plain {colour}: {a_form} that goes with everything.",
    "We took {material}, chose {colour} and left it at that.",
    "{A_adjective} {form} in {colour}, made of {material} in small numbers.",
    "Here is {a_adjective} {form} for friends of {style} things, made of {material}.",
)
MOODS = {
    "nordic": (
        "The calm look comes from the far north, where light is precious.",
        "Scandinavian and unfussy, like a cabin by a cold lake.",
        "Hygge, without the need to say the word.",
        "Cool shades and clear shapes, as they like them in Norway.",
        "It brings a little snow-quiet into the house.",
    ),
    "retro": (
        "Straight out of a 1970s living room, in the best way.",
        "The seventies called, and we did not give it back.",
        "Warm colours and round shapes, like the sleeve of an old record.",
        "It has the good cheer of a vintage diner.",
        "Mid-century lines, made new.",
    ),
    "romantic": (
        "Soft and dreamy, like a letter in a garden.",
        "Made for people who press flowers in books.",
        "Tender colours with a touch of a French country house.",
        "It looks like the first warm evening in May.",
        "Sweet, but never sugary.",
    ),
    "bold": (
        "It is loud, happy and not at all sorry.",
        "Strong colours that wake up a whole room.",
        "For people who would rather stand out than fit in.",
        "Pop art for every day.",
        "You will see it from across the street.",
    ),
    "minimal": (
        "Nothing is there that does not have to be.",
        "A clean outline, and no noise.",
        "Less, but better.",
        "It disappears into a tidy room and is missed when it is gone.",
        "Pure form, for people who like empty shelves.",
    ),
    "rustic": (
        "It would be at home in a farmhouse with a fire going.",
        "Earthy colours, as if from a walk in an autumn wood.",
        "Honest and sturdy, like things from a country market.",
        "It smells of hay and apples, or so we like to think.",
        "Made the slow way, for cottages and for people who dream of one.",
    ),
}
DETAILS = {
    "plain": ("Without a pattern, it lets the colour speak.", "One even colour, from edge to edge."),
    "stripes": ("The {accent} stripes are even and crisp.", "Stripes in {accent} run all the way across."),
    "dots": ("Small {accent} dots are scattered over it.", "The dots are {accent}, and there are many."),
    "checks": ("The checks are woven in {accent}.", "Broad {accent} checks give it a country air."),
    "zigzag": ("A {accent} zigzag runs around it.", "The zigzag in {accent} keeps the eye moving."),
    "flowers": (
        "Blossoms in {accent} are spread all over it.",
        "The {accent} flowers were painted by hand first.",
    ),
    "hearts": (
        "Tiny {accent} hearts cover it from top to bottom.",
        "The hearts are {accent}, and very small.",
    ),
    "diamonds": (
        "Diamonds in {accent} stand point to point.",
        "The {accent} diamonds recall a harlequin's coat.",
    ),
    "rings": ("Rings within rings, in {accent}.", "The {accent} circles could be from an old wallpaper."),
    "grid": (
        "Fine {accent} lines make a grid, as in a school book.",
        "A thin grid in {accent} is its only ornament.",
    ),
    "leaves": ("Leaves in {accent} climb over it.", "The {accent} leaves look picked this morning."),
    "pines": ("Little {accent} pines stand in rows.", "A forest of {accent} trees runs across it."),
    "squares": (
        "The {accent} squares look like a chess board.",
        "Chequers in {accent} leave no room for doubt.",
    ),
}
# What a description is made of, sentence by sentence: o opening, u use, m mood, d detail of the pattern.
PLANS = ("o", "ou", "om", "od", "uo", "mo", "oum", "omu", "odu", "mou", "uod", "odm")


def title(product: Product, dice: Dice) -> str:
    """A short name of the product, such as "Striped teal mug"."""
    templates = [t for t in TITLES if product.pattern in PHRASES or "{phrase}" not in t]
    text = dice.pick(templates).format_map(_names(product, dice))
    return text[0].upper() + text[1:]


def description(product: Product, dice: Dice) -> str:
    """One to three sentences on what it is made of, what it is for and how it looks."""
    sentences = {
        "o": dice.pick(OPENINGS if product.pattern in PHRASES else PLAIN_OPENINGS),
        "u": dice.pick(KIND[product.kind].uses),
        "m": dice.pick(MOODS[product.style]),
        "d": dice.pick(DETAILS[product.pattern]),
    }
    names = _names(product, dice)
    return " ".join(sentences[part].format_map(names) for part in dice.pick(PLANS))


def _names(product: Product, dice: Dice) -> dict[str, str]:
    """The words that a template may use; `a_x` and `A_x` are x behind its article."""
    adjective = ADJECTIVES[product.pattern]
    style = {"nordic": "Nordic"}.get(product.style, product.style)
    words = {"form": product.form, "colour": product.colour, "style": style, "adjective": adjective}
    articles = {f"a_{name}": with_article(word) for name, word in words.items()}
    capitals = {f"A_{name[2:]}": text[0].upper() + text[1:] for name, text in articles.items()}
    phrase = PHRASES.get(product.pattern, "")
    return {
        **words, **articles, **capitals, "accent": product.accent, "material": product.material,
        "Material": product.material[0].upper() + product.material[1:],
        "phrase": f"{product.accent} {phrase}", "series": dice.pick(SERIES[product.style]),
    }


def with_article(word: str) -> str:
    """The word behind "a" or "an"."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
