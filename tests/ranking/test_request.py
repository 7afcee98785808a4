"""What may be asked of results, and what is refused before anything is searched."""

import numpy as np
import pytest

from mmrec.errors import DataError
from mmrec.ranking.request import POOL, Exploration, Request, listed, scaled


@pytest.mark.parametrize("k", [1, 10_000, np.int64(5)])
def test_a_whole_number_of_results_is_taken(k):
    assert Request(k=k).k == k
    assert type(Request(k=k).k) is int


@pytest.mark.parametrize("k", [0, -1, 10_001, True, "3", 2.0, None, float("nan"), [1]])
def test_any_other_number_of_results_is_refused(k):
    with pytest.raises(DataError, match=r"k must be a whole number from 1 to 10,000, got") as error:
        Request(k=k)
    assert error.value.field == "k"


@pytest.mark.parametrize(("field", "value", "message"), [
    ("diversity", -0.1, "from 0 to 1"), ("diversity", float("nan"), "0 to 1"), ("diversity", "1", "0 to 1"),
    ("diversity", {"genres": 2}, r"diversity\['genres'\] must be a number from 0 to 1"),
    ("diversity", {"genres": 0.6, "content": 0.6}, "sum to 1 at most"),
    ("explore", 1.1, "from 0 to 1"), ("explore", True, "from 0 to 1"), ("explore", None, "from 0 to 1"),
    ("max_per", {"brand": 0}, r"max_per\['brand'\] must be"), ("max_per", {"brand": 1.5}, "whole number"),
    ("max_per", "brand", "map attributes"), ("distinct", 0, "above 0"), ("distinct", 1.5, "0 to 1"),
    ("distinct", False, "from 0 to 1"), ("exclude", "r0", "list of item ids"), ("exclude", [1], "list of"),
    ("signals", "newness", "map names"), ("signals", {"newness": 2}, r"signals\['newness'\] must be"),
    ("exposure", "even", "map groups to shares"), ("exposure", {"cold": 1.2}, r"exposure\['cold'\] must be"),
    ("exposure", {"brand": 0.3}, r"exposure\['brand'\] must be 'even' or map values to shares"),
    ("exposure", {"tail": {"x": "y"}}, r"exposure\['tail'\]\['x'\] must be a number"),
    ("exposure", {"brand": {"a": 0.7, "b": 0.6}}, r"exposure\['brand'\] must sum to 1 at most"),
    ("history", "r0", "list of item ids"), ("dislikes", [1], "list of item ids"),
    ("rng", -1, "seed from 0 up"), ("rng", "dice", "numpy Generator"), ("rng", True, "numpy Generator"),
])
def test_a_wish_out_of_range_is_refused_by_name(field, value, message):
    with pytest.raises(DataError, match=message) as error:
        Request(**{field: value})
    assert error.value.field == field


def test_a_plain_request_asks_for_no_more_candidates_than_results():
    request = Request(k=7, exclude=["a"])
    assert (request.shapes, request.pool, request.exploration, request.exclude) == (False, 7, None, ("a",))


@pytest.mark.parametrize("wish", [{"max_per": {"brand": 2}}, {"distinct": "design"}])
def test_a_page_is_chosen_from_a_pool(wish):
    assert Request(**wish).pool == POOL
    assert Request(k=100, **wish).pool == 500
    assert Request(k=10_000, **wish).pool == 12_000


def test_a_diverse_page_is_chosen_from_more():
    assert [Request(k=k, diversity=0.1).pool for k in (1, 10, 10_000)] == [POOL, 400, 12_000]
    assert Request(k=10, diversity={"genres": 0}).pool == 10
    nearly = dict(zip("abcd", (0.4, 0.45, 0.05, 0.1), strict=True))  # whose floats sum to 1 + 2e-16
    assert Request(diversity=nearly).weights_of_diversity == nearly


def test_exposure_keeps_what_is_asked_and_takes_a_pool():
    asked = {"cold": 0.2, "tail": 0, "brand": "even", "maker": {"a": 1, "b": 0.0}, "other": {}}
    request = Request(exposure=asked)
    assert request.exposure == {"cold": 0.2, "brand": "even", "maker": {"a": 1.0}}
    assert (request.selects, request.shapes, request.pool) == (True, True, 400)
    assert (Request(exposure={"cold": 0}).exposure, Request(exposure={"cold": 0}).pool) == ({}, 10)


def test_a_share_of_exploration_is_one_with_everything_else_as_usual():
    assert Request(explore=0.2).exploration == Exploration(share=0.2)
    assert Request(explore=Exploration(share=0)).exploration is None
    young = Exploration(share=0.5, max_age_days=3)
    assert Request(explore=young).exploration is young


def test_a_seed_draws_the_same_and_a_generator_goes_on():
    assert Request(rng=3).generator.random() == Request(rng=3).generator.random()
    request = Request(rng=np.random.default_rng(3))
    assert request.generator.random() != request.generator.random()


@pytest.mark.parametrize("ids", ["r0", b"r0", [1], [None], ["r0", b"r1"], None, 5])
def test_what_is_no_list_of_ids_is_refused(ids):
    with pytest.raises(DataError, match="history must be a list of item ids") as error:
        listed(ids, "history")
    assert error.value.field == "history"


@pytest.mark.parametrize("ids", [("a", "b"), {"a": 1, "b": 2}, iter(["a", "b"]), np.array(["a", "b"])])
def test_any_iterable_of_strings_is_a_list_of_ids(ids):
    assert listed(ids, "history") == ["a", "b"]


def test_a_user_and_a_history_exclude_each_other():
    with pytest.raises(DataError, match="a user or a history, not both") as error:
        Request(user="u", history=["r0"])
    assert error.value.field == "user"


def test_a_request_with_signals_chooses_from_a_pool():
    assert Request(k=10, signals={"newness": 0.5}).pool == 400
    assert Request(k=10, signals={"newness": 0.0}).pool == 10
    assert not Request(signals={"newness": 0.5}).selects


def test_relevance_is_brought_to_a_scale_from_0_to_1():
    np.testing.assert_allclose(scaled(np.array([2.0, 6.0, 3.0])), [0, 1, 0.25])
    np.testing.assert_array_equal(scaled(np.array([5.0, 5.0])), [0, 0])
    assert scaled(np.zeros(0)).shape == (0,)
