"""Who is asking, as positions in the catalogue."""

import logging

import numpy as np
import pytest

from mmrec.errors import UnknownItem
from mmrec.ranking.users import Point, Shopper, acts_of, shopper_of
from mmrec.search.latest import Index
from mmrec.store.ingest import Intake

TASTE = Point("words", np.ones(3, np.float32))


@pytest.fixture
def snapshot(catalogue, red_blue):
    Intake(catalogue).run(red_blue)
    return Index(catalogue).now()


@pytest.mark.parametrize(("weights", "words", "rung"), [
    ([1.0], None, "history"), ([-1.0, 2.0], TASTE, "history"), ([], TASTE, "taste"),
    ([-1.0], None, "taste"), ([-1.0], TASTE, "taste"), ([], None, "popular"), ([0.0], None, "popular"),
])
def test_the_rung_is_the_highest_that_the_knowledge_reaches(weights, words, rung):
    assert Shopper(range(len(weights)), weights, words).rung == rung


def test_likes_come_before_dislikes_with_weights_of_one():
    assert acts_of(["b", "a"], ["c"]) == [("b", 1.0), ("a", 1.0), ("c", -1.0)]


def test_acts_become_positions_in_their_order(snapshot):
    shopper = shopper_of(snapshot, [("r1", 2.0), ("b0", 1.0), ("r1", -1.0)], exclude=["b3", "who"])
    assert (list(shopper.places), list(shopper.weights)) == ([5, 0, 5], [2.0, 1.0, -1.0])
    assert shopper.hidden == {3}


def test_unknown_items_are_skipped_and_said(snapshot, caplog):
    with caplog.at_level(logging.WARNING):
        shopper = shopper_of(snapshot, acts_of(["gone", "r0"]))
    assert list(shopper.places) == [4]
    assert "gone" in caplog.text


def test_a_history_of_which_nothing_is_known_is_an_error_only_if_strict(snapshot, caplog):
    with pytest.raises(UnknownItem, match="gone"):
        shopper_of(snapshot, acts_of(["gone"]))
    shopper = shopper_of(snapshot, acts_of(["gone"]), strict=False)
    assert (shopper.rung, caplog.records) == ("popular", [])


def test_no_history_is_no_error(snapshot):
    assert shopper_of(snapshot, []).rung == "popular"
