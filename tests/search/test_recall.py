"""The gate of inexact search: it serves only where it finds enough of the nearest."""

import logging

import numpy as np
import pytest

from mmrec import Interaction, Item, Recommender
from mmrec.search import recall as gate
from mmrec.search import topk
from mmrec.search.hits import Hits
from mmrec.search.latest import search_health
from mmrec.search.scans import Named
from mmrec.search.topk import Scorer

N = 600
TOY = {"text_encoder": "toy-text", "image_encoder": "toy-image"}


@pytest.fixture
def small(monkeypatch):
    """Codes however small the catalogue, that name a tenth of it."""
    monkeypatch.setattr(topk, "SMALL", 1)
    monkeypatch.setattr(topk.BitCodes, "NAMED", {2: N // 10})


@pytest.fixture
def path(tmp_path):
    """A store of items in many words, and users of three of them."""
    rng, words = np.random.default_rng(0), [f"word{n}" for n in range(60)]
    with Recommender.open(tmp_path / "shop.mmrec", TOY) as shop:
        titles = [" ".join(rng.choice(words, 4)) for _ in range(N)]
        shop.ingest(Item(item_id=f"i{n:03d}", text={"title": title}) for n, title in enumerate(titles))
        liked = rng.integers(0, N, (30, 3)).tolist()
        shop.record(Interaction(user_id=f"u{u}", item_id=f"i{n:03d}") for u in range(30) for n in liked[u])
    return tmp_path / "shop.mmrec"


def opened(path, memory):
    return Recommender.open(path, memory=memory, create=False)


def test_where_memory_is_short_few_bits_serve_and_doctor_shows_what_they_find(path, small, caplog):
    with opened(path, 1) as shop, caplog.at_level(logging.INFO, "mmrec"):
        snapshot = shop.snapshot()
        scorer = snapshot.scorer("content")
        assert (scorer.exact, scorer.bits, scorer.measured) == (False, 2, N)
        assert "codes of 2 bits search content: recall@10" in caplog.text
        health = search_health(shop.catalogue)
        assert health["road"] == "2-bit codes name the candidates, not all of them, the vectors lie in a file"
        assert health["queries"] == 30
        assert health["recall_at_10"] >= gate.GATE


def test_they_answer_as_exact_ones_do(path, small):
    with opened(path, 1) as short, opened(path, "1GB") as ample:
        for item in ("i000", "i300", "i599"):
            few, exact = (shop.recommend(history=[item], k=10) for shop in (short, ample))
            assert [one.item_id for one in few] == [one.item_id for one in exact]
            np.testing.assert_allclose([one.score for one in few], [one.score for one in exact], rtol=1e-5)


def test_a_search_that_misses_the_nearest_does_not_serve(path, small, monkeypatch, caplog):
    whole = topk.BitCodes.nominate

    def half(*args):
        return [Named(rows[::2], ceiling) for rows, ceiling in whole(*args)]

    monkeypatch.setattr(topk.BitCodes, "nominate", half)
    with opened(path, 1) as shop:
        scorer = shop.snapshot().scorer("content")
        assert (scorer.exact, scorer.bits) == (True, 8)
        found, = (one for one in caplog.messages if "exact ones of 8 bits serve" in one)
        assert "of the 10 nearest in 'content' (0.97 wanted, 30 queries)" in found
        assert search_health(shop.catalogue)["recall_at_10"] == 1.0


def test_recall_is_measured_again_when_the_catalogue_has_grown_by_a_tenth(path, small, monkeypatch):
    def fresh(first, end):
        return [Item(item_id=f"n{n}", text={"title": f"word{n % 60} word{n % 7}"}) for n in range(first, end)]

    measured = []
    whole = gate.recall
    monkeypatch.setattr(gate, "recall", lambda *args: measured.append(len(args[0])) or whole(*args))
    with opened(path, 1) as shop:
        shop.similar("i000", k=3)
        shop.ingest(fresh(0, 20))
        shop.similar("i000", k=3)
        assert measured == [N]
        shop.ingest(fresh(20, 60))
        shop.similar("i000", k=3)
        assert measured == [N, N + 60]


def test_recall_is_a_share_of_the_nearest_and_ties_count(monkeypatch):
    x = np.eye(30, dtype=np.float32)
    scorer = Scorer(np.vstack([x, x]))
    assert gate.recall(scorer, x[:4]) == 1.0
    some = Hits(np.array([0, 30]), np.ones(2, np.float32))
    monkeypatch.setattr(Scorer, "top", lambda *_: some)
    found = gate.recall(Scorer(np.vstack([x, x, 2 * x[:1], x[:7]])), np.ones((1, 30), np.float32))
    assert found == pytest.approx(.2)  # two of ten, as both tie with the last of these
    assert gate.recall(scorer, np.zeros((2, 30), np.float32)) is None
