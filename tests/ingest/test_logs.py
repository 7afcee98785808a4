"""Logs of any columns become interactions; what was guessed is told."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources import LogColumns, open_interactions
from ingest.sources.logs import open_log
from ingest.sources.times import time_reader
from mmrec.errors import DataError, Rejection
from mmrec.types import Interaction

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())


def read(tmp_path, name, text, **columns):
    """What a file gives, and its notes."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    log = open_interactions(tmp_path / name, columns=LogColumns(**columns) if columns else None)
    return list(log), log.notes


@pytest.mark.parametrize(("name", "text"), [
    ("log.csv", "customer_id,sku,event,ts\n7,12,add-to-cart,2024-05-01T12:00:00Z\n"),
    ("log.tsv", f"user_id:token\titem_id:token\tkind:token\ttimestamp:float\n7\t12\tAddToCart\t{SECONDS}\n"),
    ("semi.csv", "userId;Product ID;action;zeitpunkt\n7.0;12.0;add to cart;01.05.2024 12:00\n"),
    ("log.jsonl", json.dumps({"user": 7, "item": 12.0, "event": "add_to_cart", "t_dat": SECONDS * 1_000})),
    ("canon.jsonl", json.dumps({"user_id": 7, "item_id": 12, "kind": "ADD_TO_CART", "time": SECONDS})),
])
def test_the_same_act_by_every_road(tmp_path, name, text):
    (act,), _ = read(tmp_path, name, text)
    assert (act.user_id, act.item_id, act.kind, act.time) == ("7", "12", "add_to_cart", NOON)


def test_parquet_and_frames(tmp_path):
    frame = pd.DataFrame({"user_id": [7.0, None], "item": [1, 2], "when_seen": [NOON] * 2, "page": [1, 2]})
    columns = LogColumns(time="when_seen")
    frame.to_parquet(tmp_path / "log.parquet")
    for log in (open_log(frame, columns), open_log(tmp_path / "log.parquet", columns)):
        act, refused = log
        assert (act.user_id, act.item_id, act.time) == ("7", "1", NOON)
        assert isinstance(refused, Rejection)
        assert refused.field == "user_id"
        assert any("left out: 'page'" in note for note in log.notes)


def test_a_session_stands_for_a_user_that_is_not_known(tmp_path):
    acts, notes = read(tmp_path, "a.csv", "session_id,item_id\ns1,a\n")
    assert acts[0].user_id == "s1"
    assert any("'session_id' stands for one" in note for note in notes)
    acts, notes = read(tmp_path, "b.csv", "user_id,session_id,item_id\n,s1,a\nu,s2,b\n")
    assert [act.user_id for act in acts] == ["s1", "u"]
    told = "rows name no user, so their session stands for one"
    assert any(told in note and note.endswith(": 1") for note in notes)


def test_ratings_become_kinds_on_their_scale(tmp_path):
    text = "user,item,rating\n" + "".join(f"u,{n},{n}\n" for n in range(1, 6))
    assert [(a.kind, a.weight) for a in read(tmp_path, "r.csv", text)[0]] == [
        ("view", 0.0), ("view", 0.0), ("view", 1.0), ("like", 1.0), ("like", 1.0),
    ]
    acts, notes = read(tmp_path, "r.csv", text, threshold=5, dislikes=True)
    assert [a.kind for a in acts] == ["dislike", "dislike", "view", "view", "like"]
    assert any("--rating-threshold" in note for note in notes)
    ten = "user,item,rating\n" + "".join(f"u,{n},{n}\n" for n in range(1, 11))
    assert sum(a.kind == "like" for a in read(tmp_path, "t.csv", ten)[0]) == 4  # from 7 on


