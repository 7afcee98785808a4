"""Each route against the verb of Recommender that it stands for."""

import base64
import io
import json
import tracemalloc
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrec import Item
from mmrec.errors import StoreError
from mmrec.ranking.request import MOST_RESULTS
from mmrec.service.models import MOST_IDS
from mmrec.types import MAX_IMAGES, Interaction


def row(item_id, title, **more):
    return {"item_id": item_id, "text": {"title": title}, **more}


def in_base64(data):
    return {"base64": base64.b64encode(data).decode()}


@pytest.mark.parametrize("asked", [
    {}, {"k": 3}, {"history": ["r0", "r1"]}, {"history": ["r0"], "dislikes": ["b1"], "k": 2},
    {"taste": "blue lamp"}, {"history": ["b2"], "exclude": ["b0"], "where": "price < 7"},
    {"history": ["b2"], "diversity": 0.5, "max_per": {"category": 2}}, {"history": ["r0"], "distinct": 0.99},
    {"history": ["r0"], "exposure": {"category": {"lamp": 0.5}}, "k": 4}, {"exposure": {"category": "even"}},
    {"taste": "red", "distinct": "category"}, {"history": ["r0"], "signals": {"newness": 0.9}},
])
def test_recommend_answers_as_the_verb_does(client, red_blue_shop, shown, told, asked):
    assert shown(client.post("/recommend", json=asked)) == told(red_blue_shop.recommend(**asked))


def test_a_long_history_of_one_item_costs_no_more_than_its_results(serve, shop):
    shop.ingest(Item(item_id=f"i{n}", text={"title": f"mug {n}"}) for n in range(1_000))
    client, asked = serve(shop), {"history": ["i0"] * MOST_IDS, "k": MOST_RESULTS}
    tracemalloc.start()
    try:
        answer = client.post("/recommend", json=asked)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(answer.json()["results"]) == 999
    assert peak < 100 * 2**20  # a float for each result and place of the history would be 320 MB
    assert client.post("/recommend", json={"history": ["i0"] * (MOST_IDS + 1)}).status_code == 422


def test_recommend_explores_as_the_verb_does(client, red_blue_shop, shown, told):
    asked = {"history": ["r0"], "explore": 0.5, "k": 5}
    answer = shown(client.post("/recommend", json=asked | {"seed": 7}))
    assert answer == told(red_blue_shop.recommend(**asked, rng=7))
    assert any(propensity < 1 for _, _, _, propensity, _ in answer)


def test_search_takes_a_picture_and_a_history(client, red_blue_shop, shown, told, paint):
    asked = {"text": "mug", "history": ["b0"], "weights": {"taste": 2.0, "full text": 0}}
    answer = client.post("/search", json=asked | {"image": in_base64(paint("blue"))})
    assert shown(answer) == told(red_blue_shop.search(**asked, image=paint("blue")))


@pytest.mark.parametrize("asked", [
    {"text": "red mug"}, {"text": "lamp", "k": 2, "where": "price > 6"}, {"history": ["b0"], "diversity": 1},
    {"history": ["b0"], "diversity": {"category": 0.4}},
])
def test_search_answers_as_the_verb_does(client, red_blue_shop, shown, told, asked):
    assert shown(client.post("/search", json=asked)) == told(red_blue_shop.search(**asked))


@pytest.mark.parametrize("asked", [{}, {"k": 2}, {"by": "image", "where": "category == 'mug'"}])
def test_similar_to_an_item_answers_as_the_verb_does(client, red_blue_shop, shown, told, asked):
    assert shown(client.get("/items/r0/similar", params=asked)) == told(red_blue_shop.similar("r0", **asked))


def test_similar_takes_words_and_pictures_in_json_or_a_form(client, red_blue_shop, shown, told, paint):
    red = paint("red")
    both = told(red_blue_shop.similar(text="blue lamp", image=[red], k=3))
    sent = {"text": "blue lamp", "k": 3}
    assert shown(client.post("/similar", json=sent | {"image": in_base64(red)})) == both
    assert shown(client.post("/similar", data=sent, files={"image": ("any.png", red)})) == both
    alone = client.post("/similar", files={"image": ("any.png", red)})
    assert shown(alone) == told(red_blue_shop.similar(image=red))
    by_field = {"text": {"title": "red mug"}, "by": "title"}
    assert shown(client.post("/similar", json=by_field)) == told(red_blue_shop.similar(**by_field))


