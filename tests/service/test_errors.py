"""Every error in the one form, with its status, and nothing in it that only this machine should know."""

import json
import logging

import pytest
from filelock import FileLock

from mmrec import Recommender
from mmrec.errors import (
    ConfigError,
    DataError,
    EncodeError,
    MissingExtra,
    NotFitted,
    StoreBusy,
    StoreError,
    StoreMismatch,
    UnknownItem,
)
from mmrec.service.errors import Refused, described


def described_by(answer):
    """The error of an answer that is in the one form."""
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert {"kind", "message", "field", "what_to_do", "request_id"} <= set(error)
    assert error["request_id"] == answer.headers["x-request-id"]
    assert error["message"]
    assert error["what_to_do"]
    return error


@pytest.mark.parametrize(("error", "status"), [
    (DataError("x"), 422), (ConfigError("x"), 422), (UnknownItem("x"), 404), (StoreBusy("x"), 409),
    (NotFitted("x"), 409), (StoreMismatch("x"), 409), (StoreError("x"), 500), (EncodeError("x"), 500),
    (MissingExtra("x"), 500), (ValueError("x"), 500), (Refused(429, "RateLimited", "x", "y"), 429),
])
def test_every_error_has_its_status(error, status):
    assert described(error)[0] == status


@pytest.mark.parametrize("kind", [StoreError, StoreBusy, StoreMismatch, EncodeError, OSError])
def test_messages_that_name_folders_of_the_machine_stay_on_it(kind):
    assert "/srv" not in str(described(kind("cannot read /srv/shop.mmrec")))


@pytest.mark.parametrize(("method", "path", "body", "status", "kind", "field"), [
    ("POST", "/recommend", {"k": 0}, 422, "DataError", "k"),
    ("POST", "/recommend", {"k": 10_001}, 422, "DataError", "k"),
    ("POST", "/recommend", {"k": True}, 422, "DataError", "k"),
    ("POST", "/recommend", {"colour": "red"}, 422, "DataError", "colour"),
    ("POST", "/recommend", {"user": "u", "history": ["r0"]}, 422, "DataError", "user"),
    ("POST", "/recommend", {"history": ["r0", 7]}, 422, "DataError", "history.1"),
    ("POST", "/recommend", {"history": ["nobody"]}, 404, "UnknownItem", None),
    ("POST", "/recommend", {"where": "price <"}, 422, "DataError", "where"),
    ("POST", "/recommend", {"where": "x" * 5_000}, 422, "DataError", "where"),
    ("POST", "/recommend", {"diversity": 1.5}, 422, "DataError", "diversity"),
    ("POST", "/recommend", {"diversity": {"genres": 1.5}}, 422, "DataError", "diversity"),
    ("POST", "/recommend", {"diversity": {"smell": 0.5}}, 422, "DataError", "diversity"),
    ("POST", "/recommend", {"max_per": {"Shop-Brand": 0}}, 422, "DataError", "max_per.Shop-Brand"),
    ("POST", "/recommend", {"distinct": 1.5}, 422, "DataError", "distinct"),
    ("POST", "/recommend", {"exposure": {"brand": "even"}}, 422, "DataError", "exposure"),
    ("POST", "/recommend", {"explore": "much"}, 422, "DataError", "explore"),
    ("POST", "/recommend", [], 422, "DataError", None),
    ("POST", "/search", {"text": " "}, 422, "DataError", "text"),
    ("POST", "/search", {"text": "x" * 10_001}, 422, "DataError", "text"),
    ("POST", "/search", {}, 422, "DataError", "text"),
    ("POST", "/similar", {}, 422, "DataError", "item_id"),
    ("POST", "/similar", {"text": "x", "by": "smell"}, 422, "DataError", "by"),
    ("POST", "/similar", {"text": "x", "by": "behaviour"}, 409, "NotFitted", None),
    ("POST", "/similar", {"image": {"base64": "?"}}, 422, "DataError", "image"),
    ("POST", "/similar", {"image": {"base64": "aGVsbG8="}}, 422, "DataError", "image"),
    ("POST", "/similar", 7, 422, "DataError", None),
    ("POST", "/items", "a", 422, "DataError", "items"),
    ("POST", "/items", [{}] * 1_001, 422, "DataError", "items"),
    ("POST", "/interactions", 7, 422, "DataError", "interactions"),
    ("POST", "/fit", {"epochs": 0}, 422, "DataError", "epochs"),
    ("GET", "/items?limit=0", None, 422, "DataError", "limit"),
    ("GET", "/items?where=smell==1", None, 422, "DataError", "where"),
    ("GET", "/items/nobody", None, 404, "UnknownItem", None),
    ("DELETE", "/items/nobody", None, 404, "UnknownItem", None),
    ("GET", "/items/nobody/image", None, 404, "UnknownItem", None),
    ("GET", "/items/r0/image", None, 404, "UnknownItem", None),  # given as bytes, so not kept
    ("GET", "/items/r0/similar?k=x", None, 422, "DataError", "k"),
    ("GET", "/items/r0/similar?by=behaviour", None, 409, "NotFitted", None),
    ("GET", "/jobs/none", None, 404, "UnknownJob", None),
    ("GET", "/nowhere", None, 404, "NotFound", None),
    ("PUT", "/recommend", {}, 405, "MethodNotAllowed", None),
])
def test_each_wrong_request_is_told_what_is_wrong(client, method, path, body, status, kind, field):
    answer = client.request(method, path, json=body)
    error = described_by(answer)
    assert (answer.status_code, error["kind"], error["field"]) == (status, kind, field)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("content", "kind"), [
    (b"{", "application/json"), (b"[" * 100_000, "application/json"), (b"\xff\xfe", "application/json"),
    (b"1" * 5_000, "application/json"), (b"text=x", "application/x-www-form-urlencoded"),
    (b"{}", "text/plain"), (b"no form", "multipart/form-data"),
    (b"no form", "multipart/form-data; boundary=x"),
])
@pytest.mark.parametrize("path", ["/items", "/search", "/similar", "/interactions", "/recommend"])
def test_a_body_that_cannot_be_read_is_the_client_s_fault(client, path, content, kind):
    answer = client.post(path, content=content, headers={"content-type": kind})
    assert answer.status_code in (400, 422)
    described_by(answer)


