"""Settings are chosen on validation, and nothing else is seen."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.errors import DataError
from mmrec.evaluate.baselines import EASE, Popularity
from mmrec.evaluate.contest import Try, tune
from mmrec.evaluate.logs import Setting, Split

PLAIN = np.eye(4, dtype=np.float32)
TRAIN = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 0]], np.float32))


class Forbidden(Mapping[str, Setting]):
    """A test part that nobody may look at."""

    def __getitem__(self, key: str) -> Setting:
        raise AssertionError("looked at test")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("looked at test")

    def __len__(self) -> int:
        raise AssertionError("looked at test")


class Favourite:
    """Ranks one item first and the others by position, for anyone; keeps what it was fitted on."""

    name = "favourite"
    fitted: list[Any] = []  # noqa: RUF012

    def __init__(self, item: int = 3) -> None:
        self.item = item

    def fit(self, train: csr_matrix, content: np.ndarray) -> None:
        self.fitted.append((train, content))

    def score(self, histories: csr_matrix) -> np.ndarray:
        scores = np.tile(-np.arange(4, dtype=np.float32), (histories.shape[0], 1))
        scores[:, self.item] = 1
        return scores


def setting(name: str, relevant: int) -> Setting:
    """One user with item 0 in the history who wants one other."""
    histories, wanted = np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32)
    histories[0, 0] = wanted[0, relevant] = 1
    return Setting(name, csr_matrix(histories), csr_matrix(wanted), np.arange(1, 4, dtype=np.int32))


@pytest.fixture
def split() -> Split:
    validation = {"warm": setting("warm", 2), "cold": setting("cold", 3)}
    return Split("hand-made", 0, TRAIN, np.array([3], np.int32), validation, Forbidden())


def run(split: Split, **options: Any) -> Any:
    grid = options.pop("grid", [{"item": item} for item in (1, 2, 3)])
    return tune(
        options.pop("make", Favourite), grid, split, PLAIN, rng=np.random.default_rng(0),
        **({"setting": "warm"} | options),
    )


@pytest.mark.parametrize(("name", "item"), [("warm", 2), ("cold", 3)])
def test_the_best_on_the_named_validation_setting_wins(split, name, item):
    best, tries = run(split, setting=name)
    assert best == {"item": item}
    assert [one.settings for one in tries] == [{"item": 1}, {"item": 2}, {"item": 3}]
    assert max(tries, key=lambda one: one.score).score == 1
    assert all(isinstance(one, Try) and one.seconds >= 0 for one in tries)


def test_tries_are_scored_by_their_discounted_gain(split):
    # The relevant item 2 comes second behind the favourite 1, or first.
    _, tries = run(split, grid=[{"item": 1}, {"item": 2}])
    assert [one.score for one in tries] == pytest.approx([1 / np.log2(3), 1])


def test_models_are_fitted_on_training_and_all_content(split):
    Favourite.fitted.clear()
    run(split)
    assert len(Favourite.fitted) == 3
    assert all(train is split.train and content is PLAIN for train, content in Favourite.fitted)


def test_of_equals_the_first_wins_and_no_setting_at_all_is_a_try(split):
    best, _ = run(split, grid=[{"item": 2}, {"item": 2}])
    assert best == {"item": 2}
    best, tries = run(split, make=Popularity, grid=Popularity.grid)
    assert best == {}
    assert len(tries) == 1


def test_a_baseline_is_tuned_over_its_grid(split):
    best, tries = run(split, make=EASE, grid=EASE.grid)
    assert best in list(EASE.grid)
    assert len(tries) == len(EASE.grid)


def test_what_cannot_be_tuned_is_refused_before_anything_is_fitted(split):
    Favourite.fitted.clear()
    with pytest.raises(DataError, match="no setting 'test': choose one of cold, warm"):
        run(split, setting="test")
    assert not Favourite.fitted
