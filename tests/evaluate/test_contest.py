"""A contest on the demo shop: cold items are found by content alone, and the table says who won."""

import json
import logging
import re
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.demo import make_shop
from ingest.demo.styles import STYLES
from mmrec import Interaction, Recommender
from mmrec.errors import DataError, MissingExtra
from mmrec.evaluate.baselines import ALS, BASELINES, Baseline, Grid, Popularity
from mmrec.evaluate.contest import PROTOCOLS, chosen, row_of, split_of, tables_of
from mmrec.evaluate.logs import log_and_refused, log_of_shop
from mmrec.training.model import TwoTower

THREE = ["popularity", "content kNN", "EASE"]
WITH_HEAD = ["popularity", "content kNN", "mmrec"]
EPOCHS = 3


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    world = make_shop(products=120, shoppers=120)
    path = tmp_path_factory.mktemp("contest") / "shop.mmrec"
    with Recommender.open(path, {"text_encoder": "toy", "image_encoder": "toy"}) as shop:
        shop.ingest(world.items)
        shop.record(world.interactions)
        yield shop


@pytest.fixture(scope="module")
def entries(demo):
    return demo.evaluate(seed=1, models=THREE)


@dataclass(kw_only=True)
class Hasty(TwoTower):
    """The head with few epochs; remembers all that were made."""

    made: ClassVar[list[TwoTower]] = []

    def __post_init__(self):
        parts = {part: replace(getattr(self.settings, part), epochs=EPOCHS) for part in ("recipe", "metric")}
        self.settings = replace(self.settings, **parts)
        self.made.append(self)


def fitted():
    """Of the hasty heads, those that learned: one on validation, and one more to be judged."""
    return [model for model in Hasty.made if hasattr(model, "towers")]


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr("mmrec.training.model.TwoTower", Hasty)
    Hasty.made.clear()


@pytest.fixture(scope="module")
def reported(demo, tmp_path_factory):
    """Entries with the head among them, the page that was asked for, and the heads that were fitted."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    Hasty.made.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmrec.training.model.TwoTower", Hasty)
        entries = demo.evaluate(seed=1, models=WITH_HEAD, page=path)
    return entries, path.read_text(encoding="utf-8"), fitted()


def test_the_log_of_a_shop_holds_wishes_for_items_it_has(demo, caplog):
    ids = demo.snapshot().ids
    wishes = log_of_shop(demo.behaviour, ids)
    everything = log_of_shop(demo.behaviour, ids, every_kind=True)
    assert len(wishes.users) < len(everything.users)  # dislikes are no wishes
    assert everything.item_ids == tuple(ids)
    with caplog.at_level(logging.WARNING):
        fewer = log_of_shop(demo.behaviour, ids[:-20])
    assert len(fewer.users) < len(wishes.users)
    assert "outside the catalogue" in caplog.text


def test_models_stand_in_the_order_of_the_box_with_what_was_chosen_on_validation(entries):
    assert [entry.model for entry in entries] == THREE
    for entry in entries:
        assert entry.results.keys() == {"cold", "warm", "overall"}
        assert dict(entry.settings) in [dict(t.settings) for t in entry.tries]
        assert max(t.score for t in entry.tries) == next(
            t.score for t in entry.tries if dict(t.settings) == dict(entry.settings)
        )


def test_content_finds_cold_items_where_behaviour_cannot(entries):
    ndcg = {e.model: e.results["cold"].means["ndcg@10"].mean for e in entries}
    assert ndcg["content kNN"] > 1.3 * max(ndcg["EASE"], ndcg["popularity"])


def test_a_contest_is_the_same_again(demo, entries):
    again = demo.evaluate(seed=1, models=["content kNN"])
    (before,) = [e for e in entries if e.model == "content kNN"]
    for name, result in again[0].results.items():
        np.testing.assert_array_equal(result.top, before.results[name].top)


def test_the_table_marks_the_best_and_the_json_holds_every_figure(entries, monkeypatch):
    monkeypatch.setattr("mmrec.evaluate.contest.FEW", 1)
    tables = tables_of(entries)
    assert [table.title for table in tables] == ["cold", "warm", "overall"]
    for table in tables:
        names = list(table.columns[0].cells)
        assert sum(name.endswith("*") for name in names) == 1
    row = json.loads(json.dumps(row_of(entries[1])))
    mean, low, high = row["test"]["cold"]["ndcg@20"]
    assert low <= mean <= high
    assert mean == entries[1].results["cold"].means["ndcg@20"].mean
    assert len(row["tries"]) == len(entries[1].tries)


def test_figures_are_corrected_beside_the_raw_ones_and_too_few_users_name_no_winner(entries):
    """The drawn shop's dislikes betray what it displayed; 120 shoppers are too few to call a winner."""
    for table in tables_of(entries):
        assert not any(name.endswith(("*", "=")) for name in table.columns[0].cells)
        cells = next(column for column in table.columns if column.header == "ndcg@20 corrected").cells
        assert all("users: too few to tell)" in cell for cell in cells)
    popularity = entries[0].results["overall"]
    assert popularity.corrected.mean.mean < 0.8 * popularity.means["ndcg@20"].mean
    told = row_of(entries[0])["corrected"]["overall"]
    assert told["ndcg@20"][0] == popularity.corrected.mean.mean
    assert told["effective_users"] == pytest.approx(popularity.corrected.effective, abs=0.1)


