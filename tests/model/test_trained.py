"""A shop whose towers are trained: content stays content, behaviour is a space, users are served from it."""

import numpy as np
import pytest

from mmrec import Item
from mmrec.encoders.base import unit
from mmrec.errors import NotFitted
from mmrec.model.towers import IdentityTowers
from mmrec.search.vectors import SEARCHED


class Halved:
    """Towers of known effect: rows of twice the turned content, then the content's first six numbers."""

    trained, plan = True, None

    def __init__(self):
        self.plain, self.seen = IdentityTowers(0.5), []

    def items(self, content, ids):
        self.seen += list(ids)
        turned = 2 * content[:, ::-1] @ self.turn(content.shape[1])  # [n, c] @ [c, 8] -> [n, 8]
        return np.hstack([turned, content[:, :6]]).astype(np.float32)

    def turn(self, c):
        return np.random.default_rng(1).standard_normal((c, 8)).astype(np.float32) / np.sqrt(c)

    def spans(self, width):
        return slice(0, 8), slice(8, 14)

    def lift(self, c=6):
        return np.random.default_rng(2).standard_normal((c, 8)).astype(np.float32)

    def users(self, remembered, histories, weights):
        users = [self.user(remembered[np.asarray(h, int)], np.asarray(w, np.float32))
                 for h, w in zip(histories, weights, strict=True)]
        return np.array(users, np.float32).reshape(len(histories), 8)

    def user(self, history, weights):
        return (weights @ history @ self.lift()).astype(np.float32)  # [L] @ [L, 6] @ [6, 8] -> [8]

    def attributions(self, history, weights, user):
        return weights[:, None] * history @ self.lift()  # [L, 6] @ [6, 8] -> [L, 8]


@pytest.fixture
def trained(open_shop, red_blue):
    """The red and blue shop, after its towers were trained elsewhere."""
    shop = open_shop()
    shop.ingest(red_blue)
    before = shop.snapshot().space("content")[:]
    shop.catalogue.towers = Halved()
    shop.catalogue.rebuild()
    return shop, before


def test_content_is_stored_behind_what_towers_make(trained):
    shop, before = trained
    snapshot = shop.snapshot()
    np.testing.assert_allclose(snapshot.space("content"), before, atol=1e-6)
    assert snapshot.space(SEARCHED).shape == (8, 8)
    assert snapshot.remembered.shape == (8, 6)
    assert snapshot.space("content").storage is snapshot.remembered.storage  # read once
    assert "behaviour" in snapshot.spaces
    assert shop.stats()["fitted"]


def test_users_are_searched_in_the_trained_space_with_reasons(trained):
    shop, _ = trained
    snapshot, towers = shop.snapshot(), shop.catalogue.towers
    x, r = snapshot.space(SEARCHED), snapshot.remembered
    user = towers.user(r[[4, 0]], np.array([1, -1], np.float32))
    found = shop.recommend(history=["r0"], dislikes=["b0"], k=6)
    expected = sorted((p for p in range(8) if p not in (0, 4)), key=lambda p: -(x[p] @ user))
    assert [i.item_id for i in found] == [snapshot.ids[p] for p in expected]
    for result in found:
        assert result.score == pytest.approx(x[snapshot.position[result.item_id]] @ user, abs=1e-5)
        assert sum(part.contribution for part in result.reasons) == pytest.approx(result.score, abs=1e-5)
    names = [i.item_id for i in found]
    assert shop.score(history=["r0"], dislikes=["b0"], items=names).tolist() == [i.score for i in found]
    many = shop.score_many(histories=[["r0"], ["b1", "b2"]], items=names)
    np.testing.assert_allclose(many[0], shop.score(history=["r0"], items=names), atol=1e-5)
    assert shop.recommend_many([["r0"], ["b1", "b2"]]) == [
        shop.recommend(history=["r0"]), shop.recommend(history=["b1", "b2"])]
    assert shop.recommend(history=["r0"], diversity=1.0, k=3) != shop.recommend(history=["r0"], k=3)


def test_similar_by_behaviour_is_the_cosine_of_what_is_remembered(trained, red_blue_shop, paint):
    shop, before = trained
    unit_rows, ids = unit(before[:, :6]), shop.snapshot().ids
    for result in shop.similar("r0", by="behaviour"):
        assert result.score == pytest.approx(unit_rows[4] @ unit_rows[ids.index(result.item_id)], abs=1e-5)
        assert [(x.source, x.name) for x in result.reasons] == [("field", "behaviour")]
    assert shop.similar(image=paint("red"), by="behaviour", k=1)
    with pytest.raises(NotFitted):
        red_blue_shop.similar(text="red", by="behaviour")


def test_items_come_to_the_towers_with_their_ids_and_queries_with_none(trained, paint):
    shop, _ = trained
    towers = shop.catalogue.towers
    assert sorted(i for i in towers.seen if i) == shop.snapshot().ids
    towers.seen.clear()
    shop.ingest([Item(item_id="new", text={"title": "red mug"})])
    assert "new" in towers.seen
    towers.seen.clear()
    shop.similar(text={"title": "mug"}, image=paint("red"), by="behaviour")
    assert towers.seen == [""]
    assert "new" in [r.item_id for r in shop.recommend(history=["r0"], k=100)]


def test_a_taste_in_words_is_still_compared_with_words(trained):
    found = trained[0].recommend(taste="blue lamp", k=4)
    assert {r.item_id[0] for r in found} == {"b"}
    assert {r.rung for r in found} == {"taste"}
