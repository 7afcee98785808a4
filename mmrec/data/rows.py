"""Items and interactions as JSON-ready rows, and back: the canonical form of `mmrec.data.files`."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from mmrec.data.cleaning import from_decimal, from_numpy, identifier, plain
from mmrec.data.image_paths import ImagePaths
from mmrec.data.media import Refused, located, png, portable
from mmrec.errors import DataError, Rejection
from mmrec.types import MAX_ID, MAX_IMAGES, NOUNS, Interaction, Item, as_utc, check_source

Row = Mapping[str, Any]

ITEM_KEYS = ("item_id", "text", *NOUNS, "embeddings", "attributes", "added_at")
INTERACTION_KEYS = ("user_id", "item_id", "kind", "weight", "time")
BAD = (DataError, ArithmeticError, ValueError, TypeError, RecursionError)  # what a bad row can raise
MOST_TOLD = 5  # things that are wrong with one row


def item_as_dict(item: Item, *, folder: Path | None = None) -> dict[str, Any]:
    """The canonical JSON-ready form; with `folder`, paths of files inside it become relative to it."""
    row: dict[str, Any] = {"item_id": item.item_id}
    if item.text:
        row["text"] = dict(item.text)
    for field in NOUNS:
        if files := [json_ready(portable(source, folder)) for source in getattr(item, field)]:
            row[field] = files[0] if len(files) == 1 else files
    if item.embeddings:
        row["embeddings"] = {name: list(vector) for name, vector in item.vectors.items()}
    if item.attributes:
        row["attributes"] = json_ready(item.attributes)
    if item.added_at is not None:
        row["added_at"] = item.added_at.isoformat()
    return row


def item_from_dict(row: Row, *, line: int | None = None, paths: ImagePaths | None = None) -> Item:
    """The Item of a canonical row; with `paths`, pictures are found as these say, else their paths stay.

    What cannot be used costs the item nothing else: a picture or sound becomes `Refused`, those beyond the
    first `MAX_IMAGES`, a text, an attribute or the time are left out, which `Item.lost` tells.

    Raises:
        DataError: the row has no usable id.
    """
    try:
        return Item(**_parts(row, paths), line=line)
    except BAD:
        sound, wrong = _judged(row, paths)
    lost = rejected(together(wrong), row, line=line, paths=paths)
    return Item(**_parts(sound, paths), line=line, lost=lost)


def interaction_as_dict(interaction: Interaction) -> dict[str, Any]:
    """The canonical JSON-ready form."""
    row = {name: getattr(interaction, name) for name in INTERACTION_KEYS}
    return row | {"time": interaction.time.isoformat()}


def interaction_from_dict(row: Row, *, line: int | None = None, live: bool = True) -> Interaction:
    """The Interaction of a canonical row; an absent kind, weight or time gets its default.

    Args:
        line: of the file it came from (1-based).
        live: whether what has no time happened just now; else its time is unknown (`Interaction.undated`).

    Raises:
        DataError: the row is no interaction; `.field` names the part at fault.
    """
    given = checked(row, INTERACTION_KEYS)
    given |= {name: identifier(plain(given[name])) for name in ("user_id", "item_id")}
    if "time" in given:
        given["time"] = moment("time", given["time"])
    return Interaction(**given, line=line, undated=not live and "time" not in given)


def together(errors: Sequence[Exception]) -> DataError:
    """All that is wrong with a row as one error, those of files first: the first says the field."""
    fields = {_reason(error): getattr(error, "field", None) for error in errors}
    reasons = sorted(fields, key=lambda reason: [*NOUNS, fields[reason]].index(fields[reason]))
    more = [f"{len(reasons) - MOST_TOLD} more"] if len(reasons) > MOST_TOLD else []
    return DataError("; ".join(reasons[:MOST_TOLD] + more), field=fields[reasons[0]])


def rejected(
    error: Exception, row: Row | None, *, line: int | None = None, paths: ImagePaths | None = None
) -> Rejection:
    """The Rejection of a row for the error it raised; its pictures are found from anywhere afterwards."""
    item_id = None if row is None else row.get("item_id")
    return Rejection(
        reason=_reason(error),
        item_id=str(item_id)[:MAX_ID] if isinstance(item_id, str | int) and item_id != "" else None,
        field=getattr(error, "field", None),
        line=line,
        row=None if row is None else json_ready(found(row, paths)),
    )


def checked(row: Row, keys: Sequence[str]) -> dict[str, Any]:
    """The parts of a row that are not None; DataError if an id is missing, or a key is not in `keys`."""
    for name in keys:
        if name.endswith("_id") and row.get(name) is None:
            raise DataError(f"{name} is missing: every row needs one", field=name)
    if unknown := [key for key in row if key not in keys]:
        raise DataError(
            f"unknown {', '.join(map(repr, unknown))[:200]}: a row has {', '.join(keys)}. Put other fields"
            " inside text or attributes; for a flat table:"
            " `mmrec ingest --format table --text title,description`",
            field=str(unknown[0]),
        )
    return {name: value for name, value in row.items() if value is not None}


def _file(field: str, source: Any, paths: ImagePaths | None) -> Any:
    """A picture or sound as `Item` takes it, or why it cannot be."""
    try:
        file = located(source, paths, field)
    except DataError as error:
        return Refused(found({field: source}, paths)[field], str(error))
    try:
        check_source(field, file)
    except DataError as error:
        return Refused(source, str(error))
    return file


def found(row: Row, paths: ImagePaths | None) -> Row:
    """The row with its files `located`, if they can be, wherever they lie: to be told, not followed."""
    anywhere = paths and ImagePaths(*paths.folders, allow_outside=True)
    for field in NOUNS:
        if row.get(field) is not None:
            with suppress(*BAD):
                row = {**row, field: located(row[field], anywhere, field)}
    return row


def json_ready(value: Any, depth: int = 16) -> Any:
    """Any value as JSON can hold it, pictures and times in canonical form; `depth` levels of nesting stay."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 10_000 else hex(value)  # Python prints no longer decimals
    if isinstance(value, float | date) and value != value:  # NaN, and NaT of pandas
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date):
        return {"datetime": value.isoformat()}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Decimal) and not value.is_snan():
        return json_ready(from_decimal(value))
    if type(value).__module__ == "numpy":
        return json_ready(from_numpy(value), depth)
    if hasattr(value, "convert"):  # a picture
        return json_ready(png(value))
    if depth and isinstance(value, Mapping):
        return {str(name): json_ready(part, depth - 1) for name, part in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [json_ready(part, depth - 1) for part in value]
    return str(value) if depth else "(nested too deeply)"


def _parts(row: Row, paths: ImagePaths | None) -> dict[str, Any]:
    """The arguments of `Item` in a row."""
    given = checked(row, ITEM_KEYS)
    if isinstance(given.get("attributes"), Mapping):
        given["attributes"] = {name: _attribute(name, value) for name, value in given["attributes"].items()}
    for field in NOUNS.keys() & given.keys():
        several = given[field] if isinstance(given[field], list | tuple) else [given[field]]
        given[field] = [_file(field, one, paths) for one in several if one not in (None, "", b"")]
    if "added_at" in given:
        given["added_at"] = moment("added_at", given["added_at"])
    return given


def _judged(row: Row, paths: ImagePaths | None) -> tuple[dict[str, Any], list[Exception]]:
    """What `Item` takes of a row, each of its parts tried alone, and what is wrong with the others."""
    sound: dict[str, Any] = {"item_id": row.get("item_id")}
    Item(**_parts(sound, paths))  # raises: without an id there is no item, whatever else there is
    wrong: list[Exception] = []

    def fits(part: str, value: Any) -> bool:
        try:
            return bool(Item(**_parts({"item_id": sound["item_id"], part: value}, paths)))
        except BAD as error:
            wrong.append(error)
            return False

    for part, value in row.items():
        if part in ("text", "attributes", "embeddings") and isinstance(value, Mapping):
            sound[part] = {name: one for name, one in value.items() if fits(part, {name: one})}
        elif fits(part, value):
            sound[part] = value
        elif part in NOUNS:  # which fail by their number alone
            wrong.append(DataError(f"{wrong.pop()}: the first {MAX_IMAGES} are taken", field=part))
            sound[part] = [one for one in value if one not in (None, "")][:MAX_IMAGES]
    return sound, wrong


def _reason(error: Exception) -> str:
    return f"{'' if isinstance(error, DataError) else f'cannot be read: {type(error).__name__}: '}{error}"


def _attribute(name: str, value: Any) -> Any:
    a_time = isinstance(value, date) or (isinstance(value, Mapping) and set(value) == {"datetime"})
    return moment(name, value) if a_time else value


def moment(name: str, value: Any) -> datetime:
    """A time in UTC from ISO 8601, seconds since 1970, a date (its midnight) or a datetime."""
    if isinstance(value, Mapping) and set(value) == {"datetime"}:
        value = value["datetime"]
    try:
        if hasattr(value, "to_pydatetime"):  # pandas
            return as_utc(value.to_pydatetime(warn=False))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str | date):
            return as_utc(datetime.fromisoformat(str(value).strip()))
    except (ValueError, OverflowError, OSError):
        pass
    raise DataError(
        f"{name} must be an ISO 8601 time such as '2024-05-01T10:00:00+00:00' or seconds (not milliseconds)"
        f" since 1970, got {value!r}"[:300], field=name,
    )
