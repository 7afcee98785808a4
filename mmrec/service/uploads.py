"""Items over HTTP: bodies read as items and interactions, what became of them, and items as answers."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, count, islice, repeat
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from starlette.requests import Request

from mmrec.data import images, sounds
from mmrec.data.cleaning import tidied
from mmrec.data.files import replacing
from mmrec.data.image_formats import format_of
from mmrec.data.media import Refused, located
from mmrec.data.rows import BAD, interaction_from_dict, item_as_dict, item_from_dict, rejected
from mmrec.errors import DataError, Rejection, UnknownItem
from mmrec.recommender import Recommender
from mmrec.types import AUDIO, IMAGE, MAX_IMAGES, NOUNS, Interaction, Item, is_url

log = logging.getLogger(__name__)

T = TypeVar("T")
Files = Mapping[str, Iterator[bytes]]  # by name; the next is the one that the next mention means
FOLDERS = {field: f"{noun}s" for field, noun in NOUNS.items()}  # of a store: uploads, named by contents
OUTCOMES = ("added", "updated", "unchanged", "rejected")
QUALITY = 88  # of a JPEG
_LINES = count(1)  # tell the rows of all requests apart


class Sent(NamedTuple):
    """A body: JSON, as a field without a name, or the fields and files of a form: part, name and bytes."""

    fields: Mapping[str, bytes | str]
    files: Sequence[tuple[str, str, bytes]] = ()


async def sent_by(request: Request) -> Sent:
    """Reads a request's body; DataError if it is neither JSON nor multipart."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return Sent({"": await request.body()})
    if kind != "multipart/form-data":
        raise DataError(f"the body is {kind or 'of no kind'}: send application/json or multipart/form-data")
    fields: dict[str, bytes | str] = {}
    files = []
    async with request.form(max_part_size=2**25) as form:  # BodyLimit counts all parts together
        for name, value in form.multi_items():
            if not isinstance(value, str):
                files.append((name, value.filename or name, await value.read()))
            elif name in fields:
                raise DataError(f"the form has two parts {name!r}: send one", field=name)
            else:
                fields[name] = value
    return Sent(fields, files)


