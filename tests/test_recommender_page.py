"""Pages in the open: against exact search, filtered, diverse, explored, explained."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mmrec import Item, Recommender
from mmrec.errors import DataError
from mmrec.ranking.request import Exploration

START = datetime(2024, 1, 1, tzinfo=UTC)
N = 600
WORDS = ["red", "blue", "green", "mug", "lamp", "chair", "wool", "steel", "oak", "small", "large", "round"]


def ids(results):
    return [r.item_id for r in results]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A shop of 600 items of four words each, 30 brands, an hour between each and the next."""
    rng = np.random.default_rng(5)
    shop = Recommender.open(tmp_path_factory.mktemp("page") / "s.mmrec",
                            {"text_encoder": "toy", "image_encoder": "none"})
    shop.ingest([
        Item(item_id=f"i{n:03d}", text={"title": " ".join(rng.choice(WORDS, 4))},
             attributes={"brand": f"b{n % 30}", "rank": float(n)}, added_at=START + timedelta(hours=n))
        for n in range(N)
    ])
    return shop


@pytest.fixture(scope="module")
def histories(store):
    rng = np.random.default_rng(6)
    known = store.snapshot().ids
    return [[known[p] for p in rng.integers(0, N, rng.integers(1, 6))] for _ in range(25)]


def naive(store, history, k, where=None):
    """Ids and scores by the definition, in float64."""
    snapshot = store.snapshot()
    x = snapshot.space("content")[:].astype(np.float64)
    user = x[[snapshot.position[i] for i in history]].mean(axis=0)
    scores = x @ (user / np.linalg.norm(user))
    mask = np.ones(N, bool) if where is None else snapshot.mask(where)
    order = [p for p in np.argsort(-scores, kind="stable") if mask[p] and snapshot.ids[p] not in history]
    return scores, order[:k]


@pytest.mark.parametrize("where", [None, "rank < 300", "rank in (7, 9, 11)", "brand == 'b3' and rank > 500"])
def test_a_plain_page_is_exact_search_under_any_filter(store, histories, where):
    for history in histories:
        scores, order = naive(store, history, 10, where)
        found = store.recommend(history=history, where=where)
        assert len(found) == min(10, len(order))
        places = [store.snapshot().position[i] for i in ids(found)]
        np.testing.assert_allclose([r.score for r in found], scores[order], atol=1e-6)
        np.testing.assert_allclose(scores[places], scores[order], atol=1e-6)


@pytest.mark.parametrize("wish", [
    {}, {"diversity": 0.5}, {"max_per": {"brand": 1}}, {"distinct": 0.95}, {"where": "rank < 40", "k": 30},
])
def test_many_at_once_are_each_alone(store, histories, wish):
    asked = [*histories, [], ["gone"]]
    many = store.recommend_many(asked, **wish)
    alone = [store.recommend(history=h, **wish) for h in [*histories, []]]
    assert many[:-1] == alone
    assert many[-1] == alone[-1]


def test_each_of_many_requests_has_its_own_wishes_and_its_own_error(store, histories):
    requests = [
        {"history": histories[0]}, {"history": histories[1], "k": 3, "where": "rank < 40"}, {"k": 7},
        {"history": histories[2], "dislikes": histories[3][:1], "max_per": {"brand": 1}},
        {"history": histories[4], "explore": 0.5, "rng": 5}, {"taste": "red", "exclude": histories[0]},
        {"dislikes": histories[5][:2], "diversity": 0.7}, {"user": "nobody", "k": 2},
    ]
    alone = [store.recommend(**request) for request in requests]
    assert store.recommend_each(requests) == alone
    wrong = [{"history": ["gone"]}, {"where": "nothing > 1"}, {"user": "u", "history": ["gone"]}, {"k": 0}]
    mixed = store.recommend_each([*wrong[:2], *requests, *wrong[2:]])
    assert mixed[2:-2] == alone
    for error, request in zip([*mixed[:2], *mixed[-2:]], wrong, strict=True):
        with pytest.raises(type(error)) as raised:
            store.recommend(**request)
        assert str(raised.value) == str(error)
    assert store.recommend_each([]) == []


