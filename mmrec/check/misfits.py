"""Values that do not belong to their items, and values that are missing, as the other fields tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmrec.check.expected import Field, expected_fields
from mmrec.check.findings import Finding, Row, found
from mmrec.errors import DataError
from mmrec.model.masked_fields import Embedding, Number
from mmrec.ranking.request import check_share, listed
from mmrec.search.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A value for an attribute that an item lacks.

    Attributes:
        certainty: how often such a value is right, of items that have one.
    """

    item_id: str
    field: str
    value: str | bool
    certainty: float


def check_fields(snapshot: Snapshot) -> Iterator[Finding]:
    """Pictures, categories and numbers that the other fields of their items gainsay, the worst first."""
    rows: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for field in expected_fields(snapshot):
        for row in field.odd.tolist():
            kind, told = _told(field, row, snapshot)
            rows[kind].append((-float(field.misfit[row]), Row((snapshot.ids[row],), told)))
    for kind, some in rows.items():
        ordered = [row for _, row in sorted(some)]
        yield from found(kind, ordered, len(snapshot), len({row.ids for row in ordered}))


def _told(field: Field, row: int, snapshot: Snapshot) -> tuple[str, str]:
    """The kind of finding, and what was expected."""
    if isinstance(field.judge, Embedding):
        return "odd-pictures", f"{field.misfit[row]:.0%} of other pictures would fit it better"
    own = snapshot.facts[field.name][row].as_py()
    if isinstance(field.judge, Number):
        said = f"{field.name}: {own:g}, of items like it about {field.best[row]:.3g}"
        return "odd-for-its-like", said
    best, certainty = field.values[int(field.best[row])], min(field.certainty[row], 0.99)
    return "odd-categories", f"{field.name}: {own!r}, its words and picture say {best!r} ({certainty:.0%})"


def suggest(
    snapshot: Snapshot, item_ids: Sequence[str] | None = None, fields: Sequence[str] | None = None,
    least: float = 0.8,
) -> list[Suggestion]:
    """Values for categories that items lack, told by their texts and pictures; the most certain first.

    Nothing is suggested for a category that fewer than 300 items have, nor for lists and numbers.

    Args:
        item_ids: of which items; None means all.
        fields: names of attributes; None means all categories.
        least: certainty.

    Raises:
        DataError: a field is no category, or an argument cannot be used.
        UnknownItem: an item is not in the catalogue.
    """
    least = check_share(least, "least")
    types = {name: snapshot.facts.schema.field(name).type for name in snapshot.attributes}
    known = [n for n, type_ in types.items() if pa.types.is_string(type_) or pa.types.is_boolean(type_)]
    names = known if fields is None else listed(fields, "fields")
    if unknown := [name for name in names if name not in known]:
        told = ", ".join(known) or "there is none"
        raise DataError(f"{unknown[0]!r} is no category of this catalogue: choose {told}", field="fields")
    ids = snapshot.ids if item_ids is None else listed(item_ids, "item_ids")
    lacking = {name: np.asarray(snapshot.facts[name].is_null()) for name in names}
    rows = np.unique(snapshot.positions_of(ids))
    rows = rows[np.any([lacks[rows] for lacks in lacking.values()], axis=0)] if lacking else rows[:0]
    if not len(rows):
        return []
    found = [
        Suggestion(
            item_id=snapshot.ids[row], field=one.name, value=one.values[int(one.best[row])],
            certainty=round(float(one.certainty[row]), 4),
        )
        for one in expected_fields(snapshot, names, rows)
        for row in rows[lacking[one.name][rows] & (one.certainty[rows] >= least)].tolist()
    ]
    return sorted(found, key=lambda one: -one.certainty)
