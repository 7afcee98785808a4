"""Several sources in one command: files, patterns, folders of parts, standard input, and addresses."""

from __future__ import annotations

import gzip
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import fetch
from ingest.read import Manner, open_several
from ingest.sources import Columns, open_logs, open_source, several
from ingest.sources.several import Given, Line, alike, hive, joined, local, sources_of
from mmrec import Item, Recommender
from mmrec.data.files import write_items
from mmrec.errors import DataError, Rejection

HEADER = "id,title,price\n"


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(*names: object, **manner: Any) -> tuple[dict[str, Item], list[Rejection], dict[str, str], list[str]]:
    """What several sources hold: items, rejections, what cannot be read, and notes."""
    unread: dict[str, str] = {}
    opened = open_several(sources_of([str(name) for name in names], unread=unread), Manner(**manner), unread)
    rows = list(opened.rows)
    items = {row.item_id: row for row in rows if isinstance(row, Item)}
    return items, [row for row in rows if isinstance(row, Rejection)], unread, list(opened.notes)


def test_patterns_name_files_in_order_and_none_comes_twice(tmp_path: Path) -> None:
    for name in ("part-2.csv", "part-1.csv", "a[1].csv"):
        written(tmp_path / name, HEADER)
    found = sources_of([str(tmp_path / name) for name in ("part-2.csv", "part-*.csv", "a[1].csv")])
    assert [one.path.name for one in found] == ["part-2.csv", "part-1.csv", "a[1].csv"]
    with pytest.raises(DataError, match="no file fits"):
        sources_of([str(tmp_path / "z*.csv")])


