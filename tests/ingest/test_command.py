"""`mmrec ingest` and `mmrec record`: every row accounted for, on screen, on disk and in the exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmrec import Interaction, Item, Recommender
from mmrec.data.files import write_interactions, write_items


@pytest.fixture
def toy(tmp_path):
    """Settings of a shop on toy encoders, as a file."""
    path = tmp_path / "toy.toml"
    path.write_text('text_encoder = "toy"\nimage_encoder = "toy"\n[weights]\nprice = 0.5\n')
    return path


@pytest.fixture
def store(tmp_path):
    return tmp_path / "shop.mmrec"


@pytest.fixture
def table(tmp_path, picture):
    """A table of five products under names of its own; the third lacks its picture, the fourth a date."""
    for name, colour in (("a", "red"), ("b", "blue"), ("e", "green")):
        picture(f"photos/{name}.png", colour)
    path = tmp_path / "shop.csv"
    path.write_text(
        "sku;name;photo;cost;kind;since\n"
        "a;Red mug;photos/a.png;9.5;mug;2024-05-01\n"
        "b;Blue lamp;photos/b.png;30;lamp;2024-05-02\n"
        "c;Red cup;photos/absent.png;4;mug;2024-05-03\n"
        "d;Blue chair;;12.5;chair;2024-05-04;more\n"
        "e;Green sofa;photos/e.png;99;sofa;2024-05-05\n"
    )
    return path


@pytest.fixture
def mapped(mmrec, store, table, toy):
    """Ingests the table with a mapping of its columns."""

    def run(*more):
        return mmrec(
            "ingest", store, table, "--config", toy, "--format", "table", "--id", "sku", "--text", "name",
            "--image", "photo", "--attributes", "cost,kind", "--added-at", "since", *more,
        )

    return run


def report(result, code=0):
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def counts(result, code=0):
    said = report(result, code)
    return tuple(said[name] for name in ("added", "updated", "unchanged", "rejected"))


def quarantined(store):
    return [json.loads(line) for line in (store / "quarantine.jsonl").read_text().splitlines()]


def mend(store, item_id, change):
    rows = quarantined(store)
    for row in rows:
        if row["item_id"] == item_id:
            change(row["row"])
    (store / "quarantine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_canonical_file_is_taken_whole(mmrec, store, tmp_path, toy, red_blue):
    write_items(tmp_path / "items.jsonl", red_blue)
    result = mmrec("ingest", store, tmp_path / "items.jsonl", "--config", toy)
    said = report(result)
    assert {**said, "seconds": 0} == {
        "added": 8, "updated": 0, "unchanged": 0, "rejected": 0, "encoder_calls": 12, "seconds": 0,
        "without_picture": 0, "incomplete": 0,
    }
    assert result.stderr.startswith(f"read {tmp_path}/items.jsonl as mmrec's own format\n")
    assert "rejected" not in result.stderr
    assert len(Recommender.open(store)) == 8


def test_the_same_file_again_costs_nothing(mmrec, store, tmp_path, toy, red_blue):
    write_items(tmp_path / "items.jsonl", red_blue)
    mmrec("ingest", store, tmp_path / "items.jsonl", "--config", toy)
    again = mmrec("ingest", store, tmp_path / "items.jsonl")  # the store keeps its settings
    assert counts(again) == (0, 0, 8, 0)
    assert report(again)["encoder_calls"] == 0


def test_a_table_with_a_mapping_and_settings(mapped, store):
    result = mapped()
    assert counts(result, 3) == (4, 0, 0, 1)
    assert report(result, 3)["without_picture"] == 1
    assert "warning: 4 taken, of them 1 without their picture" in result.stderr
    assert [result.stderr.count(f"{word} line ") for word in ("without", "rejected")] == [1, 1]
    assert "--retry" in result.stderr
    shop = Recommender.open(store)
    assert (dict(shop.get(["c"])[0].text), shop.get(["c"])[0].images) == ({"name": "Red cup"}, ())
    (item,) = shop.get(["a"])
    assert (dict(item.text), item.attributes["kind"]) == ({"name": "Red mug"}, "mug")
    assert [r.item_id for r in shop.recommend(where="cost > 20", k=5)] == ["e", "b"]
    assert shop.config.weights == {"price": 0.5}


def test_rejected_rows_are_in_the_quarantine_with_all_that_mends_them(mapped, store, table):
    said = report(mapped(), 3)
    assert said["quarantine"] == str(store / "quarantine.jsonl")
    by_id = {row["item_id"]: row for row in quarantined(store)}
    assert {i: (r["field"], r["line"], r["source"]) for i, r in by_id.items()} == {
        "c": ("image", 4, str(table)), "d": (None, 5, str(table)),
    }
    assert [by_id[item_id]["part"] for item_id in "cd"] == [True, False]
    assert "absent.png" in by_id["c"]["reason"]
    assert by_id["c"]["row"]["text"] == {"name": "Red cup"}


def test_an_odd_value_of_a_canonical_row_waits_in_the_quarantine_while_its_item_is_taken(
    mmrec, store, tmp_path, toy
):
    rows = [
        {"item_id": "a", "text": {"title": "red mug"}, "attributes": {"price": {"eur": 1}, "size": 2}},
        {"item_id": "b", "text": {"title": "red mug"}, "added_at": "soon", "image": "absent.png"},
        {"item_id": "c", "text": {"title": "red mug"}},
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    strict = mmrec("ingest", store, tmp_path / "items.jsonl", "--config", toy, "--strict")
    assert strict.exit_code == 1
    assert "line 1: item 'a': attribute 'price' must be" in strict.stderr
    result = mmrec("ingest", store, tmp_path / "items.jsonl", "--config", toy)
    said = report(result)
    assert (counts(result), said["without_picture"], said["incomplete"]) == ((3, 0, 0, 0), 1, 2)
    lacks = "of them 1 without their picture, 1 without another part that cannot be used"
    assert f"warning: 3 taken, {lacks}" in result.stderr
    waiting = quarantined(store)
    assert [(row["item_id"], row["field"], row["line"], row["part"]) for row in waiting] == [
        ("a", "price", 1, True), ("b", "image", 2, True)]
    assert [row["row"] for row in waiting] == [rows[0], rows[1] | {"image": str(tmp_path / "absent.png")}]
    assert "taken without price" in mmrec("quarantine", store).stdout
    mend(store, "a", lambda row: row["attributes"].update(price=1.5))
    assert counts(mmrec("ingest", store, "--retry")) == (0, 1, 1, 0)
    assert [row["item_id"] for row in quarantined(store)] == ["b"]
    assert Recommender.open(store).get(["a"])[0].attributes == {"price": 1.5, "size": 2}


def test_mended_rows_are_taken_at_the_retry_and_leave_the_quarantine(mmrec, mapped, store, table):
    mapped()
    mend(store, "d", lambda row: row.update(added_at="2024-05-04"))
    half = mmrec("ingest", store, "--retry")
    assert (counts(half), report(half)["without_picture"]) == ((1, 0, 1, 0), 1)
    assert [(row["item_id"], row["part"], row["line"]) for row in quarantined(store)] == [("c", True, 4)]
    mend(store, "c", lambda row: row.update(image=str(table.parent / "photos" / "a.png")))
    result = mmrec("ingest", store, "--retry")
    assert counts(result) == (0, 1, 0, 0)
    assert not (store / "quarantine.jsonl").exists()
    assert len(Recommender.open(store)) == 5
    assert Recommender.open(store).get(["d"])[0].added_at.day == 4
    assert counts(mmrec("ingest", store, "--retry")) == (0, 0, 0, 0)


def test_a_row_mended_in_its_source_leaves_the_quarantine_too(mapped, store, table):
    mapped()
    table.write_text(table.read_text().replace(";more", ""))
    assert counts(mapped()) == (1, 0, 4, 0)
    assert [row["item_id"] for row in quarantined(store)] == ["c"]
    table.write_text(table.read_text().replace("absent", "a"))
    assert counts(mapped()) == (0, 1, 4, 0)
    assert not (store / "quarantine.jsonl").exists()


@pytest.mark.parametrize("spelt", [str, lambda path: path.parent / ".." / path.parent.name / path.name])
def test_a_row_without_an_id_leaves_when_its_source_is_mended(mmrec, store, toy, tmp_path, spelt):
    path = tmp_path / "shop.csv"
    path.write_text("sku,title\n,Red mug\nb,Blue lamp\n,Cup\n")
    assert counts(mmrec("ingest", store, path, "--config", toy, "--id", "sku"), 3) == (1, 0, 0, 2)
    path.write_text("sku,title\na,Red mug\nb,Blue lamp\n,Cup\n")
    assert counts(mmrec("ingest", store, spelt(path), "--id", "sku"), 3) == (1, 0, 1, 1)
    assert [row["line"] for row in quarantined(store)] == [4]
    (tmp_path / "other.csv").write_text("sku,title\nd,Plate\n")
    mmrec("ingest", store, tmp_path / "other.csv", "--id", "sku")
    assert [row["line"] for row in quarantined(store)] == [4]
    path.write_text("sku,title\na,Red mug\nb,Blue lamp\nc,Cup\n")
    assert counts(mmrec("ingest", store, path, "--id", "sku")) == (1, 0, 2, 0)
    assert not (store / "quarantine.jsonl").exists()


def test_the_quarantine_is_listed_by_reason(mmrec, mapped, store, table):
    assert mmrec("quarantine", store).exit_code == 1  # there is no store
    table.write_text(table.read_text() + "f;Red hat;photos/gone.png;7;hat;2024-05-06\n")
    mapped()
    listed = mmrec("quarantine", store)
    first, second = listed.stdout.splitlines()
    assert listed.exit_code == 0
    assert first.startswith(f"2 taken without picture, such as c line 4 of {table}: picture ")
    assert second.startswith(f"1 rejected for the row, such as d line 5 of {table}: the row has 7 cells")
    mapped("--allow-outside")
    for row in quarantined(store):
        mend(store, row["item_id"], lambda row: row.update(image=None, added_at=None))
    assert mmrec("ingest", store, "--retry").exit_code == 0
    assert mmrec("quarantine", store).stdout == "nothing waits in the quarantine\n"


def test_strict_stops_at_the_first_bad_row_and_keeps_it(mapped, store):
    result = mapped("--strict")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: line 4: item 'c'")
    assert len(Recommender.open(store)) == 2


def test_plain_is_a_sentence(mapped):
    result = mapped("--plain")
    assert result.exit_code == 3
    assert result.stdout.startswith("4 added, 0 updated, 0 unchanged, 1 rejected, ")
    assert "1 without picture" in result.stdout


def test_only_some_of_many_rejections_are_named_on_screen(mmrec, store, tmp_path, toy):
    lines = ['{"item_id": ""}'] * 30 + ['{"item_id": "a", "text": {"title": "mug"}}']
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    result = mmrec("ingest", store, tmp_path / "items.jsonl", "--config", toy, "--format", "items")
    assert counts(result, 3) == (1, 0, 0, 30)
    assert result.stderr.count("rejected line") == 5
    assert "25 more" in result.stderr


def test_a_folder_of_pictures(mmrec, store, tmp_path, toy, picture):
    for name, colour in (("x", "red"), ("y", "red"), ("z", "blue")):
        picture(f"photos/{name}.png", colour)
    assert counts(mmrec("ingest", store, tmp_path / "photos", "--config", toy)) == (3, 0, 0, 0)
    assert Recommender.open(store).similar("x", by="image", k=1)[0].item_id == "y"


def test_urls_are_off_unless_allowed(mmrec, store, tmp_path, toy):
    write_items(tmp_path / "items.jsonl", [Item(item_id="a", image="https://shop.example/a.png")])
    result = mmrec("ingest", store, tmp_path / "items.jsonl", "--config", toy)
    assert counts(result, 3) == (0, 0, 0, 1)
    assert "--allow-urls" in result.stderr


@pytest.fixture
def feed(tmp_path, picture):
    """A feed with one picture in its folder and one elsewhere on the machine."""
    picture("feed/in.png", "red")
    picture("private/out.png", "blue")
    path = tmp_path / "feed" / "feed.csv"
    path.write_text("id,title,photo\na,Red mug,in.png\nb,Blue lamp,../private/out.png\n")
    return path


def test_pictures_outside_the_folder_of_a_feed_are_refused_at_first_and_at_the_retry(mmrec, store, toy, feed):
    first = mmrec("ingest", store, feed, "--image", "photo", "--config", toy)
    assert counts(first) == (2, 0, 0, 0)
    assert "--image-root DIR or --allow-outside" in first.stderr
    assert Recommender.open(store).get(["b"])[0].images == ()  # nobody shows what may not be read
    assert counts(mmrec("ingest", store, "--retry")) == (0, 0, 1, 0)
    assert [(row["item_id"], row["folder"]) for row in quarantined(store)] == [("b", str(feed.parent))]
    allowed = mmrec("ingest", store, "--retry", "--image-root", feed.parent.parent / "private")
    assert counts(allowed) == (0, 1, 0, 0)
    assert mmrec("doctor", store).exit_code == 0


@pytest.mark.parametrize("allowed", [["--allow-outside"], ["--image-root", "private"]])
def test_pictures_outside_the_folder_of_a_feed_are_taken_if_allowed(
    mmrec, store, toy, feed, tmp_path, monkeypatch, allowed
):
    monkeypatch.chdir(tmp_path)
    assert counts(mmrec("ingest", store, feed, "--image", "photo", "--config", toy, *allowed)) == (2, 0, 0, 0)


@pytest.mark.parametrize("root", ["absent", "feed/feed.csv"])
def test_an_image_root_that_is_no_folder_is_wrong_use(mmrec, store, toy, feed, tmp_path, root):
    done = mmrec("ingest", store, feed, "--config", toy, "--image-root", tmp_path / root)
    assert (done.exit_code, done.stdout, store.exists()) == (2, "", False)


SECRET = "qxzjvwkqyz"


@pytest.mark.parametrize("start", [
    "", "BM", "GIF89a", "<html>", "%PDF-", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "II*\0", "RIFF0000WEBP",
])
def test_no_error_shows_what_a_file_holds_that_is_no_picture(mmrec, store, toy, tmp_path, start):
    (tmp_path / "secret.txt").write_bytes(start.encode("latin-1") + SECRET.encode())
    row = {"item_id": "a", "text": {"title": "mug"}, "image": "secret.txt"}
    (tmp_path / "items.jsonl").write_text(json.dumps(row))
    done = mmrec("ingest", store, tmp_path / "items.jsonl", "--config", toy)
    assert (counts(done), report(done)["without_picture"]) == ((1, 0, 0, 0), 1)
    told = done.output + (store / "quarantine.jsonl").read_text()
    assert not any(SECRET[i:i + 2] in told for i in range(len(SECRET) - 1))
    assert "b'" not in told


@pytest.mark.parametrize("arguments", [
    [], ["shop.csv", "--retry"], ["shop.csv", "--refresh-urls"], ["shop.csv", "--format", "excel"],
    ["shop.csv", "--smell", "good"],
])
def test_wrong_use_is_code_two_and_makes_no_store(mmrec, store, arguments):
    result = mmrec("ingest", store, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert not store.exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (["absent.csv"], "check the path"), (["{table}", "--id", "asin"], "has no column 'asin'"),
    (["{table}", "--config", "absent.toml"], "cannot read the settings"),
    (["{table}", "--config", "{bad}"], "Known settings"), (["{table}", "--delimiter", "long"], "delimiter"),
    (["{table}", "--format", "movielens"], ""), (["--retry"], "is no mmrec store"),
])
def test_an_error_is_one_line_and_makes_no_store(mmrec, store, table, tmp_path, arguments, message):
    (tmp_path / "bad.toml").write_text("smell = 1")
    names = {"table": table, "bad": tmp_path / "bad.toml"}
    result = mmrec("ingest", store, *(a.format(**names) for a in arguments))
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not store.exists()


def test_settings_that_name_another_encoder_are_refused(mmrec, mapped, store, table, tmp_path):
    mapped()
    (tmp_path / "other.toml").write_text('text_encoder = "all-MiniLM-L6-v2"')
    result = mmrec("ingest", store, table, "--config", tmp_path / "other.toml")
    assert result.exit_code == 1
    assert "ingest into a new store" in result.stderr


# interactions

@pytest.fixture
def clicks(tmp_path):
    path = tmp_path / "clicks.jsonl"
    write_interactions(path, [Interaction(user_id="u", item_id=i) for i in ("r0", "r1", "gone")])
    return path


def test_interactions_are_recorded_once(mmrec, shop, red_blue, clicks):
    shop.ingest(red_blue)
    assert report(mmrec("record", shop.path, clicks)) == {"added": 3, "unchanged": 0, "rejected": 0}
    assert report(mmrec("record", shop.path, clicks)) == {"added": 0, "unchanged": 3, "rejected": 0}
    assert {r.item_id for r in shop.recommend(user="u", k=2)} == {"r2", "r3"}
    assert mmrec("record", shop.path, clicks, "--plain").stdout.startswith("0 added, 3 unchanged")


def test_what_was_shown_is_recorded_by_its_format(mmrec, open_shop, tmp_path):
    shown = tmp_path / "shown.jsonl"
    rows = [{"user_id": "u1", "items": ["a", "b", "c"]}, {"user_id": "u2", "items": []}]
    shown.write_text("\n".join(json.dumps(row | {"time": "2026-05-01T12:00:00+00:00"}) for row in rows))
    with open_shop() as shop:
        result = mmrec("record", shop.path, shown, "--format", "impressions")
        told = json.loads(result.stdout)
        assert {name: told[name] for name in ("added", "unchanged", "rejected")} == {
            "added": 3, "unchanged": 0, "rejected": 1,
        }
        assert "1 to 1,000 ids that were shown" in result.stdout + result.stderr
        assert shop.behaviour.impressions.count() == 3
        absent = mmrec("record", shop.path, tmp_path / "no.jsonl", "--format", "impressions")
        assert absent.exit_code != 0
        assert "does not exist" in absent.stderr



def test_bad_interactions_are_rejected_and_code_three(mmrec, shop, clicks):
    bad = '{"user_id": "u"}\n{"user_id": "u", "item_id": "x", "weight": -1}\n'
    clicks.write_text(clicks.read_text() + bad)
    result = mmrec("record", shop.path, clicks)
    assert report(result, 3) == {"added": 3, "unchanged": 0, "rejected": 2}
    assert "line 4" in result.stderr
    assert "line 5" in result.stderr
    strict = mmrec("record", shop.path, clicks, "--strict")
    assert (strict.exit_code, strict.stdout) == (1, "")
    assert strict.stderr.startswith("error: line 4")


def test_recording_into_a_path_that_is_no_store_is_an_error_and_makes_none(mmrec, tmp_path, clicks):
    result = mmrec("record", tmp_path / "typo", clicks)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is no mmrec store" in result.stderr
    assert not (tmp_path / "typo").exists()


# as a program of its own

PROGRAM = Path(sys.executable).with_name("mmrec")


def test_the_installed_program_ingests_and_fails_in_one_line(store, table, toy, tmp_path):
    def run(*options):
        command = [PROGRAM, "ingest", store, table, "--id", "sku", "--added-at", "since", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("--config", toy)
    said = json.loads(done.stdout)
    assert (done.returncode, said["added"], said["rejected"]) == (3, 4, 1)
    assert "Traceback" not in done.stderr
    done = run("--config", tmp_path / "absent.toml")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


INTERRUPTED = """
import os, signal
from ingest import command
from mmrec import cli

