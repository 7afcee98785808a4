import gzip
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrec.data import files
from mmrec.data.cleaning import plain, plain_text
from mmrec.data.files import read_interactions, read_items, write_interactions, write_items
from mmrec.data.formats import dump_row
from mmrec.errors import DataError, Rejection
from mmrec.types import Interaction, Item, normal_id

ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: normal_id(text) and plain(normal_id(text))  # not "NaN", which tables say for "nothing"
)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,9}", fullmatch=True).map(lambda name: f"f_{name}")
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
words = words.map(plain_text).filter(lambda text: plain(text) and plain_text(text) == text)  # already tidy
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
                     min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))
values = st.one_of(
    words, st.booleans(), st.integers(-(2**53), 2**53), times, st.lists(words, min_size=1, max_size=3),
    st.floats(-1e15, 1e15),
)
images = st.one_of(
    st.binary(min_size=1, max_size=20),
    st.sampled_from(["https://shop.example/a b.jpg?x=1", "/pictures/ü 1.png", "/a.jpg"]),
)
items = st.builds(
    Item, item_id=ids, text=st.dictionaries(names, words, max_size=3), image=st.lists(images, max_size=3),
    attributes=st.dictionaries(names, values, max_size=4), added_at=st.none() | times,
)
interactions = st.builds(
    Interaction, user_id=ids, item_id=ids, kind=names, weight=st.floats(0, 1e9), time=times,
)
several = settings(max_examples=30)
each_suffix = pytest.mark.parametrize("suffix", [".jsonl", ".ndjson.gz", ".parquet"])


def lines_file(folder: Path, *lines: str | bytes, name: str = "items.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
    return path


def table_file(folder: Path, name: str = "items.parquet", **columns: object) -> Path:
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def rejections(path: Path) -> list[Rejection]:
    return [row for row in read_items(path) if isinstance(row, Rejection)]


@each_suffix
@several
@given(written=st.lists(items, max_size=4))
def test_items_read_back_are_the_items_written(tmp_path, suffix, written):
    path = tmp_path / f"items{suffix}"
    assert write_items(path, written) == len(written)
    read = list(read_items(path, allow_outside=True))
    assert read == written
    assert [item.line for item in read] == list(range(1, len(written) + 1))
    for one, other in zip(read, written, strict=True):
        assert {k: type(v) for k, v in one.attributes.items()} == {
            k: type(v) for k, v in other.attributes.items()
        }


def test_items_are_tidied_when_they_are_read_and_what_was_mended_is_told(tmp_path):
    path = lines_file(
        tmp_path,
        '{"item_id": " B07 ", "text": {"title": "Wool &amp; silk", "b": "KÃ¤se"}, "image": "PICS\\\\a.PNG"}',
        '{"item_id": 7, "attributes": {"size": " M "}, "image": "data:image/png;base64,cG5n"}',
    )
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.png").touch()
    notes = []
    first, second = read_items(path, notes=notes)
    assert (first.item_id, dict(first.text)) == ("B07", {"title": "Wool & silk", "b": "Käse"})
    assert first.images == (str(tmp_path / "pics" / "a.png"),)
    assert (second.item_id, dict(second.attributes), second.images) == ("7", {"size": "M"}, (b"png",))
    assert [note[:7] for note in notes] == ["broken ", "picture"]


@each_suffix
@several
@given(written=st.lists(interactions, max_size=4))
def test_interactions_read_back_are_the_interactions_written(tmp_path, suffix, written):
    path = tmp_path / f"clicks{suffix}"
    assert write_interactions(path, written) == len(written)
    assert list(read_interactions(path)) == written


@each_suffix
def test_pictures_inside_the_folder_stay_with_the_file_when_it_moves(tmp_path, suffix):
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "photos").mkdir(parents=True)
    (old / "photos" / "b07.jpg").write_bytes(b"x")
    elsewhere = str(tmp_path / "elsewhere.jpg")
    write_items(old / f"items{suffix}", [Item(item_id="B07", image=[old / "photos" / "b07.jpg", elsewhere])])
    old.rename(new)
    (item,) = read_items(new / f"items{suffix}", allow_outside=True)
    assert item.images == (str(new / "photos" / "b07.jpg"), elsewhere)


