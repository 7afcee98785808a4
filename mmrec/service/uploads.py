"""What clients send: JSON or forms, rows of items, and pictures, which pass the gate of `mmrec.images`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrec import images
from mmrec.errors import DataError
from mmrec.files import replacing
from mmrec.image_formats import format_of
from mmrec.rows import BAD, interaction_from_dict, item_from_dict, rejected
from mmrec.types import Interaction, Item, Rejection

if TYPE_CHECKING:
    from starlette.requests import Request

PICTURES = "pictures"  # folder of a store: uploaded pictures, named by what is in them


@dataclass(frozen=True, slots=True)
class Sent:
    """A body: JSON, or the fields of a form.

    Attributes:
        fields: of a form; of JSON, the whole body under an empty name.
        files: name of the form's part, name of the file and its bytes.
    """

    fields: Mapping[str, bytes | str]
    files: Sequence[tuple[str, str, bytes]] = field(default=())


async def sent_by(request: Request) -> Sent:
    """Reads a request's body.

    Raises:
        DataError: it is neither JSON nor multipart.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return Sent({"": await request.body()})
    if kind != "multipart/form-data":
        raise DataError(f"the body is {kind or 'of no kind'}: send application/json or multipart/form-data")
    fields: dict[str, bytes | str] = {}
    files = []
    async with request.form(max_part_size=2**25) as form:  # BodyLimit counts all parts together
        for name, value in form.multi_items():
            if isinstance(value, str):
                fields[name] = value
            else:
                files.append((name, value.filename or name, await value.read()))
    return Sent(fields, files)


def parsed(text: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the body is no valid JSON: {error}"[:300]) from None


def rows_of(sent: Sent, name: str, most: int) -> list[Any]:
    """The list of a batch: the JSON body itself, or the form's part of this name.

    Raises:
        DataError: there is no list, or a longer one than `most`.
    """
    parts = {**sent.fields, **{part: data for part, _, data in sent.files if part == name}}
    if name not in parts and "" not in parts:
        raise DataError(f"the form lacks the part {name!r}: a JSON list", field=name)
    rows = parsed(parts.get("", parts.get(name, "")))
    if not isinstance(rows, list):
        raise DataError(f"{name} must be a JSON list, got {type(rows).__name__}", field=name)
    if len(rows) > most:
        raise DataError(f"a batch has at most {most:,} rows, got {len(rows):,}: split it", field=name)
    return rows


def items_of(rows: Sequence[Any], sent: Sent, folder: Path) -> list[Item | Rejection]:
    """The item or the rejection of each row, their `line` counted from 1; pictures are kept in a folder.

    A picture is `{"base64": ...}` or names an uploaded file. Paths and addresses are not followed: they would
    let a client read what only this machine may.
    """
    files = {name: data for _, name, data in sent.files}
    return [_item(row, line, files, folder) for line, row in enumerate(rows, start=1)]


def interactions_of(rows: Sequence[Any]) -> list[Interaction | Rejection]:
    """The interaction or the rejection of each row, their `line` counted from 1."""
    return [_interaction(row, line) for line, row in enumerate(rows, start=1)]


def keep(data: bytes, folder: Path) -> Path:
    """Keeps a picture that passes the gate, under the name of its contents.

    Raises:
        DataError: the picture cannot be used, or the disk refuses.
    """
    images.decode(data)
    path = folder / (hashlib.sha256(data).hexdigest() + format_of(data).suffixes[0])
    if not path.exists():
        folder.mkdir(exist_ok=True)
        with replacing(path) as file:
            file.write(data)
    return path


def _item(row: Any, line: int, files: Mapping[str, bytes], folder: Path) -> Item | Rejection:
    try:
        given = row.get("image") if _object(row) else None
        sources = given if isinstance(given, list) else [] if given in (None, "") else [given]
        uploaded = [_uploaded(source, files) for source in sources]
        item = item_from_dict({**row, "image": uploaded}, line=line)
        return replace(item, image=[keep(data, folder) for data in item.images])  # type: ignore[arg-type]
    except BAD as error:
        return rejected(error, row if isinstance(row, dict) else None, line=line)


def _interaction(row: Any, line: int) -> Interaction | Rejection:
    try:
        _object(row)
        return interaction_from_dict({k: v for k, v in row.items() if k != "request_id"}, line=line)
    except BAD as error:
        return rejected(error, row if isinstance(row, dict) else None, line=line)


def _object(row: Any) -> bool:
    if not isinstance(row, dict):
        raise DataError(f"a row must be a JSON object, got {type(row).__name__}")
    return True


def _uploaded(source: Any, files: Mapping[str, bytes]) -> Any:
    """The bytes that a name stands for; `{"base64": ...}` as it is, to be decoded with the row."""
    if isinstance(source, str):
        if source not in files:
            raise DataError(
                f"image {source[:80]!r} names no uploaded file (paths and addresses are not followed): upload"
                " it in a multipart body, or send it as {\"base64\": ...}", field="image",
            )
        return files[source]
    if not (isinstance(source, dict) and set(source) == {"base64"}):
        raise DataError("image must be {\"base64\": ...} or the name of an uploaded file", field="image")
    return source
