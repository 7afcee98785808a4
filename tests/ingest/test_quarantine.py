import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.quarantine import DOWNLOADS, LOCK, Quarantine
from ingest.sources.several import Given, Line, hive
from mmrec.data.media import Refused
from mmrec.data.rows import item_as_dict, rejected
from mmrec.errors import DataError, Rejection
from mmrec.types import Item


@pytest.fixture
def quarantine(tmp_path):
    return Quarantine(tmp_path / "quarantine.jsonl")


def bad(item_id=None, line=None, reason="too odd", row=None, **more):
    row = {"item_id": item_id, "added_at": "soon"} if row is None else row
    return Rejection(item_id=item_id, line=line, reason=reason, row=row, **more)


def contents(quarantine):
    return [json.loads(line) for line in quarantine.path.read_text().splitlines()]


def mend(quarantine, number, **changes):
    lines = contents(quarantine)
    lines[number]["row"].update(changes)
    quarantine.path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_rejected_row_is_kept_with_all_that_is_needed_to_mend_it(quarantine):
    assert quarantine.merge([bad("a", 3, field="added_at")], [], "shop.csv") == 1
    assert contents(quarantine) == [{
        "item_id": "a", "field": "added_at", "reason": "too odd", "source": "shop.csv", "folder": None,
        "line": 3, "part": False, "row": {"item_id": "a", "added_at": "soon"},
    }]
    assert quarantine.ids() == {"a"}


def test_an_item_that_lacks_a_part_is_kept_as_one_until_it_is_taken_whole(quarantine):
    quarantine.merge([bad("a", 3)], [], "shop.csv", incomplete=[bad("b", 4, field="image")])
    quarantine.merge([], [], "shop.csv", incomplete=[bad("b", 4, field="image", reason="newer")], whole=True)
    assert [(c["item_id"], c["part"], c["reason"]) for c in contents(quarantine)] == [
        ("a", False, "too odd"), ("b", True, "newer"),
    ]
    quarantine.merge([], ["b"], "shop.csv")
    assert quarantine.ids() == {"a"}


def test_lines_without_an_id_go_when_their_source_was_read_to_its_end_without_them(quarantine, tmp_path):
    def merge(rejections, source="shop.csv", folder=tmp_path, whole=True):
        return quarantine.merge(rejections, [], source, folder, whole=whole)

    assert merge([bad(line=1), bad(line=2), bad("a", 3), bad(row={"x": 1})]) == 4
    assert merge([], whole=False) == 4
    assert merge([], "other.csv") == 4
    assert merge([], folder=tmp_path / "elsewhere") == 4
    assert merge([bad(line=2)], f"{tmp_path}/shop.csv") == 2
    assert [(c["item_id"], c["line"]) for c in contents(quarantine)] == [("a", 3), (None, 2)]


def test_like_reasons_are_counted_together(quarantine):
    quarantine.merge(
        [bad("a", reason="row 7 is odd"), bad("b", reason="row 81 is odd"), bad("c", reason="row is even")],
        [], "shop.csv", incomplete=[bad(f"{n}", reason=f"picture '/data/{n}.png' is gone") for n in "xyz"],
    )
    assert [(n, reason, entry.item_id) for n, reason, entry in quarantine.summary()] == [
        (3, "picture '/data/x.png' is gone", "x"), (2, "row 7 is odd", "a"), (1, "row is even", "c"),
    ]


def test_rows_of_several_files_are_kept_with_the_file_that_each_came_from(quarantine, tmp_path):
    names = [f"{tmp_path}/{name}" for name in ("a.csv", "day=1/part.csv", "day=2/part.csv")]
    files = [Given(name, Path(name), hive(Path(name))[1]) for name in names]
    rows = [bad(line=Line(7, given)) for given in files] + [bad("x", Line(None, files[0]))]
    assert quarantine.merge(rows, [], "a.csv", None, whole=[]) == 4
    assert [(c["source"], c["folder"], c["line"]) for c in contents(quarantine)] == [
        *((name, str(tmp_path), 7) for name in names), (names[0], str(tmp_path), None),
    ]
    assert quarantine.merge([bad(line=Line(7, files[2]))], [], "a.csv", None, whole=files[1:]) == 3
    assert [c["source"] for c in contents(quarantine)] == [names[0], names[0], names[2]]
    assert quarantine.merge([], {"x"}, names[0], tmp_path, whole=True) == 1  # later read by itself


def test_there_is_no_file_without_rejections(quarantine):
    assert list(quarantine.entries()) == []
    assert quarantine.merge([], [], "shop.csv") == 0
    assert not quarantine.path.exists()
    quarantine.merge([bad("a")], [], "shop.csv")
    quarantine.merge([], {"a"}, "shop.csv")
    assert [path.name for path in quarantine.path.parent.iterdir()] == [LOCK]


