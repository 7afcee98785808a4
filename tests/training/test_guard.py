"""The guard: users who chose nothing judge the head beside the best baseline."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.evaluate.baselines import EASE, ContentRidge, ItemKNN
from mmrec.evaluate.logs import Setting
from mmrec.evaluate.metrics import Interval
from mmrec.model.parts import Blend, Shares
from mmrec.training import guard
from mmrec.training.guard import (
    LINEAR,
    MET,
    METRIC,
    PLAIN,
    STORED,
    Evidence,
    Verdict,
    judged,
    may_serve,
    rivals,
)
from mmrec.training.refusals import Met
from mmrec.training.tune import chosen_blend
from mmrec.training.validation import Parts, ndcgs_of

N, USERS = 40, 60
RNG = np.random.default_rng(0)
WANTED = {name: RNG.integers(0, N, USERS) for name in ("choosing", "judging")}


def setting(name, wanted):
    empty = csr_matrix((USERS, N), dtype=np.float32)
    relevant = csr_matrix((np.ones(USERS, np.float32), wanted, np.arange(USERS + 1)), (USERS, N))
    return Setting(name, empty, relevant, np.arange(N, dtype=np.int32))


def scores(wanted, right):
    """Scores that put what is wanted first for so large a share of the users, and last for the others."""
    x = RNG.normal(size=(USERS, N)).astype(np.float32)
    x[np.arange(USERS), wanted] += np.where(np.arange(USERS) < right * USERS, 9, -9)
    return x


def asked(who, right):
    """Settings of some users, and the parts' scores for them; `right` says how often each part is."""
    settings = {name: setting(name, WANTED[who]) for name in ("warm", "short", "cold", "overall")}
    alike = np.zeros(N, np.float32)
    return settings, {
        name: Parts(*(scores(WANTED[who], one) for one in right), appeal=alike) for name in settings
    }


