"""From requests to results: rungs and reasons, and the same for everybody in a file, whole or not at all."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmrec import Interaction, Item
from mmrec.errors import DataError
from mmrec.ranking.request import Request
from mmrec.ranking.retrieve import nearest, recommend
from mmrec.ranking.users import Point, users_with
from mmrec.search.latest import LatestSnapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.ingest import Intake


@pytest.fixture
def snapshot(catalogue, red_blue):
    Intake(catalogue).run(red_blue)
    return LatestSnapshot(catalogue).now()


def user_of(snapshot, history=(), dislikes=(), taste=None):
    events = [(i, 1.0) for i in history] + [(i, -1.0) for i in dislikes]
    return users_with(snapshot, [events], {0: taste} if taste else None)[0]


@pytest.fixture
def serve(snapshot):
    """Recommends to a history in the snapshot."""

    def serve_(history=(), dislikes=(), k=8, popularity=None, where=None, **options):
        request = Request(k=k, where=where, **options)
        user = user_of(snapshot, history, dislikes)
        return recommend(snapshot, [request], [user], lambda: popularity or {})[0]

    return serve_


def ids(results):
    return [r.item_id for r in results]


def test_a_red_history_finds_red_items_first(serve):
    results = serve(["r0", "r1"])
    assert set(ids(results[:2])) == {"r2", "r3"}
    assert {r.rung for r in results} == {"history"}
    assert all(a.score >= b.score for a, b in pairwise(results))


def test_the_score_is_the_cosine_with_the_user(serve, snapshot):
    point, x = user_of(snapshot, ["r0", "b0"], ["b1"]).point, snapshot.space(CONTENT)
    assert point.space == CONTENT
    assert np.linalg.norm(point.vector) == pytest.approx(1)
    for result in serve(["r0", "b0"], ["b1"]):
        assert result.score == pytest.approx(float(x[snapshot.position[result.item_id]] @ point.vector))


@pytest.mark.parametrize("history", [["r0"], ["r0", "r1"], ["r0", "b1", "r2", "b3", "r3"], ["r0", "r0"]])
@pytest.mark.parametrize("dislikes", [[], ["b0"]])
def test_reasons_sum_to_the_score_and_name_the_history(serve, history, dislikes):
    for result in serve(history, dislikes):
        if result.rung == "history":
            named = [r.name for r in result.reasons if r.source == "item"]
            assert set(named) <= {*history, *dislikes}
            assert len(named) == len(set(named))
            if len({*history, *dislikes}) <= 3:  # all are named, so that they alone make the score
                assert sum(r.contribution for r in result.reasons if r.source == "item") == pytest.approx(
                    result.score, abs=1e-5)


def test_a_disliked_item_is_a_reason_against(serve):
    (blue,) = [r for r in serve(["r0"], ["b0"]) if r.item_id == "b1"]
    assert {r.name: r.contribution < 0 for r in blue.reasons if r.source == "item"}["b0"]


def test_words_say_where_a_user_without_a_history_is(snapshot):
    point = Point("title", snapshot.space("title")[snapshot.position["b0"]])
    assert user_of(snapshot, ["r0"], taste=point).point.space == CONTENT
    ((result, *_),) = recommend(snapshot, [Request(k=8)], [user_of(snapshot, taste=point)], dict)
    assert (result.item_id, result.rung, result.score) == ("b0", "taste", pytest.approx(1))
    assert [(r.source, r.name) for r in result.reasons] == [("words", "taste")]


def test_nothing_of_the_history_or_excluded_is_shown(serve):
    assert not {"r0", "b3"} & set(ids(serve(["r0"], exclude=["b3", "who"])))


def test_popular_items_come_with_their_share_of_the_most_popular(serve):
    results = serve(popularity={"b2": 4.0, "r1": 1.0, "gone": 2.0}, k=2)
    assert {r.rung for r in results} == {"popular"}
    assert {r.item_id: r.score for r in results} == {"b2": 1.0, "r1": 0.25}


def test_the_newest_items_come_with_their_age_in_days(serve):
    results = serve(k=3)
    assert [(r.item_id, r.rung, r.score) for r in results] == [
        ("b3", "newest", 0.0), ("b2", "newest", -1.0), ("b1", "newest", -2.0),
    ]


def test_a_condition_holds_on_every_rung(serve):
    results = serve(["r0"], popularity={"b2": 4.0, "r1": 1.0}, where="price in (2, 3, 7, 8)")
    assert ids(results)[:2] == ["r1", "r2"]
    assert set(ids(results)) == {"r1", "r2", "b2", "b3"}
    assert ids(serve(popularity={"b2": 4.0, "r1": 1.0}, where="price in (2, 3)")) == ["r1", "r2"]


def test_similar_leaves_out_what_is_excluded_and_names_the_fields(snapshot):
    query = snapshot.space(CONTENT)[snapshot.position["r0"]]
    results = nearest(snapshot, Point(CONTENT, query), Request(k=3), exclude=[snapshot.position["r0"]])
    assert ids(results) == ["r1", "r2", "r3"]
    for result in results:
        assert result.rung == "similar"
        assert {r.source for r in result.reasons} <= {"field", "other"}
        assert {r.name for r in result.reasons} <= {"title", "image", "category", "price", "the rest"}
        assert sum(r.contribution for r in result.reasons) == pytest.approx(result.score, abs=1e-5)


def test_similar_by_one_field_has_that_field_as_its_only_reason(snapshot):
    query = snapshot.space("image")[snapshot.position["b0"]]
    (result, *_) = nearest(snapshot, Point("image", query), Request(k=8))
    assert [(r.source, r.name) for r in result.reasons] == [("field", "image")]
    assert result.score == pytest.approx(1)


def test_an_item_without_content_can_only_be_popular_or_new(catalogue, red_blue):
    Intake(catalogue).run([*red_blue, Item(item_id="bare", added_at=red_blue[0].added_at)])
    snapshot = LatestSnapshot(catalogue).now()
    ((*rest, last),) = recommend(snapshot, [Request(k=100)], [user_of(snapshot, ["r0"])], dict)
    assert (last.item_id, last.rung) == ("bare", "newest")
    assert {r.rung for r in rest} == {"history"}


MAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def busy(shop, red_blue):
    """A shop with seven users, one of whom only dislikes and one of whom knows nothing that is there."""
    shop.ingest(red_blue)
    shop.record([
        *(Interaction(user_id=f"u{n}", item_id=i, kind=kind, time=MAY + timedelta(days=day))
          for n in range(5)
          for day, (i, kind) in enumerate([(f"b{n % 4}", "view"), (f"r{n % 3}", "purchase")])),
        Interaction(user_id="it's", item_id="r0", kind="dislike", time=MAY),
        Interaction(user_id="lost", item_id="gone", time=MAY),
    ])
    return shop


@pytest.mark.parametrize("batch", [1, 3, 1_000])
def test_the_file_says_what_recommend_says(busy, tmp_path, batch):
    told = []
    path = tmp_path / "all.parquet"
    assert busy.export(path, k=3, batch=batch, progress=told.append) == 7
    assert sum(told) == 7
    assert max(told) <= batch
    rows = pq.read_table(path).to_pylist()
    expected = [
        {"user_id": user, "rank": rank, "item_id": r.item_id, "score": pytest.approx(r.score), "rung": r.rung}
        for user in sorted(["it's", "lost", *(f"u{n}" for n in range(5))])
        for rank, r in enumerate(busy.recommend(user=user, k=3), start=1)
    ]
    assert rows == expected
    assert {row["rung"] for row in rows} == {"history", "taste", "popular"}


def test_some_users_and_a_condition(busy, tmp_path):
    path = tmp_path / "some.parquet"
    assert busy.export(path, users=["u3", "nobody"], where="price > 4", k=2) == 2
    rows = pq.read_table(path)
    assert rows["user_id"].to_pylist() == ["u3", "u3", "nobody", "nobody"]
    assert all(i.startswith("b") for i in rows["item_id"].to_pylist())


def test_a_user_who_is_asked_for_twice_is_served_twice(busy, tmp_path):
    assert busy.export(tmp_path / "twice.parquet", users=["u3", "u1", "u3"], k=1) == 3
    assert pq.read_table(tmp_path / "twice.parquet")["user_id"].to_pylist() == ["u3", "u1", "u3"]


def test_a_shop_without_users_writes_an_empty_table(shop, tmp_path):
    assert shop.export(tmp_path / "none.parquet") == 0
    table = pq.read_table(tmp_path / "none.parquet")
    assert (table.num_rows, table.column_names) == (0, ["user_id", "rank", "item_id", "score", "rung"])


def test_the_file_before_stays_when_an_export_fails(busy, tmp_path, monkeypatch):
    path = tmp_path / "all.parquet"
    busy.export(path)
    before = path.read_bytes()
    monkeypatch.setattr("mmrec.ranking.retrieve.pages", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        busy.export(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.glob("*.parquet*")] == ["all.parquet"]


@pytest.mark.parametrize("options", [{"batch": 0}, {"k": 0}, {"users": "u1"}, {"where": "smell == 1"}])
def test_an_export_that_cannot_be_is_refused(busy, tmp_path, options):
    with pytest.raises(DataError):
        busy.export(tmp_path / "no.parquet", **options)
    assert not (tmp_path / "no.parquet").exists()


def test_the_command_writes_the_same(busy, mmrec, tmp_path):
    done = mmrec("export", busy.path, tmp_path / "cli.parquet", "-k", "2", "--batch", "2")
    assert done.exit_code == 0
    assert '"users": 7' in done.stdout
    busy.export(tmp_path / "python.parquet", k=2)
    assert pq.read_table(tmp_path / "cli.parquet") == pq.read_table(tmp_path / "python.parquet")