def test_the_newest_rejection_of_an_item_stays_and_others_are_untouched(quarantine):
    quarantine.merge([bad("a", 1), bad("b", 2)], [], "one.csv")
    quarantine.merge([bad("a", 7, reason="newer")], {"c"}, "two.csv")
    assert [(c["item_id"], c["reason"], c["source"]) for c in contents(quarantine)] == [
        ("b", "too odd", "one.csv"), ("a", "newer", "two.csv"),
    ]


def test_rows_without_an_id_are_known_by_their_line(quarantine):
    quarantine.merge([bad(line=1), bad(line=2)], [], "one.csv")
    quarantine.merge([bad(line=1, reason="newer")], [], "one.csv")
    quarantine.merge([bad(line=1)], [], "two.csv")
    quarantine.merge([bad(row={"x": 1}), bad(row={"x": 1}), bad(row={"x": 2})], [], "frame")
    assert [(c["line"], c["source"], c["reason"]) for c in contents(quarantine)] == [
        (2, "one.csv", "too odd"), (1, "one.csv", "newer"), (1, "two.csv", "too odd"),
        (None, "frame", "too odd"), (None, "frame", "too odd"),
    ]


def test_an_item_both_taken_and_rejected_in_one_run_is_reported(quarantine):
    quarantine.merge([bad("a", 1, reason="older")], [], "one.csv")
    quarantine.merge([bad("a", 9)], {"a"}, "one.csv")
    assert [c["line"] for c in contents(quarantine)] == [9]


def test_a_mended_row_is_taken_at_the_retry_and_leaves(quarantine):
    quarantine.merge([bad("a", 1), bad("b", 2), bad(line=3)], [], "shop.csv")
    mend(quarantine, 0, added_at="2024-05-01")
    mend(quarantine, 2, item_id="c", added_at=None)
    a, b, c = quarantine.retry_rows()
    assert (a.item_id, a.lost, c) == ("a", None, Item(item_id="c"))
    assert (b.item_id, b.lost.field, b.line) == ("b", "added_at", 2)
    assert quarantine.merge([], {"a", "c"}, None, incomplete=[b.lost]) == 1
    (left,) = contents(quarantine)
    assert (left["item_id"], left["source"], left["line"]) == ("b", "shop.csv", 2)
    assert "ISO 8601" in left["reason"]


def test_a_retry_without_mending_loses_and_doubles_nothing(quarantine):
    without_row = Rejection(item_id="d", reason="picture is damaged")
    rows = [bad("a", 1), bad(line=2), bad(line=3, row={}), without_row]
    quarantine.merge(rows, [], "shop.csv")
    for _ in range(2):
        again = list(quarantine.retry_rows())
        (a,) = [row for row in again if isinstance(row, Item)]
        again.remove(a)
        assert quarantine.merge(again, [], None, incomplete=[a.lost]) == 4
    assert {c["source"] for c in contents(quarantine)} == {"shop.csv"}
    assert [c["reason"] for c in contents(quarantine) if c["item_id"] == "d"] == ["picture is damaged"]


def test_an_id_mended_wrongly_is_still_one_entry(quarantine):
    quarantine.merge([bad("a\n", 1)], [], "shop.csv")
    mend(quarantine, 0, item_id="a")
    (still,) = quarantine.retry_rows()
    assert quarantine.merge([], [], None, incomplete=[still.lost]) == 1
    assert [(c["item_id"], c["line"]) for c in contents(quarantine)] == [("a", 1)]


def test_a_line_damaged_by_hand_is_reported_and_kept_word_for_word(quarantine):
    damaged = b'{"item_id": "x", "row": {"item_id": "x",}} \xff'
    quarantine.path.write_bytes(b"\n" + damaged + b"\n")
    (row,) = quarantine.retry_rows()
    assert "line 2 of the quarantine" in row.reason
    assert quarantine.merge([row], {"x"}, None) == 1
    quarantine.merge([bad("a")], {"x"}, "shop.csv")
    assert quarantine.path.read_bytes().splitlines()[0] == damaged


@pytest.mark.parametrize("line", ['{}', '{"row": 5, "line": "x"}', '{"item_id": [], "row": {"item_id": {}}}'])
def test_a_line_with_odd_parts_is_a_rejection(quarantine, line):
    quarantine.path.write_text(line + "\n")
    (row,) = quarantine.retry_rows()
    assert isinstance(row, Rejection)
    assert quarantine.merge([row], [], None) == 1
    assert quarantine.path.read_text() == line + "\n"


def test_rows_that_no_utf8_can_say_are_kept(quarantine):
    quarantine.merge([bad("a", row={"item_id": "a", "text": {"t": "\ud800"}})], [], "shop.csv")
    assert contents(quarantine)[0]["row"]["text"] == {"t": "\ud800"}