def test_diversity_spreads_a_page_and_costs_relevance(store, histories):
    snapshot = store.snapshot()
    x = snapshot.space("content")

    def alike(results):
        page = x[[snapshot.position[i] for i in ids(results)]]
        return (page @ page.T)[np.triu_indices(len(page), 1)].mean()

    pages = {dial: [store.recommend(history=h, diversity=dial) for h in histories] for dial in (0, 0.5, 1)}
    assert pages[0] == [store.recommend(history=h) for h in histories]
    likeness = [np.mean([alike(page) for page in pages[dial]]) for dial in (0, 0.5, 1)]
    relevance = [np.mean([r.score for page in pages[dial] for r in page]) for dial in (0, 0.5, 1)]
    assert likeness[0] > likeness[1] > likeness[2]
    assert relevance[0] > relevance[1] > relevance[2]
    assert all(page[0] == plain[0] for page, plain in zip(pages[1], pages[0], strict=True))


def test_a_cap_holds_on_a_page_of_k(store, histories):
    for history in histories:
        brands = [i.attributes["brand"] for i in store.get(ids(
            store.recommend(history=history, k=30, max_per={"brand": 1})))]
        assert len(brands) == len(set(brands)) == 30
    few = store.similar("i000", k=50, max_per={"brand": 1})
    assert len(few) == 30  # there are no more brands
    assert len(store.similar("i000", k=50, where="rank < 3", distinct="brand")) == 2


def test_exploration_shows_new_items_as_often_as_it_says(store, histories):
    policy = Exploration(share=0.3, max_age_days=2)
    rng = np.random.default_rng(1)
    pages = [store.recommend(history=h, explore=policy, rng=rng) for h in histories * 8]
    results = [r for page in pages for r in page]
    new = {f"i{n:03d}" for n in range(N - 49, N)}  # within 48 hours of the newest
    plain = [store.recommend(history=h, k=10) for h in histories]
    before = np.mean([r.item_id in new for page in plain for r in page])
    share = np.mean([r.item_id in new for r in results])
    assert share == pytest.approx(before + 0.3 * (1 - before), abs=0.04)
    assert all(0 < r.propensity <= 1 for r in results)
    assert {r.propensity for page in plain for r in page} == {1.0}
    assert all(len(set(ids(page))) == 10 for page in pages)
    for r in results:
        assert sum(x.contribution for x in r.reasons) == pytest.approx(r.score, abs=1e-5)


def test_exploration_keeps_to_the_condition_and_a_seed_to_itself(store, histories):
    asked = {"history": histories[0], "explore": 0.9, "where": "rank < 580 and brand != 'b1'"}
    found = store.recommend(**asked, rng=4)
    assert found == store.recommend(**asked, rng=4)
    assert found != store.recommend(**asked, rng=5)
    assert all(float(i.attributes["rank"]) < 580 and i.attributes["brand"] != "b1"
               for i in store.get(ids(found)))
    stranger = store.recommend(explore=0.9, rng=4)
    assert {r.rung for r in stranger} == {"newest"}
    assert not set(ids(store.recommend(**asked, exclude=ids(found), rng=4))) & set(ids(found))


def test_one_seed_draws_differently_for_each_of_many(store, histories):
    pages = store.recommend_many([histories[0]] * 5, explore=0.5, rng=3)
    assert pages == store.recommend_many([histories[0]] * 5, explore=0.5, rng=3)
    assert len({tuple(ids(page)) for page in pages}) > 1


def test_without_its_first_reason_an_item_falls_further_than_without_a_random_one(store, histories):
    rng, falls = np.random.default_rng(2), {"first": [], "random": []}
    for history in (h for h in histories if len(set(h)) > 2):
        for result in store.recommend(history=history, k=5):
            reasons = [r.name for r in result.reasons if r.source == "item"]
            others = [i for i in set(history) if i != reasons[0]]
            for name, gone in (("first", reasons[0]), ("random", rng.choice(sorted(others)))):
                rest = [i for i in history if i != gone]
                left = store.recommend(history=rest, exclude=[gone], k=N)
                falls[name].append(ids(left).index(result.item_id))
    assert np.mean(falls["first"]) > 1.5 * np.mean(falls["random"])


@pytest.mark.parametrize("wish", [{"where": "x" * 10_000}, {"where": "rank < 'a'"}, {"where": "smell < 3"}])
def test_a_condition_that_cannot_be_used_is_refused_by_every_verb(store, shop, wish):
    for any_shop in (store, shop):
        for ask in (
            lambda s: s.recommend(**wish), lambda s: s.recommend_many([[]], **wish),
            lambda s: s.search("red", **wish), lambda s: s.similar(text="red", **wish),
            lambda s: s.browse(**wish),
        ):
            with pytest.raises(DataError) as error:
                ask(any_shop)
            assert error.value.field == "where"
            assert len(str(error.value)) < 1_000
