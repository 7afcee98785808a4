"""What was shown and not chosen: the examination model against a drawn truth, and what a fit makes of it."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from mmrec.evaluate.logs import log_of_positions
from mmrec.training.shown import FEW, average_views, examination, shown_of, together

ITEMS, USERS, PAGE = 40, 400, 8
LOOKED = 1 / np.sqrt(np.arange(1, PAGE + 1))


def drawn(seed=0, pages=4):
    """Pages of items in proportion to how often they are displayed, looked at from the top."""
    rng = np.random.default_rng(seed)
    like, display = rng.uniform(0.1, 0.7, ITEMS), rng.permutation(np.arange(1, ITEMS + 1)) ** -0.7
    users, items, positions, chosen = [], [], [], []
    for user in range(USERS):
        for _ in range(pages):
            page = rng.choice(ITEMS, PAGE, replace=False, p=display / display.sum())
            looked = rng.random(PAGE) < LOOKED
            users += [user] * PAGE
            items += page.tolist()
            positions += range(PAGE)
            chosen += (looked & (rng.random(PAGE) < like[page])).tolist()
    return (*map(np.array, (users, items, positions, chosen)), like, display)


def shop(seed=0):
    users, items, positions, chosen, like, display = drawn(seed)
    ids = [f"u{n}" for n in range(USERS)]
    log = log_of_positions(ids, [f"i{n}" for n in range(ITEMS)], users=users[chosen], items=items[chosen],
                           times=np.arange(int(chosen.sum())))
    rows = pa.table({
        "user_id": [f"u{n}" for n in users], "item": pa.array(items, pa.int32()),
        "position": pa.array(positions, pa.int32()), "propensity": pa.nulls(len(items), pa.float64()),
    })
    return rows, log, like, display


def test_the_examination_of_positions_is_found_whatever_stands_there():
    _, items, positions, chosen, _, _ = drawn(pages=12)
    found = examination(items, positions, chosen)
    np.testing.assert_allclose(found, LOOKED, atol=0.08)
    assert found.max() == 1


def test_it_is_found_where_the_best_items_stand_at_the_top_too():
    rng = np.random.default_rng(3)
    like = rng.uniform(0.1, 0.7, ITEMS)
    items = np.concatenate([page[np.argsort(-like[page] + rng.normal(0, 0.25, PAGE))] for page in (
        rng.choice(ITEMS, PAGE, replace=False) for _ in range(20_000))])
    positions = np.tile(np.arange(PAGE), 20_000)
    chosen = rng.random(len(items)) < LOOKED[positions] * like[items]
    plain = np.bincount(positions, chosen) / np.bincount(positions)
    found = examination(items, positions, chosen)
    assert np.abs(found - LOOKED).max() < 0.1 < np.abs(plain / plain[0] - LOOKED).max()


def test_exposure_is_how_often_items_were_looked_at():
    rows, log, _, display = shop()
    found = shown_of(rows, log)
    views = np.bincount(rows["item"].to_numpy(), LOOKED[rows["position"].to_numpy()], ITEMS)
    assert np.corrcoef(np.log(found.exposure.weights), -np.log(views))[0, 1] > 0.98
    assert found.exposure.why == f"{rows.num_rows:,} items that were shown"
    assert np.average(found.exposure.weights, weights=np.bincount(log.items)) == pytest.approx(1, rel=1e-3)
    assert np.corrcoef(np.log(found.exposure.weights), -np.log(display))[0, 1] > 0.9


def test_known_chances_undo_that_items_are_shown_to_those_whom_they_fit():
    rng = np.random.default_rng(1)
    fits = rng.random((4_000, ITEMS)) < 0.3  # users whom an item fits choose it five times as often
    like = np.where(fits, 5, 1) * rng.uniform(0.05, 0.15, ITEMS)
    aimed = np.arange(ITEMS) < ITEMS // 2  # these are shown to those above all, the others to anybody
    chance = np.where(aimed & fits, 0.8, np.where(aimed, 0.1, 0.3))
    users, items = np.nonzero(rng.random(chance.shape) < chance)
    chosen = rng.random(len(items)) < like[users, items]
    looked, known = np.ones(len(items)), chance[users, items]
    choices, truth = np.bincount(items, chosen), like.mean(axis=0)

    def error(propensities):
        rates = choices / average_views(items, looked, chosen, propensities, ITEMS)
        return np.abs(np.log(rates / truth)).max()

    unknown = np.full(len(items), np.nan)
    assert error(known) < 0.2 < 0.4 < error(unknown)
    np.testing.assert_array_equal(
        average_views(items, looked, chosen, unknown, ITEMS), np.bincount(items, minlength=ITEMS))
    alike = average_views(items, looked, chosen, np.full(len(items), 0.25), ITEMS)
    np.testing.assert_allclose(alike, np.bincount(items), rtol=0.05)  # equal chances change next to nothing


def test_that_chances_are_known_is_told():
    rows, log, _, _ = shop()
    chances = pa.array(np.full(rows.num_rows, 0.5))
    found = shown_of(rows.set_column(3, "propensity", chances), log)
    assert found.exposure.why.endswith(f"shown, {rows.num_rows:,} with known chances")


def test_impressions_of_a_small_part_of_the_log_tell_no_exposure():
    rows, log, _, _ = shop()
    users = rows["user_id"].to_pylist()
    few = rows.filter(pa.array([int(user[1:]) < USERS // 3 for user in users]))
    found = shown_of(few, log)
    assert found.exposure is None
    assert found.refused.nnz


def test_what_was_chosen_is_never_refused_and_the_top_more_than_the_bottom():
    rows, log, _, _ = shop()
    passed = shown_of(rows, log).refused
    chosen = csr_matrix((np.ones(len(log.items)), (log.users, log.items)), passed.shape)
    assert not passed.multiply(chosen).nnz
    assert passed.data.min() > 0
    assert passed.data.max() <= 1
    one = pa.table({"user_id": ["x"] * FEW, "item": pa.array([0] * FEW, pa.int32()),
                    "position": pa.array([0] * FEW, pa.int32()), "propensity": pa.nulls(FEW, pa.float64())})
    more = shown_of(pa.concat_tables([rows, one]), log).refused
    assert more.shape == (USERS + 1, ITEMS)
    assert more[USERS, 0] == 1  # who is not in the log is somebody beside it


def test_hardly_anything_shown_says_nothing():
    rows, log, _, _ = shop()
    assert shown_of(rows.slice(0, FEW - 1), log) is None
    assert shown_of(rows.slice(0, FEW), log) is not None


def test_a_dislike_counts_more_than_what_was_passed_over():
    disliked, passed = (csr_matrix(np.array(rows, np.float32)) for rows in ([[1, 0]], [[0.3, 0.4], [0, 0.2]]))
    np.testing.assert_allclose(together(disliked, passed).toarray(), [[1, 0.4], [0, 0.2]])
