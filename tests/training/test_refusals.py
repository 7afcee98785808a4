"""What users met and refused: held out honestly, and decided by."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import mannwhitneyu

from mmrec.evaluate.logs import Setting
from mmrec.model.parts import Blend, Shares
from mmrec.training.refusals import FEWEST, LEAST, Met, appeal_from, by_refusals, held_out
from mmrec.training.validation import Parts, inner_split

USERS, ITEMS = 120, 60


def world(seed=0):
    """Users choose at random; whether they like what they met depends on the item alone."""
    rng = np.random.default_rng(seed)
    chance = rng.random(ITEMS)
    met = rng.random((USERS, ITEMS)) < 0.5
    liked = met & (rng.random((USERS, ITEMS)) < chance)
    content = np.hstack([chance[:, None], rng.normal(size=(ITEMS, 3))]).astype(np.float32)
    chosen, refused = (csr_matrix(one.astype(np.float32)) for one in (liked, met & ~liked))
    return chosen, refused, content, chance


@pytest.fixture(scope="module")
def found():
    train, refused, content, chance = world()
    inner = inner_split(train, np.random.default_rng(1))
    asked = held_out(train, inner.train, refused, content, np.random.default_rng(2))
    return train, inner.train, refused, content, chance, asked


def test_what_is_asked_was_not_learned_from(found):
    train, left, refused, content, _, asked = found
    for met in (asked.choosing, asked.judging):
        liked, against = met.setting.relevant, met.against
        assert not liked.multiply(met.setting.histories).nnz
        assert liked.nnz
        assert (np.diff(liked.indptr) > 0).all()
        assert (np.diff(against.indptr) > 0).all()
    cold = np.setdiff1d(np.arange(ITEMS), left.indices)
    kept_refusals = refused.toarray()
    for met in (asked.choosing, asked.judging):
        for row in range(met.against.shape[0]):
            same = (left.toarray() == met.setting.histories[row].toarray()).all(axis=1)
            kept_refusals[same] -= met.against[row].toarray()
    np.testing.assert_allclose(asked.values[cold], asked.appeal(content[cold]), rtol=1e-4, atol=1e-5)
    assert (train - left).nnz >= asked.choosing.setting.relevant.nnz
    assert kept_refusals.sum() < refused.nnz


def test_who_chooses_does_not_judge(found):
    asked = found[-1]
    one, other = ({tuple(row.indices) for row in met.setting.histories} for met in asked[2:])
    assert not one & other
    assert len(one) > len(other) >= FEWEST


def test_a_share_of_pairs_is_the_statistic_of_mann_and_whitney(found):
    met = found[-1].choosing
    scores = np.random.default_rng(0).integers(0, 6, (met.against.shape[0], ITEMS)).astype(np.float32)  # ties
    for value, row, liked, refused in zip(
        met.above(scores), scores, met.setting.relevant, met.against, strict=True
    ):
        u = mannwhitneyu(row[liked.indices], row[refused.indices]).statistic
        assert value == pytest.approx(u / (liked.nnz * refused.nnz))


def test_where_too_little_was_refused_nothing_is_asked():
    train, refused, content, _ = world()
    left = inner_split(train, np.random.default_rng(1)).train
    few = csr_matrix((np.ones(LEAST - 1), (np.arange(LEAST - 1), np.zeros(LEAST - 1, int))), refused.shape)
    for nothing in (None, few):
        asked = held_out(train, left, nothing, content, np.random.default_rng(2))
        assert (asked.choosing, asked.judging) == (None, None)
        assert not asked.values.any()


def test_few_users_choose_and_judge_alike():
    train, refused, content, _ = world()
    left = inner_split(train, np.random.default_rng(1)).train
    some = csr_matrix(refused.multiply((np.arange(USERS) < 15)[:, None]))
    some.eliminate_zeros()
    asked = held_out(train, left, some, content, np.random.default_rng(2))
    assert FEWEST <= asked.choosing.against.shape[0] <= 15
    assert asked.judging is asked.choosing


class Items:
    """Items whose linear part knows nothing, whose metric knows some of the truth, and appeal the rest."""

    known = np.arange(ITEMS)

    def __init__(self, users, chance):
        rng = np.random.default_rng(4)
        noise = rng.normal(size=(2, users, ITEMS)).astype(np.float32)
        half = np.tile(chance.astype(np.float32), (users, 1)) + 0.5 * rng.normal(size=(users, ITEMS))
        self.parts = Parts(*noise, half.astype(np.float32), (chance - chance.mean()).astype(np.float32))

    def scores(self, _: Setting) -> Parts:
        return self.parts


def test_shares_and_appeal_are_those_that_rank_what_was_liked_above_what_was_refused(found):
    *_, chance, asked = found
    items = Items(asked.choosing.against.shape[0], chance)
    blend = by_refusals(asked.choosing, items, Blend(), corrected=False)
    assert blend.appeal > 0
    assert blend.warm == blend.short == blend.cold
    assert blend.warm.metric >= 0.3
    before, after = (
        asked.choosing.above(items.parts.among_all(one, np.zeros(ITEMS, bool))).mean()
        for one in (Blend(), blend)
    )
    assert after > before + 0.05


def test_where_the_display_is_known_the_shares_stay_and_appeal_must_help_surely(found):
    *_, chance, asked = found
    items, metric = Items(asked.choosing.against.shape[0], chance), Blend(warm=Shares(0.0, 0.0, 1.0))
    blend = by_refusals(asked.choosing, items, metric, corrected=True)
    assert (blend.warm, blend.short) == (metric.warm, metric.short)
    assert blend.appeal > 0
    items.parts = items.parts._replace(appeal=np.random.default_rng(0).normal(size=ITEMS).astype(np.float32))
    assert by_refusals(asked.choosing, items, metric, corrected=True) == metric


def test_nobody_knows_of_refusals_then_all_items_appeal_alike():
    train, refused, content, chance = world()
    appeal, values = appeal_from(train, None, content)
    assert not values.any()
    assert not appeal(content).any()
    assert np.corrcoef(appeal_from(train, refused, content)[1], chance)[0, 1] > 0.9


def test_the_question_is_of_all_items(found):
    met = found[-1].choosing
    assert isinstance(met, Met)
    np.testing.assert_array_equal(met.setting.candidates, np.arange(ITEMS))
