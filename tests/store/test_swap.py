"""Another encoder takes the place of one in a step, and nothing is lost wherever it is killed."""

from contextlib import suppress

import numpy as np
import pytest

from mmrec import Item
from mmrec.encoders.adapted import FOLDER, MAP, Adapter, mapped_fingerprint, record_of
from mmrec.encoders.base import unit
from mmrec.errors import EncodeError, StoreError
from mmrec.store import schema
from mmrec.store.open import Store
from mmrec.store.swap import ADAPTING, Road, begin, discard, rollback
from mmrec.store.tables import KeyedTable


def adapter(dim=64, seed=0):
    rng = np.random.default_rng(seed)
    x = unit(rng.standard_normal((200, dim)).astype(np.float32))
    down, up = (rng.standard_normal(shape).astype(np.float32) / 8 for shape in ((dim, 8), (8, dim)))
    return Adapter(x.mean(axis=0), down, up)


def mug(name, title="red mug", **attributes):
    return Item(item_id=name, text={"title": title}, attributes=attributes)


@pytest.fixture
def stocked(shop):
    words = ["red", "blue", "green", "warm", "tall", "small"]
    shop.ingest(mug(f"m{n}", f"{words[n % 6]} {words[n % 5]} mug", colour=words[n % 3]) for n in range(30))
    return shop


@pytest.fixture
def way(stocked):
    """A shop with an adapted encoder on its way."""
    send(stocked)
    return stocked


def send(shop):
    packed, parent = adapter().save(), shop.store.facts["encoders"]["text"]
    shop.store.files.write(f"{FOLDER}/abc/{MAP}", packed)
    begin(shop.catalogue, "text", record_of(parent, "abc", mapped_fingerprint(parent, "abc", packed)))


def stored(shop, field="title"):
    rows = shop.catalogue.table.scan(["item_id", f"e_{field}"]).sort_by("item_id")
    return schema.matrix(rows[f"e_{field}"], 64).values


def agrees(shop):
    """Whether all that is stored is what the encoder that serves makes of the items."""
    ids = sorted(shop.snapshot().ids)
    titles = [[item.text["title"]] for item in shop.get(ids)]
    labels = [item for item in shop.get(ids) if "colour" in item.attributes]
    encoder = shop.encoders["text"]
    words = encoder.embed([[item.attributes["colour"]] for item in labels])
    found = stored(shop, "_labels")[[ids.index(item.item_id) for item in labels]]
    pairs = (stored(shop), encoder.embed(titles)), (found, words)
    return all(np.allclose(*pair, atol=1e-4) for pair in pairs)


def test_all_embeddings_are_those_of_the_new_encoder_and_little_is_encoded(way, calls):
    before, asked = stored(way), calls(way)[0]
    Road(way.catalogue).swap()
    assert np.allclose(stored(way), adapter()(before), atol=1e-5)
    assert calls_of_parent(way) - asked <= 3  # the labels, each once
    assert agrees(way)
    assert way.store.facts[ADAPTING] is None
    assert way.doctor()["healthy"]


def calls_of_parent(shop):
    return shop.encoders["text"].parent.calls


def test_until_the_step_the_encoder_before_serves(way):
    before = way.similar("m1", k=5)
    Road(way.catalogue).encode()
    assert way.similar("m1", k=5) == before
    assert way.stats()["encoders"]["text"] == "toy-text"
    assert agrees(way)


def test_what_others_write_meanwhile_is_encoded_too(way, open_shop):
    road = Road(way.catalogue)
    road.encode()
    other = open_shop()
    other.ingest([mug("late", "tall green mug"), mug("m3", "another warm title", colour="blue")])
    other.delete(["m7"])
    road.swap()
    assert agrees(way)
    assert agrees(other)
    assert "late" in way
    assert "m7" not in way


def test_one_who_encodes_while_the_step_is_made_encodes_again(way, open_shop, monkeypatch):
    other = open_shop()
    write = type(other.catalogue).write

    def slow(self, *args):
        if ADAPTING in self.store.facts and self.store.refresh()[ADAPTING]:
            Road(way.catalogue).swap()
        return write(self, *args)

    monkeypatch.setattr(type(other.catalogue), "write", slow)
    assert other.ingest([mug("late", "tall green mug")]).added == 1
    assert agrees(way)


def test_what_is_encoded_already_is_not_again(way, monkeypatch):
    Road(way.catalogue).encode()
    written = []
    Road(way.catalogue, written.append).encode()
    assert sum(written) == 0


def test_an_encoder_that_is_thrown_away_leaves_nothing(way):
    Road(way.catalogue).encode()
    discard(way.catalogue)
    assert not [n for n in way.catalogue.table.schema.names if n.startswith(("next_", "former_"))]
    assert not list((way.path / FOLDER).iterdir())
    assert agrees(way)


def test_missing_weights_are_an_error_that_says_what_to_do(way, open_shop):
    Road(way.catalogue).swap()
    (way.path / FOLDER / "abc" / MAP).write_bytes(b"nonsense")
    shop = open_shop()
    with pytest.raises(EncodeError, match="rollback"):
        shop.similar(text="red mug")


def test_there_and_back_by_the_map_alone_is_exact():
    x = unit(np.random.default_rng(5).standard_normal((50, 64)).astype(np.float32))
    x[7] = 0
    there = adapter()(x)
    assert np.allclose(np.linalg.norm(there[8:], axis=1), 1, atol=1e-5)
    assert np.allclose(adapter().inverse(there), x, atol=1e-4)
    assert not there[7].any()


STEPS = [
    (KeyedTable, "add_columns"), (KeyedTable, "upsert"), (KeyedTable, "rename_columns"),
    (KeyedTable, "drop_columns"), (Store, "save_facts"),
]


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[1])
def test_a_kill_at_any_step_loses_nothing(open_shop, stocked, monkeypatch, step, moment, nth, back):
    send(stocked)
    if back:
        Road(stocked.catalogue).swap()
        stocked.ingest([mug("since", "small blue mug")])
    count, (kind, name) = [0], step
    act = getattr(kind, name)

    def killed(self, *args, **options):
        count[0] += 1
        if count[0] != nth:
            return act(self, *args, **options)
        if moment == "after":
            act(self, *args, **options)
        raise KeyboardInterrupt

    run = rollback if back else lambda catalogue: Road(catalogue).swap()
    with monkeypatch.context() as patch:
        patch.setattr(kind, name, killed)
        with suppress(KeyboardInterrupt):
            run(stocked.catalogue)
    with open_shop() as shop:  # as another process does
        assert len(shop.recommend(k=40)) == 30 + back
        assert agrees(shop)
        assert shop.ingest([mug("late", "tall green mug")]).added == 1
        assert shop.doctor()["healthy"]
        if shop.store.facts.get(ADAPTING) or (back and "+" in shop.stats()["encoders"]["text"]):
            run(shop.catalogue)
        assert agrees(shop)
        assert shop.stats()["encoders"]["text"] == ("toy-text" if back else "toy-text+abc")
        assert shop.similar(text="tall green mug", by="words")[0].item_id == "late"
        if not back:
            shop.rollback()
            assert agrees(shop)
        with pytest.raises(StoreError):
            shop.rollback()
