"""`mmrec retype`, and what the type of a stored attribute does to the files that come after."""

import json

import pytest

from ingest.retype import kinds_of
from mmrec import Recommender

TOY = 'text_encoder = "toy"\nimage_encoder = "toy"\n'


@pytest.fixture
def ingested(mmrec, tmp_path):
    """Ingests rows of a table of mugs with one more column."""
    (tmp_path / "toy.toml").write_text(TOY)

    def run(column, cells, name="a", *options):
        path = tmp_path / f"{name}.csv"
        rows = [f'{name}{n};Mug {name}{n};"{cell}"' for n, cell in enumerate(cells)]
        path.write_text("\n".join([f"id;title;{column}", *rows]))
        done = mmrec("ingest", tmp_path / "shop.mmrec", path, "--config", tmp_path / "toy.toml", *options)
        assert done.exit_code == 0, done.stderr
        return done

    run.store = tmp_path / "shop.mmrec"
    return run


def values(store, name, item_ids):
    with Recommender.open(store) as shop:
        return [item.attributes.get(name) for item in shop.get(item_ids)]


def test_values_are_read_as_those_of_a_file_and_later_files_are_read_so_too(mmrec, ingested):
    ingested("weight", ["1,50", "2,25", "n.V.", "on request", "1.000,00"])
    assert kinds_of(ingested.store)["weight"] == "category"
    dry = mmrec("retype", ingested.store, "weight", "number", "--dry-run", "--plain")
    assert dry.stdout == (
        "weight: 3 of 5 values would become a number;"
        " 2 cannot and would be lost, such as 'n.V.', 'on request'\n"
    )
    assert values(ingested.store, "weight", ["a0"]) == ["1,50"]
    done = mmrec("retype", ingested.store, "weight", "number")
    assert json.loads(done.stdout) == {
        "name": "weight", "type": "number", "values": 5, "lost": 2, "examples": ["n.V.", "on request"],
    }
    assert values(ingested.store, "weight", ["a0", "a2", "a4"]) == [1.5, None, 1000]
    assert kinds_of(ingested.store) == {"weight": "number"}
    told = ingested("weight", ["3,50", "on request", "4,75"], "b").stderr
    assert "column 'weight': what is not a number up to 2**53 was left out, such as 'on request'" in told
    assert values(ingested.store, "weight", ["b0", "b1", "b2"]) == [3.5, None, 4.75]
    again = json.loads(ingested("weight", ["3,50", "on request", "4,75"], "b").stdout)
    assert (again["unchanged"], again["encoder_calls"]) == (3, 0)


def test_codes_that_were_read_as_numbers_are_told_how_to_be_kept(mmrec, ingested):
    ingested("size", ["36", "38", "40"])
    assert kinds_of(ingested.store)["size"] == "number"
    assert mmrec("retype", ingested.store, "size", "category").exit_code == 0
    ingested("size", ["42", "44"], "b")
    assert values(ingested.store, "size", ["a0", "b0"]) == ["36", "42"]
    found = mmrec("search", ingested.store, "mug", "--where", "size in ('36', '42')")
    assert {json.loads(line)["item_id"] for line in found.stdout.splitlines()} == {"a0", "b0"}


@pytest.mark.parametrize(("cells", "type", "options", "expected"), [
    (["01.02.2024", "03.04.2024"], "date", ["--dates", "mdy"], ["2024-01-02", "2024-03-04"]),
    (["1.234", "2.500"], "number", ["--decimal", ","], [1234, 2500]),
    (["ja", "ja"], "bool", [], [True, True]), (["a, b", "c"], "list", [], [["a", "b"], ["c"]]),
    (["1", "0"], "bool", [], [True, False]),
])
def test_options_say_how_values_are_written(mmrec, ingested, cells, type, options, expected):
    ingested("x", cells, "a", "--types", "x=category")
    done = mmrec("retype", ingested.store, "x", type, *options)
    assert (done.exit_code, json.loads(done.stdout)["lost"]) == (0, 0)
    found = values(ingested.store, "x", ["a0", "a1"])
    assert [f"{one:%Y-%m-%d}" if type == "date" else one for one in found] == expected


@pytest.mark.parametrize(("arguments", "words"), [
    (["colour", "number"], "there is no attribute 'colour': choose x"),
    (["x", "date"], "no value of 'x' can become a date, such as"),
])
def test_what_cannot_be_done_is_one_line(mmrec, ingested, arguments, words):
    ingested("x", ["red", "blue"])
    done = mmrec("retype", ingested.store, *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {words}")
    assert mmrec("retype", ingested.store, "x", "text").exit_code == 2


def test_a_store_that_is_not_there_has_no_kinds(tmp_path):
    assert kinds_of(tmp_path / "absent.mmrec") == {}
