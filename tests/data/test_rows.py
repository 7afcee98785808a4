"""Rows as JSON, and where the paths of their pictures may lead."""

import json
import os
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.data import images
from mmrec.data.files import read_items, write_items
from mmrec.data.formats import dump_row
from mmrec.data.image_paths import ImagePaths
from mmrec.data.media import Refused
from mmrec.data.rows import MOST_TOLD, item_as_dict, item_from_dict, json_ready
from mmrec.errors import DataError
from mmrec.types import MAX_IMAGES, Item

times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
                     min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))
each_suffix = pytest.mark.parametrize("suffix", [".jsonl", ".ndjson.gz", ".parquet"])


@pytest.fixture
def feed(tmp_path):
    """A folder `feed` with a picture and links, beside pictures that are not its own."""
    for name in ("feed/photos/in.png", "outside.png", "other/a.png", "feed-2/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture")
    (tmp_path / "feed/leaving.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "feed/staying.png").symlink_to("photos/in.png")
    (tmp_path / "feed/away").symlink_to(tmp_path / "other")
    (tmp_path / "feed/loop").symlink_to("loop")
    return tmp_path / "feed"


INSIDE = [
    "photos/in.png", "photos/../photos/in.png", "staying.png", "absent.png", "{feed}/photos/in.png", ".",
]
OUTSIDE = [
    "../outside.png", "photos/../../outside.png", "{feed}/../outside.png", "/etc/hostname", "leaving.png",
    "away/a.png", "away/../outside.png", "../absent.png", "/absent.png", "../feed-2/a.png", "..", "loop",
    "photos/in.png/../../../outside.png", "a\0.png",
]


def written(feed, suffix, path):
    """A canonical file that names a picture by a path as it stands."""
    file = feed / f"items{suffix}"
    write_items(file, [Item(item_id="a", image="PLACE")])
    image = path.format(feed=feed)
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"item_id": ["a"], "image": [[{"bytes": None, "path": image}]]}), file)
    else:
        import gzip

        data = json.dumps({"item_id": "a", "image": image}).encode()
        file.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    return file


@each_suffix
@pytest.mark.parametrize("path", INSIDE)
def test_a_path_in_the_folder_is_taken(feed, suffix, path):
    (item,) = read_items(written(feed, suffix, path))
    assert item.images == (str(feed / path.format(feed=feed)),)


@each_suffix
@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leaves_the_folder_is_refused_with_the_flag_that_allows_it(feed, suffix, path):
    (item,) = read_items(written(feed, suffix, path))
    (picture,) = item.images
    assert isinstance(picture, Refused)
    assert "--image-root" in picture.reason
    assert "--allow-outside" in picture.reason
    assert "a picture" not in str(item)  # what the file holds
    for look in (images.read, images.digest, images.decode, images.check):
        with pytest.raises(DataError, match="--image-root"):
            look(picture)
    (item,) = read_items(written(feed, suffix, path), allow_outside=True)
    assert item.images == (str(feed / path.format(feed=feed)),)


def test_a_row_with_a_refused_picture_keeps_its_path_to_be_mended(feed):
    (item,) = read_items(written(feed, ".jsonl", "../outside.png"))
    assert item_as_dict(item) == {"item_id": "a", "image": str(feed / "../outside.png")}


@pytest.mark.parametrize("odd", [{"base64": "?"}, {"path": "a.png"}, [["a.png"]], 7])
def test_a_value_that_is_no_picture_is_refused_and_kept_to_be_mended(feed, odd):
    (feed / "items.jsonl").write_text(json.dumps({"item_id": "a", "image": ["a.png", odd]}))
    (item,) = read_items(feed / "items.jsonl")
    assert [isinstance(image, Refused) for image in item.images] == [False, True]
    assert item_as_dict(item)["image"] == [str(feed / "a.png"), odd]


