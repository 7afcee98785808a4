"""Text models that are trained on: what they learn from, that they serve, and what cannot be trained."""

import numpy as np
import pytest

from mmrec import Interaction, Item, Recommender
from mmrec.errors import DataError, MissingExtra
from mmrec.training import adapt_text
from mmrec.training.adapt_lessons import Lessons

WORDS = ["red", "blue", "mug", "cup", "chair", "wooden", "cotton", "shirt", "long", "with"]


@pytest.fixture
def told(bert_folder, tmp_path):
    rng = np.random.default_rng(0)
    config = {"text_encoder": str(bert_folder), "image_encoder": "none"}
    with Recommender.open(tmp_path / "shop.mmrec", config) as shop:
        shop.ingest(
            Item(item_id=f"i{n}", text={"title": " ".join([WORDS[n % 2], *rng.choice(WORDS[2:], 4)])})
            for n in range(80)
        )
        shop.record(
            Interaction(user_id=f"u{user}", item_id=f"i{2 * n + user % 2}")
            for user in range(60) for n in rng.choice(40, 8, replace=False)
        )
        yield shop


@pytest.mark.parametrize("method", adapt_text.METHODS)
def test_a_model_is_trained_on_and_serves_as_a_whole(told, method, monkeypatch):
    monkeypatch.setattr(adapt_text, "MOST_LOOKS", 2)
    monkeypatch.setattr(adapt_text, "STEPS", 3)
    monkeypatch.setattr(adapt_text, "LEARNING_RATE", 5e-3)
    frozen = told.encoders["text"].embed([["red mug"]])
    report = told.adapt(method=method, force=True)
    assert (report.served, len(report.curves), report.modality) == (True, 3, "text")
    assert np.isfinite([one["loss"] for one in report.curves]).all()
    adapted = told.encoders["text"].embed([["red mug"]])
    assert (report.best["epoch"] == 0) == np.allclose(frozen, adapted, atol=1e-5)
    with Recommender.open(told.path) as shop:
        assert np.array_equal(shop.encoders["text"].embed([["red mug"]]), adapted)
        assert shop.stats()["encoders"]["text"].endswith(report.id)
        assert shop.doctor()["healthy"]
        shop.ingest([Item(item_id="late", text={"title": "long red shirt"})])
        assert shop.rollback()["encoded"] == 1
        assert np.allclose(shop.encoders["text"].embed([["red mug"]]), frozen, atol=1e-6)


def test_in_a_step_of_behaviour_no_item_and_no_user_comes_twice(told):
    lessons = Lessons.of(told.catalogue, told.behaviour, "text", None, 0)
    school = adapt_text.School(told.catalogue, lessons, np.random.default_rng(0), by_users=True)
    left, right = school.step()
    assert 2 < len(left) == len(right) <= adapt_text.BATCH
    assert all(one.split()[0] == other.split()[0] for one, other in zip(left, right, strict=True))
    assert not lessons.parts.judge[list(school.texts)].any()


def test_noise_leaves_some_words(told):
    lessons = Lessons.of(told.catalogue, told.behaviour, "text", None, 0)
    school = adapt_text.School(told.catalogue, lessons, np.random.default_rng(0), by_users=False)
    noisy = [school.noisy("a b c d e f g h i j") for _ in range(200)]
    assert all(noisy)
    assert 3 < np.mean([len(one.split()) for one in noisy]) < 5


def test_what_is_no_such_model_is_refused(shop):
    shop.ingest(Item(item_id=f"i{n}", text={"title": f"mug {n}"}) for n in range(40))
    with pytest.raises(DataError, match="no sentence-transformers model"):
        shop.adapt(method="simcse")


def test_without_the_package_the_extra_is_named(told, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"mmrec\[adapt\]"):
        told.adapt(method="simcse")
