"""Everybody's recommendations in a file: the same as one by one, in batches, whole or not at all."""

from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from mmrec import Interaction
from mmrec.errors import DataError

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


def test_histories_are_those_that_were_recorded(busy):
    users = busy.behaviour.users()
    assert users == sorted(users)
    for user, acts in busy.behaviour.histories([*users, "nobody"]).items():
        assert acts == busy.behaviour.history(user)


def test_the_command_writes_the_same(busy, mmrec, tmp_path):
    done = mmrec("export", busy.path, tmp_path / "cli.parquet", "-k", "2", "--batch", "2")
    assert done.exit_code == 0
    assert '"users": 7' in done.stdout
    busy.export(tmp_path / "python.parquet", k=2)
    assert pq.read_table(tmp_path / "cli.parquet") == pq.read_table(tmp_path / "python.parquet")
