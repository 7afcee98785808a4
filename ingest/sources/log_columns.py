"""Which column of a log means what: as the caller says, else guessed by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmrec.errors import DataError

_NAMES: Mapping[str, str] = {  # without blanks, hyphens and underscores; what comes first wins
    "user": "userid user uid customerid customer clientid client buyerid buyer memberid accountid shopperid"
            " reviewerid profileid personid visitorid visitor username usr msno kundenid kundennummer kunde"
            " utilisateur usuario email ユーザーid ユーザid 用户id пользователь",
    "item": "itemid item productid product sku asin parentasin articleid article iid movieid bookid isbn"
            " trackid songid videoid listingid goodsid prodid contentid newsid stockcode artikelid"
            " artikelnummer artikel produktid produit producto ean gtin handle 商品id 商品 товар",
    "kind": "kind event eventtype eventname action actiontype activity behavior behaviour behaviortype"
            " interaction interactiontype type verb ereignis aktion イベント 行動 событие",
    "weight": "weight strength",
    "rating": "rating ratings stars starrating score overall reviewscore reviewrating userrating ratingvalue"
              " bewertung note grade 評価 оценка",
    "time": "time timestamp ts datetime eventtime eventtimestamp unixtime unixreviewtime timestampms"
            " occurredat happenedat createdat created clicktime date eventdate orderdate ordertime"
            " purchasedate invoicedate reviewdate reviewtime visitdate utctime tdat zeit zeitpunkt"
            " zeitstempel datum horodatage fecha 日時 日付 дата время",
    "session": "sessionid session sessionkey visitid anonymousid deviceid cookieid",
}
_RECBOLE = re.compile(r":(?:token|float|token_seq|float_seq)$")


@dataclass(frozen=True, kw_only=True)
class LogColumns:
    """What the columns of a log mean; one that is None is guessed by its name.

    Attributes:
        user, item, kind, weight, rating, time, session: names of columns; the session stands for the user
            where no user is known.
        threshold: rating from which one is a `like`; None takes 4 of 5, else the upper third of the scale.
        dislikes: whether ratings below the scale's middle third are dislikes.
        kinds: what kinds of the log mean, such as `{"zap": "dislike"}`.
        delimiter: of a CSV file; found out if None.
    """

    user: str | None = None
    item: str | None = None
    kind: str | None = None
    weight: str | None = None
    rating: str | None = None
    time: str | None = None
    session: str | None = None
    threshold: float | None = None
    dislikes: bool = False
    kinds: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """Columns by what they mean."""
        named = {part: getattr(self, part) for part in _NAMES}
        return {part: name for part, name in named.items() if name is not None}


def settle(columns: LogColumns, names: Sequence[str], origin: str) -> LogColumns:
    """The mapping with nothing left open.

    Raises:
        DataError: a named column is not there, or none names users or items.
    """
    listing = ", ".join(map(repr, names))[:1_000]
    for part, name in columns.named.items():
        if name not in names:
            raise DataError(f"{origin} has no column {name!r} (--{part}): its columns are {listing}")
    taken = set(columns.named.values())
    plain_names = {re.sub(r"[\W_]+", "", _RECBOLE.sub("", name).casefold()): name for name in reversed(names)}
    found: dict[str, Any] = {}
    for part, known in _NAMES.items():
        if getattr(columns, part) is None:
            fit = (plain_names[one] for one in known.split() if one in plain_names)
            found[part] = next((one for one in fit if one not in taken), None)
            taken.add(found[part])
    chosen = replace(columns, **found)
    for part, one in (("user", chosen.user or chosen.session), ("item", chosen.item)):
        if one is None:
            raise DataError(
                f"{origin}: no column looks like the {part}'s id: name it by --{part}. Its columns are"
                f" {listing}"
            )
    return chosen


def canonical(names: Sequence[str]) -> LogColumns:
    """The mapping of mmrec's own columns."""
    parts: dict[str, Any] = {
        "user": "user_id", "item": "item_id", "kind": "kind", "weight": "weight", "time": "time",
    }
    return LogColumns(**{part: name for part, name in parts.items() if name in names})


def told(asked: LogColumns, chosen: LogColumns, names: Sequence[str]) -> list[str]:
    """What was guessed and left out, a sentence each."""
    guessed = {part: name for part, name in chosen.named.items() if getattr(asked, part) is None}
    notes = []
    if guessed:
        notes.append("columns: " + ", ".join(f"{part} {name!r} (--{part})" for part, name in guessed.items()))
    if left_out := [repr(name) for name in names if name not in chosen.named.values()]:
        notes.append(f"columns that were left out: {', '.join(left_out)[:500]}")
    if chosen.user is None:
        notes.append(f"no column names users, so the session {chosen.session!r} stands for one (--user)")
    return notes