@settings(max_examples=25)
@given(history=st.lists(st.sampled_from(["r0", "r1", "b0", "b3"]), min_size=1), k=st.integers(1, 9))
def test_any_history_gives_the_verb_s_scores_to_the_last_bit(client, red_blue_shop, shown, told, history, k):
    found = red_blue_shop.recommend(history=history, k=k)
    assert shown(client.post("/recommend", json={"history": history, "k": k})) == told(found)


def test_an_option_that_is_not_set_is_left_to_the_verb():
    from mmrec.service.models import FitRequest, RecommendRequest

    assert RecommendRequest(user="u", diversity=None).options() == {"user": "u"}
    assert RecommendRequest(signals={"newness": 0.2}).options() == {"signals": {"newness": 0.2}}
    assert RecommendRequest(diversity=0.3, max_per={"brand": 2}, explore=0.1).options() == {
        "diversity": 0.3, "max_per": {"brand": 2}, "explore": 0.1}
    assert FitRequest().options() == {}
    assert FitRequest(epochs=3, warm_start=True, seed=1).options() == {
        "epochs": 3, "warm_start": True, "seed": 1}


def test_items_come_in_row_by_row_and_each_row_is_accounted_for(own, shop):
    first = own.post("/items", json=[row("a", "red mug"), row("b", "blue lamp", attributes={"price": 3})])
    assert [i["outcome"] for i in first.json()["items"]] == ["added", "added"]
    batch = [
        row("a", "red mug"), row("b", "green lamp"), row("c", "chair"), row("c", "old chair"), {"text": {}},
        7, row("d", "x", colour="red"), row("e", "x", attributes={"price": "much"}),
    ]
    answer = own.post("/items", json=batch).json()
    assert [(i["item_id"], i["outcome"], i.get("field")) for i in answer["items"]] == [
        ("a", "unchanged", None), ("b", "updated", None), ("c", "updated", None), ("c", "added", None),
        (None, "rejected", "item_id"), (None, "rejected", None), ("d", "added", "colour"),
        ("e", "added", "price"),
    ]
    assert {name: count for name, count in answer.items() if name != "items"} == {
        "added": 3, "updated": 2, "unchanged": 1, "rejected": 2, "without_picture": 0, "incomplete": 2}
    assert "numbers" in answer["items"][-1]["reason"]
    assert shop.get(["c"])[0].text["title"] == "old chair"
    assert len(shop) == 5


def test_a_value_that_cannot_be_used_costs_that_value_and_is_told(own, shop):
    sound = row("a", "mug", attributes={"price": 3})
    assert own.post("/items", json=sound).json()["added"] == 1
    odd = {
        "price": ("attributes", {"price": [1, 2], "size": "M"}), "tall": ("attributes", {"tall": {"cm": 9}}),
        "added_at": ("added_at", "soon"), "text": ("text", "mug"),
        "a b": ("text", {"title": "mug", "a b": "x"}),
    }
    rows = [{**sound, "item_id": field, part: value} for field, (part, value) in odd.items()]
    answer = own.post("/items", json=rows).json()
    assert [(one["outcome"], one["field"]) for one in answer["items"]] == [("added", name) for name in odd]
    assert (answer["incomplete"], answer["without_picture"]) == (5, 0)
    assert [(dict(i.text), dict(i.attributes)) for i in shop.get(list(odd))] == [
        ({"title": "mug"}, {"size": "M"}), ({"title": "mug"}, {}), ({"title": "mug"}, {"price": 3}),
        ({}, {"price": 3}), ({"title": "mug"}, {"price": 3}),
    ]
    bare = {"item_id": "x", "text": 5, "attributes": {"price": [7]}}
    bare = own.post("/items", json=bare).json()["items"][0]
    assert (bare["outcome"], "x" in shop) == ("rejected", False)
    assert "text must map" in bare["reason"]
    assert "'price'" in bare["reason"]