def test_a_log_that_betrays_nothing_is_judged_as_it_stands(demo):
    (entry,) = demo.evaluate(seed=1, models=["popularity"], every_kind=True)
    assert {result.corrected for result in entry.results.values()} == {None}
    assert "corrected" not in row_of(entry)
    names = [next(iter(table.columns[0].cells)) for table in tables_of([entry])]
    assert names == ["popularity *"] * 3


def test_dislikes_are_counted_by_user_and_item_beside_the_wishes(demo):
    ids = list(demo.snapshot().ids)
    disliked = {
        (user, act.item_id) for user in demo.behaviour.users() for act in demo.interactions(user)
        if act.kind == "dislike"
    }
    log, refused = log_and_refused(demo.behaviour, ids)
    pairs = zip(refused.users.tolist(), refused.items.tolist(), strict=True)
    assert sorted((refused.user_ids[u], ids[i]) for u, i in pairs) == sorted(disliked)
    np.testing.assert_array_equal(log.items, log_of_shop(demo.behaviour, ids).items)
    assert not len(log_and_refused(demo.behaviour, ids, every_kind=True)[1].items)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_every_protocol_has_a_judge_among_its_settings(demo, protocol):
    split = split_of(log_of_shop(demo.behaviour, demo.snapshot().ids), protocol, 3)
    assert split.protocol == protocol
    assert PROTOCOLS[protocol].judge in split.validation
    assert split.validation.keys() == split.test.keys()


def test_a_published_split_is_taken_as_it_is(demo, tmp_path):
    log = log_of_shop(demo.behaviour, demo.snapshot().ids)
    cold = set(np.unique(log.items)[::5].tolist())  # every fifth item
    warm_parts = ["train"] * 8 + ["warm_val", "warm_test"]
    parts = [
        ("cold_val", "cold_test")[int(item) % 2] if int(item) in cold else warm_parts[n % 10]
        for n, item in enumerate(log.items)
    ]
    table = pa.table({
        "user": [log.user_ids[u] for u in log.users], "item": [log.item_ids[i] for i in log.items],
        "part": parts,
    })
    pq.write_table(table, tmp_path / "parts.parquet")
    taken = split_of(log, "item-cold", 5, tmp_path / "parts.parquet")
    assert taken.train.nnz == parts.count("train")
    assert cold <= set(taken.cold.tolist())
    asked = taken.test["cold"].relevant.nnz  # of users with a history
    assert 0.8 * parts.count("cold_test") < asked <= parts.count("cold_test")
    pq.write_table(table.slice(1), tmp_path / "short.parquet")
    with pytest.raises(DataError, match="same pairs"):
        split_of(log, "item-cold", 5, tmp_path / "short.parquet")


