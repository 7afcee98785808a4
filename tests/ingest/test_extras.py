"""Columns of sounds and of embeddings: found by names and values, or named."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.read import read_source
from ingest.sources.columns import Columns
from mmrec import Item


def read(path: Path, **named) -> list[Item]:
    return list(read_source(path, columns=Columns(**named) if named else None))


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """A CSV with previews beside it; one of them outside."""
    (tmp_path / "sounds").mkdir()
    for name in ("a", "b"):
        (tmp_path / "sounds" / f"{name}.mp3").write_bytes(b"ID3")
    path = tmp_path / "feed.csv"
    path.write_text(
        "id,title,preview_file,price\n1,Bell,sounds/a.mp3,2\n2,Harp,sounds/b.mp3|sounds/a.mp3,3\n3,Drum,,4\n"
        "4,Gong,../../outside.wav,5\n"
    )
    return path


def test_a_column_of_sounds_is_found_and_its_paths_are_those_of_the_feed(feed):
    bell, harp, drum, gong = read(feed)
    folder = feed.parent / "sounds"
    assert bell.sounds == (str(folder / "a.mp3"),)
    assert harp.sounds == (str(folder / "b.mp3"), str(folder / "a.mp3"))
    assert drum.sounds == ()
    assert {name for item in (bell, harp) for name in item.attributes} == {"price"}
    (refused,) = gong.sounds
    assert "sound" in refused.reason
    assert "lies outside the folder" in refused.reason


@pytest.mark.parametrize(("column", "cell", "found"), [
    ("audio", "a.wav", True), ("sound_url", "a.ogg", True), ("Sample 2", "x/a.flac", True),
    ("clip", "a.wav", False), ("audio", "stereo", False), ("sample", "a.jpg", False),
])
def test_name_and_values_both_tell(tmp_path, column, cell, found):
    path = tmp_path / "feed.csv"
    path.write_text(f"id,title,{column}\n1,Bell,{cell}\n2,Harp,{cell}\n")
    assert bool(read(path)[0].sounds) is found


def test_a_column_that_is_named_is_taken(tmp_path):
    path = tmp_path / "feed.jsonl"
    path.write_text(json.dumps({"id": 1, "title": "Bell", "clip": "bell.wav"}))
    assert read(path, audio="clip")[0].sounds == (str(tmp_path / "bell.wav"),)


@pytest.mark.parametrize("type_", [
    pa.list_(pa.float32()), pa.list_(pa.float32(), 3), pa.large_list(pa.float64()),
])
@pytest.mark.parametrize("column", ["e_audio", "embedding_audio", "audio_embedding"])
def test_vectors_of_a_parquet_file_fill_the_field_that_their_column_names(tmp_path, column, type_):
    path = tmp_path / "items.parquet"
    vectors = pa.array([[0.5, 1, 2], None, [1, 0.25, 0]], type_)
    pq.write_table(pa.table({"id": ["a", "b", "c"], "title": ["x", "y", "z"], column: vectors}), path)
    first, second, _ = read(path)
    assert {name: list(vector) for name, vector in first.embeddings.items()} == {"audio": [0.5, 1, 2]}
    assert not second.embeddings


def test_other_vectors_are_left_out_and_told_unless_they_are_named(tmp_path):
    path = tmp_path / "items.parquet"
    vectors = [[n + 0.5] * 16 for n in range(3)]
    pq.write_table(pa.table({"id": ["a", "b", "c"], "title": ["x", "y", "z"], "vggish": vectors}), path)
    plain, named = read_source(path), read(path, embeddings={"vggish": "audio"})
    assert not any(item.embeddings or item.attributes for item in plain)
    assert list(named[2].embeddings["audio"]) == vectors[2]


def test_the_command_takes_sounds_and_embeddings(mmrec, tmp_path):
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({
        "id": ["a", "b"], "title": ["x", "y"], "clip": ["a.wav", None], "mfcc": [[0.5] * 9, [1.5] * 9],
    }), path)
    config = tmp_path / "toy.toml"
    config.write_text('text_encoder = "toy"\nimage_encoder = "none"')
    told = mmrec(
        "ingest", tmp_path / "shop.mmrec", path, "--audio", "clip", "--embeddings", "mfcc=mood",
        "--config", config, "--allow-outside",
    )
    report = json.loads(told.stdout)
    assert (report["added"], report["incomplete"]) == (2, 1), told.output
    assert ", a, audio: sound" in told.stderr
    assert "vectors" not in told.stderr