SOUND = {
    "text": st.sampled_from(["mug", ""]) | st.none(), "attributes": st.sampled_from([1.5, True, ["a"], None]),
}
ODD = {
    "text": st.sampled_from([["x"], {"y": 1}, "\0", True]),
    "attributes": st.sampled_from([[1], {}, 2**60, b"x"]),
}
NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    sound=st.fixed_dictionaries({part: st.dictionaries(NAMES, values) for part, values in SOUND.items()}),
    odd=st.fixed_dictionaries({part: st.dictionaries(NAMES, values) for part, values in ODD.items()}),
    added_at=st.sampled_from([None, 5, "soon", [], "2024-05-01"]), pictures=st.integers(0, MAX_IMAGES + 2),
    more=st.dictionaries(st.sampled_from(["title", "sku"]), st.integers()),
)
def test_of_any_row_all_is_taken_that_can_be_and_all_else_is_told(sound, odd, added_at, pictures, more):
    row = {
        "item_id": "i", **{part: sound[part] | odd[part] for part in sound}, "added_at": added_at,
        "image": [f"{n}.png" for n in range(pictures)], **more,
    }
    item = item_from_dict(row, line=3)
    fine = {part: {n: v for n, v in sound[part].items() if n not in odd[part]} for part in sound}
    dated = added_at if added_at in (None, 5, "2024-05-01") else None
    taken = item_from_dict({
        "item_id": "i", **fine, "added_at": dated, "image": row["image"][:MAX_IMAGES],
    })
    assert (item, taken.lost) == (taken, None)
    wrong = [*odd["text"], *odd["attributes"], *more, *(["added_at"] if dated != added_at else [])]
    assert (item.lost is None) == (not wrong and pictures <= MAX_IMAGES)
    if item.lost:
        assert (item.lost.item_id, item.lost.line, item.lost.row) == ("i", 3, json_ready(row))
        assert item.lost.field == "image" if pictures > MAX_IMAGES else item.lost.field in wrong
        more = len(wrong) + (pictures > MAX_IMAGES) - MOST_TOLD
        assert item.lost.reason.endswith(f"; {more} more") == (more > 0)


@pytest.mark.parametrize("row", [{}, {"item_id": None}, {"item_id": 7}, {"item_id": " "}, {"title": "mug"}])
def test_without_a_usable_id_there_is_no_item(row):
    with pytest.raises(DataError, match="item_id") as caught:
        item_from_dict(row | {"attributes": {"price": [1]}})
    assert caught.value.field == "item_id"


def test_of_several_pictures_the_refused_one_alone_is_refused(feed):
    (feed / "items.jsonl").write_text('{"item_id": "a", "image": ["photos/in.png", "../outside.png"]}')
    (item,) = read_items(feed / "items.jsonl")
    assert item.images == (str(feed / "photos/in.png"), str(feed / "../outside.png"))
    assert [isinstance(image, Refused) for image in item.images] == [False, True]


@pytest.mark.parametrize(("path", "root", "found"), [
    ("../outside.png", "", "feed/../outside.png"),  # what leaves the folder, and stays in the root
    ("../other/a.png", "other", "feed/../other/a.png"),
    ("{feed}/../other/a.png", "other", "feed/../other/a.png"),
    ("leaving.png", "", "feed/leaving.png"),
    ("a.png", "other", "other/a.png"),  # what is not in the folder is looked for in the root
    ("photos/in.png", "other", "feed/photos/in.png"),  # the folder itself stays allowed
])
def test_an_image_root_allows_one_folder_more(feed, path, root, found):
    root = feed.parent / root
    (item,) = read_items(written(feed, ".jsonl", path), image_root=root)
    assert item.images == (str(feed.parent / found),)


@pytest.mark.parametrize("path", ["../outside.png", "/etc/hostname", "../feed-2/a.png", "leaving.png"])
def test_an_image_root_allows_no_other_folder(feed, path):
    (item,) = read_items(written(feed, ".jsonl", path), image_root=feed.parent / "other")
    assert "--image-root" in item.images[0].reason


@pytest.mark.parametrize("url", ["file:///etc/hostname", "FILE:/etc/hostname", "file:photos/in.png"])
def test_a_file_url_is_refused_whatever_is_allowed(feed, url):
    (item,) = read_items(written(feed, ".jsonl", url), allow_outside=True)
    assert "file: URL" in item.images[0].reason
    assert item.images == (url,)


def test_other_urls_are_no_paths(feed):
    (item,) = read_items(written(feed, ".jsonl", "https://shop.example/../a.png"))
    assert item.images == ("https://shop.example/../a.png",)


def test_a_folder_that_is_a_link_itself_holds_its_pictures(feed, tmp_path):
    written(feed, ".jsonl", "photos/in.png")
    (tmp_path / "link").symlink_to(feed)
    (item,) = read_items(tmp_path / "link" / "items.jsonl")
    assert item.images == (str(tmp_path / "link" / "photos/in.png"),)


