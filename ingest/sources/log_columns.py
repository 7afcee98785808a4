"""Which column of a log means what: as the caller says, else guessed by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.sources.moments import epoch, moment
from ingest.sources.names import joined
from mmrec.config import meaning
from mmrec.errors import DataError

_NAMES: Mapping[str, str] = {  # without blanks, hyphens and underscores; what comes first wins
    "user": "userid user uid customerid customer clientid client buyerid buyer memberid accountid shopperid"
            " reviewerid profileid personid visitorid visitor idvisitor userpseudoid usertoken username"
            " usr msno"
            " kundenid kundennummer kunde kundid utilisateur usuario usuarioid cliente clienteid klant"
            " klantid"
            " distinctid personemail reviewer klantnummer email emailaddress useremail customeremail"
            " buyeremail klient gebruiker bruker kund utente"
            " användare müşteri zákazník 客户 客户id 会员id 고객 고객id 사용자 клиент покупатель ユーザー"
            " 会員id"
            " 顧客 ユーザーid ユーザid 用户id пользователь",
    "item": "itemid item productid product productsku produto produkt produkty sku asin parentasin articleid"
        " article iid movieid"
        " bookid"
            " isbn trackid songid videoid listingid goodsid prodid contentid newsid stockcode artikelid"
            " artikelnummer artikel produktid produit producto productoid prodotto ean gtin handle"
            " lineitemsku"
            " objectid idactionsku itemids productids contentids objectids skus items products 商品id"
            " 商品 товар товарid артикул articulo codigo referencia reference varenummer vara produktid ürün"
            " výrobek termék 商品番号 商品コード 货号 상품 상품id 상품코드",
    "kind": "kind event eventtype eventname action actiontype activity behavior behaviour behaviortype"
            " interaction interactiontype type verb metric feedback reaction ereignis aktion acción"
            " azione evento"
            " événement evènement geste ação gebeurtenis actie zdarzenie akcja händelse hændelse handling"
            " událost esemény olay işlem イベント 行動 アクション 操作 行为 事件 이벤트 행동 событие"
            " действие",
    "weight": "weight strength",
    "rating": "rating ratings stars starrating score overall reviewscore reviewrating userrating ratingvalue"
              " bewertung note grade valoración puntuación voto 評価 оценка",
    "time": "time timestamp ts datetime eventtime eventtimestamp servertime servertimestamp unixtime"
            " unixreviewtime timestampms occurredat happenedat createdat created datecreated clicktime date"
            " eventdate orderdate ordertime purchasedate invoicedate reviewdate reviewtime visitdate utctime"
            " tdat eventts t zeit zeitpunkt zeitstempel datum horodatage fecha hora data dato dátum tarih tid"
            " tidpunkt tijdstip czas heure 日時 日付 時刻 时间 日期 시간 일시 날짜 дата время",
    "session": "sessionid session sessionkey sitzung sesión sesion sessie sesja sessione セッション 会话"
               "  visitid anonymousid deviceid cookieid gasessionid basketid"
        " cartid"
               " orderid invoiceno invoiceid transactionid",
    "quantity": "quantity qty lineitemquantity menge anzahl cantidad quantité quantità aantal ilość antal"
        " quantidade 数量 수량",
}
_ENDINGS: Mapping[str, re.Pattern[str]] = {  # of names that are not in the lists
    "user": re.compile(
        r"(?:user|customer|visitor|client|member|buyer|shopper|kunden|kd|account)"
        r"(?:\w*(?:id|key|token|hash|nr|number|uuid|email|mail)|no|num|code|ref)"
    ),
    "item": re.compile(
        r"(?:item|product|sku|article|artikel|produkt|goods|listing|offer)"
        r"(?!\w*(?:cat|type|brand|group|order))(?:\w*(?:id|ids|sku|code|key|nr|number|uuid|ean)|no|num|ref)|artn[or]"
    ),
    "rating": re.compile(r"\w*(?:rating|stars)"), "time": re.compile(
        r"\w*(?:timestamp|datetime|datum)|(?:sold|bought|purchased|ordered|played|viewed|visited)(?:at|on)"
        r"|(?:event|click|view|order|action|visit|server|log)\w*(?:ts|time|date|at)"
    ),
}
_UNNAMED = re.compile(r"column_\d+")  # of a table without a header
_BEHIND = re.compile(  # types of RecBole, and what stands in brackets: Rating (1-10)
    r":(?:token|float|token_seq|float_seq)$|\s*(?:\([^()]*\)|\[[^][]*\])$"
)


def plain_column(name: str) -> str:
    """A name in small letters, without accents, blanks, hyphens and the like."""
    return joined(name)


_KNOWN = {part: tuple(map(plain_column, names.split())) for part, names in _NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class LogColumns:
    """What the columns of a log mean; one that is None is guessed by its name.

    Attributes:
        user, item, kind, weight, rating, time, session, quantity: names of columns; the session is the
            user where no user is known; a quantity below 0 is a refund.
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
    quantity: str | None = None
    threshold: float | None = None
    dislikes: bool = False
    kinds: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """Columns by what they mean."""
        named = {part: getattr(self, part) for part in _NAMES}
        return {part: name for part, name in named.items() if name is not None}