def test_one_object_where_a_list_is_meant_is_a_list_of_one(own, shop):
    assert own.post("/items", json=row("a", "mug")).json()["items"] == [{"item_id": "a", "outcome": "added"}]
    form = {"data": {"items": json.dumps(row("b", "mug"))}, "files": {"image": b""}}
    assert own.post("/items", **form).json()["added"] == 1
    assert own.post("/interactions", json={"user_id": "u", "item_id": "a"}).json()["added"] == 1
    assert len(shop.interactions("u")) == 1
    assert [card["item_id"] for card in own.post("/cards", json={"item_ids": "b"}).json()] == ["b"]
    for asked in ({"history": "a"}, {"history": ["a"]}):
        assert [r["item_id"] for r in own.post("/recommend", json=asked).json()["results"]] == ["b"]
    assert own.post("/items", json={"items": [row("a", "mug")]}).json()["unchanged"] == 1
    for wrong in ("a", {"items": "a"}, {"items": row("c", "mug")}):
        assert own.post("/items", json=wrong).status_code == 422
    schemas = own.get("/openapi.json").json()
    body = schemas["paths"]["/items"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert [one.get("type") for one in body["anyOf"]] == ["array", None]
    history = schemas["components"]["schemas"]["RecommendRequest"]["properties"]["history"]
    assert [one.get("type") for one in history["anyOf"]] == ["array", "string", "null"]


def test_a_form_that_says_one_thing_twice_is_refused(own):
    answer = own.post("/similar", files=[("text", (None, "mug")), ("text", (None, "lamp"))])
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "text")


@settings(max_examples=8, deadline=None)
@given(names=st.lists(st.sampled_from(["a.png", "b.png"]), min_size=1, max_size=5), swap=st.booleans())
def test_files_of_one_name_go_each_to_its_mention_in_turn(tmp_path_factory, names, swap):
    from mmrec import Recommender
    from mmrec.service import uploads

    files = [("image", name, drawn(n)) for n, name in enumerate(names)]
    rows = [row(str(n), "mug", image=name if swap else [name]) for n, name in enumerate(names)]
    toy = {"text_encoder": "toy", "image_encoder": "toy"}
    with Recommender.open(tmp_path_factory.mktemp("shop") / "s.mmrec", toy) as shop:
        items = uploads.items_of(rows, uploads.Sent({}, files), shop)
        assert [item.images[0].read_bytes() for item in items] == [data for _, _, data in files]
        for n, item in enumerate(uploads.items_of(rows[1:], uploads.Sent({}, files), shop), 1):
            alone = names.count(names[0]) == 1 or names[n] != names[0]
            assert isinstance(item.images[0], uploads.Refused) is not alone


def drawn(n):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (n, n, n)).save(file, "PNG")
    return file.getvalue()


def test_files_of_one_name_that_no_order_tells_apart_cost_the_pictures(own, shop):
    files = [("image", ("a.png", drawn(n))) for n in (1, 2)]
    one = {"items": json.dumps(row("a", "mug", image="a.png"))}
    answer = own.post("/items", data=one, files=files).json()
    assert (answer["added"], answer["without_picture"]) == (1, 1)
    assert "several uploaded files are called 'a.png'" in answer["items"][0]["reason"]
    rows = json.dumps([row("b", "mug", image="a.png"), row("c", "mug", image="a.png")])
    same = own.post("/items", data={"items": rows}, files=files[:1] * 2).json()
    assert (same["added"], same["without_picture"]) == (2, 0)


def test_pictures_beyond_the_most_are_left_out_and_told(own, shop):
    images = [in_base64(drawn(n)) for n in range(MAX_IMAGES + 3)]
    answer = own.post("/items", json=row("a", "mug", image=images)).json()
    assert (answer["items"][0]["outcome"], answer["items"][0]["field"]) == ("added", "image")
    assert "got 35: the first 32 are taken" in answer["items"][0]["reason"]
    assert len(shop.get(["a"])[0].images) == MAX_IMAGES
    assert len(list((shop.path / "pictures").iterdir())) == MAX_IMAGES