def test_kinds_are_told_and_can_be_said(tmp_path):
    text = "user,item,kind\nu,a,zap\nu,b,transaction\nu,c,Click\n"
    acts, notes = read(tmp_path, "k.csv", text)
    assert [act.kind for act in acts] == ["zap", "transaction", "click"]
    assert any("unknown kinds count as a click each: 'zap' (1)" in note for note in notes)
    assert any("'transaction' as purchase (1)" in note for note in notes)
    acts, notes = read(tmp_path, "k.csv", text, kinds={"ZAP": "dislike"})
    assert acts[0].kind == "dislike"
    assert not any("unknown kinds" in note for note in notes)


def test_rows_of_a_canonical_file_that_are_not_canonical_are_read_as_well(tmp_path):
    rows = [{"user_id": "u", "item_id": "a", "time": SECONDS}] * 1_001
    rows.append({"user_id": "u", "item_id": "b", "time": SECONDS, "page": 3})
    acts, _ = read(tmp_path, "log.jsonl", "\n".join(map(json.dumps, rows)))
    assert acts[-1].item_id == "b"
    assert acts[-1].time == NOON


def test_acts_without_a_time_are_told(tmp_path):
    acts, notes = read(tmp_path, "n.csv", "user,item,date\nu,a,0000-00-00\nu,b,\n")
    assert all(act.undated for act in acts)
    assert any(note.startswith("2 interactions have no time") for note in notes)


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(DataError, match="--user"):
        read(tmp_path, "x.csv", "item_id,colour\na,red\n")
    with pytest.raises(DataError, match="no column 'wer'"):
        read(tmp_path, "x.csv", "user_id,item_id\nu,a\n", user="wer")
    (refused,), _ = read(tmp_path, "x.csv", "user_id,item_id,time\nu,a,yesterday\n")
    assert refused.field == "time"
    assert refused.line == 2


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_epochs_of_any_unit_are_one_moment(moment, per_second):
    whole = int(moment.replace(tzinfo=UTC).timestamp())
    read_time = time_reader([], [])
    expected = datetime.fromtimestamp(whole, UTC)
    assert read_time(whole * per_second) == read_time(str(whole * per_second)) == expected
    assert read_time(expected.isoformat()) == read_time(expected) == expected


@given(st.sampled_from(["user_id", "UserID", "customer id", "Visitor-ID", "user_id:token", "Customer No",
                        "Client Code", "Kd-Nr", "member_no", "User Id (hashed)"]),
       st.sampled_from(["item_id", "ProductId", "SKU", "article-id", "movieId", "Product Ref", "Art-Nr",
                        "item_no", "Article [EAN]"]), st.booleans())
def test_usual_names_are_found(user, item, turned):
    frame = pd.DataFrame({user: ["u"], item: ["a"], "price": [3.5]})
    act = next(iter(open_log(frame[[item, "price", user]] if turned else frame)))
    assert isinstance(act, Interaction)
    assert (act.user_id, act.item_id) == ("u", "a")


@pytest.mark.parametrize("time", ["Sold On", "Kaufdatum", "visited_at", "Date [UTC]", "played_at"])
def test_names_of_times_and_what_stands_in_brackets(tmp_path, time):
    text = f"user,item,Rating (1-10),{time}\nu,a,2,2024-05-01T12:00:00Z\nu,b,10,2024-05-01T12:00:00Z\n"
    acts, notes = read(tmp_path, "log.csv", text)
    assert [(act.kind, act.time) for act in acts] == [("view", NOON), ("like", NOON)]
    assert any(f"time {time!r} (--time)" in note for note in notes)


@pytest.mark.parametrize("other", ["event_description", "customer_zip_code", "artist_id", "promo_code"])
def test_names_that_only_begin_like_those_of_a_log_are_left_out(tmp_path, other):
    acts, notes = read(tmp_path, "log.csv", f"session_id,sku,{other}\ns,a,7\n")
    assert [(act.user_id, act.item_id, act.undated) for act in acts] == [("s", "a", True)]
    assert f"columns that were left out: {other!r}" in notes