def settle(
    columns: LogColumns, names: Sequence[str], origin: str, sample: Sequence[Mapping[str, Any]] = ()
) -> LogColumns:
    """The mapping with nothing left open; of columns without names, by their first cells.

    Raises:
        DataError: a named column is not there, or none names users or items.
    """
    listing = ", ".join(map(repr, names))[:1_000]
    for part, name in columns.named.items():
        if name not in names:
            raise DataError(f"{origin} has no column {name!r} (--{part}): its columns are {listing}")
    taken = set(columns.named.values())
    spelt = {spelling: name for name in reversed(names) for spelling in reversed(_spellings(name))}
    if "lineitemsku" in spelt and "name" in spelt:
        spelt["orderid"] = spelt["name"]  # Shopify calls orders by a name
    found: dict[str, Any] = {}
    by_value = _by_values(sample, names) if all(map(_UNNAMED.fullmatch, names)) else {}
    for part, known in _KNOWN.items():
        if getattr(columns, part) is None:
            fit = [spelt[one] for one in known if one in spelt]
            fit += [name for one, name in spelt.items() if part in _ENDINGS and _ENDINGS[part].fullmatch(one)]
            fit += filter(None, [by_value.get(part)])
            found[part] = next((one for one in fit if one not in taken), None)
            taken.add(found[part])
    chosen = replace(columns, **found)
    for part, one in (("user", chosen.user or chosen.session), ("item", chosen.item)):
        if one is None:
            what = f"name it by --{part}. Its columns are {listing}"
            if len(names) == 1:
                what = f"its one column is {names[0]!r:.100}: if it holds several, say --delimiter"
            raise DataError(f"{origin}: no column looks like the {part}'s id: {what}")
    return chosen


def names_item(column: str, cells: Mapping[str, Any]) -> bool:
    """Whether an object in a column has an item's id."""
    return any(one in _KNOWN["item"] for key in cells for one in _spellings(f"{column}.{key}"))


def _spellings(name: str) -> list[str]:
    """A name in plain letters; of `items.id` also `itemid` and `id`, the ends of a path."""
    parts = list(map(plain_column, _BEHIND.sub("", name).split(".")))
    if len(parts) == 1:
        return parts if name.isascii() else [*parts, parts[0].removesuffix("id")]
    return ["".join(parts), parts[-2].removesuffix("s") + parts[-1], parts[-1]]


def _by_values(sample: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, str]:
    """What columns without names are: a time, kinds by their words, then user, item, rating in order."""
    cells = {name: [str(row[name]).strip() for row in sample if row.get(name)] for name in names}
    time = next((name for name in names if cells[name] and _are_times(cells[name])), None)
    kind = next((name for name in names if cells[name] and all(map(meaning, cells[name]))), None)
    rest = [name for name in names if name not in (time, kind)]
    if len(rest) > 2 and (
        len(set(cells[rest[2]])) < 2 or set(cells[rest[2]]) <= {"0", "1"}
        or not all(re.fullmatch(r"(?:10|\d)(?:\.\d)?", cell) for cell in cells[rest[2]])
    ):
        rest = rest[:2]
    found = {"time": time, "kind": kind, **dict(zip(("user", "item", "rating"), rest, strict=False))}
    return {part: name for part, name in found.items() if name is not None}


def _are_times(cells: Sequence[str]) -> bool:
    try:
        return epoch(cells) is not None or all(map(moment, cells))
    except ValueError:
        return False


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
