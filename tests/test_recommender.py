"""The verbs, over worlds whose right answer is known."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Config, Interaction, Item, Recommender
from mmrec.encoders.base import ToyText
from mmrec.errors import ConfigError, DataError, NotFitted, StoreBusy, StoreError, StoreMismatch, UnknownItem

RED, BLUE = ["r0", "r1", "r2", "r3"], ["b0", "b1", "b2", "b3"]


def ids(results):
    return [r.item_id for r in results]


def sums_up(results):
    return all(sum(x.contribution for x in r.reasons) == pytest.approx(r.score, abs=1e-5) for r in results)


# similar

@pytest.mark.parametrize(("by", "same"), [("title", "tr"), ("image", "pb")])
def test_similar_by_one_field_looks_at_that_field_alone(crossed_shop, by, same):
    results = crossed_shop.similar("tr-pb-0", by=by, k=3)
    assert all(same in item_id for item_id in ids(results))
    assert [r.score for r in results] == pytest.approx([1, 1, 1], abs=1e-4)


def test_similar_by_content_weighs_both(crossed_shop):
    results = crossed_shop.similar("tr-pb-0", k=7)
    assert ids(results)[0] == "tr-pb-1"
    assert set(ids(results)[1:5]) == {"tr-pr-0", "tr-pr-1", "tb-pb-0", "tb-pb-1"}
    assert set(ids(results)[5:]) == {"tb-pr-0", "tb-pr-1"}
    assert {x.name for x in results[0].reasons} == {"title", "image"}
    assert sums_up(results)


def test_an_item_is_not_among_its_own_results(red_blue_shop):
    for item_id in RED + BLUE:
        results = ids(red_blue_shop.similar(item_id, k=100))
        assert len(results) == 7
        assert item_id not in results


def test_similar_to_words_and_pictures_that_are_not_in_the_catalogue(crossed_shop, paint):
    assert all("tb" in i for i in ids(crossed_shop.similar(text="navy lamp", k=4)))
    assert all("pr" in i for i in ids(crossed_shop.similar(image=paint("red"), k=4)))
    both = crossed_shop.similar(text={"title": "navy lamp"}, image=paint("red"), k=2)
    assert set(ids(both)) == {"tb-pr-0", "tb-pr-1"}
    assert sums_up(both)
    assert ids(crossed_shop.similar(image=[paint("red"), paint("red")], by="image", k=1)) == ["tb-pr-0"]


def test_equal_scores_come_in_the_order_of_their_ids(crossed_shop):
    assert ids(crossed_shop.similar(text="crimson", by="title", k=4)) == [
        "tr-pb-0", "tr-pb-1", "tr-pr-0", "tr-pr-1",
    ]


def test_similar_keeps_only_what_a_condition_keeps(red_blue_shop):
    results = red_blue_shop.similar("r0", k=100, where="category == 'lamp' and price < 7")
    assert set(ids(results)) == {"b0", "b1"}


@pytest.mark.parametrize("query", [
    {}, {"item_id": "r0", "text": "red"}, {"item_id": "r0", "image": b"x"}, {"text": " "}, {"text": ""},
    {"text": {}}, {"item_id": "r0", "by": "smell"}, {"text": "red", "by": "image"},
    {"image": b"no picture"}, {"item_id": "r0", "where": "smell == 'good'"}, {"item_id": "r0", "where": ""},
])
def test_a_similar_that_cannot_be_asked_is_refused(red_blue_shop, query):
    with pytest.raises(DataError):
        red_blue_shop.similar(**query)


def test_similar_to_an_unknown_item_or_by_behaviour_before_fit_is_refused(red_blue_shop):
    with pytest.raises(UnknownItem, match="'x' is not in the catalogue"):
        red_blue_shop.similar("x")
    with pytest.raises(NotFitted, match="by='content'"):
        red_blue_shop.similar("r0", by="behaviour")


# search

def test_search_finds_words_and_fuses_both_rankings(red_blue_shop):
    results = red_blue_shop.search("blue lamp", k=4)
    assert set(ids(results)) == set(BLUE)
    assert {r.rung for r in results} == {"search"}
    assert {x.name for x in results[0].reasons} == {"full text", "words"}
    assert sums_up(results)
    assert [r.score for r in results] == sorted((r.score for r in results), reverse=True)


def test_search_finds_by_category_and_keeps_to_a_condition(red_blue_shop):
    assert set(ids(red_blue_shop.search("mug", k=100, where="price >= 3"))) == {"r2", "r3", *BLUE}
    assert ids(red_blue_shop.search("mug", k=2, where="price >= 3")) == ["r2", "r3"]


@pytest.mark.parametrize("words", [
    '"', "red AND (", "title:red~2", "' OR 1=1 --", "+-!*?", "日本", "x" * 5_000,
])
def test_odd_words_are_only_words(red_blue_shop, words):
    assert len(red_blue_shop.search(words, k=3)) <= 3


@pytest.mark.parametrize("words", ["", " \n", None, 5])
def test_search_needs_words(red_blue_shop, words):
    with pytest.raises(DataError, match="search needs words"):
        red_blue_shop.search(words)


def test_search_sees_new_changed_and_deleted_items(shop, red_blue):
    shop.ingest(red_blue)
    shop.ingest([Item(item_id="z", text={"title": "velvet curtain"})])
    assert ids(shop.search("velvet", k=1)) == ["z"]
    shop.ingest([Item(item_id="z", text={"title": "silk curtain"})])
    assert ids(shop.search("silk", k=1)) == ["z"]
    assert not [r for r in shop.search("velvet") if r.reasons[0].name == "full text"]
    shop.delete(["z"])
    assert "z" not in ids(shop.search("silk curtain", k=100))


# recommend, score

@pytest.mark.parametrize(("history", "letter"), [
    (["r0"], "r"), (["b3", "b1"], "b"), (["r0", "r1", "b0"], "r"),
])
def test_a_shopper_of_red_gets_red(red_blue_shop, history, letter):
    results = red_blue_shop.recommend(history=history, k=2)
    assert [i[0] for i in ids(results)] == [letter, letter]
    assert sums_up(results)


def test_results_hold_nothing_of_history_dislikes_and_exclude(red_blue_shop):
    results = red_blue_shop.recommend(history=["r0", "b0"], dislikes=["b1"], exclude=["r3", "gone"], k=100)
    assert set(ids(results)) == {"r1", "r2", "b2", "b3"}


def test_dislikes_push_away(red_blue_shop):
    score = red_blue_shop.score
    plain, pushed = score(history=["r0"], items=BLUE), score(history=["r0"], items=BLUE, dislikes=["b0"])
    assert (pushed < plain).all()
    mixed = red_blue_shop.recommend(history=["r0", "b0"], dislikes=["b1"], k=2)
    assert all(i.startswith("r") for i in ids(mixed))


@settings(max_examples=30)
@given(
    history=st.lists(st.sampled_from(RED + BLUE), min_size=1, max_size=5),
    dislikes=st.lists(st.sampled_from(RED + BLUE), max_size=3),
)
def test_score_is_exactly_what_recommend_ranks_by(red_blue_shop, history, dislikes):
    results = red_blue_shop.recommend(history=history, dislikes=dislikes, k=100)
    ranked = [r for r in results if r.rung == "history"]
    assert not set(ids(results)) & {*history, *dislikes}
    assert sums_up(results)
    if ranked:
        scores = red_blue_shop.score(history=history, dislikes=dislikes, items=ids(ranked))
        assert scores.dtype == np.float32
        assert scores.tolist() == [r.score for r in ranked]


def test_score_many_is_score_for_each(red_blue_shop):
    histories = [["r0"], ["b0", "b1"], ["r1", "b2", "r1"], [], ["gone"]]
    scores = red_blue_shop.score_many(histories=histories, items=["b3", "r3", "b3"])
    assert (scores.shape, scores.dtype) == ((5, 3), np.float32)
    for row, history in zip(scores[:3], histories, strict=False):
        np.testing.assert_allclose(
            row, red_blue_shop.score(history=history, items=["b3", "r3", "b3"]), atol=1e-6
        )
    assert not scores[3:].any()
    assert red_blue_shop.score_many(histories=[], items=["b3"]).shape == (0, 1)
    assert red_blue_shop.score_many(histories=[["r0"]], items=[]).shape == (1, 0)


def test_scoring_an_unknown_item_is_refused(red_blue_shop):
    with pytest.raises(UnknownItem, match="'x'"):
        red_blue_shop.score(history=["r0"], items=["r1", "x"])
    with pytest.raises(UnknownItem, match="none of the history"):
        red_blue_shop.score(history=["x"], items=["r1"])


def test_recommend_many_is_recommend_one_by_one(red_blue_shop):
    histories = [["r0"], ["b0", "r2"], [], ["b1", "b1"]]
    many = red_blue_shop.recommend_many(histories, k=5, where="price > 1")
    assert many == [red_blue_shop.recommend(history=h, k=5, where="price > 1") for h in histories]
    assert red_blue_shop.recommend_many([]) == []


def test_a_history_partly_unknown_is_used_and_logged(red_blue_shop, caplog):
    with caplog.at_level(logging.WARNING, "mmrec"):
        results = red_blue_shop.recommend(history=["gone", "r0"], k=3)
    assert ids(results) == ["r1", "r2", "r3"]
    assert "gone" in caplog.text


@pytest.mark.parametrize("query", [{"history": ["x", "y"]}, {"dislikes": ["x"]}])
def test_a_history_wholly_unknown_is_refused(red_blue_shop, query):
    with pytest.raises(UnknownItem, match="'x'"):
        red_blue_shop.recommend(**query)


@pytest.mark.parametrize("query", [
    {"history": "r0"}, {"history": [1]}, {"dislikes": "r0"}, {"exclude": "r0"}, {"where": "price <"},
    {"user": "u", "history": ["r0"]}, {"where": "1 == 1"}, {"where": "price < 3 or True"},
])
def test_a_recommend_that_cannot_be_asked_is_refused(red_blue_shop, query):
    with pytest.raises(DataError):
        red_blue_shop.recommend(**query)


@pytest.mark.parametrize("k", [0, -1, 10_001, True, "3", None, 2.5])
def test_k_is_checked_by_every_verb(red_blue_shop, k):
    for ask in (
        lambda: red_blue_shop.recommend(k=k), lambda: red_blue_shop.recommend_many([["r0"]], k=k),
        lambda: red_blue_shop.similar("r0", k=k), lambda: red_blue_shop.search("red", k=k),
    ):
        with pytest.raises(DataError, match="k must be a whole number from 1 to 10,000"):
            ask()


@pytest.mark.parametrize("k", [1, 3, 7, 8, 10_000])
def test_there_are_k_results_wherever_k_items_match(red_blue_shop, k):
    assert len(red_blue_shop.recommend(k=k)) == min(k, 8)
    assert len(red_blue_shop.recommend(history=["r0"], k=k)) == min(k, 7)
    assert len(red_blue_shop.similar("r0", k=k)) == min(k, 7)
    assert len(red_blue_shop.similar(text="red", k=k)) == min(k, 8)
    assert len(red_blue_shop.recommend(taste="red", k=k, where="price > 4")) == min(k, 4)


# small and empty catalogues

def test_an_empty_catalogue_has_no_results(shop):
    assert (len(shop), "a" in shop, shop.get([])) == (0, False, [])
    assert shop.recommend() == shop.recommend(taste="red") == shop.search("red") == []
    assert shop.similar(text="red") == shop.recommend(user="u") == []
    assert shop.recommend_many([[], ["a"]]) == [[], []]
    assert shop.delete(["a"]) == 0
    assert shop.stats()["items"] == 0
    with pytest.raises(UnknownItem):
        shop.recommend(history=["a"])
    with pytest.raises(UnknownItem):
        shop.similar("a")


def test_one_item_has_no_neighbour_and_is_shown_to_everyone_else(shop):
    shop.ingest([Item(item_id="a", text={"title": "red mug"})])
    assert shop.similar("a") == shop.recommend(history=["a"]) == []
    assert ids(shop.recommend()) == ids(shop.search("red")) == ids(shop.similar(text="mug")) == ["a"]


def test_nothing_is_left_when_all_is_filtered_out(red_blue_shop):
    for query in ({"history": ["r0"]}, {"taste": "red"}, {}, {"dislikes": ["r0"]}):
        assert red_blue_shop.recommend(**query, where="price > 100") == []
    assert red_blue_shop.similar("r0", where="price > 100") == []
    assert red_blue_shop.search("red", where="price > 100") == []


# items and facts

def test_get_gives_items_back_in_the_order_asked(red_blue_shop, red_blue):
    found = red_blue_shop.get(["b1", "r0", "b1"])
    assert ids(found) == ["b1", "r0", "b1"]
    for item, was in zip(found, (red_blue[5], red_blue[0], red_blue[5]), strict=True):
        assert (item.text, item.attributes, item.added_at) == (was.text, was.attributes, was.added_at)
    with pytest.raises(UnknownItem, match="'x'"):
        red_blue_shop.get(["r0", "x"])
    with pytest.raises(DataError, match="list of item ids"):
        red_blue_shop.get("r0")


def test_length_and_membership(red_blue_shop):
    assert len(red_blue_shop) == 8
    assert "r0" in red_blue_shop
    assert not any(x in red_blue_shop for x in ("x", "", None, 5, "' OR 1=1 --"))


def test_a_deleted_item_is_nowhere_but_its_interactions_stay(shop, red_blue):
    shop.ingest(red_blue)
    shop.record([Interaction(user_id="u", item_id="b0"), Interaction(user_id="u", item_id="r0")])
    assert shop.delete(["b0"]) == 1
    assert ("b0" in shop, len(shop)) == (False, 7)
    for results in (shop.recommend(k=100), shop.similar("r0", k=100), shop.search("blue", k=100)):
        assert "b0" not in ids(results)
    assert ids(shop.recommend(user="u", k=1)) == ["r1"]
    assert [i.item_id for i in shop.interactions("u")] == ["b0", "r0"]
    with pytest.raises(DataError):
        shop.delete("r0")


def test_stats_say_what_there_is(red_blue_shop):
    stats = red_blue_shop.stats()
    assert (stats["items"], stats["interactions"], stats["fitted"]) == (8, 0, False)
    assert {name: field["kind"] for name, field in stats["fields"].items()} == {
        "title": "embedding", "image": "embedding", "category": "category", "price": "number",
    }
    assert stats["encoders"] == {"text": "toy-text", "image": "toy-image", "audio": "descriptor"}
    assert stats["dim"] == sum(field["dim"] for field in stats["fields"].values())
    assert stats["bytes"] > 0


def test_the_doctor_finds_a_shop_healthy(shop, red_blue):
    shop.ingest(red_blue)
    assert shop.doctor()["healthy"]
    assert shop.doctor(mend=False)["healthy"]


# opening

def test_a_reopened_shop_answers_the_same(open_shop, red_blue):
    with open_shop() as shop:
        shop.ingest(red_blue)
        shop.record([Interaction(user_id="u", item_id="r0")])
        expected = shop.similar("r0"), shop.search("red"), shop.recommend(user="u")
    again = Recommender.open(shop.path)
    assert (again.similar("r0"), again.search("red"), again.recommend(user="u")) == expected
    assert again.encoders["text"].fingerprint == shop.encoders["text"].fingerprint


def test_a_closed_shop_can_still_be_asked(open_shop, red_blue):
    with open_shop() as shop:
        shop.ingest(red_blue)
    assert len(shop.similar("r0")) == 7


def test_other_weights_rewrite_vectors_and_encode_nothing(open_shop, crossed, calls):
    open_shop().ingest(crossed)
    shop = open_shop(weights={"title": 0})
    assert calls(shop) == (0, 0)
    assert all("pb" in i for i in ids(shop.similar("tr-pb-0", k=3)))
    shop = open_shop(weights={"image": 0.01})
    assert all("tr" in i for i in ids(shop.similar("tr-pb-0", k=3)))
    assert calls(shop) == (0, 0)
    assert Recommender.open(shop.path).config.weights == {"image": 0.01}  # kept
    assert shop.ingest(crossed).unchanged == 8


def test_settings_that_change_no_vector_rewrite_none(open_shop, crossed):
    shop = open_shop()
    shop.ingest(crossed)
    before = shop.store.facts["serial"]
    shop = open_shop(rrf_k=77, dislike_weight=0.1)
    assert shop.store.facts["serial"] == before
    assert (Recommender.open(shop.path).config.rrf_k, shop.config.dislike_weight) == (77, 0.1)
    assert open_shop(attribute_weight=0.9).store.facts["serial"] == before + 1


def test_another_encoder_is_refused_with_what_to_do(open_shop):
    path = open_shop().path
    with pytest.raises(StoreMismatch, match=r"text encoder 'toy', not 'all-MiniLM-L6-v2'.*new store"):
        Recommender.open(path, {"text_encoder": "all-MiniLM-L6-v2"})
    assert Recommender.open(path, {"weights": {"title": 2}}).config.text_encoder == "toy"
    open_shop("texts", image_encoder="none")
    with pytest.raises(StoreMismatch, match="image encoder 'none'"):
        open_shop("texts")


def test_settings_that_are_unknown_or_out_of_range_are_refused_and_make_no_store(tmp_path):
    for settings_ in ({"wieghts": {}}, {"popularity_half_life": 0}, {"weights": {"title": -1}}):
        with pytest.raises(ConfigError, match="Known settings"):
            Recommender.open(tmp_path / "s", settings_)
    assert not (tmp_path / "s").exists()


def test_without_create_a_path_that_is_no_store_is_refused_and_left_alone(tmp_path):
    with pytest.raises(StoreError, match="is no mmrec store"):
        Recommender.open(tmp_path / "typo", create=False)
    assert not (tmp_path / "typo").exists()


def test_a_folder_of_something_else_and_a_file_are_no_place_for_a_store(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(StoreError, match="another path, or an empty folder"):
            Recommender.open(path, {"text_encoder": "toy", "image_encoder": "toy"})
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_second_writer_waits_and_then_says_so(open_shop, red_blue):
    shop = open_shop()
    other = Recommender.open(shop.path, wait=0.1)
    with shop.store.writer(), pytest.raises(StoreBusy, match="another process has been writing"):
        other.ingest(red_blue)
    assert other.ingest(red_blue).added == 8
    assert len(shop) == 8


def test_a_config_object_serves_as_well_as_a_mapping(tmp_path):
    config = Config(text_encoder="toy", image_encoder="none", rrf_k=10)
    shop = Recommender.open(tmp_path / "s", config)
    assert shop.config == config == Recommender.open(tmp_path / "s").config
    assert isinstance(shop.encoders["text"], ToyText)


ROAD = {  # of a request, from the verb to the answer
    "recommender", "ranking.request", "ranking.users", "ranking.retrieve", "search.snapshot", "search.topk",
    "ranking.page", "ranking.reasons",
}
ASIDE = {  # whether the catalogue has changed, arithmetic on arrays, and the spelling of ids
    "search.latest", "store.files", "store.tables", "model.towers", "encoders.base", "search.hits",
    "search.rows", "types",
}


def test_a_recommendation_passes_eight_files(red_blue_shop):
    """Told by the interpreter: every module of ours whose code runs, once the vectors are in memory."""
    package, passed = Path(sys.modules["mmrec"].__file__).parent, set()
    red_blue_shop.recommend(history=["r0"])

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(package):
            passed.add(".".join(path.relative_to(package).with_suffix("").parts))

    sys.setprofile(note)
    try:
        red_blue_shop.recommend(history=["r0", "b0"], k=3)
    finally:
        sys.setprofile(None)
    assert passed - ASIDE == ROAD
    assert len(ROAD) <= 8


def test_vectors_in_a_file_give_the_same_answers_before_and_after_a_change(open_shop, red_blue, crossed):
    open_shop().ingest(red_blue)
    inside = open_shop()
    outside = Recommender.open(inside.path, memory=1)

    def answers(shop):
        return [
            shop.similar("r0", k=20), shop.similar("r0", by="image"), shop.similar(text="red mug"),
            shop.search("blue lamp"), shop.recommend(history=["r0", "b1"], k=20, diversity=0.3),
            shop.recommend_many([["r1"], ["b0"]]), shop.recommend(history=["r0"], where="price > 2"),
            shop.score(history=["r0"], items=["b0", "r1"]).tolist(),
        ]

    for change in (lambda: None, lambda: inside.ingest(crossed), lambda: inside.delete(["r1", "b2"]),
                   lambda: inside.ingest([Item(item_id="r0", text={"title": "red chair"})])):
        change()
        inside.ingest([Item(item_id="r1", text={"title": "red mug"})])
        assert answers(outside) == answers(inside)
        for shop, there in ((inside, True), (outside, False)):
            snapshot = shop.snapshot()
            assert all(snapshot.space(name).in_memory is there for name in snapshot.spaces)
    assert outside.snapshot().nbytes < inside.snapshot().nbytes
    assert outside.doctor()["search"]["road"].endswith(", the vectors lie in a file")