@each_suffix
def test_a_pil_picture_is_written_as_png_and_stands_upright(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    jpeg = io.BytesIO()
    Image.new("CMYK", (8, 4), "red").save(jpeg, "JPEG", exif=exif)
    with Image.open(jpeg) as picture:
        write_items(tmp_path / f"items{suffix}", [Item(item_id="a", image=picture)])
    (item,) = read_items(tmp_path / f"items{suffix}")
    with Image.open(io.BytesIO(item.images[0])) as back:
        assert (back.format, back.size) == ("PNG", (4, 8))


@pytest.mark.parametrize(("line", "field", "words"), [
    ('{"item_id": "a", "item_id": "b"}', "item_id", "twice"),
    ('{"item_id": "a", "attributes": {"p": ' + "9" * 5000 + "}}", None, "no valid JSON"),
    ('{"text": {"title": "mug"}}', "item_id", "missing"),
    ('{"item_id": 7.5}', "item_id", "string"),
    ('{"item_id": "\\ud800"}', "item_id", "printable"),
    ("[" * 100_000, None, "no valid JSON"),
    ('["item_id"]', None, "object"),
    ('{"item_id": "a"', None, "no valid JSON"),
    (b'{"item_id": "\xff"}', None, "UTF-8"),
])
def test_a_bad_line_is_rejected_with_its_reason_and_the_others_are_read(tmp_path, line, field, words):
    path = lines_file(tmp_path, '{"item_id": "first"}', "", line, '{"item_id": "last"}')
    first, bad, last = read_items(path)
    assert (first.item_id, last.item_id, last.line) == ("first", "last", 4)
    assert isinstance(bad, Rejection)
    assert bad.line == 3
    assert words in bad.reason
    if field:
        assert bad.field == field
    assert json.loads(dump_row(bad.row))


@pytest.mark.parametrize(("part", "field", "words"), [
    ('"attributes": {"p": -Infinity, "ok": 1}', "p", "finite"), ('"attributes": {"p": 1e999}', "p", "finite"),
    ('"attributes": {"p": ' + "9" * 400 + "}", "p", "finite"), ('"attributes": 7', "attributes", "mapping"),
    ('"attributes": {"d": {"datetime": []}, "ok": 1}', "d", "ISO 8601"),
    ('"attributes": {"p": {"x": 1}, "ok": 1}', "p", "must be a string"),
    ('"attributes": {"p (EUR)": 3, "ok": 1}', "p (EUR)", "rename it"),
    ('"title": "mug"', "title", "--format table"), ('"added_at": "soon"', "added_at", "ISO 8601"),
    ('"added_at": 1714521600000', "added_at", "not milliseconds"),
    ('"added_at": "0001-01-01T00:00:00+14:00"', "added_at", "ISO 8601"),
    ('"text": {"t": "mug", "u": ["x"]}', "u", "must be a string"),
    ('"text": {"t": "mug", "u": ' + '{"x":' * 500 + "1" + "}" * 501, "u", "must be a string"),
])
def test_a_part_that_cannot_be_used_costs_that_part_and_the_row_is_kept_whole(tmp_path, part, field, words):
    text = "" if part.startswith('"text"') else ', "text": {"t": "mug"}'
    path = lines_file(tmp_path, "", f'{{"item_id": "a"{text}, {part}}}')
    (item,) = read_items(path)
    assert (item.item_id, dict(item.text), item.line) == ("a", {"t": "mug"}, 2)
    assert dict(item.attributes) == ({"ok": 1} if '"ok"' in part else {})
    assert item.added_at is None
    assert (item.lost.item_id, item.lost.field, item.lost.line) == ("a", field, 2)
    assert words in item.lost.reason
    row = json.loads(dump_row(item.lost.row))
    assert row["text"]["t"] == "mug"
    assert set(row) == {"item_id", "text", part.split('"')[1]}


def test_what_is_no_number_in_json_is_absent_as_in_tables(tmp_path):
    (item,) = read_items(lines_file(tmp_path, '{"item_id": "a", "attributes": {"p": NaN, "q": 1}}'))
    assert (dict(item.attributes), item.lost) == ({"q": 1}, None)


def test_a_key_that_stands_twice_is_named_among_very_many(tmp_path):
    keys = [f"k{i}" for i in range(200_000)]  # a search for each of them would never end
    pairs = ", ".join(f'"{key}": 1' for key in [*keys, keys[-1]])
    (bad,) = rejections(lines_file(tmp_path, f'{{"item_id": "a", "attributes": {{{pairs}}}}}'))
    assert bad.field == keys[-1]
    assert "twice" in bad.reason


def test_a_rejection_keeps_the_id_and_a_row_that_finds_its_picture_from_anywhere(tmp_path):
    long = "a" * 600
    path = lines_file(
        tmp_path, f'{{"item_id": "{long}", "image": "a.jpg"}}',
        '{"item_id": "a", "image": "a.jpg", "text": {"1": "x"}}',
    )
    bad, part = read_items(path)
    assert bad.item_id == long[:512]
    assert bad.row == {"item_id": long, "image": str(tmp_path / "a.jpg")}
    assert part.lost.row == {"item_id": "a", "image": str(tmp_path / "a.jpg"), "text": {"1": "x"}}


def test_a_line_too_long_to_hold_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("mmrec.data.formats.MAX_LINE", 50)
    fits = '{"item_id": "' + "b" * 35 + '"}'
    assert len(fits) == 50
    path = lines_file(tmp_path, "x" * 1000, fits, fits[:-1], "y" * 51)
    long, cut, good, last = (row for row in sorted(read_items(path), key=lambda row: row.line) if row)
    assert "longer" in long.reason
    assert (cut.line, good.line, last.line) == (2, 3, 4)
    assert "longer" in last.reason


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path):
    path = lines_file(tmp_path, b'\xef\xbb\xbf{"item_id": "a"}\r', b'{"item_id": "b"}\r', b"\r")
    assert [item.item_id for item in read_items(path)] == ["a", "b"]
    assert list(read_items(lines_file(tmp_path, "", "", ""))) == []


