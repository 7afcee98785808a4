"""Requests that come while one is under way share their work, and have their own answers."""

import asyncio
import json
import threading

import pytest

from mmrec import Item, Rejection
from mmrec.errors import UnknownItem
from mmrec.service.core import Call, Core
from mmrec.service.settings import ServiceSettings


@pytest.fixture
def core(red_blue_shop):
    core = Core(red_blue_shop, ServiceSettings(threads=1))
    yield core
    asyncio.run(core.close())


@pytest.fixture
def batches(core, monkeypatch):
    """Sizes of what is recommended at once; the first waits until three more have come."""
    sizes, three = [], threading.Barrier(2)
    verb = core.shop.recommend_each

    def gated(requests):
        if not sizes:
            three.wait(120)
        sizes.append(len(requests))
        return verb(requests)

    monkeypatch.setattr(core.shop, "recommend_each", gated)
    return sizes, three


def asked(core, three, requests):
    """The answers to requests, of which the first begins alone."""

    async def ask():
        calls = [Call(f"r{n}", "recommend", one) for n, one in enumerate(requests)]
        tasks = [asyncio.create_task(core.found(call)) for call in calls]
        await asyncio.sleep(0)
        await asyncio.to_thread(three.wait, 120)
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(ask())


def test_those_who_wait_share_one_search_and_have_their_own_answers(core, batches):
    requests = [{"history": ["r0"]}, {"history": ["b0"], "k": 2}, {"history": ["gone"]}, {"k": 3}]
    answers = asked(core, batches[1], requests)
    assert sum(batches[0][:2]) == 4  # before the error had those of its batch asked for one by one
    assert isinstance(answers[2], UnknownItem)
    for n in (0, 1, 3):
        said = json.loads(answers[n])
        assert said["request_id"] == f"r{n}"
        alone = core.shop.recommend(**requests[n])
        assert [(r["item_id"], r["score"]) for r in said["results"]] == [(r.item_id, r.score) for r in alone]


@pytest.mark.parametrize("where", ["finding", "telling"])
def test_an_unexpected_failure_befalls_the_one_who_caused_it_alone(core, batches, monkeypatch, where):
    shown, verb = [], core.shop.recommend_each

    class Failing:
        def shown(self, request_id, *_):
            if where == "telling" and request_id == "r2":
                raise RuntimeError("a bug")
            shown.append(request_id)

    def finding(requests):
        if where == "finding" and {"k": 3} in requests:
            raise RuntimeError("a bug")
        return verb(requests)

    core.watcher = Failing()
    monkeypatch.setattr(core.shop, "recommend_each", finding)
    answers = asked(core, batches[1], [{"k": n} for n in (1, 2, 3, 4)])
    assert isinstance(answers[2], RuntimeError)
    assert [len(json.loads(answers[n])["results"]) for n in (0, 1, 3)] == [1, 2, 4]
    assert sorted(shown) == ["r0", "r1", "r3"]  # each once


def test_items_that_wait_are_taken_in_by_one_write_and_each_sender_is_told_of_its_own(shop, monkeypatch):
    core, began, may = Core(shop, ServiceSettings()), threading.Event(), threading.Event()
    batches = [
        [Item(item_id="a", text={"title": "mug"}, line=1)],
        [Item(item_id="b", text={"title": "lamp"}, line=2), Rejection(reason="no name", line=3)],
        [Item(item_id="b", text={"title": "red lamp"}, line=4)],
    ]
    writes, verb = [], shop.ingest

    def gated(rows):
        began.set()
        assert may.wait(120)
        writes.append(len(rows))
        return verb(rows)

    monkeypatch.setattr(shop, "ingest", gated)

    async def ask():
        tasks = [asyncio.create_task(core.ingest(batches[0]))]
        await asyncio.to_thread(began.wait, 120)
        tasks += [asyncio.create_task(core.ingest(batch)) for batch in batches[1:]]
        await asyncio.sleep(0)
        may.set()
        answers = await asyncio.gather(*tasks)
        await core.close()
        return answers

    first, second, third = asyncio.run(ask())
    assert writes == [1, 3]
    assert [one["outcome"] for one in first["items"]] == ["added"]
    assert [(one["item_id"], one["outcome"]) for one in second["items"]] == [
        ("b", "updated"), (None, "rejected")]  # as a later sender replaced it
    assert (third["added"], third["items"]) == (1, [{"item_id": "b", "outcome": "added"}])
    assert shop.get(["b"])[0].text["title"] == "red lamp"


def test_a_taste_in_words_does_not_hold_the_others_up(core, batches):
    async def ask():
        return await core.found(Call("r", "recommend", {"taste": "red", "k": 2}))

    assert len(json.loads(asyncio.run(ask()))["results"]) == 2
    assert batches[0] == []