def parsed(text: bytes | str) -> Any:
    """The value of a JSON text; DataError if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the body is no valid JSON: {error}"[:300]) from None


def rows_of(sent: Sent, name: str, most: int) -> list[Any]:
    """The rows of a batch: a JSON list, or one object, as the body or under this name in an object or form.

    Raises:
        DataError: there are none, or more than `most`.
    """
    parts = {part: data for part, _, data in sent.files} | dict(sent.fields)
    if name not in parts and "" not in parts:
        raise DataError(f"the form lacks the part {name!r}: a JSON list", field=name)
    rows = parsed(parts.get("", parts.get(name, "")))
    if isinstance(rows, dict):
        rows = rows[name] if rows.keys() == {name} else [rows]
    if not isinstance(rows, list):
        raise DataError(f"{name} must be a JSON list, got {type(rows).__name__}", field=name)
    if len(rows) > most:
        raise DataError(f"a batch has at most {most:,} rows, got {len(rows):,}: split it", field=name)
    return rows


def items_of(rows: Sequence[Any], sent: Sent, shop: Recommender) -> list[Item | Rejection]:
    """The item or the rejection of each row; no two rows of any requests have the same `line`.

    A picture or sound is `{"base64": ...}` or names an uploaded file, and is kept in the store's folder.
    Paths and addresses are not followed: they would let a client read what only this machine may.
    """
    files = _by_name(sent.files, rows)
    return [_taken(row, next(_LINES), partial(_item, files=files, shop=shop)) for row in rows]


def interactions_of(rows: Sequence[Any]) -> list[Interaction | Rejection]:
    """The interaction or the rejection of each row, their `line` counted from 1."""
    return [_taken(row, line, _interaction) for line, row in enumerate(rows, start=1)]


def _taken(row: Any, line: int, make: Callable[[dict[str, Any], int], T]) -> T | Rejection:
    try:
        if not isinstance(row, dict):
            raise DataError(f"a row must be a JSON object, got {type(row).__name__}")
        return make(row, line)
    except BAD as error:
        return rejected(error, row if isinstance(row, dict) else None, line=line)


def _interaction(row: dict[str, Any], line: int) -> Interaction:
    return interaction_from_dict({k: v for k, v in row.items() if k != "request_id"}, line=line)


def _given(row: Any, field: str) -> list[Any]:
    """The pictures or sounds that a row mentions."""
    given = row.get(field) if isinstance(row, dict) else None
    return [one for one in (given if isinstance(given, list) else [given]) if one not in (None, "")]


def _by_name(files: Sequence[tuple[str, str, bytes]], rows: Sequence[Any]) -> Files:
    """The file for each mention of a name; of several with one name each in its turn, if they are as many."""
    mentions = Counter(
        one for row in rows for field in NOUNS for one in _given(row, field)[:MAX_IMAGES]
        if isinstance(one, str)
    )
    called: dict[str, list[bytes]] = {}
    for _, name, data in files:
        called.setdefault(name, []).append(data)
    return {
        name: repeat(several[0]) if len(set(several)) == 1
        else iter(several if mentions[name] == len(several) else ())
        for name, several in called.items()
    }


def _item(row: dict[str, Any], line: int, files: Files, shop: Recommender) -> Item:
    kept: dict[Path, bytes] = {}
    parts: dict[str, Any] = {}
    for field in NOUNS:
        given = _given(row, field)
        uploads = [_uploaded(field, source, files, shop) for source in given[:MAX_IMAGES]]
        paths = [one if isinstance(one, Refused) else _place(shop, field, one) for one in uploads]
        kept |= {
            path: one for path, one in zip(paths, uploads, strict=True)
            if isinstance(one, bytes) and isinstance(path, Path) and not path.exists()
        }
        parts[field] = paths + given[MAX_IMAGES:]
    item = item_from_dict({**tidied({**row, **dict.fromkeys(NOUNS)}), **parts}, line=line)
    for path, data in kept.items():
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            file.write(data)
    return item


def _place(shop: Recommender, field: str, data: bytes) -> Path:
    """Where an upload is kept: under the name of its contents, so that the same one is kept once."""
    suffix = format_of(data).suffixes[0] if field == IMAGE else sounds.format_of(data).suffix
    return shop.path / FOLDERS[field] / (_gate(field).digest(data) + suffix)


def _gate(field: str) -> Any:
    return images if field == IMAGE else sounds


def _uploaded(field: str, source: Any, files: Files, shop: Recommender) -> bytes | Refused:
    """An uploaded picture or sound, or why there is none."""
    data: bytes | None
    try:
        if isinstance(source, dict) and set(source) == {"base64"}:
            data = located(source, None, field)
        elif not isinstance(source, str):
            raise DataError(f'{field} must be {{"base64": ...}} or the name of an uploaded file')
        elif source not in files:
            raise DataError(
                f"{field} {source[:80]!r} names no uploaded file (paths and addresses are not followed):"
                ' upload it in a multipart body, or send it as {"base64": ...}'
            )
        elif (data := next(files[source], None)) is None:
            raise DataError(
                f"several uploaded files are called {source[:80]!r}, and the rows do not name each of them"
                " once: give each a name of its own"
            )
        gate = _gate(field)
        (gate.check if field in shop.encoders else gate.decode)(data)  # an encoder decodes them itself
    except DataError as error:
        return Refused(source, str(error))
    return data


def ingest(shop: Recommender, batches: Sequence[Sequence[Item | Rejection]]) -> list[dict[str, Any]]:
    """Ingests batches of different senders, one after the other, in a single write.

    Args:
        batches: their rows, no two of them with the same `line`.

    Returns:
        For each batch the counts of `Recommender.ingest`, and the outcome of each row, with a reason where it
        is rejected or taken without a part.
    """
    outcomes, answers = _outcomes(shop, list(chain.from_iterable(batches))), []
    for batch in batches:
        mine = list(islice(outcomes, len(batch)))
        tally = Counter(one["outcome"] for one in mine)
        partly = [one["field"] for one in mine if "reason" in one and one["outcome"] != "rejected"]
        answers.append({
            **{what: tally[what] for what in OUTCOMES}, "without_picture": partly.count(IMAGE),
            "incomplete": len(partly), "items": mine,
        })
    return answers


def _outcomes(shop: Recommender, rows: Sequence[Item | Rejection]) -> Iterator[dict[str, Any]]:
    ids = list({row.item_id: None for row in rows if isinstance(row, Item)})
    before, report, after = shop.catalogue.lookup(ids), shop.ingest(rows), shop.catalogue.lookup(ids)
    refused = {rejection.line: rejection for rejection in report.rejections}
    told = refused | {one.line: one for one in report.incomplete}
    last = {row.item_id: row.line for row in rows if row.line not in refused}
    for row in rows:
        what = "updated"  # also a row that a later one replaced
        if row.line in refused:
            what = "rejected"
        elif row.item_id is not None and last[row.item_id] == row.line:
            was, now = before.get(row.item_id), after.get(row.item_id)
            what = "added" if was is None else "unchanged" if now and was.digest == now.digest else "updated"
        outcome = {"item_id": row.item_id, "outcome": what}
        if why := told.get(row.line):
            outcome |= {"reason": _without_paths(why.reason, row), "field": why.field}
        yield outcome


def _without_paths(reason: str, row: Item | Rejection) -> str:
    """A reason that numbers a picture or sound in place of naming its path on this machine."""
    for files in (row.images, row.sounds) if isinstance(row, Item) else ():
        for n, path in enumerate(files, start=1):
            if not isinstance(path, Refused):
                reason = reason.replace(repr(str(path)[:300]), f"{n} of {len(files)}")
    return reason


def shown(item: Item) -> dict[str, Any]:
    """An item as JSON, its files as addresses of this service rather than paths of its machine."""
    row = {name: value for name, value in item_as_dict(item).items() if name not in NOUNS}
    address = f"/items/{quote(item.item_id, safe='')}"
    return row | {
        "images": [f"{address}/image?n={n}" for n in range(len(item.images))],
        "sounds": [f"{address}/audio?n={n}" for n in range(len(item.sounds))],
    }


def picture(
    shop: Recommender, item_id: str, n: int, size: int, known: str | None
) -> tuple[str, bytes | None]:
    """The tag and the JPEG of an item's picture, `size` pixels long at most; no JPEG if the tag is known.

    It is drawn anew: nothing but pixels leaves the machine, no metadata and no format that browsers run.
    """
    sources = _local(shop, shop.get([item_id])[0].images, IMAGE)
    try:
        source = sources[n]
        tag = f'"{images.digest(source)[:32]}-{size}"'
        if tag == known:
            return tag, None
        small, file = images.decode(source, size), io.BytesIO()
    except IndexError:
        raise UnknownItem(f"{item_id!r} has {len(sources)} pictures, none with n={n}") from None
    except DataError as error:
        log.warning("picture of %r: %s", item_id, error)
        raise UnknownItem(f"picture {n} of {item_id!r} cannot be read any more: send it again") from None
    small.save(file, "JPEG", quality=QUALITY)
    return tag, file.getvalue()


def sound(shop: Recommender, item_id: str, n: int) -> tuple[Path, str]:
    """The file of an item's sound, and its media type by its contents; what is no sound does not leave."""
    sources = _local(shop, shop.get([item_id])[0].sounds, AUDIO)
    try:
        source = sources[n]
        sounds.check(data := sounds.read(source))
    except IndexError:
        raise UnknownItem(f"{item_id!r} has {len(sources)} sounds, none with n={n}") from None
    except DataError as error:
        log.warning("sound of %r: %s", item_id, error)
        raise UnknownItem(f"sound {n} of {item_id!r} cannot be read any more: send it again") from None
    return source, sounds.format_of(data.data).media_type


def _local(shop: Recommender, sources: Sequence[Any], field: str) -> list[Path]:
    """An item's files on this machine; an uploaded one is found after its store has moved, too."""
    paths = [Path(one) for one in sources if isinstance(one, str | Path) and not is_url(one)]
    moved = [shop.path / FOLDERS[field] / path.name for path in paths]
    return [new if old.parent.name == FOLDERS[field] and new.exists() else old
            for old, new in zip(paths, moved, strict=True)]
