"""A trained head as files: what is written is read again, under names that stores already hold."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load as unpacked
from safetensors.numpy import save as packed

from mmrec.errors import StoreError
from mmrec.model import kernel_ridge
from mmrec.model.appeal import Appeal
from mmrec.model.content import ContentPlan
from mmrec.model.kernel_ridge import FieldKernel, Smoother, smoothed
from mmrec.model.parts import Blend, Compression, ItemEmbeddings, Metric, Shares
from mmrec.model.saved import Head, load, save
from mmrec.model.towers import TrainedTowers, rows_from

N, C, R, H, P = 5, 4, 2, 3, 2  # items, content, linear part, item embeddings, metric


@pytest.fixture
def head():
    rng = np.random.default_rng(0)

    def x(*shape):
        return rng.normal(size=shape).astype(np.float32)

    embeddings = ItemEmbeddings(x(N, H), x(H), x(N, H), x(N))
    kernel = FieldKernel({"title": slice(0, C)}, {"title": 1.0}, {"title": 0.5})
    towers = TrainedTowers(
        ContentPlan(), Smoother(kernel, x(N, C), x(N, 2 * R + 2 * H + 1)), Metric(x(C, P)),
        [f"i{n}" for n in range(N)], x(N, 2 * (R + H + P) + 2), embeddings.base,
        (x(R, R), x(H + 1, H + 1), x(P, P)),
        Blend(warm=Shares(0.2, 0.7, 0.1), cold_gain=1.2, appeal=0.5), 0.25,
        Compression.none(R + H + 2 + P, R + H + P), x(P, 2 * (R + H + P) + 2), Appeal(x(C), 0.3),
    )
    return Head(towers, embeddings, {"served": True})


def test_a_saved_head_scores_the_same(head):
    again = load(save(head), "head-1")
    content = np.random.default_rng(1).normal(size=(2, C)).astype(np.float32)
    before, after = (one.towers.items(content, ["i3", ""]) for one in (head, again))
    np.testing.assert_array_equal(before, after)
    for old, new in zip(head.embeddings, again.embeddings, strict=True):
        np.testing.assert_array_equal(old, new)
    assert again.towers.blend == head.towers.blend
    assert (again.towers.ids, again.report) == (head.towers.ids, head.report)


def test_the_names_in_the_files_are_those_of_heads_that_stores_hold(head):
    files = save(head)
    assert set(unpacked(files["towers.safetensors"])) == {
        "places_given", "places_base", "places_taken", "places_bias", "spread_0", "spread_1", "spread_2",
        "landmarks", "coefficients", "projection", "rows", "compression_items", "compression_users",
        "compression_inputs", "compression_restored", "correction", "appeal",
    }
    config = json.loads(files["config.json"])
    assert set(config) == {"blend", "dislike_weight", "report", "kernel", "reduction", "sequence"}
    assert config["blend"]["warm"] == [0.2, 0.7, 0.1]  # linear part, item embeddings, metric
    assert set(config["blend"]) == {
        "warm", "short", "cold", "cold_gain", "cold_offset", "prior", "fade", "appeal",
    }


def test_a_head_from_before_rows_were_compressed_has_them_whole(head):
    files = save(head)
    arrays = {n: x for n, x in unpacked(files["towers.safetensors"]).items() if "compression" not in n}
    towers = load(files | {"towers.safetensors": packed(arrays)}, "head-1").towers
    np.testing.assert_array_equal(towers.searched(towers.rows), head.towers.rows[:, : R + H + 2 + P])
    np.testing.assert_array_equal(towers.remembered(towers.rows), head.towers.rows[:, R + H + 2 + P :])


@pytest.mark.parametrize("name", ["config.json", "ids.json", "towers.safetensors", "content.safetensors"])
def test_a_head_without_a_file_is_an_error_that_names_it(head, name):
    files = {one: data for one, data in save(head).items() if one != name}
    with pytest.raises(StoreError, match="head-1"):
        load(files, "head-1")


def test_rows_tell_what_they_were_made_of(head):
    targets = np.random.default_rng(2).normal(size=(N, 2 * R + 2 * H + 1)).astype(np.float32)
    appeal = np.arange(N, dtype=np.float32)
    rows = rows_from(targets, np.zeros((N, P), np.float32), (R, H), head.towers.blend, appeal, cold=False)
    again = replace(head.towers, rows=rows)
    np.testing.assert_allclose(again.targets, targets, rtol=1e-5)
    np.testing.assert_allclose(again.appeals, appeal, rtol=1e-5)
    none = replace(again, blend=replace(again.blend, appeal=0.0))
    np.testing.assert_array_equal(none.appeals, np.zeros(N))


def test_a_new_item_that_content_says_is_liked_scores_higher_for_everybody_by_its_share(head):
    content = np.random.default_rng(1).normal(size=(2, C)).astype(np.float32)
    liked = Appeal(head.towers.appeal.weights, head.towers.appeal.centre - 2)
    towers = head.towers, replace(head.towers, appeal=liked)
    before, after = (one.items(content, ["", ""]) for one in towers)
    history = head.towers.remembered(head.towers.rows[:2])
    user = head.towers.user(history, np.ones(2, np.float32))
    gained = head.towers.searched(after - before) @ user
    np.testing.assert_allclose(gained, [1.0, 1.0], rtol=1e-4)  # half a deviation for each of two


def test_a_content_tower_of_reduced_fields_predicts_the_same_after_saving(head, monkeypatch):
    monkeypatch.setattr(kernel_ridge, "REDUCED", 3)
    content = np.random.default_rng(1).normal(size=(60, C)).astype(np.float32)
    targets = np.random.default_rng(2).normal(size=(60, 2 * R + 2 * H + 1)).astype(np.float32)
    kernel = head.towers.smoother.kernel
    smoother, _ = smoothed(kernel, content, targets, 0.1, 20, np.random.default_rng(0))
    again = load(save(head._replace(towers=replace(head.towers, smoother=smoother))), "head-1")
    assert again.towers.smoother.reduction is not None
    np.testing.assert_array_equal(again.towers.smoother(content), smoother(content))


def test_a_head_from_before_there_was_an_appeal_finds_all_items_alike(head):
    files = save(head)
    arrays = {name: x for name, x in unpacked(files["towers.safetensors"]).items() if name != "appeal"}
    config = json.loads(files["config.json"])
    del config["blend"]["appeal"]
    again = load(files | {"towers.safetensors": packed(arrays), "config.json": json.dumps(config)}, "head-1")
    assert again.towers.blend.appeal == 0
    assert not again.towers.appeal(np.ones((2, C), np.float32)).any()


def test_arrays_that_are_cut_off_or_of_another_type_are_an_error_that_names_the_head(head):
    files = save(head)
    wide = {n: x.astype(np.float64) for n, x in unpacked(files["towers.safetensors"]).items()}
    for damaged in (files["towers.safetensors"][:-40], files["towers.safetensors"][:100], packed(wide)):
        with pytest.raises(StoreError, match="cannot read the trained head head-1"):
            load(files | {"towers.safetensors": damaged}, "head-1")


def test_arrays_are_not_copied_out_of_the_file(head):
    files = save(head)
    rows = load(files, "head-1").towers.rows
    assert np.shares_memory(rows, np.frombuffer(files["towers.safetensors"], np.uint8))


def test_a_sequence_tower_is_written_with_the_head_and_serves_alike(ordered):
    model = ordered.model
    part = replace(model.sequence, share=0.6, cold_offset=0.25)
    head = Head(model.towers, model.behaviour.embeddings, {}, part)
    again = load(save(head), "head-1")
    ids = [*(str(n) for n in range(20)), "", "new", "newer", "newest"]
    rows, back = (one.serving.items(ordered.content, ids) for one in (head, again))
    np.testing.assert_array_equal(rows, back)
    _, remembered = head.serving.spans(rows.shape[1])
    user, same = (one.serving.user(rows[:5, remembered], np.ones(5, np.float32)) for one in (head, again))
    np.testing.assert_array_equal(user, same)
    found = again.sequence
    assert (found.share, found.cold_offset) == (0.6, 0.25)
    assert head._replace(sequence=None).serving is head.towers