def test_what_cannot_be_asked_is_refused(demo):
    with pytest.raises(DataError, match=r"item-cold, user-cold.*'best'"):
        demo.evaluate(protocol="best")
    with pytest.raises(DataError, match=r"'SASRec'.*EASE"):
        chosen(["SASRec"])
    with pytest.raises(DataError, match=r"no baseline is 'SASRec': choose from .*EASE.*mmrec"):
        demo.evaluate(models=["EASE", "SASRec"])
    with pytest.raises(DataError, match="item-cold alone"):
        demo.evaluate(protocol="warm", parts="parts.parquet")


def test_the_head_tells_of_the_epochs_of_its_last_fit_alone(reported):
    popularity, _, head = reported[0]
    assert not popularity.curves
    stages = {stage: [one["epoch"] for one in head.curves if one["stage"] == stage]
              for stage in ("validation", "training")}
    assert sum(map(len, stages.values())) == len(head.curves)
    assert list(stages.values()) == 2 * [list(range(1, EPOCHS + 1))]  # few users: learned in full
    assert all(one["loss"] > 0 and one["seconds"] <= head.seconds for one in head.curves)


@pytest.mark.parametrize("protocol", ["leave-last-out", "global-time"])
def test_the_head_learns_what_comes_next_where_that_is_asked(demo, hasty, protocol):
    [entry] = demo.evaluate(protocol=protocol, models=["mmrec"])
    assert entry.results[PROTOCOLS[protocol].judge].means["recall@20"].mean > 0
    assert [model.ordered for model in fitted()] == [True, True]


def test_the_head_learns_what_belongs_together_elsewhere(reported):
    assert [model.ordered for model in reported[2]] == [False, False]


def test_the_head_is_told_where_each_field_lies_in_the_content(demo, reported):
    spans = demo.snapshot().plan.spans
    assert spans
    assert [model.spans for model in reported[2]] == [spans, spans]


def test_the_page_has_every_model_every_chart_and_the_curves_of_the_head(reported):
    entries, html, _ = reported
    rows = [row.rstrip(" *=") for row in re.findall(r'<th scope="row">(.+?)</th>', html)]
    charts = html.count(": 3 models with 95% intervals")
    for entry in entries:  # what was chosen, all tries, a row for each setting, figures of each chart
        assert rows.count(entry.model) == 1 + len(entry.tries) + len(entry.results) + charts
    for setting in entries[0].results:
        for what in ("age", "length"):  # the demo's products came on many days
            assert re.search(rf"recall@20 by (item|history) {what} in setting {setting}: 3 models", html)
    assert "recall@20 by item popularity in setting overall: 3 models" in html
    assert "loss at each epoch of training, 2 curves" in html
    assert "mmrec, validation" in rows
    last = [one["loss"] for one in entries[2].curves if one["stage"] == "training"][-1]
    assert f"<td>{last:.4g}</td></tr>" in html.split('<th scope="row">mmrec, training</th>')[1][:200]


@dataclass(kw_only=True)
class ByPosition(Baseline):
    """A toy: ranks the catalogue in its order, or backwards."""

    name: str = "by position"
    sign: int = 1
    grid: ClassVar[Grid] = ({"sign": 1}, {"sign": -1})

    def fit(self, train, content, /):
        if self.watch:
            self.watch({"stage": "started"})
            self.watch({"epoch": 1, "loss": 0.5})

    def score(self, histories, /):
        places = self.sign * np.arange(histories.shape[1], dtype=np.float32)
        return np.tile(places, (histories.shape[0], 1))


def test_a_new_baseline_is_registered_and_nothing_else(demo, monkeypatch):
    monkeypatch.setitem(BASELINES, "by position", ByPosition)
    assert list(chosen(None)) == list(BASELINES)
    popularity, toy = demo.evaluate(seed=1, models=["by position", "popularity"])
    assert (popularity.model, toy.model) == ("popularity", "by position")
    assert [one.settings for one in toy.tries] == list(ByPosition.grid)
    assert toy.results["overall"].top.shape == popularity.results["overall"].top.shape
    assert toy.curves == [{"epoch": 1, "loss": 0.5}]


