"""The gallery in headless Chromium, on a real `mmrec serve` of a shop with painted pictures."""

import json
import os
import re
import shutil
from dataclasses import replace

import pytest

from mmrec import Interaction, Item, Recommender

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CI = bool(os.environ.get("CI"))
LONG = 60_000  # milliseconds that the browser may take for a step, on a busy machine too
pytestmark = pytest.mark.skipif(not (CHROMIUM or CI), reason="needs Chromium: apt-get install chromium")
if CHROMIUM or CI:
    from playwright.sync_api import Page, expect, sync_playwright

    expect.set_options(timeout=LONG)

OPTIONS = [  # quiet, and able to run as root
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
KEY = "0123456789abcdef"
PLATES = 52  # more than one page of the catalogue, with the red mugs and the blue lamps


@pytest.fixture(scope="module")
def store(tmp_path_factory, red_blue, paint, mmrec):
    """Red mugs and blue lamps that nobody has chosen, plates, some of them chosen, and a rejected row."""
    folder = tmp_path_factory.mktemp("secret folder")
    files = {colour: folder / f"{colour}.png" for colour in ("red", "blue", "green")}
    for colour, path in files.items():
        path.write_bytes(paint(colour))
    painted = [replace(item, image=files[item.text["title"].split()[0]]) for item in red_blue]
    plates = [
        Item(item_id=f"p{n:02}", text={"title": "green plate"}, image=files["green"],
             attributes={"category": "plate", "price": 30.0 + n}, added_at=red_blue[0].added_at)
        for n in range(PLATES)
    ]
    with Recommender.open(folder / "shop.mmrec", {"text_encoder": "toy", "image_encoder": "toy"}) as shop:
        shop.ingest([*painted, *plates])
        shop.record(Interaction(user_id=f"u{n}", item_id=f"p{n:02}") for n in range(30))
    row = {"item_id": "wrong", "attributes": {"price": "cheap"}}  # with nothing else
    (folder / "late.jsonl").write_text(json.dumps(row), encoding="utf-8")
    mmrec("ingest", folder / "shop.mmrec", folder / "late.jsonl")
    return folder / "shop.mmrec"


@pytest.fixture(scope="module")
def address(store, running):
    with running(store) as at:
        yield at


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM, "CI has no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, address):
    """Opens views; at the end, no script failed, none was blocked, and nothing was asked of another host."""
    contexts, troubles, strangers = [], [], []

    def open_(view="", at=address, width=1280, **options) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        context.set_default_timeout(LONG)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: said.type == "error" and troubles.append(said.text))
        page.on("request", lambda asked: asked.url.startswith((at, "blob:")) or strangers.append(asked.url))
        page.goto(f"{at}/#/{view}")
        return page

    yield open_
    for context in contexts:
        context.close()
    ours = [text for text in troubles if "Failed to load resource" not in text]  # a 404 or 422 of a test
    assert ours == []
    assert strangers == []


def ids(place):
    """The items of the tiles in a place, once it is done."""
    expect(place.page.locator("[aria-busy]")).to_have_count(0)
    expect(place.locator(".tile").first).to_be_visible()
    return place.locator(".tile").evaluate_all("tiles => tiles.map(tile => tile.dataset.item)")


def test_the_catalogue_is_browsed_and_filtered(open_page):
    page = open_page()
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(48)
    expect(page.locator("#total")).to_have_text(f"{8 + PLATES} items")
    page.get_by_role("button", name="Show more").click()
    expect(tiles).to_have_count(8 + PLATES)
    expect(tiles.filter(has_text="red mug").first.locator(".badges .cold")).to_be_visible()
    expect(page.locator("[data-item=p00] .cold")).to_have_count(0)
    page.get_by_label("Filter", exact=True).fill("category == 'lamp' and price < 8")
    page.keyboard.press("Enter")
    expect(page.locator("#total")).to_have_text("3 items are kept by the filter")
    assert ids(page.locator(".list")) == ["b0", "b1", "b2"]
    picture = page.locator("[data-item=b0] img")
    expect(picture).to_have_attribute("alt", "blue lamp")
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") == 16


