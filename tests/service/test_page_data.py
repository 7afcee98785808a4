"""The page of the gallery as the service sends it, and the routes that only it needs."""

import json
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec import Interaction, Item
from mmrec.monitor import report
from mmrec.monitor.impressions import watching
from mmrec.service import page_data

KEY = "0123456789abcdef"
FILES = sorted(path.name for path in page_data.PAGE.iterdir() if path.suffix in page_data.TYPES)


def address(name):
    return "/" if name == "index.html" else f"/static/{name}"


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_its_type_and_strict_headers(client, name):
    answer = client.get(address(name))
    assert answer.status_code == 200
    assert answer.content == (page_data.PAGE / name).read_bytes()
    assert answer.headers["content-type"] == page_data.TYPES[(page_data.PAGE / name).suffix]
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert len(answer.headers["x-request-id"]) == 32


def test_what_a_browser_has_already_is_not_sent_again(client):
    first = client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": f'W/"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200
    head = client.head("/static/app.js")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] != first.headers["etag"]


def test_the_docs_list_every_route_and_body_and_nothing_of_them_comes_from_elsewhere(serve, red_blue_shop):
    client = serve(red_blue_shop, api_keys=KEY)
    answer = client.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, page_data.TYPES[".html"])
    assert answer.headers["content-security-policy"] == client.get("/").headers["content-security-policy"]
    api = client.get("/openapi.json", headers={"X-API-Key": KEY}).json()
    routes = {f"{verb.upper()} {path}" for path, verbs in api["paths"].items() for verb in verbs}
    assert set(re.findall(r"<h2><code>([A-Z]+ [^<]+)</code></h2>", answer.text)) == routes
    bodies = set(re.findall(r'<section id="(\w+)">', answer.text))
    assert bodies == set(api["components"]["schemas"]) >= set(re.findall(r'href="#(\w+)"', answer.text))
    loaded = set(re.findall(r'(?:href|src)="([^#"]+)"', answer.text))
    assert loaded == {"/openapi.json", "/static/icon.svg", "/static/style.css"}
    assert not re.search(r"<style|\sstyle=|<script|https?://", answer.text)
    for said in ("<code>k</code>: integer from 1 up to 10000, 10 unless said", "wool blanket", "list of file",
                 'list of <a href="#ItemRow">ItemRow</a> or <a href="#ItemRow">ItemRow</a>'):
        assert said in answer.text
    again = client.get("/docs", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, client.post("/docs").status_code) == (304, 401)