def test_like_files_are_one_table_and_rejections_know_their_file(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", f"{HEADER}a,Lamp,1\n")
    for n in (1, 2):
        written(tmp_path / f"part-{n}.csv", f"{HEADER}p{n},Cup,2\nq{n},Jug,x,y\n")
    items, bad, unread, _ = read(tmp_path / "a.csv", tmp_path / "part-*.csv")
    assert [(item_id, f"{item.line}") for item_id, item in items.items()] == [
        ("a", "2 of a.csv"), ("p1", "2 of part-1.csv"), ("p2", "2 of part-2.csv"),
    ]
    assert [f"{row.line}" for row in bad] == ["3 of part-1.csv", "3 of part-2.csv"]
    assert unread == {}


def test_what_a_column_holds_is_seen_from_all_files_of_one_table(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", "id,made\na,03/04/2024\n")
    written(tmp_path / "b.csv", "id,made\nb,13/04/2024\n")
    items, *_ = read(tmp_path / "a.csv", tmp_path / "b.csv")
    assert items["a"].attributes["made"].isoformat() == "2024-04-03T00:00:00+00:00"


def test_files_that_are_written_otherwise_or_have_other_columns_are_read_alone(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", f"{HEADER}a,Lamp,1.50\n")
    written(tmp_path / "b.csv", 'id;title;price\nb;Cup;"2,50"\n')
    written(tmp_path / "c.csv", "sku,name,brand\nc,Jug,Acme\n")
    written(tmp_path / "d.json", json.dumps([{"id": "d", "title": "Pan", "price": 3}]))
    write_items(tmp_path / "e.jsonl", [Item(item_id="e", text={"title": "Pot"})])
    write_items(tmp_path / "f.parquet", [Item(item_id="f", text={"title": "Lid"})])
    items, bad, unread, notes = read(*sorted(tmp_path.iterdir()))
    assert (bad, unread) == ([], {})
    assert {item_id: item.title for item_id, item in items.items()} == {
        "a": "Lamp", "b": "Cup", "c": "Jug", "d": "Pan", "e": "Pot", "f": "Lid",
    }
    assert [items[item_id].attributes["price"] for item_id in "abd"] == [1.5, 2.5, 3]
    files = {f"{item.line}".split(" of ")[1] for item in items.values()}
    assert files == {path.name for path in tmp_path.iterdir()}
    assert any("b.csv: delimiter ';'" in note for note in notes)


@pytest.mark.parametrize(("content", "words"), [
    (b"%PDF-1.7", "a PDF"), (b"", "empty"), (b"sku;title\n", "no rows"), (None, "not there"),
    (gzip.compress((HEADER + "".join(f"z{n},Tub,1\n" for n in range(40_000))).encode())[:-900], "damaged"),
])
def test_one_that_cannot_be_read_is_named_and_the_others_go_in(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    written(tmp_path / "a.csv", f"{HEADER}a,Lamp,1\n")
    written(tmp_path / "c.csv", f"{HEADER}c,Jug,1\n")
    bad = tmp_path / "b.csv"
    if content is not None:
        written(bad, content)
    items, _, unread, _ = read(tmp_path / "a.csv", bad, tmp_path / "c.csv")
    assert {"a", "c"} <= items.keys()
    assert list(unread) == [str(bad)]
    assert words in unread[str(bad)]
    with pytest.raises(DataError, match=words):
        list(open_several(sources_of([str(tmp_path / "a.csv"), str(bad)]), Manner(), None).rows)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_part_without_rows_is_a_part(tmp_path: Path, order: str) -> None:
    written(tmp_path / f"{order[0]}.csv", HEADER)
    written(tmp_path / f"{order[1]}.csv", f"{HEADER}a,Lamp,1\n")
    items, _, unread, _ = read(tmp_path / "*.csv")
    assert (list(items), unread) == (["a"], {})


def test_none_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)x.csv is not there.*y.csv is not there"):
        read(tmp_path / "x.csv", tmp_path / "y.csv")


def test_named_columns_must_be_in_each_table(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", "sku,title\na,Lamp\n")
    written(tmp_path / "b.csv", "code;name;brand;size\nb;Cup;Acme;1\n")
    items, _, unread, _ = read(tmp_path / "a.csv", tmp_path / "b.csv", columns=Columns(id="sku"))
    assert list(items) == ["a"]
    assert "no column 'sku'" in unread[str(tmp_path / "b.csv")]


def test_pictures_lie_beside_their_own_file_and_nowhere_above(
    tmp_path: Path, picture: Callable[[str, str], Path]
) -> None:
    for name in "ab":
        written(tmp_path / name / "x.csv", f"id,title,image\n{name},Cup,pic.png\nu{name},Jug,../out.png\n")
        picture(f"{name}/pic.png", "red")
    picture("out.png", "blue")
    items, *_ = read(tmp_path / "a" / "x.csv", tmp_path / "b" / "x.csv")
    assert [items[name].images for name in "ab"] == [(str(tmp_path / name / "pic.png"),) for name in "ab"]
    assert all("--allow-outside" in items[f"u{name}"].images[0].reason for name in "ab")


def test_partitions_of_hive_are_columns_of_a_folder_of_files_and_of_one_file(tmp_path: Path) -> None:
    for year in (2023, 2024):
        file = tmp_path / "shop" / f"year={year}" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(pa.table({"id": [f"h{year}"], "title": ["Chair"]}), file)
    expected = {f"h{year}": {"year": year} for year in (2023, 2024)}
    items, *_ = read(tmp_path / "shop" / "year=*" / "*.parquet")
    assert {item_id: dict(item.attributes) for item_id, item in items.items()} == expected
    folder = open_source(tmp_path / "shop")
    assert {row["item_id"]: row["attributes"] for row in folder} == expected
    (row,) = open_source(tmp_path / "shop" / "year=2023" / "part-0.parquet")
    assert row["attributes"] == {"year": 2023}
    assert hive(Path("/x/a=1/b=__HIVE_DEFAULT_PARTITION__/c.csv")) == ({"a": "1", "b": None}, Path("/x"))


@given(parts=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), min_size=1, max_size=5))
def test_joined_files_are_their_records_in_order(tmp_path: Path, parts: list[list[int]]) -> None:
    files = [
        local(written(tmp_path / f"{n}.csv", "id,size\n" + "".join(f"{n}-{cell},{cell}\n" for cell in cells)))
        for n, cells in enumerate(parts)
    ]
    (group,) = alike(files, None, None)
    file = joined(group)
    for _ in range(2):
        assert [(record.cells["id"], record.line, record.line.given) for record in file.records()] == [
            (f"{n}-{cell}", line, files[n])
            for n, cells in enumerate(parts) for line, cell in enumerate(cells, 2)
        ]


def test_a_line_is_a_number_that_names_its_file() -> None:
    line = Line(1_234, Given("feeds/b.csv", Path("feeds/b.csv"), None))
    assert (line, f"line {line}", f"{line:,}") == (1_234, "line 1234 of b.csv", "1,234 of b.csv")
    assert json.dumps({"line": line}) == '{"line": 1234}'
    assert not Line(None, line.given)


# through the command


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "shop.mmrec"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return written(tmp_path / "toy.toml", 'text_encoder = "toy"\nimage_encoder = "toy"\n')


@pytest.fixture(autouse=True)
def _unread_input() -> None:
    several.piped.cache_clear()


def test_several_files_go_in_by_one_command_and_the_rest_is_told(
    mmrec: Callable[..., Any], store: Path, toy: Path, tmp_path: Path
) -> None:
    written(tmp_path / "a.csv", f"{HEADER}a,Lamp,1\n,Cup,2\n")
    written(tmp_path / "b.csv", f"{HEADER}b,Jug,1\n,Pot,2\n")
    written(tmp_path / "c.csv", b"%PDF-1.7")
    names = [tmp_path / "[abc].csv", tmp_path / "absent.csv"]
    done = mmrec("ingest", store, *names, "--config", toy)
    assert done.exit_code == 3
    said = json.loads(done.stdout)
    assert (said["added"], said["rejected"]) == (2, 2)
    assert f"read {tmp_path}/a.csv and 1 more as a table (CSV): id 'id'; text 'title'" in done.stderr
    assert "rejected line 3 of b.csv" in done.stderr
    assert f"not read, or not to its end: {tmp_path}/c.csv: " in done.stderr
    assert f"not read, or not to its end: {tmp_path}/absent.csv: " in done.stderr
    kept = [json.loads(line) for line in (store / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["source"], row["line"]) for row in kept] == [(f"{tmp_path}/{n}.csv", 3) for n in "ab"]
    written(tmp_path / "b.csv", f"{HEADER}b,Jug,1\nb2,Pot,2\n")
    assert mmrec("ingest", store, tmp_path / "b.csv").exit_code == 0  # mended, and read by itself
    kept = [json.loads(line) for line in (store / "quarantine.jsonl").read_text().splitlines()]
    assert [row["source"] for row in kept] == [f"{tmp_path}/a.csv"]
    written(tmp_path / "a.csv", f"{HEADER}a,Lamp,1\n")
    assert mmrec("ingest", store, tmp_path / "a.csv", tmp_path / "b.csv").exit_code == 0
    assert not (store / "quarantine.jsonl").exists()


def test_strict_stops_at_a_file_that_cannot_be_read_and_at_a_row_by_its_file(
    mmrec: Callable[..., Any], store: Path, toy: Path, tmp_path: Path
) -> None:
    written(tmp_path / "a.csv", f"{HEADER}a,Lamp,1\n")
    written(tmp_path / "b.csv", f"{HEADER},Pot,2\n")
    done = mmrec("ingest", store, tmp_path / "a.csv", tmp_path / "absent.csv", "--strict", "--config", toy)
    assert (done.exit_code, store.exists()) == (1, False)
    done = mmrec("ingest", store, tmp_path / "a.csv", tmp_path / "b.csv", "--strict", "--config", toy)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: line 2 of b.csv: ")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet", "xml", "items.parquet"])
