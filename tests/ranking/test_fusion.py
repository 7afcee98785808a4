"""Words, a picture and a taste, each a ranking, fused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec import Config, Item
from mmrec.errors import DataError, UnknownItem
from mmrec.ranking.fusion import FULL_TEXT, RANKINGS, TASTE, TOLD, fuse, weights_of
from mmrec.types import IMAGE, WORDS


def ids(results):
    return [r.item_id for r in results]


def rankings(results):
    return {reason.name for result in results for reason in result.reasons}


def sums_up(results):
    return all(sum(x.contribution for x in r.reasons) == pytest.approx(r.score) for r in results)


def test_fusion_by_hand():
    fused = fuse({"words": [0, 1], "vectors": [1, 2]}, 60)
    assert list(fused) == [1, 0, 2]
    assert fused == {1: {"words": 1 / 62, "vectors": 1 / 61}, 0: {"words": 1 / 61}, 2: {"vectors": 1 / 62}}
    weighed = fuse({"words": [0, 1], "vectors": [1, 2]}, 60, {"vectors": 0.1})
    assert list(weighed) == [1, 0, 2]
    assert weighed[2] == {"vectors": pytest.approx(0.1 / 62)}


RANKED = st.dictionaries(
    st.sampled_from(["words", "vectors", "third"]), st.lists(st.integers(0, 8), unique=True), min_size=1)


@given(RANKED, st.integers(1, 100))
def test_who_ranks_no_lower_anywhere_comes_no_later(ranked, rrf_k):
    order = list(fuse(ranked, rrf_k))
    assert set(order) == {place for ranking in ranked.values() for place in ranking}
    rank = {(name, place): n for name, ranking in ranked.items() for n, place in enumerate(ranking)}
    for a in order:
        for b in order:
            ranks = [(rank.get((name, a), 99), rank.get((name, b), 99)) for name in ranked]
            if all(of_a <= of_b for of_a, of_b in ranks) and ranks != [(y, x) for x, y in ranks]:
                assert order.index(a) < order.index(b)


@given(RANKED, st.integers(1, 100), st.floats(0.5, 4))
def test_weights_scale_what_their_ranking_gives_and_nothing_else(ranked, rrf_k, weight):
    plain, weighed = fuse(ranked, rrf_k), fuse(ranked, rrf_k, {"words": weight})
    for place, parts in plain.items():
        for name, part in parts.items():
            assert weighed[place][name] == pytest.approx(part * (weight if name == "words" else 1))


def test_a_lower_constant_trusts_the_first_ranks_more():
    """One ranking's first against an item that stands third in two: 1/(c+1) against 2/(c+3)."""
    rankings = {"words": [1, 8, 5], "vectors": [7, 6, 5]}
    assert next(iter(fuse(rankings, 60))) == 5
    assert list(fuse(rankings, 1))[:3] == [1, 5, 7]  # 1/2 each, a tie that position breaks
    assert fuse({"a": [3], "b": [3]}, 1) == {3: {"a": 0.5, "b": 0.5}}


def test_weights_of_a_call_stand_before_the_settings():
    config = Config(full_text_weight=0.25)
    assert weights_of(config, None) == dict.fromkeys(RANKINGS, 1) | {FULL_TEXT: 0.25}
    assert weights_of(config, {FULL_TEXT: 2, TASTE: 0})[FULL_TEXT] == 2
    assert weights_of(config, {FULL_TEXT: 2, TASTE: 0})[TASTE] == 0


@pytest.mark.parametrize(("weights", "message"), [
    ({"smell": 1}, "'smell': choose from full text, words"), ({TASTE: -1}, "0 to 1,000"), ([1], "must map"),
    ({TASTE: float("nan")}, "0 to 1,000"), ({TASTE: "1"}, "0 to 1,000"), ({TASTE: True}, "0 to 1,000"),
])
def test_other_weights_are_refused(red_blue_shop, weights, message):
    with pytest.raises(DataError, match=message) as error:
        red_blue_shop.search("red", weights=weights)
    assert error.value.field == "weights"


