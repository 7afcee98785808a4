"""Sounds over HTTP: sent, compared, and played."""

import base64
import io
import json

import numpy as np
import pytest
import soundfile


def wav(hertz: float) -> bytes:
    at, file = np.arange(8_000) / 16_000, io.BytesIO()
    soundfile.write(file, np.sin(2 * np.pi * hertz * at) / 2, 16_000, format="WAV")
    return file.getvalue()


@pytest.fixture
def client(serve, shop):
    """A service with a low bell, and a high one that was uploaded as a file."""
    client = serve(shop)
    low = {"base64": base64.b64encode(wav(200)).decode()}
    row = {"item_id": "low", "text": {"title": "bell"}, "audio": low}
    assert client.post("/items", json=[row]).json()["added"] == 1
    row = {"item_id": "high", "text": {"title": "bell"}, "audio": ["a.flac"]}
    sent = client.post("/items", data={"items": json.dumps(row)}, files={"audio": ("a.flac", wav(2_000))})
    assert sent.json()["added"] == 1
    return client


def test_a_sound_is_played_whole_or_in_part_as_what_its_bytes_are(client, shop):
    assert client.get("/items/high").json()["sounds"] == ["/items/high/audio?n=0"]
    whole = client.get("/items/high/audio")
    assert (whole.status_code, whole.headers["content-type"], whole.content) == (200, "audio/wav", wav(2_000))
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = client.get("/items/high/audio", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, wav(2_000)[4:8])
    (kept,) = shop.get(["high"])[0].sounds
    assert kept.startswith(str(shop.path / "sounds"))
    assert kept.endswith(".wav")


def test_what_is_no_sound_is_not_served(client, shop):
    (kept,) = shop.get(["high"])[0].sounds
    with open(kept, "wb") as file:  # noqa: PTH123
        file.write(b"<html>")
    for address in ("/items/high/audio", "/items/high/audio?n=1", "/items/none/audio"):
        assert client.get(address).status_code == 404


def test_sounds_are_compared_and_searched_with(client):
    sound = {"base64": base64.b64encode(wav(1_900)).decode()}
    for path, body in (("/similar", {"by": "audio"}), ("/search", {})):
        results = client.post(path, json={**body, "audio": sound, "k": 1}).json()["results"]
        assert [one["item_id"] for one in results] == ["high"]
    form = client.post("/similar", data={"k": "1", "by": "audio"}, files={"audio": ("x", wav(1_900))})
    assert [one["item_id"] for one in form.json()["results"]] == ["high"]


def test_a_sound_that_cannot_be_used_costs_that_part_and_names_no_path(client, shop):
    answer = client.post("/items", json=[
        {"item_id": "a", "text": {"title": "bell"}, "audio": "/etc/passwd"},
        {"item_id": "b", "text": {"title": "bell"}, "audio": {"base64": "AAAA"}},
        {"item_id": "c", "text": {"title": "bell"}, "embeddings": {"mood": [1.0, 2.0]}},
    ]).json()
    assert (answer["added"], answer["incomplete"], answer["without_picture"]) == (3, 2, 0)
    assert [one.get("field") for one in answer["items"]] == ["audio", "audio", None]
    assert "names no uploaded file" in answer["items"][0]["reason"]
    assert "no sound that is known" in answer["items"][1]["reason"]
    assert shop.stats()["given"] == {"mood": 2}
