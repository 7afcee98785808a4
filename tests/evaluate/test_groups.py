"""Groups by hand, against loops; and what a contest and its page tell of them."""

import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmrec.evaluate.contest import contest, row_of, split_of, tables_of
from mmrec.evaluate.groups import Fairness, fairness, group_tables, masks_of, user_groups
from mmrec.evaluate.logs import Setting, log_of_positions
from mmrec.evaluate.metrics import gini
from mmrec.evaluate.page import write_page
from mmrec.evaluate.run import evaluate

ITEMS, USERS = 50, 90
BRANDS = [["a", "b"] if n == 0 else "a" if n < 40 else None if n < 45 else "b" for n in range(ITEMS)]


class ByTaste:
    """Ranks items from the first of a history on."""

    name = "by taste"

    def score(self, histories):
        first = histories.indices[histories.indptr[:-1]]
        return -((np.arange(ITEMS) - first[:, None]) % ITEMS).astype(np.float32)


def rng():
    return np.random.default_rng(0)


@pytest.fixture
def judged():
    """Users with 1 to 9 items of history and 1 to 3 relevant ones; the first half of the items is cold."""
    draw = np.random.default_rng(1)
    histories, relevant = (np.zeros((USERS, ITEMS), np.float32) for _ in range(2))
    for user in range(USERS):
        items = draw.permutation(ITEMS)
        histories[user, items[: 1 + user % 9]] = 1
        relevant[user, items[10 : 11 + user % 3]] = 1
    relevant[:, :5] = 0
    kept = relevant.any(axis=1)
    candidates = np.arange(5, ITEMS, dtype=np.int32)
    setting = Setting("all", csr_matrix(histories[kept]), csr_matrix(relevant[kept]), candidates)
    masks = masks_of(np.where(np.arange(ITEMS) < 25, 0, np.arange(ITEMS)), {"brand": BRANDS})
    return setting, masks, evaluate(ByTaste(), setting, k=(10, 20), rng=rng())


def test_groups_are_cold_the_tail_and_the_values_of_attributes(judged):
    _, masks, _ = judged
    assert list(masks) == ["cold", "tail", "brand a", "brand b"]
    assert np.flatnonzero(masks["cold"]).tolist() == list(range(25))
    assert np.flatnonzero(masks["brand b"]).tolist() == [0, *range(45, 50)]
    assert (masks["tail"] >= masks["cold"]).all()


def test_only_the_values_of_most_items_are_told_apart():
    values = [f"v{n // 2}" for n in range(200)] + ["big"] * 3
    masks = masks_of(np.ones(203, np.intp), {"brand": values})
    assert len(masks) == 2 + 50
    assert masks["brand big"].sum() == 3


def test_figures_of_groups_of_items_are_those_of_loops(judged):
    setting, masks, result = judged
    report = fairness(ByTaste(), result, setting, setting, masks, rng=rng())
    assert [one.name for one in report.items] == list(masks)
    for one in report.items:
        mask = masks[one.name]
        inside = [p for p in setting.candidates.tolist() if mask[p]]
        shown = [[p for p in top if p >= 0 and mask[p]] for top in result.top[:, :20].tolist()]
        counts = np.array([sum(p in page for page in shown) for p in inside], float)
        assert one.items == len(inside)
        assert one.exposure.mean == pytest.approx(np.mean([len(page) / 20 for page in shown]))
        assert one.even == pytest.approx(one.exposure.mean / (len(inside) / len(setting.candidates)))
        assert one.coverage.mean == pytest.approx((counts > 0).mean())
        assert one.gini.mean == pytest.approx(gini(counts))
        relevant = [[p for p in setting.relevant[u].indices if mask[p]] for u in range(len(shown))]
        found = sum(p in page for page, wanted in zip(shown, relevant, strict=True) for p in wanted)
        assert one.pairs == sum(map(len, relevant))
        assert one.recall.mean == pytest.approx(found / one.pairs)
        assert one.recall.low <= one.recall.mean <= one.recall.high
    assert {price.group for price in report.prices} == {"cold", "tail"}


def test_a_group_outside_the_candidates_is_left_out(judged):
    setting, masks, result = judged
    outside = {"outside": np.arange(ITEMS) < 5, "cold": masks["cold"]}
    report = fairness(ByTaste(), result, setting, setting, outside, rng=rng())
    assert [one.name for one in report.items] == ["cold"]


def test_users_are_thirds_by_their_history_and_compared_with_the_others(judged):
    setting, _, result = judged
    groups = user_groups(result, setting, rng=rng())
    lengths, ndcg = np.diff(setting.histories.indptr), result.values["ndcg@20"]
    assert {one.name: one.history for one in groups} == {"few": (1, 4), "some": (5, 6), "many": (7, 9)}
    for one in groups:
        inside = (one.history[0] <= lengths) & (lengths <= one.history[1])
        assert one.users == inside.sum()
        assert one.ndcg.mean == pytest.approx(ndcg[inside].mean())
        assert one.behind.mean == pytest.approx(ndcg[inside].mean() - ndcg[~inside].mean())
        assert one.behind.low < one.behind.mean < one.behind.high


def test_users_of_one_length_are_one_group_without_others():
    histories, relevant = (csr_matrix(np.eye(40, ITEMS, k, dtype=np.float32)) for k in (0, 1))
    alike = Setting("all", histories, relevant, np.arange(ITEMS, dtype=np.int32))
    (one,) = user_groups(evaluate(ByTaste(), alike, k=(20,), rng=rng()), alike, rng=rng())
    assert (one.users, one.history, one.behind) == (40, (1, 1), None)


def test_a_contest_tells_of_groups_in_tables_json_and_page(tmp_path):
    draw = np.random.default_rng(0)
    users, items = np.repeat(np.arange(60), 12), np.stack([draw.permutation(ITEMS)[:12] for _ in range(60)])
    log = log_of_positions(
        [f"u{n}" for n in range(60)], [f"i{n}" for n in range(ITEMS)], users=users, items=items.ravel(),
        times=np.arange(items.size),
    )
    split = split_of(log, "item-cold", 0)
    content = draw.normal(size=(ITEMS, 4)).astype(np.float32)
    plain = contest(split, content, ["popularity"], rng=rng())
    entries = contest(split, content, ["popularity", "content kNN"], rng=rng(), groups={"brand": BRANDS})
    assert "groups" not in row_of(plain[0])
    row = json.loads(json.dumps(row_of(entries[0])))
    assert set(row["groups"]) == set(split.test)
    assert {one["name"] for one in row["groups"]["overall"]["items"]} > {"cold", "tail", "brand a"}
    assert len(row["groups"]["overall"]["users"][0]["ndcg"]) == 3
    assert len(tables_of(plain)) == len(split.test)
    titles = {str(table.title) for table in tables_of(entries)}
    assert {"overall: Groups of items", "warm: Groups of users", "cold: What more exposure costs"} < titles
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    write_page(page, entries, split)
    html = page.read_text()
    assert "ndcg@20 by the exposure of cold items" in html
    assert "<h3>Groups of users</h3>" in html
    write_page(page, plain, split)
    assert "<h3>" not in page.read_text()


def test_no_models_have_no_tables_and_empty_parts_have_no_rows():
    assert group_tables({}) == []
    titles = {title: rows for title, _, rows in group_tables({"m": Fairness([], [], [])})}
    assert titles == {"Groups of items": [], "Groups of users": [], "What more exposure costs": []}