def test_each_part_of_a_query_has_its_ranking(red_blue_shop, paint):
    search = red_blue_shop.search
    assert rankings(search("red mug")) == {FULL_TEXT, WORDS}
    assert rankings(search(image=paint("red"))) == {IMAGE}
    assert rankings(search(history=["b0"])) == {TASTE}
    everything = search("red mug", image=paint("red"), history=["r0"])
    assert rankings(everything) == set(RANKINGS) - {*TOLD, "audio"}  # toys read no words; there is no sound
    assert {i[0] for i in ids(everything[:4])} == {"r"}
    assert sums_up(everything)


def test_a_weight_of_0_leaves_a_ranking_out_and_a_great_one_decides(red_blue_shop, paint):
    search = red_blue_shop.search
    assert rankings(search("red mug", weights={FULL_TEXT: 0})) == {WORDS}
    asked = {"text": "red mug", "image": paint("blue")}
    assert {i[0] for i in ids(search(**asked, k=4, weights={IMAGE: 50}))} == {"b"}
    assert {i[0] for i in ids(search(**asked, k=4, weights={IMAGE: 0}))} == {"r"}
    assert search("red", weights={FULL_TEXT: 0, WORDS: 0}) == []


def test_a_picture_and_a_history_find_what_recommend_and_similar_find(red_blue_shop, paint):
    by_picture = red_blue_shop.similar(image=paint("blue"), by="image", k=8)
    assert ids(red_blue_shop.search(image=paint("blue"), k=8)) == ids(by_picture)
    assert ids(red_blue_shop.search(history=["r0", "b0", "r1"], k=5)) == ids(
        red_blue_shop.recommend(history=["r0", "b0", "r1"], k=5))


def test_a_taste_leans_a_search_towards_it(crossed_shop):
    def standing(kind, history):
        return sum(r.score for r in crossed_shop.search("navy lamp", history=[history]) if kind in r.item_id)

    for kind, like, unlike in (("tb-pr", "tr-pr-0", "tr-pb-0"), ("tb-pb", "tr-pb-0", "tr-pr-0")):
        assert standing(kind, like) > standing(kind, unlike)


def test_a_condition_and_wishes_hold(red_blue_shop, paint):
    found = red_blue_shop.search("mug", image=paint("red"), history=["b0"], where="price > 2", exclude=["r3"])
    assert set(ids(found)) == {"r2", "b0", "b1", "b2", "b3"}
    capped = red_blue_shop.search("mug", k=4, max_per={"category": 1})
    assert [i[0] for i in ids(capped)] == ["r", "b"]


def test_deeper_ranks_are_fused_until_there_are_k(shop, monkeypatch):
    monkeypatch.setattr("mmrec.ranking.fusion.DEEPEST", 2)
    monkeypatch.setattr("mmrec.ranking.fusion.DEEP", 1)
    shop.ingest([
        Item(item_id=f"i{n}", text={"title": "red mug"}, attributes={"brand": "a" if n < 30 else f"b{n}"})
        for n in range(36)
    ])
    found = shop.search("red mug", k=6, max_per={"brand": 1})
    assert len({r.item_id for r in found}) == 6
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)


@pytest.mark.parametrize("asked", [{}, {"text": " "}, {"text": " ", "history": ["r0"]}, {"text": 5}])
def test_a_search_for_nothing_is_refused(red_blue_shop, asked):
    with pytest.raises(DataError, match="search needs words, a picture, a sound or a history"):
        red_blue_shop.search(**asked)


def test_a_history_that_nobody_knows_and_a_picture_with_nothing_to_compare_are_refused(
    red_blue_shop, shop, paint,
):
    with pytest.raises(UnknownItem, match="'gone'"):
        red_blue_shop.search("red", history=["gone"])
    with pytest.raises(DataError, match="picture of 10 bytes"):
        red_blue_shop.search(image=b"no picture")
    shop.ingest([Item(item_id="a", text={"title": "mug"})])
    with pytest.raises(DataError, match="no item has an embedded picture"):
        shop.search(image=paint("red"))
