from __future__ import annotations

import base64
import io
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mmrec import Interaction, Recommender
from mmrec.cli import app
from mmrec.errors import DataError, UnknownItem
from mmrec.service.gallery import (
    RECENT,
    SIDE,
    Bar,
    Card,
    Chart,
    GalleryPage,
    Neighbourhood,
    Profile,
    Shelf,
    Visitor,
    gallery_of,
    write_gallery,
)

HOSTILE = """</h3><script>alert("1")</script><img src="https://bad.example" onerror='alert(2)'> & {{ 7*7 }}"""
NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)


class Outline(HTMLParser):
    """The elements of a page in order, and its visible words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        if self.elements and self.elements[-1][0] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(word: str, image=None) -> GalleryPage:
    """A page that says one word wherever it can."""
    card = Card(title=word, image=image, detail=word, score=word, badge=word, cold=True, why=word)
    shelf = Shelf(title=word, cards=[card, card])
    return GalleryPage(
        title=word, lead=word, facts=[(word, word)], note=word,
        charts=[Chart(title=word, bars=[Bar(name=word, value=0.5, low=0.4, high=0.6, ours=True)])],
        profiles=[Profile(name=word, about=[word], history=[card], earlier=3, shelves=[shelf, shelf])],
        neighbourhoods=[Neighbourhood(card=card, shelves=[shelf])], searches=[shelf],
    )


def written(folder: Path, page: GalleryPage) -> Outline:
    write_gallery(folder / "page.html", page)
    return Outline((folder / "page.html").read_text(encoding="utf-8"))


# The page


def test_every_text_is_escaped_and_shown_as_it_is(tmp_path) -> None:
    outline = written(tmp_path, page_of(HOSTILE))
    plain = written(tmp_path, page_of("plain"))
    assert [tag for tag, _ in outline.elements] == [tag for tag, _ in plain.elements]
    assert not outline.all("script")
    assert outline.text.count(HOSTILE) == plain.text.count("plain") > 20
    assert not any(name.startswith("on") for _, attrs in outline.elements for name in attrs)


def test_the_page_loads_nothing(tmp_path) -> None:
    outline = written(tmp_path, page_of("mug", Image.new("RGB", (300, 200), "red")))
    for tag, attrs in outline.elements:
        assert tag not in ("script", "link", "iframe", "object")
        assert (attrs.get("src") or "data:").startswith("data:")
        assert (attrs.get("href") or "#").startswith("#")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import", html)


def test_pictures_are_small_jpegs_that_say_what_they_show(tmp_path) -> None:
    outline = written(tmp_path, page_of("mug", Image.new("RGB", (600, 300), "red")))
    assert len(outline.all("img")) == 10
    for img in outline.all("img"):
        assert img["alt"] == "mug"
        with Image.open(io.BytesIO(base64.b64decode(img["src"].split(",")[1]))) as picture:
            assert (picture.format, picture.size) == ("JPEG", (SIDE, SIDE // 2))
            assert picture.getpixel((80, 40))[0] > 240


@pytest.mark.parametrize("image", [None, "https://shop.example/a.jpg", "no/such/file.png", b"no picture"])
def test_a_picture_that_cannot_be_had_is_left_blank_and_still_named(tmp_path, image) -> None:
    outline = written(tmp_path, page_of("mug", image))
    assert not outline.all("img")
    blanks = [span for span in outline.all("span") if span.get("role") == "img"]
    assert len(blanks) == 10
    assert {span["aria-label"] for span in blanks} == {"mug (no picture)"}


def test_headings_lead_through_the_page_and_labels_point_at_something(tmp_path) -> None:
    outline = written(tmp_path, page_of("mug"))
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    pointers = [attrs["aria-labelledby"] for _, attrs in outline.elements if "aria-labelledby" in attrs]
    links = [attrs["href"][1:] for attrs in outline.all("a")]
    assert set(pointers + links) <= set(ids)
    assert all("tabindex" in ul for ul in outline.all("ul") if ul.get("class") == "row")  # they may scroll


def test_what_is_empty_is_left_out(tmp_path) -> None:
    outline = written(tmp_path, GalleryPage(title="Nothing yet"))
    assert not {"section", "table", "dl"} & {tag for tag, _ in outline.elements}
    shelf = Shelf(title="nobody has this", cards=[])
    assert "Nothing was found." in written(tmp_path, GalleryPage(title="x", searches=[shelf])).text


def test_the_longest_whisker_of_a_chart_ends_at_its_edge_and_zeros_draw_no_bar(tmp_path) -> None:
    bars = [Bar(name="a", value=0.2, low=0.1, high=0.4), Bar(name="b", value=0.0, low=0.0, high=0.0)]
    spans = written(tmp_path, GalleryPage(title="x", charts=[Chart(title="recall", bars=bars)])).all("span")
    styles = [span["style"] for span in spans if "style" in span]
    assert styles == ["width:50.00%", "left:25.00%;width:75.00%", "width:0.00%", "left:0.00%;width:0.00%"]
    written(tmp_path, GalleryPage(title="x", charts=[Chart(title="recall", bars=bars[1:])]))


def test_a_page_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path) -> None:
    with pytest.raises(DataError, match="cannot write"):
        write_gallery(tmp_path / "no such folder" / "page.html", page_of("mug"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_its_ground(scheme) -> None:
    css = (files("mmrec.service") / "gallery.html").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", block))
                   for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL))
    colour = light | (dark if scheme else {})
    for ground in ("paper", "card"):
        for ink in ("ink", "quiet", "accent"):
            assert contrast(colour[ink], colour[ground]) >= 4.5
    assert contrast(colour["accent"], colour["accent-soft"]) >= 4.5
    for badge in ("history", "taste", "popular", "newest", "other"):
        assert contrast("#ffffff", colour[badge]) >= 4.5


def contrast(a: str, b: str) -> float:
    """Ratio of two colours' luminances, 1 to 21, as WCAG 2.1 defines it."""
    bright, dim = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# What is on it