def shown(right, **baselines):
    """Evidence of the users who judge; baselines are right for a share of them."""
    settings, parts = asked("judging", right)
    new = {name: np.arange(N) >= N // 2 for name in settings}
    found = {
        name: {called.replace("_", " "): ndcgs_of(scores(WANTED["judging"], share), one)
               for called, share in baselines.items()}
        for name, one in settings.items()
    }
    return Evidence(settings, parts, new, found)


def chosen():
    """The blend that those who choose find best: the item embeddings alone."""
    settings, parts = asked("choosing", (0.3, 1.0, 0.1))
    items = SimpleNamespace(scores=lambda one: parts[one.name], known=np.arange(N // 2))
    return chosen_blend(lambda prior, fade: items, settings, ordered=False, even=True)


def test_a_blend_that_only_looked_best_gives_way_to_the_part_of_the_head_like_the_baseline():
    blend = chosen()
    assert blend.warm.embeddings > 0.7
    changed = []
    served, verdicts = judged(
        shown((0.9, 0.4, 0.2), EASE=0.9, content_kNN=0.1), blend, lambda one: changed.append(one) or one
    )
    assert served.warm == served.short == LINEAR
    assert changed  # cold items are calibrated anew beside it
    warm = verdicts["warm"]
    assert warm.best[0] == "EASE"
    assert warm.head < warm.best[1]
    assert warm.difference.high < 0
    assert warm.serves == "1.00 linear"
    assert "EASE is better" in warm.why
    assert str(warm.difference) in warm.why
    assert may_serve(verdicts.values())


def test_a_blend_that_is_best_serves():
    blend = chosen()
    served, verdicts = judged(shown((0.3, 0.9, 0.2), EASE=0.3, content_kNN=0.1), blend, pytest.fail)
    assert served == blend
    assert verdicts["warm"].difference.low > 0
    assert "the head is best" in verdicts["warm"].why


def test_for_cold_items_the_metric_serves_where_plain_content_wins():
    blend = replace(chosen(), cold=Shares(0.5, 0.5, 0.0))
    evidence = shown((0.1, 0.2, 0.9), content_kNN=0.6)
    overall = {"content kNN": np.zeros(USERS)}
    evidence = evidence._replace(baselines={**evidence.baselines, "overall": overall})
    served, verdicts = judged(evidence, blend, lambda one: one)
    assert served.cold == METRIC
    assert verdicts["cold"].serves == "1.00 metric"


@pytest.mark.parametrize("baselines", [
    {"popularity": 0.9, "content_kNN": 0.1},  # no part of a head is like it
    {"EASE": 0.9, "content_kNN": 0.1},  # the part that is like it is no better
])
def test_without_a_better_part_the_blend_serves_on_and_says_so(baselines):
    blend = chosen()
    served, verdicts = judged(shown((0.1, 0.5, 0.1), **baselines), blend, pytest.fail)
    assert served == blend
    assert "a baseline is better here" in verdicts["warm"].why
    assert may_serve(verdicts.values())


def test_a_head_worse_than_plain_content_among_all_items_does_not_serve():
    _, verdicts = judged(shown((0.1, 0.3, 0.1), content_kNN=0.9), chosen(), lambda one: one)
    assert {one.serves for one in verdicts.values()} == {PLAIN}
    assert not may_serve(verdicts.values())
    assert "plain content ranks all items better" in verdicts["warm"].why


def test_a_head_that_is_worse_than_plain_content_by_chance_serves():
    evidence = shown((0.1, 0.55, 0.1), content_kNN=0.6)
    for values in evidence.baselines.values():
        values["content kNN"] = values["content kNN"][::-1]  # right for others than the head is
    _, verdicts = judged(evidence, chosen(), lambda one: one)
    assert verdicts["overall"].head < verdicts["overall"].best[1]
    assert verdicts["overall"].difference.low < 0 < verdicts["overall"].difference.high
    assert may_serve(verdicts.values())


def with_met(evidence, right, **baselines):
    """The same evidence, and of what users met how often each part and baseline is right."""
    wanted = WANTED["judging"]
    liked = setting(MET, wanted)
    against = csr_matrix((np.ones(USERS), ((wanted + 1) % N, np.arange(USERS))), (N, USERS)).T.tocsr()
    met = Met(liked, against.astype(np.float32))
    found = {
        called.replace("_", " "): met.above(scores(wanted, share)) for called, share in baselines.items()
    }
    parts = Parts(*(scores(wanted, one) for one in right), appeal=np.zeros(N, np.float32))
    return evidence._replace(
        settings={**evidence.settings, MET: liked}, parts={**evidence.parts, MET: parts},
        new={**evidence.new, MET: np.zeros(N, bool)}, baselines={**evidence.baselines, MET: found}, met=met,
    )


def test_no_part_takes_over_that_ranks_what_users_met_worse():
    blend = chosen()
    plain = shown((0.9, 0.4, 0.2), EASE=0.9, content_kNN=0.1)
    met = with_met(plain, (0.2, 0.9, 0.2), EASE=0.3, content_kNN=0.3)
    served, verdicts = judged(met, blend, lambda one: one)
    assert served.warm == blend.warm
    assert "EASE is better, but not for what users met" in verdicts["warm"].why
    met = verdicts[MET]
    assert (met.situation, met.measure) == ("what users met, liked above refused", "share of pairs")
    assert "(share of pairs)" in met.why
    assert met.head > met.baselines["EASE"]
    served, _ = judged(with_met(plain, (0.9, 0.4, 0.2), EASE=0.9, content_kNN=0.1), blend, lambda one: one)
    assert served.warm == LINEAR


def test_plain_content_does_not_push_a_head_out_that_ranks_better_what_users_met():
    plain = shown((0.1, 0.3, 0.1), content_kNN=0.9)
    _, verdicts = judged(with_met(plain, (0.1, 0.9, 0.1), content_kNN=0.4), chosen(), lambda one: one)
    assert may_serve(verdicts.values())
    _, verdicts = judged(with_met(plain, (0.1, 0.3, 0.1), content_kNN=0.9), chosen(), lambda one: one)
    assert not may_serve(verdicts.values())


def test_only_what_there_is_evidence_of_is_judged():
    evidence = shown((0.9, 0.4, 0.2), EASE=0.9, content_kNN=0.1)
    evidence = evidence._replace(settings={"warm": evidence.settings["warm"]})
    _, verdicts = judged(evidence, chosen(), lambda one: one)
    assert set(verdicts) == {"warm"}


def test_short_histories_are_served_by_parts_that_rows_have_and_leave_cold_items_a_score():
    assert Shares(0.25, 0.25, 0.5).within(Shares(0.5, 0.5, 0.0)) == Shares(0.5, 0.5, 0.0)
    assert Shares(0.0, 0.0, 1.0).within(LINEAR) == LINEAR
    assert Blend().servable
    assert not Blend(warm=Shares(0.0, 1.0, 0.0), short=METRIC).servable
    assert not Blend(short=LINEAR, cold=METRIC).servable  # a short history would say nothing of a cold item
    evidence = shown((0.9, 0.4, 0.2), EASE=0.9, content_kNN=0.1)
    evidence.baselines["warm"]["EASE"] = np.zeros(USERS)  # the blend stays for warm items
    served, verdicts = judged(evidence, replace(chosen(), cold=METRIC), lambda one: one)
    assert served.servable
    assert served.short == chosen().short
    assert "a baseline is better here" in verdicts["short"].why


def test_a_verdict_survives_json_and_so_does_one_without_an_interval():
    one = Verdict(
        situation="cold items", head=0.2, baselines={"EASE": 0.1}, serves="1.00 linear", why="so",
        difference=Interval(0.1, 0.05, 0.15),
    )
    told = json.loads(json.dumps(asdict(one)))
    assert Verdict.from_dict(told) == one
    del told["difference"]
    assert Verdict.from_dict(told) == replace(one, difference=None)


def test_baselines_that_hold_items_by_items_are_left_out_of_large_catalogues():
    assert {model.name for model in rivals(100)} == {
        "popularity", "content kNN", "item kNN", "EASE", "content ridge"}
    assert {model.name for model in rivals(1_000_000)} == {"popularity", "content kNN"}


@pytest.mark.parametrize(("before", "compared"), [
    (Shares(0.5, 0.4, 0.1), {"popularity", "content kNN", STORED}),
    (Shares(0.0, 0.9, 0.1), {"popularity", "content kNN"}),  # its rows have no linear part to compare with
])
def test_a_warm_start_trains_no_baseline(monkeypatch, before, compared):
    for costly in (EASE, ItemKNN, ContentRidge):
        monkeypatch.setattr(costly, "fit", lambda *_: pytest.fail("a warm start has no time for it"))
    settings, parts = asked("judging", (0.8, 0.4, 0.2))
    items = SimpleNamespace(scores=lambda one: parts[one.name], known=np.arange(N // 2))
    train = csr_matrix(np.eye(N, dtype=np.float32))
    shown = guard.evidence(train, np.eye(N, dtype=np.float32), settings, items, before)
    assert {name: set(found) for name, found in shown.baselines.items()} == dict.fromkeys(settings, compared)
    if STORED in compared:
        alone = shown.head("warm", Blend(warm=LINEAR))
        np.testing.assert_array_equal(shown.baselines["warm"][STORED], alone)
        before = Blend(warm=before, short=before, cold=before)
        served, _ = judged(shown, before, lambda one: one, sure=True)
        assert served.warm == LINEAR  # which is better alone, and serves as it would beside EASE


def test_few_users_change_a_blend_only_by_more_than_chance():
    evidence = shown((0.7, 0.6, 0.2), EASE=0.62, content_kNN=0.1)
    blend = replace(chosen(), warm=Shares(0.0, 1.0, 0.0), short=Shares(0.0, 1.0, 0.0))
    for values in evidence.baselines.values():
        values["EASE"] = values["EASE"][::-1]  # right for others than the head is
    assert judged(evidence, blend, lambda one: one)[0].warm == LINEAR
    served, verdicts = judged(evidence, blend, lambda one: one, sure=True)
    assert served.warm == blend.warm
    assert verdicts["warm"].difference.low < verdicts["warm"].difference.mean < 0
