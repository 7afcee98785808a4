from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ingest.demo import DemoShop, make_shop
from ingest.demo.command import MARKER, PAGE, SHOP, STORE, claim, plug
from ingest.demo.results import (
    ARRIVALS,
    CEILING,
    COLD,
    EVERY,
    OURS,
    QUERIES,
    TOP,
    UNTRAINED,
    Measured,
    click_rates,
    describe,
    measurable,
    measure,
    untrained,
)
from mmrec import Recommender
from mmrec.errors import StoreError
from mmrec.service.gallery import GalleryPage

TOY = {"text_encoder": "toy", "image_encoder": "toy"}
OPTIONS = ["--text-encoder", "toy", "--image-encoder", "toy", "--products", "180", "--shoppers", "80"]


def run(folder: Path, *options: str):
    app = typer.Typer()
    plug(app)
    return CliRunner().invoke(app, ["--folder", str(folder), *OPTIONS, *options])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, str]:
    """A folder in which the demo ran, and what it printed. Only to be read."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""  # bars are for terminals alone
    return folder, result.stdout


@pytest.fixture(scope="module")
def shown() -> DemoShop:
    return make_shop(products=180, shoppers=80)


@pytest.fixture(scope="module")
def shop(made) -> Recommender:
    return Recommender.open(made[0] / STORE)


@pytest.fixture(scope="module")
def results(shop, shown) -> list[Measured]:
    return measure(shop, shown, seed=7, advance=lambda _: None)


@pytest.fixture(scope="module")
def page(shop, shown, results) -> GalleryPage:
    return describe(shop, shown, results, click_rates(shop, shown, seed=7))


# The command


def test_it_is_a_command_of_mmrec() -> None:
    assert "demo" in {point.name for point in entry_points(group="mmrec.commands")}


def test_it_says_what_it_did_how_well_how_long_and_where_to_look(made) -> None:
    folder, out = made
    lines = out.splitlines()
    steps = [re.match(r"(\w+) .*  \d+\.\d s$", line) for line in lines[:7]]
    names = ["Draw", "Load", "Ingest", "Record", "Fit", "Recommend", "Gallery"]
    assert [step and step[1] for step in steps] == names
    assert "180 items added, 0 updated, 0 unchanged, 0 rejected" in out
    for words in ("Most similar to", "New arrivals for", f"recall@{TOP}", f"ndcg@{TOP}", "random order"):
        assert words in out
    assert lines[-1] == f"Look at it: open {folder / PAGE} in a browser."


def test_it_leaves_a_shop_that_can_be_used(made, shop, shown) -> None:
    assert len(shop) == 180
    assert shop.stats()["interactions"] == len(shown.interactions)
    assert (made[0] / SHOP / "items.jsonl").is_file()
    assert shop.similar(shown.items[0].item_id, k=3)


def test_again_it_encodes_nothing_and_writes_the_same_page(made) -> None:
    before = (made[0] / PAGE).read_bytes()
    result = run(made[0])
    assert result.exit_code == 0, result.output
    assert "0 items added, 0 updated, 180 unchanged, 0 rejected; 0 texts and pictures" in result.stdout
    assert (made[0] / PAGE).read_bytes() == before


def test_other_options_make_the_shop_anew(tmp_path) -> None:
    for products in ("48", "36"):
        assert run(tmp_path / "demo", "--products", products, "--shoppers", "9").exit_code == 0
    with Recommender.open(tmp_path / "demo" / STORE) as shop:
        assert len(shop) == 36
    assert len(list((tmp_path / "demo" / SHOP / "images").iterdir())) == 36


def test_a_folder_with_other_files_is_left_alone(tmp_path) -> None:
    (tmp_path / "index.html").write_text("mine")
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "give another --folder" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "mine"


def test_a_store_that_no_demo_made_is_never_removed(tmp_path) -> None:
    (tmp_path / STORE).mkdir()
    with pytest.raises(StoreError, match="no demo made"):
        claim(tmp_path, {"seed": 1})
    assert (tmp_path / STORE).is_dir()


def test_only_what_the_demo_made_is_removed_and_only_for_other_settings(tmp_path) -> None:
    claim(tmp_path, {"seed": 1})
    for name in (STORE, "notes"):
        (tmp_path / name).mkdir()
    claim(tmp_path, {"seed": 1})
    assert (tmp_path / STORE).is_dir()
    claim(tmp_path, {"seed": 2})
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, "notes"]
    assert json.loads((tmp_path / MARKER).read_text())["seed"] == 2


def test_an_unknown_encoder_is_one_line_and_exit_code_1(tmp_path) -> None:
    result = run(tmp_path / "demo", "--text-encoder", "no-such-model", "--products", "24", "--shoppers", "5")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unknown encoder 'no-such-model'")


# What is measured


def test_the_condition_keeps_exactly_the_cold_items(shop, shown) -> None:
    found = {result.item_id for result in shop.recommend(k=180, where=COLD)}
    assert found == shown.cold


def test_all_rankings_are_measured_by_the_same_code_on_the_same_shoppers(shop, shown) -> None:
    told: list[int] = []
    results = measure(shop, shown, seed=7, advance=told.append)
    people = measurable(shown)
    assert told == [1] * len(people)
    assert 0 < len(people) < 80
    everybody = {r.ranking: r for r in results if r.group == f"all {len(people)} shoppers"}
    assert list(everybody) == [OURS, UNTRAINED, "newest first", "random order", CEILING]
    assert everybody["random order"].recall.high < everybody[OURS].recall.low
    assert everybody[OURS].ndcg.high < everybody[CEILING].ndcg.high
    recalls = []
    for who in people:
        found = {r.item_id for r in shop.recommend(user=who.user_id, k=TOP, where=COLD)}
        recalls.append(len(found & shown.held_out[who.user_id]) / len(shown.held_out[who.user_id]))
    assert everybody[OURS].recall.mean == pytest.approx(np.mean(recalls))


def test_new_shoppers_are_measured_apart(shown, results) -> None:
    new = [who for who in measurable(shown) if who.new]
    assert f"the {len(new)} new ones" in {result.group for result in results}


def test_clicks_are_measured_by_the_true_taste_before_and_after_training(shop, shown) -> None:
    every, arrivals = click_rates(shop, shown, seed=7)
    assert (every.among, arrivals.among) == (EVERY, ARRIVALS)
    rates = [np.mean([shown.affinity(who, r.item_id) for r in shop.recommend(user=who.user_id, k=TOP)])
             for who in shown.shoppers]
    assert every.after.mean == pytest.approx(np.mean(rates))
    assert every.gain.mean == pytest.approx(every.after.mean / every.before.mean)
    assert max(every.before.mean, every.after.mean) < every.ceiling.mean


def test_untrained_lists_are_those_of_a_store_in_which_nothing_was_learned(tmp_path, shown) -> None:
    plain = Recommender.open(tmp_path / STORE, TOY)
    plain.ingest(shown.items)
    plain.record(shown.interactions)
    some = shown.shoppers[:10]
    for who, ids in zip(some, untrained(plain, some, None), strict=True):
        assert ids == [r.item_id for r in plain.recommend(user=who.user_id, k=TOP)]


# The page


def test_the_page_shows_new_and_regular_shoppers_words_and_nobody(page) -> None:
    *people, words, unknown = page.profiles
    assert sum("new" in profile.name for profile in people) >= 3
    assert sum("regular" in profile.name for profile in people) == 5
    assert all(1 <= len(p.history) <= 3 and p.earlier == 0 for p in people if "new" in p.name)
    assert all(p.about[0].startswith("True taste: ") and p.history for p in people)
    assert {card.badge for card in words.shelves[0].cards} == {"taste"}
    assert {card.badge for card in unknown.shelves[0].cards} == {"popular"}
    assert {card.badge for card in unknown.shelves[1].cards} == {"newest"}
    for profile in page.profiles:
        assert [len(shelf.cards) for shelf in profile.shelves] == [6, 6]
        assert all(card.cold for card in profile.shelves[1].cards)


def test_the_page_shows_neighbours_searches_and_what_was_measured(page) -> None:
    assert len(page.neighbourhoods) == 8
    assert [shelf.title for shelf in page.neighbourhoods[0].shelves] == [
        "by content", "by description", "by image",
    ]
    assert [shelf.title for shelf in page.searches] == list(QUERIES)
    assert [chart.title.split()[0] for chart in page.charts] == ["true"] * 2 + ["recall@10", "ndcg@10"] * 2
    assert [[bar.ours for bar in chart.bars] for chart in page.charts] == [[True] + [False] * 2] * 2 + [
        [True] + [False] * 4
    ] * 4
    assert ("text encoder", "toy-text") in page.facts


def test_the_page_is_light_and_every_picture_is_there(made) -> None:
    html = (made[0] / PAGE).read_text(encoding="utf-8")
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(pictures) > 300
    assert "(no picture)" not in html
    assert max(map(len, pictures)) < 12_000
    assert len(html) < 4e6
