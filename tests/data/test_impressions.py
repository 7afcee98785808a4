"""What was shown: its form, what is refused, and its files."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec import Impression, read_impressions
from mmrec.errors import DataError, Rejection

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_ids_are_kept_as_they_are_looked_up_and_the_order_stays():
    one = Impression(user_id=" u1 ", items=["b ", "a"], propensities=[1, 0.2], time=NOON)
    assert (one.user_id, one.items, one.propensities, one.time) == ("u1", ("b", "a"), (1.0, 0.2), NOON)
    assert Impression(user_id="u1", items=("a",)).propensities == ()


@pytest.mark.parametrize(("given", "field", "said"), [
    ({"items": []}, "items", "1 to 1,000 ids"),
    ({"items": "abc"}, "items", "a list of"),
    ({"items": ["a"] * 1_001}, "items", "1 to 1,000 ids"),
    ({"items": ["a", ""]}, "items", "1 to 512 printable characters"),
    ({"user_id": ""}, "user_id", "printable"),
    ({"propensities": [0.5]}, "propensities", "one chance above 0"),
    ({"propensities": [0.5, 0.0]}, "propensities", "one chance above 0"),
    ({"propensities": [0.5, 1.5]}, "propensities", "one chance above 0"),
    ({"propensities": [True, True]}, "propensities", "one chance above 0"),
    ({"time": "yesterday"}, "time", "ISO 8601"),
])
def test_what_cannot_be_used_is_refused_by_its_name(given, field, said):
    with pytest.raises(DataError, match=said) as caught:
        Impression(**{"user_id": "u1", "items": ["a", "b"]} | given)
    assert caught.value.field == field


ROWS = [
    {"user_id": "u1", "items": ["a", "b"], "propensities": [1.0, 0.5], "time": NOON.isoformat()},
    {"user_id": 7, "items": [1, 2], "time": NOON.timestamp()},
]


@pytest.mark.parametrize("name", ["shown.jsonl", "shown.parquet"])
def test_files_give_the_same_impressions(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        pq.write_table(pa.table({
            "user_id": ["u1", "7"], "items": [["a", "b"], ["1", "2"]], "propensities": [[1.0, 0.5], None],
            "time": [NOON, NOON],
        }), path)
    first, second = read_impressions(path)
    assert first == Impression(user_id="u1", items=["a", "b"], propensities=[1.0, 0.5], time=NOON)
    assert (second.user_id, second.items, second.time) == ("7", ("1", "2"), NOON)


def test_a_row_that_is_none_is_rejected_and_stops_nothing(tmp_path):
    path = tmp_path / "shown.jsonl"
    bad = [{"items": ["a"]}, {"user_id": "u1"}, {"user_id": "u1", "items": ["a"], "page": 3}]
    path.write_text("\n".join(map(json.dumps, [*bad, ROWS[0]])))
    *rejected, last = read_impressions(path)
    assert [type(one) for one in rejected] == [Rejection] * 3
    assert [one.field for one in rejected] == ["user_id", "items", "page"]
    assert isinstance(last, Impression)


def test_a_file_that_is_not_there_is_an_error_at_once(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_impressions(tmp_path / "shown.jsonl")
