"""Kinds of logs in languages whose words `mmrec.config.meaning` does not find by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from mmrec.config import meaning, spelling

_SCRIPTS = re.compile("[\u0400-\u04ff\u0590-\u06ff\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORDS: Mapping[str, str] = {  # whole words, or parts of a kind in a script without blanks; the first counts
    "refund": "환불 退款 返金 zwrócono zwrot terugbetaling återbetalning",
    "cancel": "취소 取消 キャンセル anulowano geannuleerd",
    "remove_from_cart": "削除 删除 移除 삭제 제거 удалено usunięto eliminado removido supprimée",
    "wishlist": "お気に入り 收藏 찜 위시리스트 избранное ulubione ulubionych verlanglijst preferiti"
        " favoritos",
    "add_to_cart": "カート 购物车 加购 장바구니 корзину корзина koszyk koszyka cesta sacola carrinho"
        " kosár sepet"
        " sepete varukorg indkøbskurv κάλαθι",
    "purchase": "購入 注文 购买 下单 支付 구매 주문 결제 куплено заказ zakupiono kupiono zamówienie"
        " comprado compró"
        " commande commandé acheté acquistato comprou satın vásárlás beställning",
    "like": "いいね 赞 点赞 좋아요 нравится",
    "click": "クリック 点击 클릭 kliknięcie clic cliqué clique clicado",
    "view": "閲覧 表示 浏览 查看 조회 просмотр wyświetlono consulté visualizado visualizou görüntüleme"
        " vizitat",
}

SIGNS: Mapping[str, str] = {
    "👍": "like", "👎": "dislike", "❤": "like", "♥": "like", "⭐": "like", "🛒": "add_to_cart",
}
"""Kinds that are written as a sign."""


@lru_cache(maxsize=1_024)
def meant(kind: str) -> str | None:
    """The kind that another one means, of those that have a weight; None if it is known, or says nothing."""
    if meaning(kind) is not None:
        return None
    words = spelling(kind).split("_")
    for known, names in _WORDS.items():
        if any(name in words or (_SCRIPTS.search(name) and name in kind) for name in names.split()):
            return known
    return meaning("_".join(_parts(kind))) if _SCRIPTS.search(kind) else None


def _parts(kind: str) -> Iterator[str]:
    """The parts of two to six letters, among which words of a script without blanks are found."""
    for size in range(6, 1, -1):
        yield from (kind[at : at + size] for at in range(len(kind) - size + 1))
