"""What changes a result: encoders, weights, fusion. Device, rng and progress are arguments, not settings."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ByteSize, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from mmrec.errors import ConfigError

WEIGHTS: Mapping[str, float] = {
    "impression": 0.0, "view": 0.5, "click": 1.0, "share": 1.0, "like": 2.0, "wishlist": 2.0,
    "add_to_cart": 2.0, "purchase": 3.0, "dislike": -1.0, "remove_from_cart": 0.0,
    "remove_from_wishlist": 0.0, "cancel": 0.0, "refund": 0.0, "return": 0.0,
}
"""What is taken back is neither a wish nor a dislike: shoes sent back may have been of the wrong size."""
MEMORY = "MMREC_MEMORY"  # variable of the environment: memory for vectors, such as 3GB
UNKNOWN = 1.0  # weight of a kind of which nothing is known: that of a click

# Other names of these. A name of several words that is not here is read by its words, the first line
# that has one of them decides: "order_item_refunded" is a refund, "product_added_to_basket" an add_to_cart.
_NAMES: Mapping[str, str] = {
    "impression": "view_item_list product_list_viewed not_clicked",
    "view": "view_cart cart_viewed read open opened pv",
    "dislike": "not_interested notinterested block hide skip down_vote thumb_down thumbs_down"
        " gefällt_mir_nicht",
    "like": "up_vote thumb_up thumbs_up gefällt_mir",
    "add_to_cart": "add_payment_info add_shipping_info product_added",
    "purchase": "checkout_completed complete_checkout",
    "remove_from_wishlist": "unlike unsave product_removed_from_wishlist removed_from_wishlist",
}
_WORDS: Mapping[str, str] = {
    "refund": "refund refunded refunds chargeback erstattung remboursement reembolso rimborso 返金 退款"
        " возврат",
    "return": "return returned returns retoure rückgabe retour devolución devolucion devolução reso"
        " zwrot 返品 退货",
    "cancel": "cancel canceled cancelled cancels cancellation cancelation void voided storno storniert"
              " stornierung annulation cancelación キャンセル 取消 отмена",
    "remove_from_wishlist": "unliked unfavorite unfavourite unfavorited unbookmark unsaved",
    "remove_from_cart": "remove removed removes removefromcart delete deleted abandon abandoned entfernt"
                        " entfernen supprimer supprimé retirer retiré eliminar rimosso verwijderd"
                        " usunięto 削除 удалить",
    "dislike": "dislike disliked dislikes downvote downvoted thumbsdown dismiss dismissed hidden skipped",
    "wishlist": "wishlist addtowishlist favorite favorites favorited favourite favourites fav bookmark"
        " bookmarked"
                " save saved merkliste wunschliste favori favoris favorito favoritos preferiti 収藏 收藏"
                " избранное",
    "add_to_cart": "addtocart cart basket bag atc checkout warenkorb panier carrito carrello carrinho"
        " winkelwagen"
                   " winkelmand koszyka koszyk kundvagn カート 加购 корзина",
    "purchase": "purchase purchased purchases buy buys bought order ordered orders transaction transactions"
                " sale sales sold conversion paid payment kauf gekauft bestellung achat compra pedido"
                " acquisto"
                " aankoop gekocht zakup köp 購入 購買 购买 покупка",
    "like": "like liked likes love loved upvote upvoted thumbsup heart",
    "share": "share shared shares",
    "impression": "impression impressions exposure exposed shown displayed",
    "click": "click clicks clicked clickout tap tapped select selected klick クリック 点击 клик",
    "view": "view views viewed pageview pageviews visit visited browse browsed detail ansicht angesehen"
        " vue vista"
            " visto visualizzazione visualização bekeken wyświetlenie visning 閲覧 浏览 просмотр",
}

LANGUAGES = {
    "da": "danish", "nl": "dutch", "en": "english", "fi": "finnish", "fr": "french", "de": "german",
    "hu": "hungarian", "it": "italian", "no": "norwegian", "pt": "portuguese", "ro": "romanian",
    "es": "spanish", "sv": "swedish", "tr": "turkish",
}
"""Languages in Latin letters whose endings are taken off, by their code."""


def spelling(kind: str) -> str:
    """A kind in the one spelling that is kept: "Add-To Cart" and "addToCart" are "add_to_cart"."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unicodedata.normalize("NFKC", kind))
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", text.casefold())).strip("_")