def test_all_problems_are_listed_and_what_was_sent_is_not_repeated(client):
    answer = client.post("/recommend", json={"k": -1, "taste": 5, "user": "s3cret" * 200})
    problems = described_by(answer)["problems"]
    assert [p["field"] for p in problems] == ["k", "user", "taste"]
    assert "s3cret" not in answer.text


def test_405_names_the_methods(client):
    assert client.get("/recommend").headers["allow"] == "POST"


def test_a_store_that_another_process_holds_is_busy(serve, tmp_path, red_blue):
    toy = {"text_encoder": "toy", "image_encoder": "toy"}
    with Recommender.open(tmp_path / "shop.mmrec", toy, wait=0.1) as shop:
        shop.ingest(red_blue)
        client = serve(shop)
        with FileLock(tmp_path / "shop.mmrec" / "writer.lock"):
            answer = client.delete("/items/r0")
            assert (answer.status_code, described_by(answer)["kind"]) == (409, "StoreBusy")
            assert str(tmp_path) not in answer.text
            assert client.get("/items/r0").status_code == 200
        assert client.delete("/items/r0").status_code == 200


def test_what_nobody_foresaw_is_logged_and_not_told(client, caplog):
    async def broken():
        raise RuntimeError("a secret of this machine")

    client.app.add_api_route("/broken", broken)
    with caplog.at_level(logging.ERROR):
        answer = client.get("/broken")
    error = described_by(answer)
    assert (answer.status_code, error["kind"]) == (500, "InternalError")
    assert "secret" not in answer.text
    assert "a secret of this machine" in caplog.text
    assert error["request_id"] in caplog.text


def test_every_answer_carries_another_request_id(client):
    paths = ["/health/live", "/items/r0", "/items/nobody", "/nowhere", "/metrics"]
    answers = [client.get(path) for path in paths]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(paths)
    assert all(a.headers["x-content-type-options"] == "nosniff" for a in answers)
    found = client.post("/search", json={"text": "mug"})
    assert found.json()["request_id"] == found.headers["x-request-id"]


def test_odd_characters_come_back_as_valid_json(client):
    for path in ("/items/%00", "/items/%ff%fe", "/jobs/%ED%A0%80", "/items?where=%00", "/items/%E2%80%8B"):
        answer = client.get(path)
        assert answer.status_code in (404, 422), path
        described_by(answer)
    lone = json.dumps({"text": "\ud800"})  # as an escape, so that it is UTF-8
    answer = client.post("/search", content=lone, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    described_by(answer)
    answer = client.post("/recommend", json={"user": "it's \x00 \"u\"", "k": 1})
    assert answer.status_code == 200