MERGE_MANY = """
import sys
from pathlib import Path
from ingest.quarantine import Quarantine
from mmrec.errors import Rejection
path, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for n in range(first, first + count):
    Quarantine(path).merge([Rejection(reason="of no use", item_id=f"i{n}", line=n)], [], "shop.csv")
"""


def merge_many(path, first, count):
    """Merges one new rejection after the other."""
    for n in range(first, first + count):
        Quarantine(path).merge([bad(f"i{n}", n)], [], "shop.csv")


def test_threads_that_merge_at_once_lose_nothing(quarantine):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: merge_many(quarantine.path, 25 * n, 25), range(4)))
    assert quarantine.ids() == {f"i{n}" for n in range(100)}


def test_processes_that_merge_at_once_lose_nothing(quarantine):
    command = [sys.executable, "-c", MERGE_MANY, str(quarantine.path)]
    programs = [subprocess.Popen([*command, first, "60"]) for first in ("0", "60")]
    assert [program.wait() for program in programs] == [0, 0]
    assert quarantine.ids() == {f"i{n}" for n in range(120)}


def test_a_merge_waits_for_the_one_before(quarantine, monkeypatch):
    """One merge stands still between its reading and its writing: the other one must not read meanwhile."""
    read, go_on, write = threading.Event(), threading.Event(), Quarantine._write

    def slow_write(self, lines):
        read.set()
        assert go_on.wait(60)
        write(self, lines)

    monkeypatch.setattr(Quarantine, "_write", slow_write)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(quarantine.merge, [bad("a")], [], "one.csv")
        assert read.wait(60)
        second = pool.submit(Quarantine(quarantine.path).merge, [bad("b")], [], "two.csv")
        go_on.set()
        assert (first.result(60), second.result(60)) == (1, 2)
    assert quarantine.ids() == {"a", "b"}


def test_a_lock_that_cannot_be_made_is_our_error(tmp_path):
    (tmp_path / LOCK).mkdir()
    with pytest.raises(DataError, match="cannot lock"):
        Quarantine(tmp_path / "quarantine.jsonl").merge([bad("a")], [], "shop.csv")


def test_the_lock_is_no_foreign_file_to_a_new_store(tmp_path, open_shop):
    Quarantine(tmp_path / "shop.mmrec" / "quarantine.jsonl").merge([], [], "shop.csv")
    with open_shop("shop.mmrec") as shop:
        assert (shop.path / LOCK).exists()
        assert shop.doctor()["healthy"]


@pytest.fixture
def feed(tmp_path, picture):
    """A feed's folder with a picture inside, and one beside it."""
    picture("feed/in.png", "red")
    picture("out.png", "blue")
    return tmp_path / "feed"


def pictured(path):
    return bad("a", row={"item_id": "a", "image": str(path)})


def test_a_retry_asks_again_for_the_permission_that_a_picture_needs(quarantine, feed):
    quarantine.merge([pictured(feed / "../out.png")], [], "shop.csv", feed)
    for _ in range(2):
        (still,) = quarantine.retry_rows()
        assert "--image-root" in still.images[0].reason
        lost = rejected(DataError(still.images[0].reason, field="image"), item_as_dict(still))
        quarantine.merge([], [], None, incomplete=[lost])
        assert contents(quarantine)[0]["part"]
        assert contents(quarantine)[0]["folder"] == str(feed)
    for allowed in ({"image_root": feed.parent}, {"allow_outside": True}):
        (item,) = quarantine.retry_rows(**allowed)
        assert item.images == (str(feed / "../out.png"),)


def test_a_retry_takes_pictures_of_the_source_and_those_that_were_downloaded(quarantine, feed, picture):
    fetched = picture(f"{DOWNLOADS}/fetched.png", "green")
    quarantine.merge([pictured(feed / "in.png"), bad("b", row={"item_id": "b", "image": str(fetched)})], [],
                     "shop.csv", feed)
    assert [item.images for item in quarantine.retry_rows()] == [(str(feed / "in.png"),), (str(fetched),)]


def test_a_retry_knows_no_folder_of_a_row_that_came_without(quarantine, feed):
    quarantine.merge([pictured(feed / "in.png")], [], "shop.csv")
    (row,) = quarantine.retry_rows()
    assert isinstance(row.images[0], Refused)
    (row,) = quarantine.retry_rows(image_root=feed)
    assert not isinstance(row.images[0], Refused)


def test_a_file_that_cannot_be_read_is_our_error(tmp_path):
    (tmp_path / "quarantine.jsonl").mkdir()
    with pytest.raises(DataError, match="cannot read"):
        Quarantine(tmp_path / "quarantine.jsonl").merge([bad("a")], [], "shop.csv")