@pytest.fixture
def busy(shop: Recommender, red_blue) -> Recommender:
    """A shop of red mugs and blue lamps; `ann` clicks on r0 and likes r1, dislikes b0."""
    shop.ingest(red_blue)
    acts = [("r0", "click"), ("b0", "dislike"), ("r1", "like")]
    shop.record(
        Interaction(user_id="ann", item_id=item_id, kind=kind, time=NOON + timedelta(hours=n))
        for n, (item_id, kind) in enumerate(acts)
    )
    return shop


def test_interactions_come_back_oldest_first(busy) -> None:
    acts = busy.interactions("ann")
    assert [(act.item_id, act.kind) for act in acts] == [("r0", "click"), ("b0", "dislike"), ("r1", "like")]
    assert acts[0] == Interaction(user_id="ann", item_id="r0", kind="click", time=NOON)
    assert busy.interactions("nobody") == []


def test_a_visitor_has_a_history_latest_first_and_is_shown_what_recommend_says(busy) -> None:
    (profile,) = gallery_of(busy, title="x", visitors=[Visitor(name="Ann", user="ann")]).profiles
    assert [card.badge for card in profile.history] == ["like", "dislike", "click"]
    assert profile.earlier == 0
    (shelf,) = profile.shelves
    found = busy.recommend(user="ann", k=6)
    assert [card.score for card in shelf.cards] == [f"{result.score:.2f}" for result in found]
    assert shelf.cards[0].badge == "history"
    assert shelf.cards[0].why == "because of red mug"
    assert shelf.cards[0].detail == "3.00"


def test_new_arrivals_have_a_shelf_of_their_own_and_are_marked(busy, red_blue) -> None:
    since = red_blue[5].added_at
    page = gallery_of(busy, title="x", visitors=[Visitor(name="Ann", user="ann")], new_since=since)
    everything, new = page.profiles[0].shelves
    assert len(new.cards) == 2
    assert all(card.cold for card in new.cards)
    assert sum(card.cold for card in everything.cards) == 2