def test_the_root_is_the_one_of_the_call_whatever_the_working_directory_is_later(feed, tmp_path, monkeypatch):
    file = written(feed, ".jsonl", "in.png")
    monkeypatch.chdir(feed)
    rows = read_items(file, image_root="photos")
    monkeypatch.chdir(tmp_path)
    assert next(rows).images == (str(feed / "photos/in.png"),)


def test_links_that_grow_too_long_to_be_followed_are_refused(feed):
    """A short path of links to long names leads out, though it cannot be written down at full length."""
    path, long = feed, "d" * 240
    levels = os.pathconf(feed, "PC_PATH_MAX") // len(long) + 1
    for _ in range(levels):
        (path / long).mkdir()
        (path / "s").symlink_to(long)
        path = path / "s"
    (path / "out.png").symlink_to("../" * (levels + 1) + "outside.png")
    assert (path / "out.png").read_bytes() == b"a picture"
    with pytest.raises(DataError, match="outside"):
        ImagePaths(feed).absolute(path / "out.png")


def test_links_that_lead_out_are_refused_however_many_pictures_were_found_beside_them(tmp_path):
    photos = tmp_path / "feed" / "photos"
    photos.mkdir(parents=True)
    (tmp_path / "out.png").touch()
    (photos / "out.png").symlink_to(tmp_path / "out.png")
    (photos / "away").symlink_to(tmp_path)
    paths = ImagePaths(tmp_path / "feed")
    for at in range(70):  # the folder is listed on the way; what is not in the list yet is found, too
        (photos / f"{at}.png").touch()
        assert paths.absolute(f"photos/{at}.png") == str(photos / f"{at}.png")
        for leading_out in ("photos/out.png", "photos/away/out.png"):
            with pytest.raises(DataError, match="outside"):
                paths.absolute(leading_out)


def test_items_from_python_are_the_callers_own(shop, picture, tmp_path):
    assert shop.ingest([Item(item_id="a", image=picture("anywhere/a.png", "red"))]).added == 1


def test_the_canonical_line_is_the_documented_one():
    item = Item(
        item_id="B07", text={"title": "Wool ☃"}, image=b"ab", attributes={"released": datetime(2024, 5, 1)},
        added_at=datetime(2024, 5, 1, tzinfo=UTC),
    )
    assert dump_row(item_as_dict(item)).decode() == (
        '{"item_id": "B07", "text": {"title": "Wool ☃"}, "image": {"base64": "YWI="}, "attributes":'
        ' {"released": {"datetime": "2024-05-01T00:00:00+00:00"}}, "added_at": "2024-05-01T00:00:00+00:00"}\n'
    )
    assert item_as_dict(Item(item_id="a")) == {"item_id": "a"}


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | times | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
))
def test_any_value_is_made_ready_for_json(value):
    dump_row({"value": json_ready(value)})


def test_json_ready_ends_for_what_has_no_end():
    deep: list[object] = []
    deep.append(deep)
    assert "too deeply" in json.dumps(json_ready(deep))
    assert json_ready(10**5000).startswith("0x")


@pytest.mark.parametrize("path", [
    "LEAVING.PNG", "leaving.png?v=3", "AWAY/a.png", "away\\A.PNG", "photos\\..\\..\\outside.png",
    "%2e%2e/outside.png", "..\\OUTSIDE.png",
])
def test_a_name_that_is_guessed_leads_out_of_the_folder_no_more_than_another(feed, path):
    (item,) = read_items(written(feed, ".jsonl", path))
    (picture,) = item.images
    assert isinstance(picture, Refused)
    assert "--image-root" in picture.reason


@pytest.mark.parametrize(("path", "found"), [
    ("PHOTOS/In.PNG", "photos/in.png"), ("photos\\in.png", "photos/in.png"),
    ("photos/in.png?w=2", "photos/in.png"), ("photos%2Fin.png", "photos/in.png"),
    ("./Staying.png", "staying.png"),
])
def test_a_name_that_differs_a_little_is_found_and_told(feed, path, found):
    notes = []
    (item,) = read_items(written(feed, ".jsonl", path), notes=notes)
    assert item.images == (str(feed / found),)
    assert ["a little different" in note for note in notes] == [True]