def test_standard_input_is_any_format_and_its_pictures_lie_where_one_works(
    mmrec: Callable[..., Any], store: Path, toy: Path, tmp_path: Path,
    picture: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, kind: str,
) -> None:
    picture("photos/a.png", "red")
    monkeypatch.chdir(tmp_path)
    row = {"id": "a", "title": "Red mug", "image": "photos/a.png"}
    table = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
    if kind == "items.parquet":
        write_items(tmp_path / "x.parquet", [Item(item_id="a", text={"title": "x"}, image="photos/a.png")])
    else:
        pq.write_table(pa.table({name: [cell] for name, cell in row.items()}), tmp_path / "x.parquet")
    content = {
        "csv": table.encode(), "csv.gz": gzip.compress(table.encode()), "jsonl": json.dumps(row).encode(),
        "parquet": (tmp_path / "x.parquet").read_bytes(),
        "items.parquet": (tmp_path / "x.parquet").read_bytes(),
        "xml": ("<feed>" + 2 * ("<product>" + "".join(f"<{n}>{c}</{n}>" for n, c in row.items())
                                + "</product>") + "</feed>").encode(),
    }[kind]
    done = mmrec("ingest", store, "-", "--config", toy, stdin=content)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("read - as ")
    with Recommender.open(store) as shop:
        assert shop.get(["a"])[0].images == (str(tmp_path / "photos" / "a.png"),)


