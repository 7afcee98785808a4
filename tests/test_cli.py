"""The `mmrec` command: JSON lines that say what Python says, one line for an error, codes that tell."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from mmrec import Interaction, Item, Recommender
from mmrec.cli import app
from mmrec.data.rows import item_as_dict
from mmrec.encoders.registry import MODELS
from mmrec.store import schema

COMMANDS = [*(command.callback.__name__ for command in app.registered_commands), "ingest", "record"]
OF_A_STORE = [
    ["similar", "r0"], ["search", "red"], ["recommend"], ["get", "r0"], ["delete", "r0"], ["stats"],
    ["doctor"],
]


@pytest.fixture
def path(red_blue_shop):
    return red_blue_shop.path


def lines(result):
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def error(result, code=1):
    """The message of a command that failed well: one line, no traceback."""
    assert result.exit_code == code
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def as_json(results):
    return json.loads(json.dumps([asdict(result) for result in results]))


@pytest.mark.parametrize("command", [[], *([name] for name in dict.fromkeys(COMMANDS))])
def test_every_command_has_help(mmrec, command):
    result = mmrec(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert all(name in result.stdout for name in ([] if command else COMMANDS))


def test_the_command_prints_what_python_returns(mmrec, path, red_blue_shop, paint, tmp_path):
    shop, photo = red_blue_shop, tmp_path / "photo.png"
    photo.write_bytes(paint("blue"))
    for arguments, expected in [
        (["similar", path, "r0", "-k", "3"], shop.similar("r0", k=3)),
        (["similar", path, "r0", "--by", "image", "--where", "price > 3"],
         shop.similar("r0", by="image", where="price > 3")),
        (["similar", path, "--text", "blue lamp", "--image", photo],
         shop.similar(text="blue lamp", image=str(photo))),
        (["search", path, "blue lamp", "--k", "2", "--where", "price > 6"],
         shop.search("blue lamp", k=2, where="price > 6")),
        (["recommend", path], shop.recommend()),
        (["recommend", path, "--user", "nobody"], shop.recommend(user="nobody")),
        (["recommend", path, "--history", "r0", "--history", "b0", "--dislikes", "b1", "--exclude", "r1"],
         shop.recommend(history=["r0", "b0"], dislikes=["b1"], exclude=["r1"])),
        (["recommend", path, "--taste", "blue", "-k", "1"], shop.recommend(taste="blue", k=1)),
    ]:
        assert lines(mmrec(*arguments)) == as_json(expected)


def test_items_and_facts_are_json_lines(mmrec, path, red_blue_shop):
    assert lines(mmrec("get", path, "b0", "r0")) == [item_as_dict(i) for i in red_blue_shop.get(["b0", "r0"])]
    assert lines(mmrec("stats", path)) == [json.loads(json.dumps(red_blue_shop.stats()))]
    (report,) = lines(mmrec("doctor", path, "--no-mend"))
    assert report["healthy"]


def test_deleting_says_how_many_there_were(mmrec, shop, red_blue):
    shop.ingest(red_blue)
    assert lines(mmrec("delete", shop.path, "r0", "gone")) == [{"deleted": 1}]
    assert "r0" not in shop


def test_encoders_are_listed_with_where_they_are_usable_from(mmrec):
    rows = lines(mmrec("encoders"))
    assert [row["id"] for row in rows] == list(MODELS)
    assert {"id", "modality", "dim", "training", "licence", "megabytes", "usable_from"} <= rows[0].keys()
    assert next(row["usable_from"] for row in rows if row["id"] == "toy-text")


@pytest.mark.parametrize("arguments", [["similar", "r0"], ["search", "red mug"], ["recommend"]])
def test_plain_prints_a_table(mmrec, path, arguments):
    command, *rest = arguments
    result = mmrec(command, path, *rest, "--plain", "-k", "2", "--where", "price < 5")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("item", "score", "rung", "mug"))
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(result.stdout.splitlines()[0])


def test_plain_lists_encoders_and_prints_an_empty_table(mmrec, shop):
    assert "toy-text" in mmrec("encoders", "--plain").stdout
    assert "score" in mmrec("recommend", shop.path, "--plain").stdout


def test_plain_shows_texts_as_they_are(mmrec, shop):
    shop.ingest([Item(item_id="[b]", text={"title": "mug [/red] :smile:"})])
    result = mmrec("recommend", shop.path, "--plain")
    assert result.exit_code == 0
    shown = " ".join(result.stdout.replace("│", " ").replace("┃", " ").split())
    assert all(part in shown for part in ("[b]", "[/red]", ":smile:"))


@pytest.mark.parametrize("arguments", OF_A_STORE)
def test_a_path_that_is_no_store_is_an_error_and_stays_as_it_was(mmrec, tmp_path, arguments):
    command, *rest = arguments
    assert "is no mmrec store" in error(mmrec(command, tmp_path / "typo", *rest))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "message"), [
    (["similar", "x"], "'x' is not in the catalogue"), (["get", "x"], "'x' is not in the catalogue"),
    (["similar"], "either an item_id, or text"), (["similar", "r0", "--by", "smell"], "no field"),
    (["recommend", "--where", "smell == 1"], "smell"), (["recommend", "-k", "0"], "k must be"),
    (["recommend", "-k", "10001"], "k must be"), (["recommend", "--history", "x"], "none of the history"),
    (["search", " "], "needs words"), (["similar", "--image", "absent.png"], "does not exist"),
    (["similar", "r0", "--by", "behaviour"], "trained head"),
    (["recommend", "--user", "u", "--history", "r0"], "not both"),
])
def test_an_error_is_one_line_on_stderr(mmrec, path, arguments, message):
    command, *rest = arguments
    assert message in error(mmrec(command, path, *rest))


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["similar"], ["search"], ["recommend", "shop.mmrec", "--smell", "good"],
    ["recommend", "shop.mmrec", "-k", "many"], ["get", "shop.mmrec"], ["recommend", "shop.mmrec", "extra"],
])
def test_wrong_use_is_code_two(mmrec, arguments):
    result = mmrec(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_damaged_store_is_an_error(mmrec, shop):
    (shop.path / "store.json").write_text("{")
    assert "store.json" in error(mmrec("stats", shop.path))


def test_the_doctor_leaves_with_four_until_all_is_well(mmrec, shop, red_blue):
    shop.ingest(red_blue)
    with shop.store.writer():
        table = shop.store.table("items", schema.BASE)
        columns = pa.schema([schema.BASE.field("item_id"), schema.BASE.field("record")])
        table.upsert(pa.table([["r0"], ["{"]], schema=columns), update_only=True)
    for flag in ("--no-mend", "--mend", "--mend"):
        result = mmrec("doctor", shop.path, flag)
        assert result.exit_code == 4
        (report,) = map(json.loads, result.stdout.splitlines())
        assert not report["healthy"]
        assert report["problems"][0]["items"] == ["r0"]
    shop.ingest(red_blue)
    assert mmrec("doctor", shop.path).exit_code == 0


# as a program of its own

def run(*arguments, **more):
    program = Path(sys.executable).with_name("mmrec")
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, **more
    )


def test_the_installed_program_speaks_json_and_plugs_in_ingest(path, red_blue_shop):
    assert "ingest" in run("--help").stdout
    done = run("recommend", path, "--history", "r0", "-k", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["item_id"] for line in done.stdout.splitlines()] == [
        r.item_id for r in red_blue_shop.recommend(history=["r0"], k=2)
    ]


def test_the_installed_program_fails_in_one_line(tmp_path):
    done = run("recommend", tmp_path / "typo")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("error: ")


def test_skipped_items_of_a_history_are_a_warning_on_stderr(shop, red_blue):
    shop.ingest(red_blue)
    shop.record([Interaction(user_id="u", item_id="r0")])
    done = run("recommend", shop.path, "--history", "r0", "--history", "gone", "-k", "1")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert "gone" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(path):
    program = Path(sys.executable).with_name("mmrec")
    done = subprocess.run(
        f"'{program}' recommend '{path}' -k 8 | head -n 1", shell=True, capture_output=True, text=True,
        check=False,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_opening_through_python_sees_what_the_program_sees(path):
    assert len(Recommender.open(path, create=False)) == 8
