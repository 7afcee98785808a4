"""Exposure as it is served: over users by prices, in one page by floors, and what it says of itself."""

from collections import Counter

import numpy as np
import pytest

from mmrec import Interaction, Item
from mmrec.errors import DataError
from mmrec.ranking import exposure
from mmrec.ranking.exposure import FEWEST, cold_of
from mmrec.ranking.groups import tail_of

USERS, K = 120, 4
COLOURS = ("red", "blue", "green")


@pytest.fixture
def shop(open_shop):
    """Sixty things of three colours and six brands; nobody has chosen the last ten; most like red."""
    rng, shop = np.random.default_rng(0), open_shop()
    shop.ingest(
        Item(item_id=f"i{n:02}", text={"title": f"{COLOURS[n % 3]} thing {n}"},
             attributes={"colour": COLOURS[n % 3], "brand": f"b{n % 6}"}) for n in range(60)
    )
    shop.record(acts(range(USERS), rng))
    return shop


def acts(users, rng):
    for user in users:
        taste = rng.choice(3, p=[0.7, 0.2, 0.1])
        for n in rng.choice(np.arange(taste, 50, 3), 3, replace=False):
            yield Interaction(user_id=f"u{user}", item_id=f"i{n:02}")


def colour(result):
    return COLOURS[int(result.item_id[1:]) % 3]


def shares(shop, key=colour, users=USERS, **options):
    """Of all slots of all users."""
    pages = [shop.recommend(user=f"u{n}", k=K, **options) for n in range(users)]
    counts = Counter(key(r) for page in pages for r in page)
    return {name: count / counts.total() for name, count in counts.items()}


def cold(result):
    return int(result.item_id[1:]) >= 50


def test_values_become_even_over_users_and_not_in_each_list(shop):
    assert shares(shop)["red"] > 0.5
    assert shares(shop, exposure={"colour": "even"}) == pytest.approx(dict.fromkeys(COLOURS, 1 / 3), abs=0.04)
    pages = [shop.recommend(user=f"u{n}", k=K, exposure={"colour": "even"}) for n in range(USERS)]
    assert any(len({colour(r) for r in page}) == 1 for page in pages)


def test_a_floor_for_a_value_leaves_the_others_their_order(shop):
    found = shares(shop, exposure={"colour": {"green": 0.3}})
    assert found["green"] == pytest.approx(0.3, abs=0.03)
    assert found["red"] > found["blue"]


def test_new_items_get_their_share(shop):
    assert shares(shop, cold)[True] < 0.35
    assert shares(shop, cold, exposure={"cold": 0.5})[True] == pytest.approx(0.5, abs=0.05)


def test_the_tail_gets_its_share(shop):
    counts = shop.snapshot().popular(shop.behaviour.popularity())
    tail = {shop.snapshot().ids[p] for p in np.flatnonzero(tail_of(counts))}

    def found(**asked):
        return shares(shop, lambda r: r.item_id in tail, **asked)[True]

    assert found() < 0.7
    assert found(exposure={"tail": 0.8}) == pytest.approx(0.8, abs=0.05)


def test_what_a_price_adds_is_a_reason_and_reasons_sum_to_the_score(shop):
    page = shop.recommend(user="u0", k=8, exposure={"cold": 0.6})
    assert any(reason.name == "exposure" for r in page for reason in r.reasons)
    for r in page:
        told = [reason.contribution for reason in r.reasons if reason.name == "exposure"]
        assert bool(told) == cold(r)
        assert sum(reason.contribution for reason in r.reasons) == pytest.approx(r.score, abs=1e-5)
    assert [r.score for r in page] == sorted((r.score for r in page), reverse=True)


def test_prices_are_learned_once_and_again_when_the_catalogue_has_changed(shop, monkeypatch):
    calls = []

    def learned(groups, *_):
        calls.append(groups.names)
        return np.zeros(len(groups.names))

    monkeypatch.setattr(exposure, "learned", learned)
    for n in (0, 1):
        shop.recommend(user=f"u{n}", k=K, exposure={"cold": 0.5})
    shop.ingest([Item(item_id="one", text={"title": "one more"})])
    shop.recommend(user="u0", k=K, exposure={"cold": 0.5})
    assert len(calls) == 1
    shop.ingest(Item(item_id=f"more{n}", text={"title": "more"}) for n in range(9))
    shop.recommend(user="u0", k=K, exposure={"cold": 0.5})
    shop.recommend(user="u0", k=K, exposure={"cold": 0.4})
    shop.recommend(user="u0", k=K + 1, exposure={"cold": 0.4})
    assert len(calls) == 4


