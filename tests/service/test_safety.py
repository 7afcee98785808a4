"""Who is let in, and how often; the bucket against a count by hand."""

import gzip
import json
import logging
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.service.middleware import MOST_CALLERS, ZLIB_OR_GZIP, Buckets, inflated

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


PACKED = {"gzip": gzip.compress, "deflate": zlib.compress}


def refusal(answer):
    return answer.status_code, answer.json()["error"]["kind"]


@pytest.fixture
def keyed(serve, red_blue_shop):
    return serve(red_blue_shop, host="0.0.0.0", api_keys=f"{OLD},{NEW}")


@pytest.mark.parametrize("headers", [
    {"Authorization": f"Bearer {OLD}"}, {"authorization": f"bearer {NEW}"}, {"X-API-Key": NEW},
])
def test_either_key_opens_by_either_header(keyed, headers):
    assert keyed.get("/items/r0", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [
    {}, {"X-API-Key": OLD[:-1]}, {"X-API-Key": OLD + NEW}, {"Authorization": OLD}, {"X-API-Key": ""},
    {"Authorization": f"Basic {OLD}"}, {"Authorization": "Bearer "}, {"X-API-Key": b"\xff\xfe"},
])
def test_no_key_or_a_wrong_one_opens_nothing_but_health(keyed, headers):
    for path in ("/items/r0", "/items", "/metrics", "/openapi.json", "/nowhere"):
        answer = keyed.get(path, headers=headers)
        assert refusal(answer) == (401, "Unauthorised")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert keyed.get("/health/live", headers=headers).status_code == 200
    assert keyed.get("/health/ready", headers=headers).status_code == 200


def test_a_key_is_needed_wherever_one_is_set(serve, red_blue_shop):
    client = serve(red_blue_shop, api_keys=OLD)
    assert client.get("/items").status_code == 401


def test_no_key_appears_in_answers_logs_or_figures(keyed, caplog):
    caplog.set_level(logging.DEBUG)
    sent = {"X-API-Key": OLD}
    texts = [keyed.get("/items/none", headers=sent).text, keyed.post("/fit", headers=sent).text,
             keyed.get("/items", headers={"X-API-Key": OLD[:-1]}).text,
             keyed.get("/metrics", headers=sent).text, caplog.text]
    assert all(OLD[:-1] not in text and NEW not in text for text in texts)
    assert 'route="/items/{item_id}"' in texts[3]


@pytest.mark.parametrize(("headers", "status"), [
    ({}, 200), ({"Host": "localhost:8000"}, 200), ({"Host": "[::1]:1"}, 200),
    ({"Origin": "http://127.0.0.1:8000"}, 200), ({"Host": "evil.example"}, 403), ({"Host": "["}, 403),
    ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:9"}, 403),
])
def test_without_a_key_other_sites_cannot_ask_through_a_browser(client, headers, status):
    assert client.get("/items/r0", headers=headers).status_code == status


def test_the_rate_is_held_per_key(serve, red_blue_shop):
    client = serve(red_blue_shop, api_keys=f"{OLD},{NEW}", rate=0.01, burst=2)
    old, new = {"X-API-Key": OLD}, {"X-API-Key": NEW}
    assert [client.get("/items/r0", headers=old).status_code for _ in range(3)] == [200, 200, 429]
    answer = client.get("/items/r0", headers=old)
    assert refusal(answer) == (429, "RateLimited")
    assert 1 <= int(answer.headers["retry-after"]) <= 100
    assert client.get("/items/r0", headers=new).status_code == 200
    assert [client.get("/health/live").status_code for _ in range(5)] == [200] * 5


def test_guessing_keys_is_limited_and_harms_no_key(serve, red_blue_shop):
    client = serve(red_blue_shop, api_keys=OLD, rate=0.01, burst=2)
    wrong = [client.get("/items", headers={"X-API-Key": f"{n:016}"}).status_code for n in range(4)]
    assert wrong == [401, 401, 429, 429]
    assert client.get("/items", headers={"X-API-Key": OLD}).status_code == 200


def test_a_bucket_fills_again_with_time():
    now = [0.0]
    buckets = Buckets(rate=2, burst=3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]  # half a second brings one token
    now[0] = 0.25
    assert buckets.take("a") == 0.25
    now[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    now[0] = 100
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]  # never more than the burst


