"""Faults of a log: each is found where it was put, and nowhere else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mmrec import Interaction, Item
from mmrec.check.interactions import Acts, check_interactions, figures
from mmrec.evaluate.metrics import gini

START = datetime(2024, 1, 1, tzinfo=UTC)
ITEMS = [f"i{k:03d}" for k in range(100)]


def people(n=60, each=20, seed=3):
    """Shoppers who act now and then over a year, on items at random."""
    rng = np.random.default_rng(seed)
    return [
        Interaction(user_id=f"u{user}", item_id=str(rng.choice(ITEMS)),
                    time=START + timedelta(seconds=int(rng.integers(360 * 86_400))))
        for user in range(n) for _ in range(each)
    ]


def acts(user, n, *, pause=37.0, start=START + timedelta(days=100), item_ids=ITEMS, jitter=0.5):
    """One user's acts, about so many seconds apart."""
    rng = np.random.default_rng(1)
    times = start + timedelta(seconds=1) * (pause * (np.arange(n) + jitter * rng.random(n)))
    named = (item_ids[k % len(item_ids)] for k in range(n))
    return [Interaction(user_id=user, item_id=i, time=time) for i, time in zip(named, times, strict=True)]


@pytest.fixture
def found_in(shop):
    """What is found in a log: the findings by name."""
    groups = ("a", "b", "c", "d", "e")
    shop.ingest(Item(
        item_id=i, text={"title": f"thing {i}"}, attributes={"kind": groups[k % 5], "code": i},
        added_at=START - timedelta(days=10),
    ) for k, i in enumerate(ITEMS))

    def find(log):
        shop.record(log)
        snapshot = shop.snapshot()
        found = check_interactions(Acts.of(shop.behaviour, snapshot), snapshot)
        return {one.name: one for one in found}

    return find


def ids(finding):
    return [row.ids for row in finding.rows]


def test_nothing_is_found_in_the_log_of_people(found_in):
    assert found_in(people()) == {}


def test_an_empty_log_has_no_faults(found_in):
    assert found_in([]) == {}


def test_items_that_are_not_there_and_ids_that_are_written_otherwise(found_in):
    log = [*people(), *acts("w", 30, pause=9e4, item_ids=["gone", "gone2", "gone"]), *acts("x", 12, pause=8e4,
           item_ids=["I004", "i05"])]
    found = found_in(log)
    assert (found["unknown-items"].count, ids(found["unknown-items"])) == (30, [("gone",), ("gone2",)])
    assert found["unknown-items"].rows[0].detail == "20 interactions"
    assert (found["log-ids"].count, ids(found["log-ids"])) == (12, [("I004", "i004"), ("i05", "i005")])
    assert found["log-ids"].severity == "warning"


def test_clicks_before_an_item_was_added(found_in):
    early = acts("x", 30, pause=5e4, start=START - timedelta(days=50))
    found = found_in([*people(), *early, *acts("y", 1, start=START - timedelta(days=10, hours=5))])
    assert list(found) == ["early"]  # a few hours may be a time zone
    assert found["early"].count == 30
    assert found["early"].rows[0].ids[0] == "x"
    assert found["early"].severity == "error"


def test_a_catalogue_without_times_of_arrival(shop):
    shop.ingest(Item(item_id=i, text={"title": f"thing {i}"}) for i in ITEMS)
    shop.record(people())
    found = check_interactions(Acts.of(shop.behaviour, shop.snapshot()), shop.snapshot())
    assert [(one.name, one.severity, one.count) for one in found] == [("arrivals", "warning", 1_200)]


def test_a_log_without_times_is_no_burst(found_in):
    log = [
        Interaction(user_id=f"u{user}", item_id=ITEMS[7 * k % 100], undated=True)
        for user in range(40) for k in range(user, user + 60)
    ]
    found = found_in([*people(), *log])
    assert list(found) == ["undated"]
    assert found["undated"].count == len(log)


def test_times_in_the_future(found_in):
    found = found_in([*people(), *acts("x", 40, pause=1e5, start=datetime.now(UTC) + timedelta(days=9))])
    assert (list(found), found["future"].count) == (["future"], 40)


@pytest.mark.parametrize(("bot", "why"), [
    (acts("bot", 900, pause=30_000), "far more than others"),
    (acts("bot", 130, pause=9), "130 in one hour"),
    (acts("bot", 60, pause=1_400), "hours of one day"),
    (acts("bot", 60, pause=90_000, jitter=0.01), "one every 89,999 s"),
])
def test_bots(found_in, bot, why):
    found = found_in([*people(), *bot])
    assert ids(found["bots"]) == [("bot",)]
    assert why in found["bots"].rows[0].detail
    assert found["bots"].count == len(bot)


def test_who_rates_all_films_in_an_evening_is_no_bot(found_in):
    log = [act for user in range(50) for act in acts(f"v{user}", 60, pause=20 + user, jitter=3,
                                                     start=START + timedelta(days=3 * user))]
    assert "bots" not in found_in([*people(), *log])


def test_an_hour_that_holds_a_tenth_of_the_log(found_in):
    hour = START + timedelta(days=50, minutes=1)
    crowd = [act for k in range(300) for act in acts(f"c{k}", 1, start=hour + timedelta(seconds=10 * k),
                                                     item_ids=[ITEMS[k % 9]])]
    found = found_in([*people(), *crowd])
    assert found["burst"].count == 300
    assert found["burst"].rows[0].detail == "2024-02-20 00:00 UTC, 300 interactions"
    assert found["burst"].severity == "error"


def test_double_clicks(found_in):
    log, soon = people(), timedelta(seconds=3)
    again = [replace(one, time=one.time + soon) for one in log[:50]]
    other = [replace(one, kind="purchase", time=one.time + soon) for one in log[60:90]]
    found = found_in([*log, *again, *other])
    assert (list(found), found["double-clicks"].count) == (["double-clicks"], 50)


def test_concentration(found_in):
    many = [act for k in range(60) for act in acts(f"u{k}", 9, pause=3e5, item_ids=["i007"], jitter=2)]
    found = found_in([*people(), *many])
    assert ids(found["concentration"]) == [("i007",)]
    assert found["concentration"].severity == "note"


def test_a_group_that_the_log_hardly_shows(found_in):
    log = [one for one in people() if int(one.item_id[1:]) % 5 != 2]
    found = found_in(log)
    assert list(found) == ["hidden-groups"]
    assert [row.detail for row in found["hidden-groups"].rows] == ["kind: 'c', 0 interactions with 20 items"]
    assert found["hidden-groups"].count == 20


def test_new_items_are_not_hidden(shop, found_in):
    log = [one for one in people() if int(one.item_id[1:]) % 5 != 2]
    later = {"attributes": {"kind": "c"}, "added_at": START + timedelta(days=400)}
    shop.ingest(Item(item_id=i, text={"title": f"thing {i}"}, **later) for i in ITEMS[2::5])
    assert found_in(log) == {}


def test_figures(shop, found_in):
    log = people()
    found_in(log)
    told = figures(Acts.of(shop.behaviour, shop.snapshot()), shop.snapshot())
    counts = np.array([sum(one.item_id == i for one in log) for i in ITEMS], float)
    assert (told["interactions"], told["users"]) == (len(log), 60)
    assert told["gini"] == pytest.approx(gini(counts))
    assert told["top_1_percent"] == pytest.approx(counts.max() / len(log))
    assert told["never_chosen"] == pytest.approx((counts == 0).mean())