def test_an_address_is_downloaded_if_that_is_allowed_and_refused_by_the_name_of_the_flag_if_not(
    mmrec: Callable[..., Any], store: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://shop.example/feed.csv?key=1"
    refused = mmrec("ingest", store, address, "--config", toy)
    assert (refused.exit_code, store.exists()) == (1, False)
    assert f"{address} is an address: allow its download by --allow-urls" in refused.stderr

    def download(asked: str, file: Any, *_: Any, accept: str) -> None:
        assert (asked, accept) == (address, "*/*")
        file.write(f"{HEADER},Lamp,1\nb,Cup,/etc/passwd\n".encode())

    monkeypatch.setattr(fetch, "_download", download)
    done = mmrec("ingest", store, address, "--config", toy, "--allow-urls")
    assert (done.exit_code, json.loads(done.stdout)["added"]) == (3, 1)
    (kept,) = [json.loads(line) for line in (store / "quarantine.jsonl").read_text().splitlines()]
    assert (kept["source"], kept["folder"], kept["line"]) == (address, None, 2)
    assert mmrec("ingest", store, "--retry").exit_code == 3


def test_a_log_of_several_files_is_one_log(
    mmrec: Callable[..., Any], tmp_path: Path, shop: Recommender
) -> None:
    shop.ingest([Item(item_id=i, text={"title": i}) for i in ("cup", "jug")])
    written(tmp_path / "a.csv", "user,item,date\nu,cup,03/04/2024\n,cup,\n")
    written(tmp_path / "b.csv", "user,item,date\nu,jug,13/04/2024\n")
    written(tmp_path / "c.csv", b"\x89PNG")
    done = mmrec("record", shop.path, tmp_path / "[abc].csv")
    assert (done.exit_code, json.loads(done.stdout)) == (3, {"added": 2, "unchanged": 0, "rejected": 1})
    assert "rejected line 3 of a.csv" in done.stderr
    assert f"not read, or not to its end: {tmp_path}/c.csv" in done.stderr
    acts = [f"{act.time:%d.%m.} {act.item_id}" for act in shop.interactions("u")]
    assert acts == ["03.04. cup", "13.04. jug"]
    assert mmrec("record", shop.path, tmp_path / "none*.csv").exit_code == 1


def test_a_folder_of_parts_is_a_log_and_so_is_standard_input(
    mmrec: Callable[..., Any], tmp_path: Path, shop: Recommender
) -> None:
    for day in (1, 2):
        written(tmp_path / "log" / f"day={day}" / "part-0.csv", f"user_id,item_id\nu,cup{day}\n")
    assert json.loads(mmrec("record", shop.path, tmp_path / "log").stdout)["added"] == 2
    content = gzip.compress(b"user_id,item_id\nv,cup\n")
    assert json.loads(mmrec("record", shop.path, "-", stdin=content).stdout)["added"] == 1
    assert len(open_logs([local(tmp_path / "log")])) == 1


def test_parts_without_a_byte_are_no_parts(
    mmrec: Callable[..., Any], tmp_path: Path, store: Path, toy: Path
) -> None:
    for number, rows in enumerate(("a,Lamp,1\n", "b,Mug,2\n")):
        written(tmp_path / "out" / f"part-{number}.csv", f"id,title,price\n{rows}")
    written(tmp_path / "out" / "part-2.csv", "")
    written(tmp_path / "out" / "part-3.csv", "id,title,price\n")
    done = mmrec("ingest", store, tmp_path / "out", "--config", toy)
    assert (done.exit_code, json.loads(done.stdout)["added"]) == (0, 2), done.stderr
    written(tmp_path / "none" / "part-0.csv", "")
    assert "is empty" in mmrec("ingest", store, tmp_path / "none").stderr


# what to try next


def tried(done: Any) -> list[list[str]]:
    """The commands that were printed, as a shell takes them apart."""
    _, _, commands = done.stderr.partition("try next:\n")
    return [shlex.split(line)[1:] for line in commands.splitlines()]


ROWS = [
    {"item_id": "a", "text": {"title": "Red mug"}},
    {"item_id": "-5", "text": {"title": "-20% it's $HOME off"}},
    {"item_id": "--k", "text": {"title": '"quoted" `id` \\ *'}},
    {"item_id": "a b;c", "text": {"name": "山 茶"}}, {"item_id": "p", "image": "a.png"},
    {"item_id": "n", "attributes": {"price": 5}},
    {"item_id": "s", "text": {"title": "!!!"}}, {"item_id": "--help", "text": {"title": "--help"}},
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["item_id"])
def test_each_command_to_try_next_works(
    mmrec: Callable[..., Any], store: Path, toy: Path, tmp_path: Path, picture: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch, row: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("a.png", "red")
    written(tmp_path / "items.jsonl", json.dumps(row))
    done = mmrec("ingest", store, "items.jsonl", "--config", toy)
    commands = tried(done)
    assert [command[0] for command in commands] == ["search", "similar", "gallery"]
    assert row["item_id"] in commands[1]
    for command in commands:
        ran = mmrec(*command)
        assert ran.exit_code == 0, f"{command}: {ran.output}"
    found = [json.loads(line)["item_id"] for line in mmrec(*commands[0]).stdout.splitlines()]
    wordy = any(map(str.isalnum, "".join(row.get("text", {}).values())))
    assert found == [row["item_id"]] * wordy
    assert (tmp_path / "page.html").stat().st_size > 1000


@settings(max_examples=15)
@given(
    title=st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1, max_size=40),
    item_id=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Z")), min_size=1, max_size=20),
)
def test_any_title_and_id_can_be_copied_from_the_screen(
    mmrec: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, title: str, item_id: str
) -> None:
    folder = tmp_path_factory.mktemp("shop")
    settings_ = written(folder / "toy.toml", 'text_encoder = "toy"\nimage_encoder = "toy"\n')
    written(folder / "items.jsonl", json.dumps({"item_id": item_id, "text": {"title": title}}))
    done = mmrec("ingest", folder / "it's a.mmrec", folder / "items.jsonl", "--config", settings_)
    for command in tried(done)[:2]:
        ran = mmrec(*command)
        assert ran.exit_code == 0, f"{command}: {ran.output}"


def test_nothing_is_to_be_tried_where_nothing_went_in(
    mmrec: Callable[..., Any], store: Path, toy: Path, tmp_path: Path
) -> None:
    written(tmp_path / "a.csv", f"{HEADER},Lamp,1\n")
    done = mmrec("ingest", store, tmp_path / "a.csv", "--config", toy)
    assert (done.exit_code, "try next" in done.stderr) == (3, False)
