"""What a check can find: each kind with why it matters, what to do, and when it would mislead a training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SHOWN = 20  # rows that are named
MANY = 0.02  # share from which a fault would mislead a training


class Row(NamedTuple):
    """What a finding names: ids that belong together, or one; of an interaction its user and item."""

    ids: tuple[str, ...]
    detail: str = ""


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        what: is found, after "12 of 600 items".
        unit: what is counted.
        misleads: share from which it is an error; None says that it never is.
        mild: how severe it is below that share.
    """

    what: str
    why: str
    todo: str
    unit: str = "items"
    misleads: float | None = MANY
    mild: Severity = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or odd.

    Attributes:
        name: of its kind, in `KINDS`.
        count: how many there are, of `total`.
        rows: all of them, as far as they have names; the worst first.
    """

    name: str
    severity: Severity
    count: int
    total: int
    rows: tuple[Row, ...]

    @property
    def kind(self) -> Kind:
        """What is said of all findings of this name."""
        return KINDS[self.name]

    @property
    def what(self) -> str:
        """The finding in one sentence."""
        share = f" ({self.count / self.total:.1%})" if self.total else ""
        return f"{self.count:,} of {self.total:,} {self.kind.unit}{share} {self.kind.what}"

    def as_dict(self, most: int = SHOWN) -> dict[str, Any]:
        """JSON-ready, with the first rows."""
        return {
            "name": self.name, "severity": self.severity, "what": self.what, "count": self.count,
            "of": self.total, "unit": self.kind.unit, "why": self.kind.why, "todo": self.kind.todo,
            "rows": [{"ids": list(row.ids), "detail": row.detail} for row in self.rows[:most]],
        }


def found(name: str, rows: Iterable[Row], total: int, count: int | None = None) -> list[Finding]:
    """The finding of these rows, if there are any, as severe as their share of the total says.

    Args:
        count: how many there are; None counts the ids of the rows.
    """
    rows, kind = tuple(rows), KINDS[name]
    count = sum(len(row.ids) for row in rows) if count is None else count
    if not count:
        return []
    misled = kind.misleads is not None and count >= kind.misleads * total
    return [Finding(name, "error" if misled else kind.mild, count, total, rows)]


def alone(ids: Iterable[str]) -> list[Row]:
    """Rows of one id each."""
    return [Row((one,)) for one in ids]


def together(groups: Iterable[Sequence[str]]) -> list[Row]:
    """Rows of ids that belong together, the largest first."""
    return [Row(tuple(group)) for group in sorted(groups, key=len, reverse=True)]


KINDS: dict[str, Kind] = {
    "same-item": Kind(
        "have the words, pictures and attributes of another",
        "Their behaviour is split between ids, pages show the same thing twice, and an evaluation calls an"
        " item cold whose twin was in the training.",
        "Keep one id of each and delete the others (`mmrec delete`), or let lists show one of them"
        " (`--distinct 0.99`).",
    ),
    "same-picture": Kind(
        "have the picture of another item, and other words",
        "What differs looks the same: their pictures pull unlike items together.",
        "Give each its own picture, or delete the id that is one too many.", misleads=0.05,
    ),
    "near-pictures": Kind(
        "show the photo of another item, encoded, resized or cropped anew",
        "Mostly one product under several ids, from two feeds: its behaviour is split, and an evaluation"
        " calls one cold whose twin was in the training.",
        "Compare them; keep one id, or let lists show one of them (`--distinct 0.95`).", misleads=0.05,
    ),
    "same-words": Kind(
        "have all the words of another item, with other pictures or attributes",
        "Colours or sizes of one design, or a text that was copied: words cannot tell them apart.",
        "Nothing, if they are one design (lists show one of it with `--distinct` and the attribute that names"
        " it); else write what is different.", misleads=None, mild="note",
    ),
    "placeholder-pictures": Kind(
        "share one picture with many others, or show nothing",
        "A placeholder says nothing of the item, and makes all that have it alike: they are recommended"
        " to whoever liked one of them.",
        "Ingest them with their own pictures, or without any: a missing picture costs that field alone.",
    ),
    "dead-pictures": Kind(
        "name a picture file that is gone",
        "What was embedded serves on, but pages cannot show it, and the next ingest cannot read it.",
        "Put the files back, or ingest the items with their new paths.", misleads=None,
    ),
    "empty-texts": Kind(
        "have no words that say anything",
        "Nothing finds them in a search, and their content is what their pictures and attributes are.",
        "Ingest them with a title.",
    ),
    "stock-texts": Kind(
        "have a text that many items have, in a field that else tells items apart",
        "A phrase such as \"no description\" makes all that have it alike.",
        "Leave the field out where there is nothing to say: a missing text costs that field alone.",
        misleads=0.1,
    ),
    "markup": Kind(
        "have HTML, entities or shortcodes in their texts",
        "An encoder and the full text take them for words.",
        "Ingest them from a file, which is cleaned, or clean with `mmrec.data.cleaning.plain_text` before.",
        misleads=0.2,
    ),
    "encoding": Kind(
        "have broken letters (\"KÃ¤se\", \"�\") in their texts",
        "Neither an encoder nor a search reads these words.",
        "Ingest the file again in its true encoding; what was saved with \"�\" is lost: export it anew.",
        misleads=0.1,
    ),
    "odd-numbers": Kind(
        "have a number far from all others of that attribute",
        "A price in cents or a year of 0 stretches the scale by which numbers are compared.",
        "Correct them, or leave the attribute out where it is not known.", misleads=None,
    ),
    "odd-for-its-like": Kind(
        "have a number far from those of items like them",
        "A price with a digit too many is still a price, but not of this thing.",
        "Compare with what was expected; correct the number, or what the item is called.", misleads=None,
    ),
    "odd-pictures": Kind(
        "have a picture that fits others better than their own words and attributes",
        "A picture of another product makes an item alike to what it is not, and misleads who sees it.",
        "Look at them; ingest those that are wrong with their own pictures.", misleads=None,
    ),
    "odd-categories": Kind(
        "have a category that their words and pictures gainsay",
        "Filters, caps and groups take the category at its word, and content learns from it.",
        "Correct it where the other value is right; `mmrec suggest` gives values that are missing.",
        misleads=None,
    ),
    "spellings": Kind(
        "spell a category in a way that few do",
        "\"Blue\" and \"blue\" are two categories to filters and caps, and in the content.",
        "Spell each in one way, and ingest again: nothing but these items is encoded.", misleads=0.2,
    ),
    "future-items": Kind(
        "joined in the future",
        "They are the newest until then, or a clock or a format of dates is wrong.",
        "Correct `added_at`.",
    ),
    "like-ids": Kind(
        "have an id that differs from another by case, zeros in front or \".0\" alone",
        "Mostly one product whose id a spreadsheet rewrote: its behaviour is split.",
        "Read ids as text when you export; delete the wrong one of each.", misleads=0.01,
    ),
    "drift": Kind(
        "or so are compared: the newer are unlike the older",
        "What was learned on the older ones holds less for the newer.",
        "Expected after a season or a new range; else look whether a feed changed (language, pictures,"
        " units). Fit again.", misleads=None, mild="note",
    ),
    "attribute-drift": Kind(
        "differ between the older and the newer items",
        "A column that was renamed, filled otherwise, or has another unit misleads filters and content.",
        "Look at the feed of the newer items.", unit="attributes", misleads=None,
    ),
    "unknown-items": Kind(
        "are with items that are not in the catalogue, deleted or never there",
        "No training can use them: what is left shows another taste.",
        "Ingest the items that are missing, retired ones too; compare how both files write ids.",
        unit="interactions", misleads=0.1,
    ),
    "log-ids": Kind(
        "are with an item whose id the catalogue writes otherwise (case, zeros in front, \".0\")",
        "They are lost to every training.",
        "Export the log with the ids of the catalogue, as text, and record it anew.", unit="interactions",
    ),
    "early": Kind(
        "came before their item was added",
        "`added_at` is wrong, or ids were used twice; what is new and what is cold is misjudged.",
        "Give the true `added_at`, and new products new ids.", unit="interactions",
    ),
    "arrivals": Kind(
        "came before their item was added, nearly all",
        "The catalogue came without `added_at`, so that all items seem to have joined when it was ingested:"
        " newness, age and exploration of new items say nothing.",
        "Ingest with `added_at`; nothing is encoded again.", unit="interactions", misleads=None,
    ),
    "undated": Kind(
        "have no time",
        "What is popular now, what comes next (`--ordered`) and splits by time cannot be told from them.",
        "Record them with their times, if there are any.", unit="interactions", misleads=None, mild="note",
    ),
    "future": Kind(
        "lie in the future",
        "A clock or a format of dates is wrong, and so is their order.",
        "Correct the times.", unit="interactions",
    ),
    "bots": Kind(
        "are of users that act like no human",
        "A crawler's clicks are no taste, and weigh as much as those of hundreds of shoppers.",
        "Leave these users out of the log; `fit` bounds them, and learns from their latest ones alone, ten"
        " times as many as nearly all users have.", unit="interactions",
    ),
    "burst": Kind(
        "lie in one hour",
        "An import, a crawler or a campaign: what it touched seems popular.",
        "Look at that hour; record its interactions with their true times, or leave them out.",
        unit="interactions", misleads=0.1,
    ),
    "double-clicks": Kind(
        "repeat the same act on the same item within seconds",
        "One wish counts twice in what is popular.",
        "Leave the repeats out where the log is written.", unit="interactions", misleads=0.1, mild="note",
    ),
    "concentration": Kind(
        "are with one item in a hundred",
        "A training repeats what was displayed most; what few have seen seems disliked.",
        "Explore (`explore=0.1`), and compare with `mmrec evaluate`, by popularity.", unit="interactions",
        misleads=None, mild="note",
    ),
    "hidden-groups": Kind(
        "belong to groups that the log hardly shows",
        "Shoppers have not refused them, they have not seen them: a training cannot tell which.",
        "Show them (`explore=0.1`) before you trust what is learned of them.", misleads=None,
    ),
}