def test_a_wrong_filter_says_what_is_wrong_with_it(open_page):
    page = open_page("?where=pric+%3C+8")
    expect(page.get_by_role("alert")).to_contain_text("'pric'")
    field = page.get_by_label("Filter", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("pric < 8")
    field.fill("price < 3")
    page.get_by_role("button", name="Filter").click()
    assert ids(page.locator(".list")) == ["r0", "r1"]
    page.go_back()
    expect(page.get_by_role("alert")).to_be_visible()


def test_words_are_searched(open_page):
    page = open_page("search")
    page.get_by_label("Words").fill("blue lamp")
    page.keyboard.press("Enter")
    found = page.locator(".list")
    expect(page.get_by_role("status")).to_have_text("24 items were found")
    assert set(ids(found)[:4]) == {"b0", "b1", "b2", "b3"}
    expect(found.locator(".tile").first.locator(".reasons li")).to_have_count(2)
    page.reload()
    assert ids(found)[0] == "b0"
    page.get_by_label("Words").fill(" ")
    page.get_by_role("button", name="Search").click()
    expect(found).to_contain_text("Write some words")


def test_a_picture_is_chosen_dropped_and_taken_away(open_page, paint):
    page = open_page("search")
    found = page.locator(".list")
    page.get_by_label("Choose a picture").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": paint("blue")})
    expect(page.get_by_alt_text("Your picture mine.png")).to_be_visible()
    assert set(ids(found)[:4]) == {"b0", "b1", "b2", "b3"}
    page.get_by_role("button", name="Take it away").click()
    expect(found.locator(".tile")).to_have_count(0)
    dropped = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "red.png", { type: "image/png" }));
            return data;
        }""", list(paint("red")))
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": dropped})
    assert set(ids(found)[:4]) == {"r0", "r1", "r2", "r3"}
    page.get_by_label("Choose a picture").set_input_files(
        {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.get_by_role("alert")).to_contain_text("picture")


def test_a_shopper_sees_recommendations_change_at_once(open_page):
    page = open_page("shopper")
    found, liked = page.locator(".list"), page.locator(".past.history")
    first = ids(found)
    expect(found.locator(".tile").first.locator(".badges .popular")).to_be_visible()
    page.goto(page.url.replace("shopper", "item/r0"))
    page.get_by_role("button", name="Like red mug").first.click()
    expect(page.locator("#count")).to_have_text("1")
    page.get_by_role("link", name="Be a shopper").click()
    expect(liked.locator("li")).to_have_count(1)
    reds = ids(found)
    assert reds != first
    assert set(reds[:3]) == {"r1", "r2", "r3"}
    best = found.locator(".tile").first
    expect(best.locator(".badges .history")).to_be_visible()
    expect(best.locator(".reasons .label").first).to_have_text("red mug")
    score, value = best.locator(".score").inner_text(), best.locator(".reasons .value").first.inner_text()
    assert float(re.search(r"[\d.]+", score)[0]) == float(value) > 0  # one reason is all of the score
    best.get_by_role("button", name="Dislike").click()
    expect(page.locator(".past.dislikes li")).to_have_count(1)
    assert reds[0] not in ids(found)
    expect(found.locator(".reasons .against").first).to_be_visible()
    expect(page.locator(":focus")).to_have_attribute("aria-label", re.compile("^Dislike "))
    page.reload()
    expect(page.locator(".past.dislikes li")).to_have_count(1)
    page.get_by_role("button", name="Take red mug back").first.click()
    expect(liked).to_have_count(0)
    page.get_by_role("button", name="Start over").click()
    assert ids(found) == first
    expect(page.locator("#count")).to_be_hidden()


def test_a_taste_in_words_speaks_until_something_is_liked(open_page):
    page = open_page("shopper")
    page.get_by_label("A taste in words").fill("blue lamp")
    expect(page.locator(".list .badges .taste").first).to_be_visible()
    assert set(ids(page.locator(".list"))[:4]) == {"b0", "b1", "b2", "b3"}


@pytest.mark.parametrize("dial", ["Diversity", "Exploration"])
def test_a_dial_changes_what_is_asked(open_page, dial):
    page = open_page("item/p00")
    page.get_by_role("button", name="Like green plate").first.click()
    page.get_by_role("link", name="Be a shopper").click()
    assert {item[0] for item in ids(page.locator(".list"))} == {"p"}
    slider = page.get_by_label(dial)
    with page.expect_request(lambda r: r.url.endswith("/recommend")) as asked:
        slider.press("End")
    name = {"Diversity": "diversity", "Exploration": "explore"}[dial]
    assert asked.value.post_data_json[name] == 1
    assert asked.value.response().status == 200
    expect(page.locator(f"output[for={name}]")).to_have_text("1")
    shown = ids(page.locator(".list"))
    if dial == "Diversity":
        assert {item[0] for item in shown} == {"r", "b", "p"}  # of all kinds
    else:
        expect(page.locator(".list .chance").first).to_have_text(re.compile(r"chance 0\.\d"))


def test_an_items_neighbours_stand_side_by_side(open_page):
    page = open_page("item/r0")
    expect(page.get_by_role("heading", level=1)).to_have_text("red mug")
    for by in ("content", "words", "image", "title"):
        assert set(ids(page.get_by_role("region", name=f"By {by}"))[:3]) == {"r1", "r2", "r3"}
    expect(page.locator("[data-by=behaviour]")).to_have_count(0)  # nothing was trained
    page.get_by_text("By one attribute").click()
    assert ids(page.get_by_role("region", name="By price"))[0] == "r1"
    page.get_by_role("region", name="By image").get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"#/item/r\d$"))
    page.goto(re.sub(r"#.*", "#/item/none%2F1", page.url))
    expect(page.get_by_role("heading", level=1)).to_have_text("No such item")


def test_everything_is_reached_by_keyboard(open_page):
    page = open_page()
    ids(page.locator(".list"))
    focus = page.locator(":focus")
    page.keyboard.press("Tab")
    expect(focus).to_have_text("Skip to the content")
    assert focus.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(10):
        page.keyboard.press("Tab")
        if focus.evaluate("element => element.matches('.tile a')"):
            break
    tile = page.locator(".tile").nth
    expect(tile(0).locator("a")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tile(1).locator("a")).to_be_focused()
    page.keyboard.press("ArrowDown")
    below = page.locator(".tile").evaluate_all(
        "tiles => tiles.findIndex(tile => tile.offsetTop > tiles[0].offsetTop || "
        "tile.getBoundingClientRect().top > tiles[0].getBoundingClientRect().top)")
    expect(tile(below + 1).locator("a")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(tile(0).locator("a")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(tile(0).locator("button.history")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowLeft")  # there is none
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.title() == "blue lamp · mmrec"


def test_the_quarantine_is_shown(open_page):
    page = open_page("quarantine")
    row = page.get_by_role("row").nth(1)
    expect(row).to_contain_text("wrong")
    expect(row).to_contain_text("give the same type")
    expect(row).to_contain_text("late.jsonl, line 1")
    assert "secret folder" not in page.content()
    bare = {"item_id": "bare", "field": "image", "reason": "is gone", "source": None, "line": 2, "part": True,
            "text": {}}
    page.route("**/quarantine?*", lambda route: route.fulfill(json={"total": 1, "offset": 0, "rows": [bare]}))
    page.reload()
    expect(page.get_by_role("row").nth(1)).to_contain_text("taken without picture")


def test_the_check_of_the_data_is_shown_with_what_to_do_and_where(open_page):
    page = open_page()
    told = []
    page.on("request", lambda request: told.append(request.url) if request.method == "POST" else None)
    page.get_by_role("link", name="Data").click()
    expect(page.locator(".told")).to_contain_text("training")
    finding = {
        "name": "same-item", "severity": "error", "what": "2 of 8 items are another", "count": 2, "of": 8,
        "unit": "items", "why": "Lists show both.", "todo": "Delete one.",
        "rows": [{"ids": ["r0", *"abcdefg"], "detail": "alike"}],
    }
    job = {"job_id": "j", "state": "done", "error": None,
           "result": {"misleading": True, "figures": {}, "findings": [finding]}}
    page.route("**/check", lambda route: route.fulfill(status=202, json=job))
    page.get_by_role("button", name="Look again").click()
    shown = page.locator(".finding.error")
    expect(shown).to_contain_text("Delete one.")
    shown.get_by_text("Which").click()
    expect(shown.get_by_role("listitem")).to_have_text("r0, a, b, c, d, e and 2 more: alike")
    expect(page.locator(".told.alarm")).to_contain_text("misled")
    page.get_by_role("link", name="Monitoring").click()
    page.get_by_role("link", name="Data").click()
    expect(shown).to_contain_text("Lists show both.")  # what was found is not looked for again
    assert sum(url.endswith("/check") for url in told) == 2
    shown.get_by_text("Which").click()
    shown.get_by_role("link", name="r0").click()
    expect(page).to_have_title("red mug · mmrec")


def test_monitoring_draws_what_it_is_told_and_says_if_there_is_none(open_page):
    page = open_page()
    missing = {"error": {"message": "not found"}}
    page.route("**/monitor", lambda route: route.fulfill(status=404, json=missing))
    page.get_by_role("link", name="Monitoring").click()
    expect(page.locator("main")).to_contain_text("no monitoring here yet")
    windows = [
        {"start": f"2024-05-0{n + 1}T00:00:00Z", "requests": 10 * n, "latency": {"p50": 4, "p95": 9},
         "click_through": {"history": 0.1 * n, "popular": None if n == 1 else 0.05}, "gini": 0.5}
        for n in range(4)
    ]
    drift = {"p": 0.002, "psi": 0.3, "incoming": 40, "reference": 500, "alarm": True}
    judged = {"policy": "explore 0.1", "logged": [0.1, 0.08, 0.12], "ips": [0.2, 0.1, 0.3],
              "snips": [0.15, 0.12, 0.2], "warnings": ["few clicks"]}
    said = {"windows": windows, "drift": drift, "estimates": [judged]}
    page.unroute("**/monitor")
    page.route("**/monitor", lambda route: route.fulfill(json=said))
    page.reload()
    charts = page.locator("figure")
    expect(charts).to_have_count(6)
    expect(charts.filter(has_text="Drift").locator(".alarm")).to_contain_text("more than chance (p = 0.0020)")
    expect(page.get_by_role("row", name="explore 0.1")).to_contain_text("0.120 … 0.150 … 0.200")
    expect(charts.first).to_contain_text("Requests")
    clicks = charts.filter(has_text="Click-through by rung")
    expect(clicks.locator(".legend li")).to_have_text(["history", "popular"])
    expect(clicks.locator("circle")).to_have_count(7)
    heights = clicks.locator(".line-0 circle").evaluate_all("all => all.map(c => c.cy.baseVal.value)")
    assert heights == sorted(heights, reverse=True)
    clicks.get_by_text("Figures").click()
    expect(clicks.get_by_role("cell", name="30 %")).to_be_visible()


def test_monitoring_shows_what_this_page_was_shown(open_page, store, running):
    with running(store) as at:
        page = open_page("shopper", at=at)
        ids(page.locator(".list"))
        charts = page.locator("figure")
        page.goto(f"{at}/#/item/r0")
        ids(page.get_by_role("region", name="By content"))
        for _ in range(8):  # what is shown is logged within some seconds
            page.goto(f"{at}/#/monitor")
            page.reload()
            expect(page.locator("[aria-busy]")).to_have_count(0)
            if charts.count():
                break
            page.wait_for_timeout(1_000)
        expect(charts.filter(has_text="Requests").locator("circle")).to_have_count(1)
        expect(charts.filter(has_text="Click-through by rung")).to_contain_text("popular")
        expect(charts.filter(has_text="Coverage")).to_be_visible()


@pytest.mark.parametrize(
    "view", ["", "item/r0", "search?text=red+mug", "shopper", "quarantine", "monitor", "check"])
def test_a_phone_shows_all_of_it(open_page, view):
    page = open_page(view, width=375)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[aria-busy]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    small = page.locator("main button").evaluate_all(
        "all => all.filter(b => b.checkVisibility() && (b.offsetHeight < 24 || b.offsetWidth < 24)).length")
    assert small == 0  # targets that a finger hits
    unnamed = page.locator("img:not([alt])")
    expect(unnamed).to_have_count(0)


def test_motion_is_reduced_for_those_who_ask(open_page):
    seconds = "img => getComputedStyle(img).transitionDuration"
    moving, still = open_page(), open_page(reduced_motion="reduce")
    assert moving.locator(".tile img").first.evaluate(seconds) == "0.2s"
    assert still.locator(".tile img").first.evaluate(seconds) == "0s"


def test_the_page_asks_for_the_key_and_keeps_it_for_the_tab(open_page, store, running):
    with running(store, MMREC_API_KEYS=KEY) as at:
        page = open_page("item/b0", at=at)
        door = page.get_by_role("dialog")
        door.get_by_label("API key").fill("wrong")
        door.get_by_role("button").click()
        expect(door).to_contain_text("does not fit")
        door.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("blue lamp")
        expect(page.locator(".large img")).to_have_attribute("src", re.compile("^blob:"))
        assert page.locator(".large img").evaluate("img => img.decode().then(() => img.naturalWidth)") == 16
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("blue lamp")
        expect(door).to_be_hidden()
        assert KEY not in page.url
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