def test_after_a_fit_cold_is_what_the_head_had_no_behaviour_of(shop):
    before = shares(shop, cold, exposure={"cold": 0.5})
    shop.fit(epochs=1)
    shop.ingest([Item(item_id="new", text={"title": "red thing 60"}, attributes={"colour": "red"})])
    shop.record([Interaction(user_id="u0", item_id="i55")])  # the head knows nothing of it
    snapshot = shop.snapshot()
    found = np.flatnonzero(cold_of(snapshot, snapshot.popular(shop.behaviour.popularity())))
    chosen = {item_id for user in range(USERS) for item_id, _ in shop.behaviour.history(f"u{user}")}
    assert {snapshot.ids[p] for p in found} == {*snapshot.ids} - chosen | {"i55"}
    ids = {snapshot.ids[p] for p in found}
    after = shares(shop, lambda r: r.item_id in ids, exposure={"cold": 0.5})
    assert after[True] == pytest.approx(0.5, abs=0.05)
    assert before[True] == pytest.approx(0.5, abs=0.05)


def test_plans_are_forgotten_before_they_fill_the_memory(shop, monkeypatch):
    monkeypatch.setattr(exposure, "MOST_KEPT", 2)
    monkeypatch.setattr(exposure, "learned", lambda groups, *_: np.zeros(len(groups.names)))
    for share in (0.1, 0.2, 0.3):
        shop.recommend(user="u0", k=K, exposure={"cold": share})
    assert len(exposure._ready[shop.snapshot()]) == 1


def test_many_at_once_are_served_as_one_by_one(shop):
    histories = [[item_id for item_id, _ in shop.behaviour.history(f"u{n}")] for n in range(5)]
    asked = {"k": K, "exposure": {"colour": "even"}}
    many = shop.recommend_many(histories, **asked)
    assert many == [shop.recommend(history=history, **asked) for history in histories]


def test_few_recorded_users_have_floors_in_every_list(open_shop, red_blue):
    shop = open_shop()
    shop.ingest(red_blue)
    shop.record(Interaction(user_id=f"u{n}", item_id="r0") for n in range(FEWEST - 1))
    page = shop.recommend(user="u0", k=3, exposure={"category": {"lamp": 0.4}})
    assert [r.item_id[0] for r in page] == ["r", "r", "b"]
    assert {r.item_id for r in page[:2]} < {r.item_id for r in shop.recommend(user="u0", k=3)}


def test_a_shop_without_behaviour_holds_floors_too(red_blue_shop):
    page = red_blue_shop.recommend(history=["r0"], k=4, exposure={"category": {"lamp": 0.5}})
    assert sorted(r.item_id[0] for r in page) == ["b", "b", "r", "r"]


def test_an_empty_shop_shows_nothing(open_shop):
    shop = open_shop()
    shop.record(Interaction(user_id=f"u{n}", item_id="gone") for n in range(FEWEST))
    assert shop.recommend(user="u0", exposure={"cold": 0.2, "tail": 0.2}) == []


def test_it_goes_with_diversity_caps_and_exploration(shop):
    page = shop.recommend(
        user="u0", k=8, exposure={"cold": 0.5}, diversity={"colour": 0.4}, max_per={"brand": 2}, explore=0.3,
        rng=0, signals={"newness": 0.1},
    )
    assert len({r.item_id for r in page}) == 8
    caps = shop.recommend(user="u0", k=8, exposure={"cold": 0.5}, diversity=0.3, max_per={"brand": 2})
    assert max(Counter(int(r.item_id[1:]) % 6 for r in caps).values()) <= 2


def test_unknown_users_see_floors_among_what_is_popular(shop):
    plain, page = (shop.recommend(k=10, exposure=asked) for asked in (None, {"colour": {"green": 0.5}}))
    assert sum(colour(r) == "green" for r in plain) < 5
    assert sum(colour(r) == "green" for r in page) == 5


def test_one_page_of_similar_items_or_of_a_search_holds_the_floors(red_blue_shop):
    half, even = {"category": {"lamp": 0.5}}, {"category": "even"}
    for page in (
        red_blue_shop.similar("r0", k=4, exposure=half), red_blue_shop.similar("r0", k=4, exposure=even),
        red_blue_shop.search("red mug", k=4, exposure=half),
    ):
        assert sorted(r.item_id[0] for r in page) == ["b", "b", "r", "r"]


def test_a_group_is_found_beyond_the_candidates(shop, monkeypatch):
    monkeypatch.setattr("mmrec.ranking.request.POOL", 2)
    monkeypatch.setattr("mmrec.ranking.request.DIVERSE", 1)
    assert shares(shop, exposure={"colour": {"green": 0.6}}, users=60)["green"] == pytest.approx(0.6, abs=0.1)


def test_a_condition_holds_with_exposure(shop):
    page = shop.recommend(user="u0", k=K, where="brand == 'b0'", exposure={"colour": "even", "cold": 0.5})
    assert [int(r.item_id[1:]) % 6 for r in page] == [0] * K


@pytest.mark.parametrize(("asked", "message"), [
    ({"maker": "even"}, "exposure names no attribute of words 'maker': choose colour, brand"),
    ({"colour": {"pink": 0.5}}, "no item has colour 'pink'"),
    ({"cold": "even"}, "names no attribute of words 'cold'"),
])
def test_unknown_groups_are_refused(shop, asked, message):
    with pytest.raises(DataError, match=message) as error:
        shop.recommend(user="u0", exposure=asked)
    assert error.value.field == "exposure"
