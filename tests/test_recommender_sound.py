"""Sounds in a shop: taken in, compared, lost one by one; and embeddings of somebody else's model."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmrec import Item, Recommender, read_items, write_items
from mmrec.encoders.base import unit
from mmrec.errors import DataError

RATE = 16_000
VECTORS = {"a": [1.0, 0.1, 0.0], "b": [0.9, 0.2, 0.1], "c": [-1.0, 0.5, 2.0]}


def wav(hertz: float, beats: float = 0.0) -> bytes:
    """A note of a second with its overtones, struck so many times."""
    at, file = np.arange(RATE) / RATE, io.BytesIO()
    wave = sum(np.sin(2 * np.pi * hertz * n * at) / n for n in (1, 2, 3)) * np.exp(-5 * (at * beats % 1))
    soundfile.write(file, wave / 3, RATE, format="WAV")
    return file.getvalue()


@pytest.fixture
def boxes(tmp_path: Path) -> list[Item]:
    """Two low music boxes and two high ones, their sounds as files."""
    items = []
    for name, hertz in {"low0": 110, "low1": 117, "high0": 1_500, "high1": 1_600}.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(wav(hertz, beats=3))
        items.append(Item(item_id=name, text={"title": "music box"}, audio=path))
    return items


@pytest.fixture
def given() -> list[Item]:
    """Items with embeddings of their sounds."""
    return [Item(item_id=i, text={"title": "a song"}, embeddings={"audio": v}) for i, v in VECTORS.items()]


def test_items_are_compared_by_their_sounds(shop, boxes):
    report = shop.ingest(boxes)
    assert (report.added, report.encoder_calls) == (4, 4 + 1)  # sounds, and the one title
    assert shop.similar("low0", by="audio", k=1)[0].item_id == "low1"
    assert shop.similar("high1", k=1)[0].item_id == "high0"
    assert shop.get(["low0"])[0].sounds == (str(boxes[0].sounds[0]),)
    assert shop.doctor(mend=False)["healthy"]
    assert shop.stats()["fields"]["audio"]["kind"] == "embedding"


def test_a_sound_outside_of_the_catalogue_is_compared_and_searched_with(shop, boxes):
    shop.ingest(boxes)
    heard = wav(1_550, beats=3)
    for found in (
        shop.similar(audio=heard, by="audio", k=2), shop.similar(audio=heard, k=2),
        shop.search(audio=[heard], k=2), shop.search("music box", audio=heard, k=2),
    ):
        assert {result.item_id for result in found} == {"high0", "high1"}
    with pytest.raises(DataError, match="no sound that is known"):
        shop.similar(audio=b"la la la")


def test_what_is_as_before_is_not_encoded_again_and_what_changed_is(shop, boxes):
    shop.ingest(boxes)
    again = shop.ingest(boxes)
    assert (again.unchanged, again.encoder_calls) == (4, 0)
    Path(boxes[0].sounds[0]).write_bytes(wav(1_520, beats=3))
    changed = shop.ingest(boxes)
    assert (changed.updated, changed.encoder_calls) == (1, 1)
    assert shop.similar("low0", by="audio", k=1)[0].item_id in ("high0", "high1")


def test_a_sound_that_fails_costs_the_item_nothing_else(shop, boxes, tmp_path, paint):
    whole, cut = boxes[0].sounds[0], tmp_path / "cut.flac"
    cut.write_bytes(b"fLaC" + bytes(100))
    report = shop.ingest([
        boxes[1],
        Item(item_id="both", text={"title": "music box"}, audio=[cut, whole], image=paint("red")),
        Item(item_id="none", text={"title": "music box"}, audio="https://shop.example/a.mp3"),
        Item(item_id="nothing", audio=tmp_path / "absent.wav"),
    ])
    assert (report.added, report.rejected, report.without_picture) == (3, 1, 0)
    assert [one.field for one in (*report.incomplete, *report.rejections)] == ["audio"] * 3
    assert {one.item_id: one.reason for one in report.incomplete}["none"].startswith(
        "sound 'https://shop.example/a.mp3' is a URL")
    assert shop.get(["both"])[0].sounds == (str(whole),)
    assert shop.similar("low1", by="audio", k=1)[0].item_id == "both"
    with pytest.raises(DataError, match="does not exist"):
        shop.ingest([Item(item_id="x", text={"title": "a"}, audio="absent.wav")], strict=True)


def test_a_sound_that_is_lost_later_leaves_what_was_made_of_it(shop, boxes):
    shop.ingest(boxes)
    Path(boxes[0].sounds[0]).unlink()
    report = shop.ingest(boxes)
    assert (report.unchanged, len(report.incomplete)) == (4, 1)
    assert shop.similar("low0", by="audio", k=1)[0].item_id == "low1"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_sounds_and_embeddings_go_through_canonical_files(tmp_path, boxes, suffix):
    items = [*boxes, Item(item_id="c", audio=[wav(200), boxes[0].sounds[0]], embeddings={"mood": [1, 2.5]})]
    path = tmp_path / f"items{suffix}"
    assert write_items(path, items) == 5
    back = list(read_items(path))
    assert [one.item_id for one in back] == [one.item_id for one in items]
    assert [tuple(map(str, one.sounds)) for one in back[:4]] == [tuple(map(str, one.sounds)) for one in boxes]
    assert back[4].sounds == (wav(200), str(boxes[0].sounds[0]))
    assert back[4].embeddings == items[4].embeddings
    if suffix == ".jsonl":
        assert json.loads(path.read_text().splitlines()[0])["audio"] == "low0.wav"


def test_words_find_sounds_by_an_encoder_that_reads_both(open_shop, boxes):
    from mmrec.encoders.base import ToyText

    class Both(ToyText):
        """Sounds as words."""

        modality = "audio"

        def forward(self, pieces):
            low = boxes[0].sounds[0].read_bytes()
            return super().forward(["low hum" if piece.data == low else "bright" for piece in pieces])

        @property
        def words(self):
            return ToyText()

    shop = open_shop(encoders={"audio": Both()})
    shop.ingest(boxes)
    assert shop.search("low hum", weights={"full text": 0, "words": 0}, k=1)[0].item_id == "low0"
    (reason,) = shop.search("low hum", weights={"full text": 0, "words": 0}, k=1)[0].reasons
    assert reason.name == "words to audio"


def test_a_store_of_an_earlier_version_keeps_sounds_without_embedding_them(tmp_path, boxes):
    with zipfile.ZipFile(Path(__file__).parent / "fixtures" / "store-0.1.0.zip") as archive:
        archive.extractall(tmp_path)
    with Recommender.open(tmp_path / "plain.mmrec") as shop:
        assert shop.ingest(boxes).added == 4
        assert shop.get(["low0"])[0].sounds == (str(boxes[0].sounds[0]),)
        assert "audio" not in shop.snapshot().spaces
        with pytest.raises(DataError, match="no field"):
            shop.similar("low0", by="audio")


def test_given_embeddings_are_stored_at_norm_one_and_compared(shop, given):
    report = shop.ingest(given)
    assert (report.added, report.encoder_calls) == (3, 1)  # the one title
    assert [r.item_id for r in shop.similar("a", by="audio", k=1)] == ["b"]
    stored = shop.catalogue.table.read(["c"], ["e_audio"])["e_audio"].to_pylist()[0]
    assert stored == pytest.approx(unit(np.array([VECTORS["c"]]))[0], abs=1e-6)
    assert shop.stats()["given"] == {"audio": 3}
    assert shop.doctor(mend=False)["healthy"]
    assert shop.ingest(given).unchanged == 3
    changed = Item(item_id="a", text={"title": "a song"}, embeddings={"audio": [0, 1, 0]})
    assert shop.ingest([changed]).updated == 1


def test_an_embedding_wins_over_a_file_and_nobody_reads_the_file(shop, given, tmp_path):
    both = Item(item_id="d", audio=tmp_path / "absent.wav", embeddings={"audio": [1, 0, 0]})
    assert shop.ingest([*given, both]).incomplete == ()
    assert shop.similar("d", by="audio", k=1)[0].item_id == "a"
    alone = Item(item_id="e", text={"title": "a song"}, audio=wav(300))  # a file beside given embeddings
    report = shop.ingest([alone])
    assert (report.added, report.incomplete) == (1, ())
    assert shop.similar("e", by="audio") == []
    with pytest.raises(DataError, match="nothing to compare"):
        shop.similar(audio=wav(300), by="audio")


def test_an_embedding_of_another_length_costs_that_part_alone(shop, given):
    shop.ingest(given)
    report = shop.ingest([
        Item(item_id="x", text={"title": "a song"}, embeddings={"audio": [1, 2]}),
        Item(item_id="y", embeddings={"audio": [1, 2]}),
    ])
    assert (report.added, report.rejected) == (1, 1)
    (lost,) = report.incomplete
    assert lost.field == "audio"
    assert "has 2 numbers, those of this store have 3" in lost.reason


def test_a_field_that_an_encoder_fills_takes_no_embeddings(shop, boxes, given):
    shop.ingest(boxes)
    report = shop.ingest(given)
    assert (report.added, len(report.incomplete)) == (3, 3)
    assert "an encoder of this store embeds 'audio'" in report.incomplete[0].reason
    assert "given" not in shop.store.facts


def test_any_field_may_be_given_and_words_are_not_compared_with_it(shop):
    items = [
        Item(item_id=i, text={"title": f"song {i}", "lyrics": "la"}, embeddings={"lyrics": v, "mood": v[:2]})
        for i, v in VECTORS.items()
    ]
    shop.ingest(items)
    assert shop.doctor(mend=False)["healthy"]
    for by in ("lyrics", "mood"):
        assert shop.similar("a", by=by, k=1)[0].item_id == "b"
    assert shop.snapshot().text_fields == ("title",)
    assert shop.search("song c", k=1)[0].item_id == "c"
    assert shop.similar(text={"title": "song c", "lyrics": "la"}, k=1)[0].item_id == "c"


@pytest.mark.parametrize("vector", [
    [], [0, 0], [1, float("nan")], [1, float("inf")], [1e300, 1], ["a"], "abc", b"abcd", [[1, 2]], 5,
    np.ones((2, 2)), np.ones(10_000),
])
def test_what_is_no_embedding_is_refused(vector):
    with pytest.raises(DataError, match="list of 1 to 8,192 finite numbers"):
        Item(item_id="a", embeddings={"audio": vector})


def test_names_of_embeddings_are_those_of_fields():
    for name in ("item_id", "content", "no name", 5):
        with pytest.raises(DataError, match="embedding name"):
            Item(item_id="a", embeddings={name: [1]})
    with pytest.raises(DataError, match="embeddings must map"):
        Item(item_id="a", embeddings=[1])
    assert Item(item_id="a", embeddings={"audio": np.array([1, 2])}) == Item(
        item_id="a", embeddings={"audio": (1.0, 2.0)})


def test_the_command_compares_a_sound(mmrec, shop, boxes, tmp_path):
    shop.ingest(boxes)
    path = tmp_path / "query.wav"
    shutil.copy(boxes[2].sounds[0], path)
    for verb, *options in (("similar", "--by", "audio"), ("search",)):
        told = mmrec(verb, shop.path, "--audio", path, *options, "-k", 1)
        assert json.loads(told.stdout)["item_id"] == "high0", told.output
