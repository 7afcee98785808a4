"""Items and interactions as JSON-ready rows, and back: the canonical form of `mmrec.data.files`."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from mmrec.data.image_paths import ImagePaths
from mmrec.errors import DataError
from mmrec.types import Interaction, Item, Rejection, as_utc, is_url

Row = Mapping[str, Any]

ITEM_KEYS = ("item_id", "text", "image", "attributes", "added_at")
INTERACTION_KEYS = ("user_id", "item_id", "kind", "weight", "time")
BAD = (DataError, ArithmeticError, ValueError, TypeError, RecursionError)  # what a bad row can raise
_DEEPEST = 16  # levels of nesting kept of a rejected row


def item_as_dict(item: Item, *, folder: Path | None = None) -> dict[str, Any]:
    """The canonical JSON-ready form; with `folder`, paths of pictures inside it become relative to it."""
    row: dict[str, Any] = {"item_id": item.item_id}
    if item.text:
        row["text"] = dict(item.text)
    if item.images:
        images = [json_ready(portable(image, folder)) for image in item.images]
        row["image"] = images[0] if len(images) == 1 else images
    if item.attributes:
        row["attributes"] = json_ready(item.attributes)
    if item.added_at is not None:
        row["added_at"] = item.added_at.isoformat()
    return row


def item_from_dict(row: Row, *, line: int | None = None, paths: ImagePaths | None = None) -> Item:
    """The Item of a canonical row; with `paths`, pictures are found as these say, else their paths stay.

    Raises:
        DataError: the row is no item; `.field` names the part at fault.
    """
    check_keys(row, ITEM_KEYS, required=("item_id",))
    text, attributes, added_at = row.get("text"), row.get("attributes"), row.get("added_at")
    if isinstance(attributes, Mapping):
        attributes = {name: _attribute(name, value) for name, value in attributes.items()}
    return Item(
        item_id=row["item_id"],
        text={} if text is None else text,
        image=located(row.get("image"), paths),
        attributes={} if attributes is None else attributes,
        added_at=None if added_at is None else moment(added_at, "added_at"),
        line=line,
    )


def interaction_as_dict(interaction: Interaction) -> dict[str, Any]:
    """The canonical JSON-ready form."""
    return {
        "user_id": interaction.user_id, "item_id": interaction.item_id, "kind": interaction.kind,
        "weight": interaction.weight, "time": interaction.time.isoformat(),
    }


def interaction_from_dict(row: Row, *, line: int | None = None) -> Interaction:
    """The Interaction of a canonical row; an absent kind, weight or time gets its default.

    Raises:
        DataError: the row is no interaction; `.field` names the part at fault.
    """
    check_keys(row, INTERACTION_KEYS, required=("user_id", "item_id"))
    given = {name: value for name, value in row.items() if value is not None}
    if "time" in given:
        given["time"] = moment(given["time"], "time")
    return Interaction(**given, line=line)


def rejected(
    error: Exception, row: Row | None, *, line: int | None = None, paths: ImagePaths | None = None
) -> Rejection:
    """The Rejection of a row for the error it raised; its pictures are found from anywhere afterwards."""
    item_id = None if row is None else row.get("item_id")
    strange = "" if isinstance(error, DataError) else f"the row cannot be read: {type(error).__name__}: "
    return Rejection(
        reason=f"{strange}{error}",
        item_id=str(item_id)[:512] if isinstance(item_id, str | int) and item_id != "" else None,
        field=getattr(error, "field", None),
        line=line,
        row=None if row is None else json_ready(found(row, paths)),
    )


def check_keys(row: Row, known: Sequence[str], *, required: Iterable[str] = ()) -> None:
    """Whether a row has the keys of the canonical form and no others.

    Raises:
        DataError: a key is missing or unknown.
    """
    for name in required:
        if row.get(name) is None:
            raise DataError(f"{name} is missing: every row needs one", field=name)
    unknown = [key for key in row if key not in known]
    if unknown:
        raise DataError(
            f"unknown {', '.join(map(repr, unknown))[:200]}: a row has {', '.join(known)}. Put other fields"
            " inside text or attributes; for a flat table:"
            " `mmrec ingest --format table --text title,description`",
            field=str(unknown[0]),
        )


def moment(value: Any, name: str) -> datetime:
    """A time in UTC from ISO 8601, seconds since 1970, a date (its midnight) or a datetime.

    Raises:
        DataError: it is none of these, or out of range.
    """
    if isinstance(value, Mapping) and set(value) == {"datetime"}:
        value = value["datetime"]
    try:
        if isinstance(value, str):
            return as_utc(datetime.fromisoformat(value.strip()))
        if hasattr(value, "to_pydatetime"):  # pandas
            return as_utc(value.to_pydatetime(warn=False))
        if isinstance(value, datetime):
            return as_utc(value)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise DataError(
        f"{name} must be an ISO 8601 time such as '2024-05-01T10:00:00+00:00' or seconds (not milliseconds)"
        f" since 1970, got {value!r}"[:300], field=name,
    )


def located(image: Any, paths: ImagePaths | None) -> Any:
    """An image entry with `{"base64": ...}` decoded and, with `paths`, absolute paths.

    Raises:
        DataError: the base64 is damaged, or a path is not allowed.
    """
    if isinstance(image, list | tuple):
        return [located(source, paths) for source in image if source not in (None, "")]
    if isinstance(image, Mapping) and set(image) == {"base64"}:
        try:
            return base64.b64decode(image["base64"], validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise DataError(f"image is no base64: {error}", field="image") from None
    if paths is None or image in (None, "") or not isinstance(image, str | Path):
        return image
    return paths.absolute(image)


def found(row: Row, paths: ImagePaths | None) -> Row:
    """The row with its pictures `located`, if they can be, wherever they lie: to be told, not followed."""
    if row.get("image") is None:
        return row
    try:
        return {**row, "image": located(row["image"], paths and paths.unchecked())}
    except BAD:
        return row


def portable(image: Any, folder: Path | None = None) -> str | bytes:
    """A picture as a file can hold it: address, path (relative inside `folder`, else absolute) or bytes."""
    if isinstance(image, bytes):
        return image
    if not isinstance(image, str | Path):
        return _png(image)
    if folder is None or is_url(image):
        return str(image)
    path = Path(image).absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def json_ready(value: Any, depth: int = _DEEPEST) -> Any:
    """Any value as JSON can hold it, in the canonical form where there is one (pictures, times)."""
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
        return json_ready(_png(value))
    if depth and isinstance(value, Mapping):
        return {str(name): json_ready(part, depth - 1) for name, part in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [json_ready(part, depth - 1) for part in value]
    return str(value) if depth else "(nested too deeply)"


def from_decimal(value: Decimal) -> int | float:
    """A decimal as an integer if it is one and not huge, else as the nearest float."""
    whole = value.is_finite() and value.adjusted() < 20 and value == value.to_integral_value()
    return int(value) if whole else float(value)


def from_numpy(value: Any) -> Any:
    """A scalar or array of NumPy as plain Python values."""
    if value.dtype.kind == "M":
        value = value.astype("datetime64[us]")  # nanoseconds would come out as integers
    return value.tolist()


def parse_row(data: bytes | str) -> dict[str, Any]:
    """The object of one JSON line.

    Raises:
        DataError: it is no UTF-8, no JSON, no object, or says one thing twice.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        row = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise DataError(f"byte {error.start} of the line is no UTF-8: save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"the line is no valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"the line must be a JSON object {{...}}, got {type(row).__name__}")
    return row


def dump_row(row: Row) -> bytes:
    """One JSON line of JSON-ready values, its newline included."""
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but an escape
        return json.dumps(row, allow_nan=False).encode() + b"\n"


def _attribute(name: str, value: Any) -> Any:
    a_time = isinstance(value, date) or (isinstance(value, Mapping) and set(value) == {"datetime"})
    return moment(value, name) if a_time else value


def _png(picture: Any) -> bytes:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)  # PNG would lose the turn
    if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        upright = upright.convert("RGB")
    file = io.BytesIO()
    upright.save(file, "PNG")
    return file.getvalue()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the key {twice!r} stands twice in one object: keep one", field=twice)
    return row


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON number: leave the value out")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)