def test_items_are_tidied_as_those_of_files_and_their_ids_are_one_in_every_spelling(own, shop):
    wool = row(" Cafe\u0301 ", "<b>Wool</b> &amp;amp; silk", attributes={"größe": "L"})
    assert own.post("/items", json=[wool, row("b", "blue lamp")]).json()["added"] == 2
    assert own.get("/items/Caf\u00e9").json()["text"] == {"title": "Wool & silk"}
    assert own.get("/items/Cafe\u0301").status_code == 200
    assert "Cafe\u0301" in shop
    assert shop.similar("Cafe\u0301", k=1)[0].item_id == "b"
    found = own.post("/recommend", json={"k": 5, "where": "Größe == 'L' and item_id == 'Cafe\u0301'"}).json()
    assert [one["item_id"] for one in found["results"]] == ["Caf\u00e9"]
    own.post("/interactions", json=[{"user_id": "u", "item_id": "Cafe\u0301", "kind": "click"}])
    assert [one.item_id for one in shop.interactions(" u")] == ["Caf\u00e9"]
    found = own.post("/recommend", json={"k": 5, "exclude": ["Cafe\u0301 "]}).json()
    assert [one["item_id"] for one in found["results"]] == ["b"]


@settings(max_examples=5)
@given(batch=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["mug", "lamp", ""])), max_size=6),
       first=st.integers(0, 6))
def test_outcomes_of_batches_count_what_one_ingest_reports(tmp_path_factory, batch, first):
    from mmrec import Recommender, Rejection
    from mmrec.service import uploads

    rows = [
        Item(item_id=i, text={"title": t}, line=n) if t else Rejection(reason="no", item_id=i, line=n)
        for n, (i, t) in enumerate(batch, 1)
    ]
    toy = {"text_encoder": "toy", "image_encoder": "none"}
    shops = [Recommender.open(tmp_path_factory.mktemp("shop") / "s.mmrec", toy) for _ in range(2)]
    for _ in range(2):  # the second time nothing is new
        report, answers = shops[0].ingest(rows), uploads.ingest(shops[1], [rows[:first], rows[first:]])
        for count in ("added", "updated", "unchanged", "rejected"):
            assert sum(answer[count] for answer in answers) == getattr(report, count)
        for answer, part in zip(answers, (batch[:first], batch[first:]), strict=True):
            assert [(one["item_id"], one["outcome"] == "rejected") for one in answer["items"]] == [
                (item_id, not title) for item_id, title in part]


def test_a_form_brings_items_with_their_pictures(own, shop, paint, shown, told):
    red, blue = paint("red"), paint("blue")
    rows = [row("a", "mug", image="red.png"), row("b", "lamp", image=["blue.png", in_base64(red)]),
            row("c", "vase", image="green.png")]
    sent = {"data": {"items": json.dumps(rows)},
            "files": [("image", ("red.png", red)), ("image", ("blue.png", blue))]}
    answer = own.post("/items", **sent).json()
    assert [i["outcome"] for i in answer["items"]] == ["added", "added", "added"]
    assert [i.get("field") for i in answer["items"]] == [None, None, "image"]
    assert "'green.png' names no uploaded file" in answer["items"][2]["reason"]
    assert (answer["without_picture"], own.get("/items/c").json()["images"]) == (1, [])
    again = own.post("/items", **sent).json()
    assert [i["outcome"] for i in again["items"]] == ["unchanged", "unchanged", "unchanged"]
    assert again["without_picture"] == 1
    assert own.get("/items/b").json()["images"] == ["/items/b/image?n=0", "/items/b/image?n=1"]
    assert shown(own.get("/items/a/similar?by=image")) == told(shop.similar("a", by="image"))
    for n, colour in enumerate(["blue", "red"]):
        picture = own.get(f"/items/b/image?n={n}")
        assert picture.headers["content-type"] == "image/jpeg"
        pixel = Image.open(io.BytesIO(picture.content)).getpixel((8, 8))
        assert pixel.index(max(pixel)) == {"red": 0, "blue": 2}[colour]