accept = command._Run._accept

def accept_and_stop(run, item_ids):
    accept(run, item_ids)
    os.kill(os.getpid(), signal.SIGINT)  # as control C

command._Run._accept = accept_and_stop
cli.main()
"""


def test_control_c_keeps_what_was_stored_and_every_rejection(store, toy, tmp_path):
    """The program is stopped when the store has taken its first rows."""
    path = tmp_path / "items.jsonl"
    items = [json.dumps({"item_id": f"m{n}", "text": {"title": f"mug {n}"}}) for n in range(20_000)]
    bare = {"item_id": "bare", "text": {"title": "mug"}, "image": "absent.png"}
    path.write_text("\n".join(["{not json", json.dumps(bare), *items]))
    command = [sys.executable, "-c", INTERRUPTED, "ingest", store, path, "--config", toy, "--format", "items"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode not in (0, 3)
    assert (done.stdout, "Traceback" in done.stderr) == ("", False)
    assert [(row["line"], row["item_id"], row["part"]) for row in quarantined(store)] == [
        (1, None, False), (2, "bare", True),
    ]
    stored = len(Recommender.open(store)) - 1
    assert 0 < stored < 20_000
    again = Recommender.open(store).ingest(Item(**json.loads(item)) for item in items[:stored + 100])
    assert (again.unchanged, again.added, again.encoder_calls) == (stored, 100, 100)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "taken", "rejected"), [
    ("movielens-1m", 3_883, 0),
    ("hm-fashion", 4_000, 0),
])
def test_a_real_catalogue_is_accounted_for_and_again_for_nothing(
    mmrec, store, toy, data_dir, name, taken, rejected
):
    folder, code = data_dir(name), 3 if rejected else 0
    assert counts(mmrec("ingest", store, folder, "--config", toy), code) == (taken, 0, 0, rejected)
    again = mmrec("ingest", store, folder)
    assert counts(again, code) == (0, 0, taken, rejected)
    assert report(again, code)["encoder_calls"] == 0


def test_the_language_is_told_or_said(mmrec, tmp_path):
    table = tmp_path / "products.csv"
    rows = ["sku,title", "A1,Kühlschrank mit Gefrierfach", "A2,Die Gläser aus dem Haus"]
    table.write_text("\n".join(rows), encoding="utf-8")
    settings = tmp_path / "toy.toml"
    settings.write_text('text_encoder = "toy"\nimage_encoder = "toy"\n')
    shop = tmp_path / "shop.mmrec"
    told = mmrec("ingest", shop, table, "--config", settings)
    assert "words taken as German (--language)" in told.stderr
    assert found(mmrec, shop, "Glas") == ["A2"]
    assert mmrec("ingest", shop, table, "--language", "english").exit_code == 0
    assert found(mmrec, shop, "Glas") == []
    wrong = mmrec("ingest", shop, table, "--language", "klingon")
    assert wrong.exit_code == 1
    assert "german" in wrong.stderr


def found(mmrec, shop, words):
    with Recommender.open(shop) as one:
        snapshot = one.snapshot()
        return [snapshot.ids[position] for position in snapshot.match(words, 5)]


def test_pictures_that_are_addresses_are_told_once_with_their_number(mmrec, store, toy, tmp_path):
    rows = "".join(f"{n},Lamp,https://x.example/{n}.jpg\n" for n in range(8))
    (tmp_path / "u.csv").write_text(f"id,title,image\n{rows}")
    told = mmrec("ingest", store, tmp_path / "u.csv", "--config", toy).stderr
    assert told.count("fetch it first") == 1
    assert "(so of 8 items)" in told