def test_asking_for_a_page_changes_no_result(entries, reported):
    for before, after in zip(entries[:2], reported[0][:2], strict=True):
        for name, result in after.results.items():
            np.testing.assert_array_equal(result.top, before.results[name].top)


def test_a_page_that_cannot_be_written_is_said_before_the_contest(demo, tmp_path, monkeypatch):
    turns = []
    with pytest.raises(DataError, match="cannot write"):
        demo.evaluate(page=tmp_path / "no" / "report.html", progress=turns.append)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match="matplotlib"):
        demo.evaluate(page=tmp_path / "report.html", progress=turns.append)
    assert turns == []
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_page_beside_its_lines(demo, mmrec, tmp_path):
    options = ("--seed", 1, "--baselines", "popularity")
    page = tmp_path / "report.html"
    done = mmrec("evaluate", demo.path, *options, "--html", page, "--json")
    assert done.exit_code == 0, done.output
    [line] = done.stdout.splitlines()
    assert json.loads(line)["model"] == "popularity"
    assert "<h1>Evaluation by the protocol item-cold</h1>" in page.read_text(encoding="utf-8")
    failed = mmrec("evaluate", demo.path, *options, "--html", tmp_path / "no" / "report.html")
    assert failed.exit_code == 1
    assert "cannot write" in failed.stderr
    assert "tuning" not in failed.stderr
    both = mmrec("evaluate", demo.path, *options, "--json", "--plain")
    assert both.exit_code == 2
    assert both.stdout == ""
    said = " ".join(mmrec("evaluate", "--help").stdout.replace("│", " ").split())
    assert "mmrec for the head" in said


def test_the_command_prints_lines_or_tables(demo, mmrec):
    options = ("--seed", 1, "--baselines", "popularity", "--baselines", "content kNN")
    done = mmrec("evaluate", demo.path, *options)
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["model"] for line in done.stdout.splitlines()] == ["popularity", "content kNN"]
    assert "tuning popularity" in done.stderr
    shown = mmrec("evaluate", demo.path, *options, "--plain").stdout
    assert all(word in shown for word in ("cold", "warm", "overall", "ndcg@20", "content kNN"))
    assert mmrec("evaluate", demo.path, "--protocol", "best").exit_code == 1


def test_the_command_judges_groups_of_attributes_that_exist(demo, mmrec):
    options = ("--seed", 1, "--baselines", "content kNN", "--groups", "style")
    [line] = mmrec("evaluate", demo.path, *options).stdout.splitlines()
    names = {group["name"] for group in json.loads(line)["groups"]["overall"]["items"]}
    assert names == {"cold", "tail", *(f"style {style}" for style in STYLES)}
    assert "Groups of users" in mmrec("evaluate", demo.path, *options, "--plain").stdout
    failed = mmrec("evaluate", demo.path, "--groups", "maker")
    assert failed.exit_code == 1
    assert "groups name no attribute 'maker': choose" in failed.stderr


def test_behaviour_that_is_too_little_to_split_is_said(tmp_path):
    with Recommender.open(tmp_path / "s.mmrec", {"text_encoder": "toy", "image_encoder": "none"}) as shop:
        shop.ingest(make_shop(products=24, shoppers=1).items)
        shop.record([Interaction(user_id="u", item_id="mug-0001")])
        with pytest.raises(DataError):
            shop.evaluate(models=["popularity"])


def test_a_baseline_without_its_library_is_left_out_unless_it_is_asked_for(demo, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "implicit", None)  # as if it were not installed
    monkeypatch.setattr("mmrec.evaluate.contest.BASELINES", {"popularity": Popularity, "ALS": ALS})
    with caplog.at_level(logging.WARNING):
        assert [entry.model for entry in demo.evaluate(seed=1)] == ["popularity"]
    assert "ALS is left out" in caplog.text
    with pytest.raises(MissingExtra, match="implicit"):
        demo.evaluate(seed=1, models=["ALS"])