@pytest.mark.parametrize("name", ["absent.jsonl", "absent.parquet", "folder.jsonl", "items.json", "items"])
def test_a_file_that_cannot_be_read_is_an_error_at_once(tmp_path, name):
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match=r"check the path|cannot read|suffixes"):
        read_items(tmp_path / name)


def test_damaged_files_are_errors_that_say_so(tmp_path):
    write_items(tmp_path / "items.jsonl.gz", (Item(item_id=f"{i}-{i * 7919}") for i in range(5000)))
    data = (tmp_path / "items.jsonl.gz").read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(data[: len(data) // 2])
    (tmp_path / "plain.jsonl.gz").write_bytes(b'{"item_id": "a"}')
    (tmp_path / "fake.parquet").write_bytes(b"PAR1 no parquet PAR1")
    for name in ("cut.jsonl.gz", "plain.jsonl.gz", "fake.parquet"):
        with pytest.raises(DataError, match="damaged"):
            list(read_items(tmp_path / name))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    def breaks():
        yield Item(item_id="new")
        raise RuntimeError("source broke")

    for suffix in files.SUFFIXES:
        path = tmp_path / f"items{suffix}"
        write_items(path, [Item(item_id="old")])
        with pytest.raises(RuntimeError, match="source broke"):
            write_items(path, breaks())
        assert [item.item_id for item in read_items(path)] == ["old"]
    assert len(list(tmp_path.iterdir())) == len(files.SUFFIXES)
    with pytest.raises(DataError, match="cannot write"):
        write_items(tmp_path / "no" / "items.jsonl", [])


def test_writers_of_one_file_at_once_do_not_meet(tmp_path):
    path, gate = tmp_path / "a.json", threading.Barrier(8)

    def write(n):
        for _ in range(25):
            gate.wait()  # all begin together
            with files.replacing(path) as file:
                file.write(1_000 * bytes([n]))

    with ThreadPoolExecutor(8) as writers:
        assert list(writers.map(write, range(8))) == [None] * 8
    content = path.read_bytes()
    assert content in [1_000 * bytes([n]) for n in range(8)]
    assert list(tmp_path.iterdir()) == [path]


def test_what_parquet_cannot_hold_is_an_error_and_json_lines_hold_it(tmp_path):
    odd = Item(item_id="a", image="/\udcff.jpg")  # how Python sees a file name that is no UTF-8
    with pytest.raises(DataError, match="JSON lines"):
        write_items(tmp_path / "items.parquet", [odd])
    write_items(tmp_path / "items.jsonl", [odd])
    assert list(read_items(tmp_path / "items.jsonl", allow_outside=True)) == [odd]


def test_parquet_of_other_hands_is_read(tmp_path):
    path = table_file(
        tmp_path, item_id=["a", "b"], text=[{"title": "mug"}, {"title": None}], image=["a.jpg", None],
        attributes=[{"price": 9.5, "since": date(2024, 5, 1)}, None],
        added_at=pa.array([1_714_521_600_000_000_001, None], pa.timestamp("ns")),
    )
    assert list(read_items(path)) == [
        Item(
            item_id="a", text={"title": "mug"}, image=str(tmp_path / "a.jpg"), added_at=datetime(2024, 5, 1),
            attributes={"price": 9.5, "since": datetime(2024, 5, 1)},
        ),
        Item(item_id="b"),
    ]
    pictures = table_file(tmp_path, item_id=["c"], image=[{"bytes": b"png", "path": "name.png"}])
    assert list(read_items(pictures)) == [Item(item_id="c", image=b"png")]


def test_one_bad_value_of_a_parquet_file_costs_that_value_and_without_an_id_the_row(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 4, pa.array([b"a", b"b", b"\xff", b"d"]).buffers())
    path = table_file(
        tmp_path, item_id=["a", None, "c", "d"], attributes=['{"p": 1}', None, "{p", None],
        added_at=pa.array([0, 0, 0, 2**62], pa.timestamp("us")), image=broken,
    )
    good, bare, *odd = read_items(path)
    assert good == Item(
        item_id="a", attributes={"p": 1}, image=str(tmp_path / "a"), added_at=datetime(1970, 1, 1))
    assert (bare.line, bare.field) == (2, "item_id")
    assert odd[0] == Item(item_id="c", image=odd[0].image, added_at=datetime(1970, 1, 1))
    assert "utf-8" in odd[0].images[0].reason
    assert odd[1] == Item(item_id="d", image=str(tmp_path / "d"))
    assert [(item.line, item.lost.field) for item in odd] == [(3, "attributes"), (4, "added_at")]
    assert json.loads(dump_row(odd[1].lost.row))["added_at"] == "date value out of range"
    names = table_file(tmp_path, item_id=broken)
    assert [getattr(row, "field", None) for row in read_items(names)] == [None, None, "item_id", None]
    twice = pa.array([[("t", "x"), ("t", "y")]], pa.map_(pa.string(), pa.string()))
    assert "twice" in rejections(table_file(tmp_path, item_id=["a"], text=twice))[0].reason


def test_parquet_with_columns_of_its_own_is_refused_as_a_whole(tmp_path):
    with pytest.raises(DataError, match=r"unknown 'title'.*--format table"):
        list(read_items(table_file(tmp_path, item_id=["a"], title=["mug"])))
    with pytest.raises(DataError, match="user_id is missing"):
        list(read_interactions(table_file(tmp_path, item_id=["a"])))


def test_big_rows_are_written_in_small_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("mmrec.data.formats.BATCH_BYTES", 1000)
    written = [Item(item_id=str(i), image=bytes(600), text={"t": "x"}) for i in range(10)]
    write_items(tmp_path / "items.parquet", written)
    assert pq.read_metadata(tmp_path / "items.parquet").num_row_groups == 5
    assert list(read_items(tmp_path / "items.parquet")) == written


def test_interactions_take_seconds_and_defaults(tmp_path):
    path = lines_file(
        tmp_path, '{"user_id": "u", "item_id": "a", "time": 86400.5}', '{"user_id": "u", "item_id": "a"}',
        '{"user_id": "u"}', '{"user_id": "u", "item_id": "a", "weight": -1}',
    )
    timed, bare, *bad = read_interactions(path)
    assert timed == Interaction(user_id="u", item_id="a", time=datetime(1970, 1, 2, 0, 0, 0, 500_000))
    assert (bare.kind, bare.weight) == ("click", 1.0)
    assert datetime.now(UTC) - bare.time < timedelta(minutes=1)
    assert [(row.line, row.field) for row in bad] == [(3, "item_id"), (4, "weight")]
    table = table_file(tmp_path, user_id=["u"], item_id=["a"], time=[86400.5], kind=[None])
    assert list(read_interactions(table)) == [timed]


@each_suffix
def test_rows_are_counted(tmp_path, suffix):
    for n in (0, 1, 7):
        write_items(tmp_path / f"items{suffix}", (Item(item_id=str(i)) for i in range(n)))
        assert files.count_rows(tmp_path / f"items{suffix}") == n
    assert files.count_rows(lines_file(tmp_path, '{"item_id": "a"}', '{"item_id": "b"}')) == 2


def test_compressed_files_do_not_change_with_the_clock(tmp_path):
    write_items(tmp_path / "a.jsonl.gz", [Item(item_id="a")])
    write_items(tmp_path / "b.jsonl.gz", [Item(item_id="a")])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == b'{"item_id": "a"}\n'
