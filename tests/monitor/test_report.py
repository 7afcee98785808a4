"""The monitor from end to end: a service is asked, shoppers click, and the report says what was true."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from mmrec import Item, Recommender
from mmrec.errors import DataError
from mmrec.monitor.impressions import IMPRESSIONS, IMPRESSIONS_FOLDER, ImpressionLog, read, watching
from mmrec.monitor.offpolicy import with_share
from mmrec.monitor.report import monitor, tables_of
from mmrec.ranking.request import Exploration
from mmrec.service.app import create_app
from mmrec.service.settings import ServiceSettings
from mmrec.types import Recommendation

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)
SHARES = {"share .1": 0.1, "share .35": 0.35}


def filled(world, folder):
    """A shop of the world's items, by their words, and of its interactions."""
    shop = Recommender.open(folder / "shop.mmrec", {"text_encoder": "toy", "image_encoder": "none"})
    shop.ingest(Item(item_id=i.item_id, text=i.text, added_at=i.added_at) for i in world.shown.items)
    shop.record(world.shown.interactions)
    return shop


@pytest.fixture(scope="module")
def watched(world, served, tmp_path_factory):
    """A shop whose log holds two days of visits by shoppers with known rates; only to be read."""
    shop = filled(world, tmp_path_factory.mktemp("monitor"))
    clock, rng = [NOON], np.random.default_rng(3)
    with watching(shop, clock=lambda: clock[0], seconds=600) as log:
        for n, (who, page, clicks) in enumerate(zip(*world.log(served, 1_500, rng), strict=True)):
            clock[0] = NOON + timedelta(minutes=n)
            results = [
                Recommendation(item_id=world.item_ids[i], score=1.0, rung="history", propensity=float(p))
                for i, p in zip(page.positions, page.propensities, strict=True)
            ]
            log.shown(f"q{n}", "recommend", {"user": f"visit {n} of {who}", "explore": served.share}, results)
            log.acted([
                {"user_id": str(who), "item_id": r.item_id, "request_id": f"q{n}"}
                for r, click in zip(results, clicks, strict=True) if click
            ])
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def report(watched):
    return monitor(
        watched, since=NOON, until=NOON + timedelta(days=2),
        policies={name: with_share(share) for name, share in SHARES.items()},
    )


def test_the_windows_add_up_to_what_was_shown(report):
    assert [f"{each.start:%d %H}" for each in report.windows] == ["02 00", "03 00"]
    assert [each.requests for each in report.windows] == [720, 780]
    assert sum(each.all.shown for each in report.windows) == 4_500
    assert all(each.rungs == {"history": each.all} for each in report.windows)
    assert all(each.cold.shown + each.aged.shown == each.all.shown for each in report.windows)


def test_the_click_through_is_the_true_one(world, served, report):
    clicked = sum(each.all.clicked for each in report.windows)
    assert clicked / 4_500 == pytest.approx(world.truth(served), abs=0.03)


def test_the_log_alone_tells_how_another_share_would_have_done(world, served, report):
    for each in report.estimates:
        policy = Exploration(share=SHARES[each.policy], temperature=served.temperature)
        truth = world.truth(policy)
        print(each, truth)
        assert each.ips.low <= truth <= each.ips.high
        assert each.snips.low <= truth <= each.snips.high
        assert abs(each.snips.mean - each.logged.mean) > 0.01  # there was something to tell
        assert each.effective > 300
        assert each.warnings == ()


def test_a_real_shop_s_log_tells_how_another_share_would_do(world, tmp_path):
    """Shoppers with random histories who click new items more than others; the truth is what they get."""
    rng = np.random.default_rng(5)

    def visit(share):
        history = rng.choice(world.item_ids[:30], 2, replace=False).tolist()
        page = shop.recommend(history=history, k=2, explore=share, rng=rng)
        return page, [0.5 if r.item_id in world.shown.cold else 0.1 for r in page]

    with filled(world, tmp_path) as shop, watching(shop) as log:
        for n in range(500):
            page, rates = visit(0.25)
            log.shown(f"q{n}", "recommend", {"explore": 0.25}, page)
            log.acted([
                {"user_id": "u", "item_id": r.item_id, "request_id": f"q{n}"}
                for r, rate in zip(page, rates, strict=True) if rng.random() < rate
            ])
        log.flush()
        found = monitor(shop, policies={"none": with_share(0.0), "half": with_share(0.5)}).estimates
        truths = [np.mean([visit(share)[1] for _ in range(500)]) for share in (0.0, 0.5)]
    assert truths[1] - truths[0] > 0.1
    for each, truth in zip(found, truths, strict=True):
        print(each, truth)
        assert each.snips.low - 0.01 <= truth <= each.snips.high + 0.01  # the truth errs by .01 as well
        assert not any("mean weight" in warning for warning in each.warnings)


def test_another_share_has_the_chances_that_exploration_gives(world, served, watched):
    """Propensities are turned into those of another share without the ranking or the pool."""
    rng = np.random.default_rng(0)
    for share in (0.0, 0.05, 0.5, 1.0):
        policy = Exploration(share=share, temperature=served.temperature)
        for shopper in range(10):
            page = world.page(shopper, served, rng)
            rows = pa.table({"explore": [served.share] * 3, "propensity": page.propensities})
            wanted = world.chances(shopper, policy, page.positions.tolist())
            np.testing.assert_allclose(with_share(share)(rows), wanted, atol=1e-9)


