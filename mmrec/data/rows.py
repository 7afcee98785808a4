"""Items and interactions as JSON-ready rows, and back: the canonical form of `mmrec.data.files`."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, unquote_to_bytes

from mmrec.data.cleaning import from_decimal, from_numpy, identifier, plain
from mmrec.data.image_paths import ImagePaths
from mmrec.errors import DataError, Rejection
from mmrec.types import IMAGE, MAX_ID, MAX_IMAGES, Interaction, Item, as_utc, is_url

Row = Mapping[str, Any]

ITEM_KEYS = ("item_id", "text", "image", "attributes", "added_at")
INTERACTION_KEYS = ("user_id", "item_id", "kind", "weight", "time")
BAD = (DataError, ArithmeticError, ValueError, TypeError, RecursionError)  # what a bad row can raise
MOST_TOLD = 5  # things that are wrong with one row


class Refused(str):
    """A picture of a row that may not be followed or could not be had; its item goes on without it.

    Attributes:
        given: what the row holds: an address, or a value that is none.
        reason: what is wrong, what was expected, what to do.
    """

    def __new__(cls, given: Any = "", reason: str = "") -> Self:  # noqa: D102
        address = str(given) if isinstance(given, str | Path) else f"({type(given).__name__})"
        refused = super().__new__(cls, address)
        refused.given, refused.reason = given, reason
        return refused

    given: Any
    reason: str


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

    What cannot be used costs the item nothing else: a picture becomes `Refused`, pictures beyond the first
    `MAX_IMAGES`, a text, an attribute or the time are left out, which `Item.lost` tells.

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
    """All that is wrong with a row as one error, those of pictures first: the first says the field."""
    fields = {_reason(error): getattr(error, "field", None) for error in errors}
    reasons = sorted(fields, key=lambda reason: fields[reason] != IMAGE)
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


def located(image: Any, paths: ImagePaths | None) -> Any:
    """An image entry, base64 decoded and, with `paths`, absolute; DataError if it is damaged or outside."""
    if isinstance(image, list | tuple):
        return [located(source, paths) for source in image if source not in (None, "")]
    if isinstance(image, Mapping) and set(image) == {"base64"}:
        return _decoded(image["base64"])
    if isinstance(image, str) and image[:5].lower() == "data:":
        kind, _, data = image.partition(",")
        return _decoded(unquote(data)) if kind.lower().endswith(";base64") else unquote_to_bytes(data)
    if paths is None or image in (None, "") or not isinstance(image, str | Path):
        return image
    return paths.absolute(image)


def _picture(source: Any, paths: ImagePaths | None) -> Any:
    try:
        picture = located(source, paths)
    except DataError as error:
        return Refused(found({"image": source}, paths)["image"], str(error))
    if isinstance(picture, str | Path | bytes) or hasattr(picture, "convert"):
        return picture
    got = type(picture).__name__
    return Refused(source, f"image must be a path, URL, bytes or PIL image, got {got}: {source!r}"[:300])


def _decoded(text: Any) -> bytes:
    try:
        text = "".join(text.split()).replace("-", "+").replace("_", "/")
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"image is no base64: {error}", field=IMAGE) from None


def found(row: Row, paths: ImagePaths | None) -> Row:
    """The row with its pictures `located`, if they can be, wherever they lie: to be told, not followed."""
    if row.get("image") is None:
        return row
    anywhere = paths and ImagePaths(*paths.folders, allow_outside=True)
    try:
        return {**row, "image": located(row["image"], anywhere)}
    except BAD:
        return row


def portable(image: Any, folder: Path | None = None) -> str | bytes:
    """A picture as a file can hold it: address, path (relative inside `folder`, else absolute) or bytes."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, Refused):
        return image.given  # made JSON-ready by the caller
    if not isinstance(image, str | Path):
        return _png(image)
    if folder is None or is_url(image):
        return str(image)
    path = Path(image).absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


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
        return json_ready(_png(value))
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
    if IMAGE in given:
        several = given[IMAGE] if isinstance(given[IMAGE], list | tuple) else [given[IMAGE]]
        given[IMAGE] = [_picture(one, paths) for one in several if one not in (None, "", b"")]
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
        if part in ("text", "attributes") and isinstance(value, Mapping):
            sound[part] = {name: one for name, one in value.items() if fits(part, {name: one})}
        elif fits(part, value):
            sound[part] = value
        elif part == IMAGE:  # which fails by their number alone
            wrong.append(DataError(f"{wrong.pop()}: the first {MAX_IMAGES} are taken", field=IMAGE))
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


def _png(picture: Any) -> bytes:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)  # PNG would lose the turn
    if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        upright = upright.convert("RGB")
    file = io.BytesIO()
    upright.save(file, "PNG")
    return file.getvalue()