def test_uploads_pass_the_gate_and_paths_are_not_followed(own, shop, picture):
    secret = picture("secret.png", "red")
    bad = [
        row("a", "x", image=in_base64(b"<svg onload='x'/>")), row("b", "x", image={"base64": "%%%"}),
        row("c", "x", image=str(secret)), row("d", "x", image="https://example.org/x.png"),
        row("e", "x", image={"path": str(secret)}), row("f", "x", image=[3]),
    ]
    answer = own.post("/items", json=bad).json()
    assert [(i["outcome"], i["field"]) for i in answer["items"]] == [("added", "image")] * 6
    assert (answer["added"], answer["without_picture"]) == (6, 6)
    bare = [{"item_id": bad["item_id"], "image": bad["image"]} for bad in bad]
    answer = own.post("/items", json=bare).json()
    assert [(i["outcome"], i["field"]) for i in answer["items"]] == [("rejected", "image")] * 6
    assert [item.images for item in shop.get([one["item_id"] for one in bad])] == [()] * 6
    assert not (shop.path / "pictures").exists()


def test_a_picture_is_decoded_before_it_is_kept_though_no_encoder_reads_it(serve, open_shop, paint):
    with open_shop("words.mmrec", image_encoder="none") as shop:
        client = serve(shop)
        red = paint("red")
        rows = [row("a", "x", image=in_base64(red[:-30])), row("b", "x", image=in_base64(red))]
        answer = client.post("/items", json=rows).json()
        assert [i.get("field") for i in answer["items"]] == ["image", None]
        assert (answer["added"], answer["without_picture"]) == (2, 1)
        assert "is cut off" in answer["items"][0]["reason"]
        assert client.get("/items/a/image").status_code == 404
        assert client.get("/items/b/image").status_code == 200
        assert len(list((shop.path / "pictures").iterdir())) == 1


