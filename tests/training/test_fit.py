"""The verb `fit`: what only training can know, at once for new items, reproducible, and safe to kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mmrec import Interaction, Item, Recommender
from mmrec.errors import DataError, NotFitted, StoreError
from mmrec.model.towers import TrainedTowers
from mmrec.training.guard import STORED

TITLES = {"r": "crimson mug cup", "b": "navy lamp light"}
TOY = {"text_encoder": "toy-text", "image_encoder": "toy-image"}
EPOCHS = 15


def item(title, picture, name, paint):
    return Item(item_id=f"t{title}-p{picture}-{name}", text={"title": TITLES[title]}, image=paint(picture))


@pytest.fixture(scope="module")
def paint():
    import io

    from PIL import Image

    def png(colour):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), {"r": "red", "b": "blue"}[colour]).save(file, "PNG")
        return file.getvalue()

    return png


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, paint):
    """A shop whose users go by the title, though content heeds the picture most.

    They also mostly choose every other item, which no content tells: behaviour alone does.
    """
    path = tmp_path_factory.mktemp("fit") / "shop.mmrec"
    rng, odd = np.random.default_rng(0), np.arange(24) // 2 % 2
    with Recommender.open(path, TOY) as shop:
        shop.ingest(item(t, p, n, paint) for t in "rb" for p in "rb" for n in range(12))
        shop.record(
            Interaction(user_id=f"u{user}", item_id=f"t{'rb'[user % 2]}-p{'rb'[n % 2]}-{n // 2}")
            for user in range(60)
            for n in rng.choice(24, 8, replace=False, p=np.where(odd == user // 2 % 2, 5, 1) / 72)
        )
    return path


@pytest.fixture(scope="module")
def trained(recorded):
    """The same after `fit`, with its report."""
    path = recorded.with_name("trained.mmrec")
    shutil.copytree(recorded, path)
    with Recommender.open(path) as shop:
        report = shop.fit(epochs=EPOCHS)
    return path, report


@pytest.fixture
def copy(tmp_path):
    """Opens a copy of a shop, to be changed."""

    def open_copy(path, name="copy.mmrec"):
        shutil.copytree(path, tmp_path / name)
        return Recommender.open(tmp_path / name)

    return open_copy


def titles(results):
    return [result.item_id[1] for result in results]


def test_training_finds_out_what_users_go_by(recorded, trained, copy):
    history = ["tr-pr-0", "tr-pr-1"]  # red titles and red pictures: content cannot tell which one matters
    before, after = copy(recorded), Recommender.open(trained[0])
    assert titles(before.recommend(history=history, k=20)).count("r") <= 12
    assert titles(after.recommend(history=history, k=20)).count("r") >= 19
    assert after.stats()["fitted"]
    assert not before.stats()["fitted"]


def test_nothing_is_encoded_again(recorded, copy, calls):
    with copy(recorded) as shop:
        shop.fit(epochs=1)
        assert calls(shop) == (0, 0)


def test_a_new_item_is_found_at_once_by_what_training_learned(trained, copy, paint):
    with copy(trained[0]) as shop:
        shop.ingest([item("b", "r", "new", paint), item("r", "b", "new", paint)])
        scores = shop.score(history=["tr-pr-0"], items=["tr-pb-new", "tb-pr-new"])
        assert scores[0] > scores[1]
        assert titles(shop.similar(text="crimson mug cup", by="behaviour", k=10)).count("r") >= 9
        again = shop.ingest([Item(item_id="tr-pr-0", text={"title": "crimson mug"}, image=paint("r"))])
        assert again.updated == 1  # a known item keeps what behaviour taught of it
        assert shop.score(history=["tr-pr-1"], items=["tr-pr-0"]) == pytest.approx(
            Recommender.open(trained[0]).score(history=["tr-pr-1"], items=["tr-pr-0"]), abs=1e-4)


def test_when_the_catalogue_has_grown_what_the_head_made_of_items_stays(trained, copy, paint, monkeypatch):
    with copy(trained[0]) as shop:
        shop.ingest([item("b", "r", "new", paint)])
        shop.catalogue.rebuild()
        whole = shop.snapshot()
        asked, items = [], TrainedTowers.items
        with monkeypatch.context() as patch:
            patch.setattr(TrainedTowers, "items", lambda *of: asked.append(len(of[2])) or items(*of))
            shop.catalogue.rebuild(grown=True)
        assert sum(asked) == 0
        grown = shop.snapshot()
        assert grown.version > whole.version
        for space in ("content", "searched", "remembered"):
            of = [x.remembered if space == "remembered" else x.space(space) for x in (grown, whole)]
            np.testing.assert_allclose(of[0][:], of[1][:], atol=1e-5)


def test_dislikes_push_away(trained):
    shop = Recommender.open(trained[0])
    plain = shop.score(history=["tr-pr-0", "tb-pr-0"], items=["tb-pr-1"])
    pushed = shop.score(history=["tr-pr-0"], dislikes=["tb-pr-0"], items=["tb-pr-1"])
    assert pushed[0] < plain[0]


def test_a_seed_gives_the_same_head(recorded, trained, copy):
    with copy(recorded) as shop:
        shop.fit(epochs=EPOCHS)
        ids = shop.snapshot().ids
        same = shop.score_many(histories=[["tr-pr-0"], ["tb-pb-3"]], items=ids)
    with Recommender.open(trained[0]) as other:
        np.testing.assert_array_equal(
            same, other.score_many(histories=[["tr-pr-0"], ["tb-pb-3"]], items=ids))


def test_the_report_says_what_serves_and_why(trained):
    _, report = trained
    assert report.served
    assert report.items == 48
    assert report.users == 60
    assert [one.situation for one in report.verdicts] == [
        "warm items, long history", "warm items, short history", "cold items", "all items"]
    for one in report.verdicts:
        assert {"content kNN", "EASE", "popularity"} <= set(one.baselines)
        assert f"{one.head:.4f}" in one.why
    for stage in ("validation", "training"):
        assert [c["epoch"] for c in report.curves if c["stage"] == stage] == list(range(1, EPOCHS + 1))
    assert json.loads(json.dumps(report.as_dict()))["fields"].keys() == {"title", "image"}


KILLED = """
    import os, signal, sys
    from mmrec import Recommender
    from mmrec.store.open import Store

    def kill(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def at(said):
        if said["stage"] == sys.argv[2]:
            kill()

    if sys.argv[2] == "swap":  # all is written, and nothing says so yet
        Store.save_facts = kill
    Recommender.open(sys.argv[1]).fit(epochs=2, seed=5, progress=at)
"""


@pytest.mark.parametrize("moment", ["training", "writing vectors", "swap"])
def test_a_killed_fit_leaves_the_old_head_serving(trained, copy, moment):
    shop = copy(trained[0])
    before = shop.recommend(history=["tr-pr-0"], k=10)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(shop.path), moment],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120,
    )
    assert ended.returncode == -signal.SIGKILL
    with Recommender.open(shop.path) as again:
        assert again.recommend(history=["tr-pr-0"], k=10) == before
        again.fit(epochs=1)
        assert len(list(again.path.glob("*head-*"))) == 1


def test_a_warm_start_takes_in_what_was_recorded_since(trained, copy, paint):
    blue, scores = [f"tb-pr-{n}" for n in range(6)], {}  # a history long enough for behaviour to count
    for buyers, first in (("who go by red", 0), ("who go by blue", 1)):
        with copy(trained[0], f"{first}.mmrec") as shop:
            shop.ingest([item("r", "b", "new", paint)])
            shop.record(Interaction(user_id=f"u{n}", item_id="tr-pb-new") for n in range(first, 60, 2))
            report = shop.fit(warm_start=True, epochs=10)
            assert report.warm_start
            assert report.served
            assert report.items == 49
            assert {c["stage"] for c in report.curves} == {"training"}
            scores[buyers] = shop.score(history=blue, items=["tr-pb-new"])[0]
    assert scores["who go by blue"] > scores["who go by red"] + 0.1


def test_a_warm_start_is_judged_by_what_was_recorded_since(trained, copy):
    path, first = trained
    rng = np.random.default_rng(1)
    with copy(path) as shop:
        shop.record(
            Interaction(user_id=f"u{user}", item_id=f"t{'rb'[user % 2]}-p{'rb'[n % 2]}-{n // 2}")
            for user in range(60) for n in rng.choice(24, 4, replace=False)
        )
        report = shop.fit(warm_start=True, epochs=1)
        judged, kept = report.verdicts[0], report.verdicts[2]
        assert judged.situation == "warm items, long history"
        assert judged.difference is not None
        assert judged.head != first.verdicts[0].head
        assert set(judged.baselines) == {"popularity", "content kNN", STORED}  # which cost no training
        assert kept == first.verdicts[2]  # nothing was recorded of new items
        again = shop.fit(warm_start=True, epochs=1)  # nothing has been recorded since
        assert again.verdicts == report.verdicts


def test_order_is_learned_where_asked_and_kept_by_a_warm_start(recorded, copy):
    with copy(recorded) as shop:
        assert shop.fit(epochs=3, ordered=True).ordered
        assert shop.fit(warm_start=True, epochs=1).ordered
        assert titles(shop.recommend(history=["tr-pr-0"], k=10)).count("r") >= 8


@pytest.fixture(scope="module")
def rows_in_order(tmp_path_factory, chained):
    """A shop in which an item is mostly followed by a certain other, fitted for order; and by which."""
    histories, follower = chained(300, 40)
    shop = Recommender.open(tmp_path_factory.mktemp("order") / "shop.mmrec", TOY)
    shop.ingest(Item(item_id=f"i{n}", text={"title": f"thing number{n}"}) for n in range(40))
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    shop.record(
        Interaction(user_id=f"u{user}", item_id=f"i{item}", time=noon + timedelta(minutes=n))
        for user in range(300)
        for n, item in enumerate(histories.indices[slice(*histories.indptr[user : user + 2])])
    )
    return shop, shop.fit(ordered=True), follower


def test_what_comes_next_is_recommended_and_a_new_click_counts_at_once(rows_in_order):
    shop, report, follower = rows_in_order
    assert report.served
    assert "of a sequence tower" in report.verdicts[0].serves
    walk = [0]
    for _ in range(4):
        walk.append(int(follower[walk[-1]]))

    def next_of(items):
        return shop.recommend(history=[f"i{n}" for n in items], k=1)[0].item_id

    right = [next_of([n, int(follower[n])]) == f"i{follower[follower[n]]}" for n in range(40)]
    assert np.mean(right) > 0.8
    assert next_of(walk[:4]) == f"i{walk[4]}"
    noon = datetime(2026, 5, 2, 12, tzinfo=UTC)
    for n, item in enumerate(walk[:4]):
        shop.record([Interaction(user_id="new", item_id=f"i{item}", time=noon + timedelta(minutes=n))])
    assert shop.recommend(user="new", k=1)[0].item_id == f"i{walk[4]}"
    reasons = shop.recommend(history=[f"i{n}" for n in walk[:4]], k=1)[0].reasons
    assert reasons[0].name == f"i{walk[3]}"  # the last one leads to it


def test_a_head_that_heeds_order_outlives_its_process(rows_in_order):
    shop, _, _ = rows_in_order
    asked = [["i1", "i2", "i3"], ["i3", "i2", "i1"]]
    found = [shop.recommend(history=one, k=5) for one in asked]
    assert found[0] != found[1]
    with Recommender.open(shop.path) as again:
        assert [again.recommend(history=one, k=5) for one in asked] == found
        for many, one in zip(again.recommend_many(asked, k=5), found, strict=True):
            assert [(i.item_id, pytest.approx(i.score, abs=1e-4)) for i in many] == [
                (i.item_id, i.score) for i in one]


def test_a_new_item_is_served_by_its_content_where_order_counts(rows_in_order):
    shop, _, _ = rows_in_order
    shop.ingest([Item(item_id="twin", text={"title": "thing number7"})])
    assert shop.similar("twin", by="behaviour", k=1)[0].item_id == "i7"
    shop.delete(["twin"])


def test_one_account_cannot_outweigh_all_others(tmp_path):
    shop = Recommender.open(tmp_path / "shop.mmrec", {"text_encoder": "toy-text", "image_encoder": "none"})
    shop.ingest(Item(item_id=f"i{n}", text={"title": f"thing {n}"}) for n in range(150))
    rng = np.random.default_rng(0)
    people = [(f"u{user}", n) for user in range(40) for n in rng.choice(150, 5, replace=False)]
    acts = [*people, *(("bot", n) for n in range(150))]
    shop.record(Interaction(user_id=user, item_id=f"i{n}") for user, n in acts)
    report = shop.fit(epochs=1)
    assert (report.interactions, report.left_out) == (300, 50)


def test_what_cannot_be_learned_is_refused(recorded, copy, red_blue, open_shop):
    with copy(recorded) as shop, pytest.raises(NotFitted, match="fit without it first"):
        shop.fit(warm_start=True)
    with copy(recorded, "other.mmrec") as shop, pytest.raises(DataError, match="epochs must be"):
        shop.fit(epochs=0)
    with open_shop() as shop:
        with pytest.raises(DataError, match="10 users with two items"):
            shop.fit()
        shop.ingest(red_blue)
        shop.record([Interaction(user_id="u", item_id="r0"), Interaction(user_id="u", item_id="r1")])
        with pytest.raises(DataError, match=r"of 1 such users and 2 items"):
            shop.fit()


def test_without_its_head_content_serves_again_after_a_visit_of_the_doctor(recorded, trained, copy):
    path = copy(trained[0]).path
    (next(path.glob("head-*")) / "config.json").write_text("{")
    shop = Recommender.open(path)
    with pytest.raises(StoreError, match="mmrec doctor"):
        shop.recommend(history=["tr-pr-0"])
    assert shop.doctor(mend=False)["problems"][0]["what"] == "trained head cannot be read"
    assert "mmrec fit" in shop.doctor()["problems"][0]["done"]
    assert shop.doctor()["healthy"]
    with Recommender.open(recorded) as plain:
        assert shop.recommend(history=["tr-pr-0"]) == plain.recommend(history=["tr-pr-0"])


def test_the_command_prints_the_report(recorded, copy, mmrec):
    path = copy(recorded).path
    said = mmrec("fit", path, "--epochs", 3)
    assert said.exit_code == 0, said.output
    report = json.loads(said.stdout)
    assert report["served"] is True
    assert "curves" not in report
    warm = mmrec("fit", path, "--warm-start", "--plain")
    assert "what serves" in warm.stdout
    assert "difference" in warm.stdout
    assert "the head serves" in warm.stdout
    failed = mmrec("fit", path, "--epochs", 0)
    assert failed.exit_code == 1
    assert "epochs must be" in failed.output