def test_shares_that_cannot_be_told_are_refused():
    with pytest.raises(DataError, match="share must lie"):
        with_share(1.5)
    with pytest.raises(DataError, match="one half"):
        with_share(0.1)(pa.table({"explore": [0.5], "propensity": [0.5]}))


def test_the_report_is_json_and_tables(report):
    said = json.loads(json.dumps(report.as_dict()))
    first, window = said["windows"][0], report.windows[0]
    assert first["click_through"] == {"history": window.all.rate}
    assert first["cold_exposure"] == window.cold_share
    assert first["latency"] == {"p50": None, "p95": None}
    assert [each["policy"] for each in said["estimates"]] == list(SHARES)
    assert said["estimates"][0]["ips"][0] == report.estimates[0].ips.mean
    assert len(tables_of(report)) == 5


def test_new_items_that_are_unlike_the_catalogue_are_noticed(open_shop):
    def items(kind, words, day, count=40):
        added = NOON - timedelta(days=day)
        return [
            Item(item_id=f"{kind}{n}", text={"title": f"{words} {n % 7}"}, added_at=added)
            for n in range(count)
        ]

    with open_shop(image_encoder="none") as shop:
        shop.ingest([*items("old", "red mug", 60, 80), *items("same", "red mug", 20)])
        before = monitor(shop, since=NOON - timedelta(days=30), until=NOON)
        assert before.drift is not None
        assert not before.drift.alarm
        assert (before.drift.incoming, before.drift.reference) == (40, 80)
        shop.ingest(items("other", "steel drill", 2))
        report = monitor(shop, since=NOON - timedelta(days=10), until=NOON)
        after = report.drift
        assert after.alarm
        assert json.loads(json.dumps(report.as_dict()))["drift"]["alarm"] is True
        assert after.psi > before.drift.psi
        assert monitor(shop, since=NOON, until=NOON + timedelta(days=1)).drift is None  # nothing came


def test_the_service_logs_what_it_shows_and_what_is_clicked(open_shop, red_blue, wait_until):
    with open_shop() as shop:
        shop.ingest(red_blue)
        with watching(shop) as log:
            app = create_app(shop, ServiceSettings.make(), watcher=log)
            with TestClient(app, base_url="http://127.0.0.1:8000") as client:
                wait_until(lambda: client.get("/health/ready").status_code == 200)
                first = client.post("/recommend", json={"history": ["r0"], "k": 3}).json()
                client.post("/search", json={"text": "blue lamp", "k": 2})
                client.post("/recommend", json={"history": ["b3"], "k": 3, "explore": 0.3})
                act = {"user_id": "u", "item_id": first["results"][1]["item_id"]}
                client.post("/interactions", json=[
                    act | {"request_id": first["request_id"]}, act | {"kind": "like"}, {"item_id": "b0"},
                ])
        window, = monitor(shop).windows
    assert window.requests == 3
    assert {rung: tally.shown for rung, tally in window.rungs.items()} == {"history": 6, "search": 2}
    assert (window.rungs["history"].clicked, window.all.clicked) == (1, 1)
    day = window.start, window.start + timedelta(days=1)
    rows = read(shop.path / IMPRESSIONS_FOLDER, IMPRESSIONS, *day).to_pylist()
    explored = [row for row in rows if row["explore"] == 0.3]
    assert len(explored) == 3
    assert all(0 < row["propensity"] < 1 for row in explored)
    assert all(row["propensity"] == 1 for row in rows if row["explore"] == 0)


@pytest.fixture
def run(mmrec):
    return partial(mmrec, "monitor")


def test_the_command_prints_json_or_tables(run, watched):
    since = ("--since", "2025-06-02", "--window", "day")
    said = json.loads(run(watched.path, *since, "--explore", "0.1").stdout)
    assert [each["requests"] for each in said["windows"]] == [720, 780]
    assert said["estimates"][0]["policy"] == "explore 0.1"
    text = run(watched.path, *since, "--explore", "0.1", "--plain").stdout
    assert "click-through" in text
    assert "2025-06-03" in text
    assert "Policy explore 0.1" in text


def test_the_command_says_when_there_is_nothing_or_a_mistake(run, watched, tmp_path):
    assert "Nothing was logged" in run(watched.path, "--plain").stdout
    wrong = run(watched.path, "--since", "2025-06-02", "--window", "hour")
    assert wrong.exit_code == 1
    assert "1,000 windows" in wrong.stderr
    assert run(tmp_path / "none").exit_code == 1


def test_an_empty_shop_has_an_empty_report(shop):
    found = monitor(shop, policies={"less": with_share(0.0)})
    assert (found.windows, found.drift, found.estimates) == ((), None, ())
    with ImpressionLog(shop.path) as log:
        log.shown("q1", "search", {"text": "x"}, [])
    found = monitor(shop, window="hour", policies={"less": with_share(0.0)})
    assert [each.requests for each in found.windows] == [1]
    assert found.estimates == ()