@lru_cache(maxsize=4096)
def meaning(kind: str) -> str | None:
    """The kind of `WEIGHTS` that a kind of any spelling means; None if it says nothing to us."""
    name = spelling(kind)
    if name in WEIGHTS:
        return name
    if name in _BY_NAME:
        return _BY_NAME[name]
    words = set(name.split("_"))
    return next((known for known, its_words in _BY_WORD.items() if words & its_words), None)


def weight_of(kind: str, weights: Mapping[str, float]) -> float:
    """Weight of a kind: as `weights` says of it, or of what it means, else as `WEIGHTS`, else `UNKNOWN`."""
    known = meaning(kind) or ""
    for name in (spelling(kind), known):
        if name in weights:
            return weights[name]
    return WEIGHTS.get(known, UNKNOWN)


_BY_NAME = {name: known for known, names in _NAMES.items() for name in names.split()}
_BY_WORD = {known: frozenset(words.split()) for known, words in _WORDS.items()}


Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Config(BaseModel):
    """Settings of one store, chosen at its creation and kept in it.

    Attributes:
        text_encoder: a name from `mmrec encoders`, a hub name, a folder, `"auto"` or `"none"`.
        image_encoder: the same for pictures.
        audio_encoder: the same for sounds.
        weights: weight of each content field by name (text field, `"image"`, attribute); a field that is
            not named weighs 1, an attribute `attribute_weight`; 0 leaves it out of the content.
        attribute_weight: weight of an attribute that `weights` does not name.
        kind_weights: how much an interaction says, by kind; a negative weight is a dislike. One of another
            name that means the same weighs the same (`mmrec.config`), a kind that is not named keeps its
            weight there, one that is not there either counts as a click.
        dislike_weight: how strongly dislikes push the user's vector away.
        popularity_half_life: days after which an interaction counts half for the `popular` rung.
        language: of the catalogue's words in Latin letters, one of `LANGUAGES`, such as "german"; full text
            takes off their endings by it. "auto" tells it by the texts.
        rrf_k: constant of reciprocal rank fusion in `search`; smaller trusts the first ranks more.
        full_text_weight: weight of the full-text ranking in that fusion; each ranking by vectors weighs 1.
            Both are the best on 20 validation queries (`tests/benchmarks/quality.py`).

    Raises:
        ConfigError: on construction through `make`, for an unknown key or a value out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_encoder: str = "auto"
    image_encoder: str = "auto"
    audio_encoder: str = "auto"
    weights: Mapping[str, Weight] = {}
    attribute_weight: Weight = 0.25
    kind_weights: Mapping[str, Annotated[float, Field(ge=-1000, le=1000)]] = dict(WEIGHTS)
    dislike_weight: Weight = 0.25
    popularity_half_life: Annotated[float, Field(gt=0)] = 30.0
    language: str = "auto"
    rrf_k: Annotated[int, Field(ge=1, le=10_000)] = 10
    full_text_weight: Weight = 0.5

    @field_validator("language")
    @classmethod
    def _language(cls, language: str) -> str:
        if language not in (known := ("auto", *LANGUAGES.values())):
            raise ValueError(f"language must be one of {', '.join(known)}")
        return language

    @field_validator("kind_weights")
    @classmethod
    def _spelling(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        return {spelling(kind): weight for kind, weight in weights.items()}

    @classmethod
    def make(cls, settings: Config | Mapping[str, Any] | None = None) -> Config:
        """A Config from one, from a mapping or from nothing, with our own error."""
        if isinstance(settings, Config):
            return settings
        try:
            return cls.model_validate(dict(settings or {}))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()
            )
            raise ConfigError(f"{problems}. Known settings: {', '.join(cls.model_fields)}") from None

    @classmethod
    def read(cls, path: str | Path) -> Config:
        """A Config from a TOML file."""
        import tomllib

        try:
            return cls.make(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
            raise ConfigError(f"cannot read the settings in {path}: {error}") from error


def memory_of(given: str | int | None) -> int:
    """Bytes of a budget such as "3GB"; None asks the variable `MMREC_MEMORY`, else it is a quarter of all.

    Raises:
        ConfigError: it is no size.
    """
    given = os.environ.get(MEMORY) if given is None else given
    if given is None:
        return _machine_memory() // 4
    try:
        return TypeAdapter(ByteSize).validate_python(given)
    except ValidationError:
        raise ConfigError(f"memory must be a size such as '3GB', got {given!r}") from None


def _machine_memory() -> int:
    """Bytes of this machine, or of the container that this process runs in."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # there is no such limit
        return whole