def test_what_answers_get_answers_head_with_the_same_headers_and_no_body(client):
    for path in ("/", "/docs", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/items/r0",
                 "/items?limit=2", "/items/nobody", "/nowhere"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        same = [name for name in get.headers if name not in ("x-request-id", "content-length")]
        assert [head.headers[name] for name in same] == [get.headers[name] for name in same], path
    assert client.head("/recommend").status_code == 405


def test_head_answers_without_a_body_over_a_socket(running, red_blue_shop):
    with running(red_blue_shop.path) as address:
        for path in ("/", "/docs", "/health/ready", "/items/r0"):
            head, get = httpx.head(address + path), httpx.get(address + path)
            assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
            assert head.headers["content-length"] == get.headers["content-length"] != "0"


def test_the_page_names_nothing_but_its_own_files():
    for name in FILES:
        source = (page_data.PAGE / name).read_text(encoding="utf-8")
        assert set(re.findall(r"/static/([\w.-]+)", source)) <= set(FILES), name
        assert set(re.findall(r"https?://[^\"'/]+", source)) <= {"http://www.w3.org"}, name
        assert not re.search(r"\binnerHTML\b|\beval\(|document\.write", source), name
    page = (page_data.PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


@pytest.mark.parametrize("path", [
    "/static/", "/static/index.html", "/static/page_data.py", "/static/../page_data.py",
    "/static/%2e%2e/page_data.py", "/static/..%2fpage_data.py", "/static/..%5cpage_data.py",
    "/static/%2fetc/passwd", "/static//etc/passwd",
    "/static/app.js%00", "/static/page/app.js", "/page/app.js",
])
def test_no_path_leads_out_of_the_page(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["kind"] in ("NotFound", "UnknownItem")


def test_the_page_is_only_to_be_read(client):
    assert client.post("/", json={}).status_code in (404, 405)
    assert client.delete("/static/app.js").status_code in (404, 405)


def test_the_page_needs_no_key_and_what_it_shows_does(serve, red_blue_shop):
    client = serve(red_blue_shop, api_keys=KEY)
    assert client.get("/").status_code == client.get("/static/app.js").status_code == 200
    asked = [("GET", "/stats", None), ("GET", "/quarantine", None), ("POST", "/cards", {"item_ids": ["r0"]})]
    for method, path, body in asked:
        assert client.request(method, path, json=body).status_code == 401
        assert client.request(method, path, json=body, headers={"X-API-Key": KEY}).status_code == 200


def test_the_page_is_there_before_the_shop_is(client):
    readiness = client.app.state.core.readiness
    readiness.ready = False
    assert client.get("/").status_code == 200
    assert client.get("/stats").status_code == 503
    readiness.ready = True
    assert client.get("/stats").status_code == 200


def test_stats_are_those_of_the_verb_and_the_columns_of_where(client, red_blue_shop):
    said = client.get("/stats").json()
    columns = said.pop("columns")
    assert said == red_blue_shop.stats()
    assert columns == {"item_id": "words", "added_at": "date", "category": "words", "price": "number"}


def test_cards_tell_what_is_cold_and_what_is_new(own, shop):
    now = datetime(2024, 6, 1, tzinfo=UTC)
    shop.ingest([
        Item(item_id=name, text={"title": f"{name} mug"}, added_at=now - timedelta(days=days))
        for name, days in (("old", 31), ("late", 29), ("last", 0), ("wrong clock", -36_500))
    ])
    shop.record([
        Interaction(user_id="u", item_id="old", time=now),
        Interaction(user_id="u", item_id="late", kind="dislike", time=now),
    ])
    found = own.post("/cards", json={"item_ids": ["last", "gone", "old", "late", "wrong clock"]}).json()
    assert [(card["item_id"], card["cold"], card["new"]) for card in found] == [
        ("last", True, True), ("old", False, False), ("late", True, True), ("wrong clock", True, False)]
    one = own.get("/items/old").json()
    assert {name: found[1][name] for name in one} == one


@pytest.mark.parametrize("body", [
    {}, {"item_ids": 7}, {"item_ids": ["r0"] * (page_data.MOST_CARDS + 1)}, {"item_ids": [""]},
    {"ids": ["r0"]},
])
def test_cards_are_asked_for_by_a_list_of_bounded_length(client, body):
    assert client.post("/cards", json=body).status_code == 422


def test_the_monitor_is_that_of_the_shop(serve, open_shop, red_blue):
    with open_shop() as shop, watching(shop, seconds=600) as watcher:
        shop.ingest(red_blue)
        client = serve(shop, watcher=watcher)
        for explore in (0, 0.2):
            answer = client.post("/recommend", json={"history": ["r0"], "k": 2, "explore": explore}).json()
        act = {"user_id": "u", "item_id": answer["results"][0]["item_id"], "request_id": answer["request_id"]}
        client.post("/interactions", json=[act])
        watcher.flush()
        for window in ("hour", "day"):
            said = client.get("/monitor", params={"window": window}).json()
            assert said == report.monitor(shop, window=window).as_dict() | {"until": said["until"]}
            assert said["window"] == window
            assert sum(w["requests"] for w in said["windows"]) == 2
            assert sum(w["clicked"] for w in said["windows"]) == 1
        judged = client.get("/monitor?explore=0&explore=0.1").json()["estimates"]
        assert [one["policy"] for one in judged] == ["explore 0", "explore 0.1"]
        for wrong in ("window=year", "explore=2", "explore=x", "&".join(["explore=0"] * 6)):
            assert client.get(f"/monitor?{wrong}").status_code == 422


def test_an_empty_shop_has_no_cards_and_no_quarantine(own):
    assert own.post("/cards", json={"item_ids": ["r0"]}).json() == []
    assert own.get("/quarantine").json() == {"total": 0, "offset": 0, "rows": []}


def test_the_quarantine_tells_why_but_not_where(own, shop, mmrec, picture, tmp_path):
    wrong = picture("private folder/mug.png", "red").rename(tmp_path / "private folder" / "mug.jpg")
    wrong.write_bytes(b"<html>not found</html>")
    rows = [
        {"item_id": "good", "text": {"title": "red mug"}},
        {"item_id": "bad", "text": {"title": "blue mug"}, "image": str(wrong)},
        {"item_id": "gone", "image": str(tmp_path / "private folder" / "gone.png")},
    ]
    source = tmp_path / "items.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    mmrec("ingest", shop.path, source)
    answer = own.get("/quarantine")
    assert answer.json()["total"] == 2
    bad, gone = sorted(answer.json()["rows"], key=lambda row: row["item_id"])
    assert (bad["item_id"], bad["field"], bad["source"], bad["line"]) == ("bad", "image", "items.jsonl", 2)
    assert bad["text"] == {"title": "blue mug"}
    assert (bad["part"], gone["part"]) == (True, False)  # taken without its picture; not taken
    assert "mug.jpg" in bad["reason"]
    assert "is an HTML page" in bad["reason"]
    assert "gone.png" in gone["reason"]
    assert "private folder" not in answer.text
    assert str(tmp_path.parent) not in answer.text


def test_the_quarantine_comes_in_pages_and_survives_damage(own, shop):
    lines = [json.dumps({"item_id": f"i{n}", "reason": "no price", "line": n}) for n in range(5)]
    damaged = ["{", "[]", '{"row": 3, "line": "x", "source": 7}', '{"row": {"text": ["a"]}}', ""]
    path = shop.path / page_data.QUARANTINE
    path.write_bytes("\n".join([*lines, *damaged]).encode() + b"\n\xff\n")
    page = own.get("/quarantine?offset=3&limit=2").json()
    assert (page["total"], [row["item_id"] for row in page["rows"]]) == (10, ["i3", "i4"])
    rest = own.get("/quarantine?offset=5").json()["rows"]
    assert len(rest) == 5
    assert "damaged" in rest[0]["reason"]
    assert "damaged" in rest[-1]["reason"]
    for asked in ("limit=0", f"limit={page_data.MOST_ROWS + 1}", "offset=-1", "limit=x"):
        assert own.get(f"/quarantine?{asked}").status_code == 422


def test_a_long_rejected_row_is_cut(own, shop):
    text = {str(n): "t" * 9_000 for n in range(99)}
    row = {"item_id": "x" * 9_000, "reason": "r" * 9_000, "row": {"text": text}}
    (shop.path / page_data.QUARANTINE).write_text(json.dumps(row), encoding="utf-8")
    assert len(own.get("/quarantine").content) < 15_000


NAMES = st.text("abcdefghij .", min_size=3, max_size=9).filter(lambda name: name.strip(". "))


@given(st.lists(NAMES, min_size=1, max_size=4), st.booleans())
def test_a_reason_names_no_folder_of_its_picture(folders, quoted):
    folders = [f"{name}-folder" for name in folders]
    path = "/" + "/".join([*folders, "mug.jpg"])
    told = f"picture {path!r} is damaged" if quoted else f"{path}: is damaged"
    reason = page_data.without_folders(told, [path])
    assert "mug.jpg" in reason
    assert not [name for name in folders if name in reason]


@pytest.mark.parametrize(("reason", "wanted"), [
    ("cannot read /srv/shop/a.jpg: no such file", "cannot read a.jpg: no such file"),
    (r"cannot read C:\shop\a.jpg", "cannot read a.jpg"),
    ("picture '/srv/my shop/a.jpg' is damaged", "picture 'a.jpg' is damaged"),
    ("https://host/secret/a.jpg timed out", "a.jpg timed out"),
    ("price 1/2 is no number", "price 1/2 is no number"),
    ("expected text and/or image", "expected text and/or image"),
])
def test_paths_of_no_known_picture_are_cut_too(reason, wanted):
    assert page_data.without_folders(reason, None) == wanted


def luminance(colour):
    """Source: WCAG 2.2, relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[n:n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_contrast_in_light_and_in_dark():
    style = (page_data.PAGE / "style.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+)", block))
                   for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL))
    texts = [(word, ground) for word in ("ink", "quiet", "accent") for ground in ("paper", "card")]
    texts += [(word, "card") for word in ("like", "dislike", "wrong")]
    texts += [("on-accent", "accent"), ("accent", "accent-soft")]
    texts += [("ink", "wrong-soft"), ("ink", "accent-soft")]
    for colours in (light, light | dark):
        badges = [("white", name) for name in ("history", "taste", "popular", "newest", "chance", "other")]
        for word, ground in texts + badges:
            assert contrast(colours.get(word, "#fff"), colours[ground]) >= 4.5, (word, ground)
        assert contrast(colours["edge"], colours["card"]) >= 3  # of a control's border
