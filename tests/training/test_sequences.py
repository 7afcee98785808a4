"""The sequence tower of a fit: it serves where order tells more, and only there."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.evaluate.logs import Setting
from mmrec.model.behaviour import Settings
from mmrec.model.saved import Head
from mmrec.model.sequence import SequenceRecipe
from mmrec.training.model import TwoTower
from mmrec.training.sequences import HELD, Sequenced, going_on
from mmrec.training.validation import ndcg_of


def test_where_order_tells_the_sequence_tower_serves_and_says_so(chained):
    histories, _ = chained(400, 60)
    content = np.eye(60, dtype=np.float32)
    model = TwoTower(ordered=True, guarded=True)
    model.fit(histories, content)
    assert model.sequence.share >= 0.6
    verdict = model.verdicts["warm"]
    assert verdict.serves.endswith(f"then {model.sequence.share:.1f} of a sequence tower")
    assert verdict.difference.low > 0.1
    assert {curve["stage"] for curve in model.curves} >= {"validation of next items", "next items"}


def test_what_it_scores_is_what_serves(ordered):
    model, histories = ordered.model, ordered.histories[:20]
    towers = Head(model.towers, model.behaviour.embeddings, {}, model.sequence).serving
    rows = towers.items(ordered.content, [str(n) for n in range(24)])
    searched, remembered = towers.spans(rows.shape[1])
    parts = np.split(histories.indices, histories.indptr[1:-1])
    users = towers.users(rows[:, remembered], parts, [np.ones(len(one), np.float32) for one in parts])
    np.testing.assert_allclose(model.score(histories), users @ rows[:, searched].T, atol=1e-3)


def test_where_order_says_nothing_the_head_serves_alone():
    rng = np.random.default_rng(0)
    kind, taste = rng.integers(0, 3, 90), rng.integers(0, 3, 300)
    rows = [rng.choice(np.flatnonzero(kind == t), 8, replace=False) for t in taste]
    ends, items = np.arange(0, 2_401, 8), np.concatenate(rows).astype(np.int32)
    histories = csr_matrix((np.ones(2_400, np.float32), items, ends), (300, 90))
    few = Settings(sequence=SequenceRecipe(dim=8, epochs=1, learning_rate=0.0))  # learns nothing
    model = TwoTower(ordered=True, settings=few)
    model.fit(histories, np.eye(90, dtype=np.float32))
    assert model.sequence is None
    plain = TwoTower(ordered=False)
    assert plain.fit(histories, np.eye(90, dtype=np.float32)) is None
    assert plain.sequence is None


def test_a_warm_start_goes_on_with_the_same_tower_and_takes_in_new_items(ordered, chained):
    model = ordered.model
    head = Head(model.towers, model.behaviour.embeddings, {"ordered": True}, model.sequence)
    start, found = going_on(head, [*(str(n) for n in range(22)), "a", "b"], ordered.content)
    assert isinstance(found, Sequenced)
    np.testing.assert_array_equal(found.items[:22], model.sequence.items[:22])
    close = [np.corrcoef(found.items[n, :-1], model.sequence.items[n, :-1])[0, 1] for n in (22, 23)]
    assert min(close) > 0.8  # what content predicts
    assert len(start.embeddings.input) == 24
    warm = replace(TwoTower(ordered=True, before=head))
    warm.fit(ordered.histories, ordered.content)
    assert warm.sequence.share == model.sequence.share
    assert warm.sequence.cold_offset == model.sequence.cold_offset
    assert np.abs(warm.sequence.items - model.sequence.items).max() > 0


def test_a_head_without_order_has_none_to_go_on_with(ordered):
    model = ordered.model
    head = Head(model.towers, model.behaviour.embeddings, {})
    assert going_on(head, [str(n) for n in range(24)], ordered.content)[1] is None


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_scores_are_mixed_by_the_share(ordered, share):
    def having(share):
        return ordered.model._rows.having(replace(ordered.model.sequence, share=share))

    rows, histories = having(share), ordered.histories[:5]
    head, alone = (having(one).scores(histories) for one in (0.0, 1.0))
    np.testing.assert_allclose(rows.scores(histories), (1 - share) * head + share * alone, atol=1e-4)


def test_new_items_are_lifted_as_far_as_known_ones_can_bear(chained):
    """The last ten of 70 items are new, and like the first ten, in whose place they come next as often."""
    histories = chained(400, 60)[0]
    content = np.eye(60)[np.concatenate([np.arange(60), np.arange(10)])]
    content = (content + 0.02 * np.random.default_rng(0).normal(size=(70, 60))).astype(np.float32)
    model = TwoTower(ordered=True)
    model.fit(csr_matrix((histories.data, histories.indices, histories.indptr), (400, 70)), content)
    ends = histories.indptr[1:]
    shown = csr_matrix((histories.data, histories.indices, histories.indptr), (400, 70))
    shown.data[ends - 1] = 0  # the last is asked for
    shown.eliminate_zeros()
    wanted = histories.indices[ends - 1]
    wanted = np.where((wanted < 10) & (np.arange(400) % 2 == 0), wanted + 60, wanted)
    relevant = csr_matrix((np.ones(400, np.float32), wanted, np.arange(401)), (400, 70))
    every, is_new = np.arange(70, dtype=np.int32), wanted >= 60

    def found(rows, users, candidates):
        scores = rows.scores(shown[users])[:, candidates]
        return ndcg_of(scores, Setting("", shown[users], relevant[users], candidates))

    rows = model._rows
    lifted = rows._lifted(Setting("overall", shown, relevant, every))
    assert found(lifted, ~is_new, every) >= HELD * found(rows, ~is_new, every[:60])
    held_back = rows.having(replace(rows.part, cold_offset=-100.0))
    assert found(lifted, is_new, every) > found(held_back, is_new, every) + 0.1
