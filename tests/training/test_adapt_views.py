"""Pictures that teach an encoder by themselves."""

import numpy as np
import pytest
from PIL import Image

from mmrec import Item
from mmrec.errors import DataError, MissingExtra
from mmrec.training import adapt_views, adapter


@pytest.fixture
def painted(shop, tmp_path):
    """A shop of pictures that can be read again, and of one that is gone."""
    rng = np.random.default_rng(0)
    for n in range(40):
        noise = rng.integers(0, 255, (4, 4, 3), np.uint8)
        Image.fromarray(noise).resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / f"{n}.png")
    shop.ingest(Item(item_id=f"i{n}", image=tmp_path / f"{n}.png") for n in range(40))
    (tmp_path / "3.png").unlink()
    return shop


@pytest.mark.parametrize("method", adapt_views.METHODS)
def test_each_method_learns_from_views_alone_and_does_not_serve_unasked(painted, method):
    report = painted.adapt(method=method, minutes=0.5)
    assert (report.method, report.modality, report.served) == (method, "image", False)
    assert "no behaviour can tell" in report.why
    assert 20 < report.items < 40
    assert np.isfinite([list(one.values()) for one in report.curves]).all()
    assert report.best["held_out"] <= report.frozen["held_out"]
    assert painted.stats()["encoders"]["image"] == "toy-image"


def test_by_itself_pictures_teach_where_nothing_is_recorded(painted):
    report = painted.adapt(force=True, minutes=0.5)
    assert (report.method, report.served) == ("simclr", True)
    assert "forced" in report.why
    assert painted.stats()["encoders"]["image"] == f"toy-image+{report.id}"
    assert painted.similar("i1", by="image", k=3)


def test_pictures_without_an_address_cannot_be_looked_at_again(shop, paint):
    shop.ingest(Item(item_id=f"i{n}", image=paint(f"#{n:02x}{n:02x}40")) for n in range(40))
    with pytest.raises(DataError, match="0 pictures can be read again"):
        shop.adapt(method="vicreg")


def test_embeddings_that_collapse_stop_the_run():
    def shrink(net, batch):
        return net(batch.left).std(dim=0).mean()  # nothing but one point for all

    recipe = adapter.AdapterRecipe(learning_rate=0.1, collapsed=0.9, weight_decay=0.0, dropout=0.0)
    x = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
    mean = x.mean(axis=0) / 10
    batch = adapter.Batch(adapter.centred(x, mean), adapter.centred(x, mean))
    trained = adapter.train_adapter(mean, lambda: [batch] * 5, shrink, [batch], recipe, seed=0)
    assert "collapse" in trained.stopped
    assert trained.curves[int(trained.best)]["rank"] >= 0.9 * trained.curves[0]["rank"]
    assert trained.curves[-1]["rank"] < 0.9 * trained.curves[0]["rank"]


def test_without_the_package_the_extra_is_named(painted, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lightly", None)
    with pytest.raises(MissingExtra, match=r"mmrec\[adapt\]"):
        painted.adapt(method="byol")
