"""Drift: as many alarms as promised, one where something changed, and what changed of an attribute."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from mmrec import Item, Recommender
from mmrec.check.drift import ALPHA, FEWEST, changed, check_drift, drift, mmd_test, psi
from mmrec.encoders.base import ToyText
from mmrec.errors import DataError, StoreMismatch


def rng(seed=0):
    return np.random.default_rng(seed)


def cloud(n, seed, shift=0.0, d=8):
    """Unit vectors in a cone, as embeddings are."""
    x = rng(seed).normal(size=(n, d)) + 1
    x[:, 0] += shift
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def by_pairs(x, y):
    """Squared MMD, summed over pairs one kind after the other."""
    width = np.median(pdist(np.concatenate([x, y]))) ** 2
    kernels = [np.exp(-cdist(a, b, "sqeuclidean") / (2 * width)) for a, b in ((x, x), (y, y), (x, y))]
    n, m = len(x), len(y)
    within = [(k.sum() - np.trace(k)) / (s * (s - 1)) for k, s in zip(kernels[:2], (n, m), strict=True)]
    return sum(within) - 2 * kernels[2].mean()


def test_mmd_agrees_with_sums_over_pairs():
    x, y = cloud(13, 0).astype(float), cloud(21, 1, shift=1).astype(float)
    # the median of squares is not quite the square of the median where two middle values are averaged
    assert mmd_test(x, y, rng=rng())[0] == pytest.approx(by_pairs(x, y), rel=0.01)


def test_the_p_value_counts_divisions_that_are_as_extreme():
    x, y = np.zeros((4, 1)), np.full((4, 1), 9.0)
    value, p = mmd_test(x, y, rng=rng())
    assert value > 0.5
    # of the 70 divisions of eight items two are as extreme: the true one and its mirror image
    assert p == pytest.approx(2 / 70, abs=0.02)


def test_where_nothing_changed_there_are_as_many_alarms_as_promised():
    values = [mmd_test(cloud(40, 2 * s), cloud(60, 2 * s + 1), rng=rng(s))[1]
              for s in range(300)]
    assert 0.05 <= np.mean(np.array(values) <= 0.1) <= 0.15  # 3 standard errors around .1
    assert np.mean(np.array(values) <= ALPHA) <= 0.03


@pytest.mark.parametrize("seed", range(3))
def test_a_shift_is_found_and_measured(seed):
    same = drift(cloud(2_000, seed), cloud(80, seed + 10), rng=rng(seed))
    moved = drift(cloud(2_000, seed), cloud(80, seed + 10, shift=3), rng=rng(seed))
    assert not same.alarm
    assert moved.alarm
    assert moved.p == 1 / 500
    assert moved.mmd > same.mmd
    assert moved.psi > 0.5 > same.psi
    assert (moved.incoming, moved.reference) == (80, 500)


def test_the_same_embedding_everywhere_is_no_drift():
    found = drift(np.ones((50, 4), np.float32), np.ones((50, 4), np.float32), rng=rng())
    assert (found.p, found.mmd, found.psi) == (1.0, 0.0, 0.0)


def test_too_few_say_nothing_and_what_cannot_be_compared_is_refused():
    assert drift(cloud(100, 0), cloud(FEWEST - 1, 1), rng=rng()) is None
    assert drift(cloud(FEWEST - 1, 0), cloud(100, 1), rng=rng()) is None
    with pytest.raises(DataError, match="doctor"):
        drift(np.full((40, 3), np.nan, np.float32), cloud(40, 1, d=3), rng=rng())


def test_psi_by_hand(monkeypatch):
    # In halves of the reference: 2 and 2 of 4, and 3 and 1 of 4; with half an item more in each bin.
    reference, incoming = np.array([[0.0], [1], [2], [3]]), np.array([[0.0], [0.5], [1], [3]])
    p, q = np.array([2.5, 2.5]) / 5, np.array([3.5, 1.5]) / 5
    expected = ((q - p) * np.log(q / p)).sum()
    monkeypatch.setattr("mmrec.check.drift.BINS", 2)
    assert psi(reference, incoming) == pytest.approx(expected)
    assert psi(reference, reference) == 0


@pytest.mark.parametrize(("before", "now", "said"), [
    ([1.0] * 40, [1.0] * 40, ""),
    ([*range(10, 50)], [*range(10, 50)], ""),
    ([*range(10, 50)], [100 * n for n in range(10, 50)], "median 29.5, now 2950"),
    ([1.0] * 40, [1.0] * 20 + [None] * 20, "100% had one, 50% have"),
    ([None] * 39 + ["a"], ["a"] * 40, "2% had one, 100% have"),
    (["a", "b"] * 20, ["b", "a"] * 20, ""),
    (["a", "b"] * 20, ["c", "c", "c", "a"] * 10, "75% have a value that was not there"),
    ([["a", "b"]] * 40, [["b", "c"]] * 40, ""),
    ([["a", "b"]] * 40, [["c"]] * 40, "100% have"),
    ([f"code {n}" for n in range(300)], [f"new {n}" for n in range(300)], ""),  # a code of each item
    ([datetime(2020, 1, 1)] * 40, [datetime(2024, 1, 1)] * 40, ""),
    (["a"] * (FEWEST - 1), ["b"] * 99, ""),
])
def test_what_changed_of_an_attribute(before, now, said):
    assert changed(before, now).startswith(said)
    assert bool(changed(before, now)) == bool(said)


def items(n, start, words, days=1.0, **attributes):
    return [
        Item(item_id=f"{words}-{k}", text={"title": f"{words} {k % 7}"}, attributes=attributes,
             added_at=start + timedelta(days=days * k))
        for k in range(n)
    ]


START = datetime(2024, 1, 1, tzinfo=UTC)


def test_the_newer_half_of_a_catalogue_is_compared_with_the_older(open_shop):
    with open_shop() as shop:
        shop.ingest(items(60, START, "red mug", price=3.0))
        shop.ingest(items(60, START + timedelta(200), "lámpara azul"))
        found = {one.name: one for one in check_drift(shop.snapshot())}
        assert [row.ids for row in found["attribute-drift"].rows] == [("price",)]
        assert found["drift"].count == 60
        assert "60 items against 60" in found["drift"].rows[0].detail


def test_what_came_at_once_has_no_older_half(open_shop):
    with open_shop() as shop:
        shop.ingest(items(60, START, "red mug", days=0))
        shop.ingest(items(60, START + timedelta(2), "blue lamp", days=0))
        assert list(check_drift(shop.snapshot())) == []


def test_a_catalogue_is_compared_with_another(open_shop):
    with open_shop("new.mmrec") as new, open_shop("old.mmrec") as old, open_shop("same.mmrec") as same:
        new.ingest(items(60, START, "red mug"))
        old.ingest(items(60, START, "lámpara azul"))
        same.ingest(items(60, START, "red mug"))
        assert [one.name for one in check_drift(new.snapshot(), old.snapshot())] == ["drift"]
        assert list(check_drift(new.snapshot(), same.snapshot())) == []


class Narrow(ToyText):
    length = 32


def test_other_encoders_cannot_be_compared(open_shop, tmp_path):
    other = Recommender.open(tmp_path / "other.mmrec", {"image_encoder": "none"}, encoders={"text": Narrow()})
    with open_shop() as shop, other, pytest.raises(StoreMismatch, match="different encoders"):
        list(check_drift(shop.snapshot(), other.snapshot()))
