"""Uploaded pictures: decoded and kept once, whoever sends them; rows are validated once."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mmrec import Item
from mmrec.data import images
from mmrec.service import uploads
from mmrec.service.uploads import Sent

PAIRS = 100


def noise(seed):
    """The encoded picture of random pixels."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def upload(client, item_id, picture):
    """What became of one item with a picture in a form."""
    rows = f'[{{"item_id": "{item_id}", "text": {{"title": "mug"}}, "image": "a.png"}}]'
    sent = client.post("/items", data={"items": rows}, files=[("image", ("a.png", picture))])
    assert sent.status_code == 200
    return sent.json()["items"][0]


@pytest.fixture
def seen(monkeypatch):
    """The pictures that are decoded, and the ids of items that are validated."""
    decoded, validated = [], []
    decode, validate = images.decode, Item.__post_init__

    def decoding(source, *limits):
        decoded.append(source)
        return decode(source, *limits)

    def validating(item):
        validated.append(item.item_id)
        validate(item)

    monkeypatch.setattr(images, "decode", decoding)
    monkeypatch.setattr(Item, "__post_init__", validating)
    return decoded, validated


@pytest.mark.parametrize("encoder", ["toy", "none"])
def test_a_row_is_validated_once_and_its_picture_decoded_once(
    serve, open_shop, paint, seen, monkeypatch, encoder
):
    with open_shop(image_encoder=encoder) as shop:
        client, before, verb = serve(shop), [], shop.ingest

        def ingest(rows):
            before.extend(seen[1])
            return verb(rows)

        monkeypatch.setattr(shop, "ingest", ingest)
        assert upload(client, "a", paint("red"))["outcome"] == "added"
    assert before == ["a"]
    assert len(seen[0]) == 1


def test_a_picture_that_only_decoding_shows_to_be_damaged_is_told_without_its_path(own, shop):
    damaged = bytearray(noise(0))
    damaged[len(damaged) // 2] ^= 255
    outcome = upload(own, "a", bytes(damaged))
    assert (outcome["outcome"], outcome["field"]) == ("added", "image")
    assert "picture 1 of 1 is damaged" in outcome["reason"]
    assert str(shop.path) not in outcome["reason"]
    assert shop.get(["a"])[0].images == ()


def test_two_uploads_of_one_picture_at_once_are_both_accepted(own, shop):
    both = threading.Barrier(2)

    def send(item_id, picture):
        both.wait(120)
        if picture in sent_to_the_route:
            return upload(own, item_id, picture)["outcome"] == "added"
        row = {"item_id": item_id, "image": "a.png"}
        return isinstance(uploads.items_of([row], Sent({}, [("image", "a.png", picture)]), shop)[0], Item)

    pictures = [noise(n) for n in range(PAIRS)]
    sent_to_the_route = pictures[:5]  # all the way into the store, which takes its time
    with ThreadPoolExecutor(2) as senders:
        for n, picture in enumerate(pictures):
            pair = [senders.submit(send, f"{name}{n}", picture) for name in "ab"]
            assert [one.result(120) for one in pair] == [True, True]
    kept = list((shop.path / "pictures").iterdir())
    assert len(kept) == PAIRS
    assert all(path.stem == images.digest(path) for path in kept)