def test_each_rung_is_named_with_its_reason(busy) -> None:
    page = gallery_of(busy, title="x", visitors=[
        Visitor(name="words", taste="blue lamp", about=["new here"]), Visitor(name="unknown", user="who"),
    ])
    words, unknown = page.profiles
    assert words.about == ["Says: “blue lamp”", "new here"]
    assert [(card.title, card.badge, card.why) for card in words.shelves[0].cards] == [
        *[("blue lamp", "taste", "fits the words")] * 4, *[("red mug", "taste", "")] * 2,
    ]
    assert [(card.badge, card.why) for card in unknown.shelves[0].cards[:3]] == [
        ("popular", "much chosen lately"), ("popular", "much chosen lately"), ("newest", "among the newest"),
    ]
    assert unknown.shelves[0].cards[2].score == "0 d"


def test_a_disliked_item_is_never_given_as_what_was_liked(busy) -> None:
    busy.record([Interaction(user_id="bob", item_id="b0", kind="dislike", time=NOON)])
    visitors = [Visitor(name="Ann", user="ann"), Visitor(name="Bob", user="bob")]
    ann, bob = gallery_of(busy, title="x", visitors=visitors, k=2).profiles
    assert {card.why for card in ann.shelves[0].cards} == {"because of red mug"}
    assert {(card.badge, card.why) for card in bob.shelves[0].cards} == {("taste", "unlike blue lamp")}


def test_a_long_history_is_cut_and_lost_items_are_skipped(busy) -> None:
    busy.record(
        Interaction(user_id="bob", item_id=item_id, time=NOON + timedelta(minutes=n))
        for n, item_id in enumerate(["r0", "r1", "r2", "gone"] * 4)
    )
    (profile,) = gallery_of(busy, title="x", visitors=[Visitor(name="Bob", user="bob")]).profiles
    assert len(profile.history) == RECENT
    assert profile.earlier == 16 - RECENT


def test_neighbours_stand_side_by_side_in_every_embedded_space(busy) -> None:
    (place,) = gallery_of(busy, title="x", item_ids=["r2"], k=3).neighbourhoods
    assert [shelf.title for shelf in place.shelves] == ["by content", "by image", "by title"]
    content, *single = place.shelves
    assert {card.title for card in content.cards} == {"red mug"}
    assert re.fullmatch(r"(image|title) 0\.\d\d · (image|title) 0\.\d\d", content.cards[0].why)
    assert {card.why for shelf in single for card in shelf.cards} == {""}
    (place,) = gallery_of(busy, title="x", item_ids=["r2"], by=["title"]).neighbourhoods
    assert [shelf.title for shelf in place.shelves] == ["by title"]
    with pytest.raises(UnknownItem):
        gallery_of(busy, title="x", item_ids=["gone"])


def test_a_search_tells_the_share_of_both_rankings(busy) -> None:
    (shelf,) = gallery_of(busy, title="x", queries=["blue lamp"], k=4).searches
    assert {card.title for card in shelf.cards} == {"blue lamp"}
    assert shelf.cards[0].why == "full text 33% · words 67%"
    assert shelf.cards[0].score == f"{1.5 / 11:.4f}"


def test_the_command_writes_the_page_of_a_store(busy, tmp_path) -> None:
    result = CliRunner().invoke(app, [
        "gallery", str(busy.path), str(tmp_path / "page.html"), "--users", "ann", "--searches", "red mug",
        "--new-since", "2024-01-07",
    ])
    assert result.exit_code == 0, result.output
    outline = Outline((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(outline.all("article")) == 2 + 8 + 1  # ann and somebody unknown, items, a search
    assert "New arrivals only" in outline.text
    failed = CliRunner().invoke(app, ["gallery", str(busy.path), str(tmp_path / "b.html"), "--items", "gone"])
    assert failed.exit_code == 1
    assert "'gone' is not in the catalogue" in failed.output