@given(st.lists(st.floats(0, 2), max_size=60), st.floats(0.1, 5), st.integers(1, 5))
def test_no_span_of_time_sees_more_than_burst_and_rate_allow(pauses, rate, burst):
    now = [0.0]
    buckets = Buckets(rate, burst, clock=lambda: now[0])
    granted = []
    for pause in pauses:
        now[0] += pause
        if buckets.take("a") == 0:
            granted.append(now[0])
    for i, start in enumerate(granted):
        for j, end in enumerate(granted[i:], start=1):
            assert j <= burst + rate * (end - start) + 1e-6


def test_callers_that_are_remembered_are_bounded():
    buckets = Buckets(rate=1, burst=1, clock=lambda: 0.0)
    for n in range(MOST_CALLERS + 50):
        buckets.take(str(n))
    assert buckets.take(str(MOST_CALLERS + 49)) > 0
    assert buckets.take("50") > 0  # the first of those that are remembered
    assert buckets.take("49") == 0


def test_a_rate_of_zero_sets_no_limit():
    assert {Buckets(rate=0, burst=1, clock=lambda: 0.0).take("a") for _ in range(9)} == {0.0}


def packed(client, coding, content, path="/items", pack=None):
    """The answer to a body in JSON that is packed, or said to be."""
    data = (pack or PACKED.get(coding, bytes))(content)
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    return client.post(path, content=data, headers=headers)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP", "identity"])
def test_a_packed_body_is_read_as_it_was(own, shop, coding):
    rows = json.dumps([{"item_id": f"i{n}", "text": {"title": "mug"}} for n in range(300)]).encode()
    assert packed(own, coding, rows, pack=PACKED.get(coding.lower())).json()["added"] == 300
    assert len(shop) == 300
    asked = packed(own, coding, b'{"k": 3}', "/recommend", PACKED.get(coding.lower()))
    assert len(asked.json()["results"]) == 3


@given(st.binary(max_size=3_000), st.integers(1, 7), st.sampled_from(sorted(PACKED)))
def test_parts_of_a_packed_body_are_unpacked_as_they_come_and_to_no_more_than_is_allowed(data, size, coding):
    sent, inflate, whole, most = PACKED[coding](data), zlib.decompressobj(ZLIB_OR_GZIP), b"", len(data) + 1
    for start in range(0, len(sent), size):
        message = {"body": sent[start:start + size], "more_body": start + size < len(sent)}
        whole += inflated(inflate, message, most - len(whole), coding)
    assert whole == data
    if len(data) > 1:
        assert len(inflated(zlib.decompressobj(ZLIB_OR_GZIP), {"body": sent}, 1, coding)) == 1


def test_a_bomb_is_too_large_and_never_unpacked(serve, red_blue_shop):
    client = serve(red_blue_shop, max_body=2**20)
    for most, status in ((2**20, 422), (2**20 + 1, 413), (2**28, 413)):  # the first is small, but no JSON
        answer = packed(client, "gzip", bytes(most))
        assert (answer.status_code, "error" in answer.json()) == (status, True)
    empty = gzip.compress(b"", 0)[:10] + b"\0\0\0\xff\xff" * 2**18  # that unpacks to nothing, without an end
    assert packed(client, "gzip", empty, pack=bytes).status_code == 413


@pytest.mark.parametrize(("coding", "status", "words"), [
    ("br", 415, "by gzip or deflate"), ("gzip, br", 415, "'gzip, br' is not known"), ("", 415, "not known"),
    ("gzip", 400, "the body is no gzip"), ("deflate", 400, "the body is no deflate"),
])
def test_a_body_in_an_unknown_or_wrong_encoding_is_refused_with_a_sentence(client, coding, status, words):
    answer = packed(client, coding, b"[1, 2]", pack=bytes)
    assert answer.status_code == status
    assert words in " ".join(map(str, answer.json()["error"].values()))


def test_a_packed_body_that_is_cut_off_is_told(client):
    answer = packed(client, "gzip", gzip.compress(b"[]" * 99)[:-9], pack=bytes)
    assert refusal(answer) == (400, "BadRequest")
    assert "cut off" in answer.json()["error"]["message"]