def test_a_picture_is_drawn_small_once_and_survives_a_move_of_its_store(own, shop, paint, tmp_path):
    big = io.BytesIO()
    Image.new("RGB", (800, 400), "red").save(big, "PNG")
    own.post("/items", json=[row("a", "mug", image=in_base64(big.getvalue()))])
    first = own.get("/items/a/image?size=64")
    assert Image.open(io.BytesIO(first.content)).size == (64, 32)
    known = own.get("/items/a/image?size=64", headers={"If-None-Match": first.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert own.get("/items/a/image?n=1").status_code == 404
    shop.path.rename(tmp_path / "elsewhere.mmrec")
    from mmrec import Recommender
    from mmrec.service import uploads

    with Recommender.open(tmp_path / "elsewhere.mmrec") as moved:
        assert uploads.picture(moved, "a", 0, 64, None)[1] == first.content


def test_a_lost_picture_is_missing_and_its_path_is_not_told(own, shop, picture):
    path = picture("red.png", "red")
    shop.ingest([Item(item_id="a", text={"title": "mug"}, image=path)])
    path.unlink()
    answer = own.get("/items/a/image")
    assert answer.status_code == 404
    assert str(path.parent) not in answer.text
    assert str(path.parent) not in own.get("/items/a").text


@pytest.mark.parametrize("item_id", ["SKU/12", "50% off", "a b", "ümlaut", "x/image", "%2F", "a?b#c"])
def test_any_id_has_its_own_address(own, shop, item_id):
    from urllib.parse import quote

    shop.ingest([Item(item_id=item_id, text={"title": "red mug"}), Item(item_id="z", text={"title": "red"})])
    address = f"/items/{quote(item_id, safe='')}"
    assert own.get(address).json()["item_id"] == item_id
    assert [r["item_id"] for r in own.get(address + "/similar").json()["results"]] == ["z"]
    assert own.delete(address).json() == {"deleted": 1}
    assert item_id not in shop
    assert own.delete(address).status_code == 404


def test_browsing_pages_through_what_a_condition_keeps(client, red_blue):
    page = client.get("/items", params={"where": "price > 2", "offset": 1, "limit": 3}).json()
    wanted = sorted(i.item_id for i in red_blue if i.attributes["price"] > 2)
    assert (page["total"], [i["item_id"] for i in page["items"]]) == (len(wanted), wanted[1:4])
    whole = client.get("/items").json()
    assert [i["item_id"] for i in whole["items"]] == sorted(i.item_id for i in red_blue)
    assert client.get("/items?offset=99").json()["items"] == []
    item = whole["items"][0]
    assert (item["text"], item["attributes"]) == ({"title": "blue lamp"}, {"category": "lamp", "price": 5.0})


def test_interactions_are_recorded_and_change_the_answer(own, shop, red_blue, shown, told):
    shop.ingest(red_blue)
    acts = [
        {"user_id": "u", "item_id": "r0", "kind": "like", "time": "2024-05-01T10:00:00+00:00"},
        {"user_id": "u"}, {"user_id": "u", "item_id": "r1", "weight": -1}, "click",
    ]
    answer = own.post("/interactions", json=acts).json()
    assert (answer["added"], answer["unchanged"], answer["rejected"]) == (1, 0, 3)
    assert [(r["index"], r["field"]) for r in answer["rejections"]] == [
        (1, "item_id"), (2, "weight"), (3, None)]
    assert own.post("/interactions", json=acts[:1]).json()["unchanged"] == 1
    assert shop.interactions("u") == [Interaction(**acts[0] | {"time": shop.interactions("u")[0].time})]
    mine = own.post("/recommend", json={"user": "u", "k": 3})
    assert shown(mine) == told(shop.recommend(user="u", k=3))
    assert {r["rung"] for r in mine.json()["results"]} == {"history"}


class Diary:
    def __init__(self):
        self.showed, self.did = [], []

    def shown(self, request_id, route, asked, results, seconds=None):
        assert seconds > 0
        self.showed.append((request_id, route, dict(asked), [r.item_id for r in results]))

    def acted(self, rows):
        self.did.extend(rows)


def test_a_watcher_learns_what_was_shown_and_what_came_of_it(serve, shop, red_blue):
    shop.ingest(red_blue)
    diary = Diary()
    client = serve(shop, watcher=diary)
    answer = client.post("/recommend", json={"history": ["r0"], "k": 2})
    request_id, ids = answer.json()["request_id"], [r["item_id"] for r in answer.json()["results"]]
    assert answer.headers["x-request-id"] == request_id
    assert diary.showed == [(request_id, "recommend", {"history": ["r0"], "k": 2}, ids)]
    act = {"user_id": "u", "item_id": ids[0], "request_id": request_id}
    client.post("/interactions", json=[act, {"user_id": "u"}])
    assert diary.did == [act]


def test_the_openapi_document_names_every_route_and_its_references_resolve(client):
    document = client.get("/openapi.json").json()
    assert {(path, verb) for path, verbs in document["paths"].items() for verb in verbs} == {
        ("/items", "post"), ("/items", "get"), ("/items/{item_id}", "get"), ("/items/{item_id}", "delete"),
        ("/items/{item_id}/image", "get"), ("/items/{item_id}/audio", "get"),
        ("/items/{item_id}/similar", "get"), ("/similar", "post"),
        ("/search", "post"), ("/recommend", "post"), ("/interactions", "post"), ("/fit", "post"),
        ("/check", "post"), ("/suggest", "post"), ("/jobs/{job_id}", "get"), ("/health/live", "get"),
        ("/health/ready", "get"), ("/metrics", "get"),
        ("/stats", "get"), ("/cards", "post"), ("/quarantine", "get"), ("/monitor", "get"),
    }
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert {"ItemRow", "SimilarRequest", "ErrorAnswer"} <= names <= set(document["components"]["schemas"])


def test_rows_look_as_the_canonical_form_does():
    from mmrec.data.rows import INTERACTION_KEYS, ITEM_KEYS
    from mmrec.service.models import InteractionRow, ItemRow

    assert set(ItemRow.model_fields) == set(ITEM_KEYS)
    assert set(InteractionRow.model_fields) == {*INTERACTION_KEYS, "request_id"}


def test_a_write_that_cannot_be_brought_into_memory_is_acknowledged_all_the_same(serve, shop, monkeypatch):
    client = serve(shop)
    monkeypatch.setattr(shop.latest, "catch_up", Mock(side_effect=StoreError("vectors are damaged")))
    answer = client.post("/items", json=[{"item_id": "kept", "text": {"title": "red mug"}}])
    assert (answer.status_code, answer.json()["added"]) == (200, 1)
    shop.latest.catch_up.assert_called_once_with()
    assert client.get("/items/kept").status_code == 200
