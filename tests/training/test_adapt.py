"""The verb `adapt`: what only behaviour can know of words, the guard, the swap, and the way back."""

import json

import numpy as np
import pytest
import torch

from mmrec import Interaction, Item
from mmrec.errors import DataError, StoreError
from mmrec.store import schema
from mmrec.training import adapt

CLASSES = [[f"sign{kind}{n}" for n in range(6)] for kind in range(4)]  # what users go by ...
NOISE = [f"noise{n}" for n in range(60)]  # ... among words that mean nothing to them


def item(n, rng, name="i"):
    words = [CLASSES[n % 4][rng.integers(6)], *rng.choice(NOISE, 5, replace=False)]
    return Item(item_id=f"{name}{n}", text={"title": " ".join(words)})


def fill(shop, items=160, users=120):
    rng = np.random.default_rng(0)
    shop.ingest(item(n, rng) for n in range(items))
    shop.record(
        Interaction(user_id=f"u{user}", item_id=f"i{4 * n + user % 4}")
        for user in range(users) for n in rng.choice(items // 4, 10, replace=False)
    )
    return shop


@pytest.fixture
def told(shop):
    """A shop whose users go by one word of a title."""
    return fill(shop)


def kinds(results):
    return [int(one.item_id[1:]) % 4 for one in results]


def test_what_users_go_by_is_learned_and_new_items_are_found_by_it(told, open_shop):
    rng = np.random.default_rng(1)
    before = np.mean([kinds(told.similar(f"i{n}", k=10)).count(n % 4) for n in range(40)])
    report = told.adapt()
    assert (report.method, report.modality, report.served) == ("behaviour", "text", True)
    cold = report.figures[0]
    assert cold.after > 0.97
    assert cold.difference.low > 0
    assert report.best["held_out"] < report.frozen["held_out"]
    with open_shop() as shop:  # as another process does
        assert np.mean([kinds(shop.similar(f"i{n}", k=10)).count(n % 4) for n in range(40)]) > before + 1
        assert shop.ingest([item(n, rng, "n") for n in range(8)]).added == 8
        assert kinds(shop.similar("n1", k=5)).count(1) >= 3
        assert kinds(shop.similar(text=CLASSES[2][0], by="words", k=5)).count(2) >= 4
        assert shop.stats()["encoders"]["text"] == f"toy-text+{report.id}"
        assert shop.doctor()["healthy"]


def test_torchs_own_draws_are_left_alone(told):
    torch.manual_seed(5)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    told.adapt()
    assert torch.rand(1) == drawn


def test_a_shop_that_was_open_meanwhile_takes_the_new_encoder(told, open_shop):
    other = open_shop()
    other.similar(text="sign10")
    told.adapt()
    assert other.similar(text="sign10 noise3") == told.similar(text="sign10 noise3")
    other.ingest([item(1, np.random.default_rng(2), "n")])
    assert np.allclose(*(one.snapshot().space("title")[:] for one in (told, other)))
    assert told.doctor()["healthy"]


def test_the_way_back_brings_the_same_embeddings_and_covers_what_came_since(told):
    rng = np.random.default_rng(3)
    frozen = told.snapshot().space("title")[:]
    told.adapt()
    late = item(0, rng, "late")
    told.ingest([late])
    back = told.rollback()
    assert back == {"modality": "text", "encoder": "toy-text", "was": back["was"], "encoded": 1,
                    "fit_again": False}
    ids = told.snapshot().ids
    rows = told.snapshot().table.scan(["item_id", "e_title"]).sort_by("item_id")
    found = schema.matrix(rows["e_title"], 64).values[ids.index("late0")]
    assert found @ told.encoders["text"].embed([[late.text["title"]]])[0] == pytest.approx(1, abs=1e-4)
    told.delete(["late0"])
    told.catalogue.rebuild(anew=True)
    assert np.allclose(told.snapshot().space("title")[:], frozen, atol=1e-4)
    assert told.doctor()["healthy"]
    assert not (told.path / "encoders").exists() or not list((told.path / "encoders").iterdir())
    with pytest.raises(StoreError, match="none to go back to"):
        told.rollback()


def test_forgetting_frees_the_columns_of_before(told):
    told.adapt()
    assert "former_title" in told.catalogue.table.schema.names
    told.rollback(forget=True)
    assert "former_title" not in told.catalogue.table.schema.names
    with pytest.raises(StoreError):
        told.rollback()


def test_what_is_no_better_does_not_serve_and_leaves_nothing(shop):
    rng = np.random.default_rng(0)
    shop.ingest(item(n, rng) for n in range(120))
    shop.record(  # users who go by nothing
        Interaction(user_id=f"u{user}", item_id=f"i{n}")
        for user in range(60) for n in rng.choice(120, 8, replace=False)
    )
    facts, columns = dict(shop.store.facts), shop.catalogue.table.schema.names
    report = shop.adapt()
    assert not report.served
    assert "no better" in report.why
    assert shop.store.refresh() == facts | {"adapting": None}
    assert shop.catalogue.table.schema.names == columns
    assert not list((shop.path / "encoders").iterdir())
    assert shop.adapt(force=True).served


def test_pairs_teach_in_place_of_behaviour(shop, tmp_path):
    rng = np.random.default_rng(0)
    shop.ingest(item(n, rng) for n in range(160))
    pairs = [(f"i{a}", f"i{b}") for a in range(160) for b in rng.choice(160, 40) if a % 4 == b % 4 and a != b]
    with pytest.raises(DataError, match="too few"):
        shop.adapt(method="behaviour")
    file = tmp_path / "pairs.tsv"
    file.write_text("one\tother\n" + "\n".join("\t".join(pair) for pair in pairs))
    report = shop.adapt(pairs=file)
    assert report.served
    assert report.figures[0].difference.low > 0


def test_one_that_was_killed_goes_on_where_it_was_without_training_again(told, open_shop, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(adapt.Road, "swap", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            told.adapt()
    assert told.stats()["encoders"]["text"] == "toy-text"
    with open_shop() as shop:
        monkeypatch.setattr(adapt, "learn", raise_interrupt)
        report = shop.adapt()
        assert report.served
        assert report.best["held_out"] < report.frozen["held_out"]
        assert shop.stats()["encoders"]["text"] == f"toy-text+{report.id}"


def raise_interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_head_that_served_is_trained_again_on_the_new_embeddings(told):
    told.fit(epochs=3)
    assert told.stats()["fitted"]
    report = told.adapt()
    assert (report.served, report.fitted) == (True, True)
    assert told.store.facts["head"] in (0, told.catalogue.serial)
    assert len(told.recommend(user="u1", k=5)) == 5


@pytest.mark.parametrize(("options", "words"), [
    ({"modality": "image"}, "no image embeddings"), ({"method": "magic"}, "adapt by behaviour"),
    ({"pairs": "nowhere.csv"}, "cannot read pairs"),
])
def test_what_cannot_be_asked_is_an_error_that_says_what_can(told, options, words):
    with pytest.raises(DataError, match=words):
        told.adapt(**options)


def test_the_command_prints_the_report_and_draws_the_curves(told, mmrec, tmp_path):
    picture = tmp_path / "curves.svg"
    done = mmrec("adapt", told.path, "--plot", picture)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["served"]
    assert picture.read_text().startswith("<svg")
    table = mmrec("adapt", told.path, "--modality", "text", "--plain")
    assert "cold recall@20" in table.stdout
    assert json.loads(mmrec("rollback", told.path).stdout)["modality"] == "text"
