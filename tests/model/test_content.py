"""Content against a plain oracle: what the cosine of two items is, and that an absent field says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmrec.config import Config
from mmrec.errors import StoreError
from mmrec.model import content as content_module
from mmrec.model.content import (
    CATEGORY_DIM,
    COMPACT,
    ENOUGH,
    FIRST_COMPACT,
    NUMBER_NODES,
    NUMBER_REACH,
    NUMBER_WIDTH,
    PRIOR,
    ContentPlan,
    Embedded,
    Fields,
    Slot,
    category_features,
    is_number,
    number_features,
)
from mmrec.types import LABELS

EVEN = Config(attribute_weight=1.0)
PRICE = Slot("price", "number", 2 * NUMBER_NODES, 1.0)


def embedded(*rows: Any) -> Embedded:
    """Rows of one field; None is an absent one."""
    dim = next(len(row) for row in rows if row is not None)
    return Embedded(
        np.array([row or [0.0] * dim for row in rows], np.float32),
        np.array([row is not None for row in rows]),
    )


def fields(attributes: dict[str, list[Any]] | None = None, **embeddings: Embedded) -> Fields:
    parts = [*embeddings.values()]
    n = len(parts[0].present) if parts else len(next(iter((attributes or {}).values())))
    return Fields(n, embeddings, attributes or {})


def uncentred(weights: dict[str, float], **embeddings: Embedded) -> np.ndarray:
    """Content of embeddings by a plan without means, so that numbers can be worked by hand."""
    slots = tuple(Slot(n, "embedding", p.values.shape[1], weights[n]) for n, p in embeddings.items())
    return ContentPlan(slots).embed(fields(**embeddings))


def oracle(a: int, b: int, weights: dict[str, float], known: Fields) -> float:
    """Cosine of two items, worked out field by field from embeddings alone."""
    total, of_a, of_b = 0.0, 0.0, 0.0
    for name, (values, present) in known.embeddings.items():
        rows = [values[i].astype(float) for i in range(known.n) if present[i]]
        mean = sum(rows, start=np.zeros(values.shape[1])) / (len(rows) + PRIOR)
        x, y = values[a] - mean, values[b] - mean
        of_a, of_b = of_a + weights[name] * present[a], of_b + weights[name] * present[b]
        if present[a] and present[b]:
            total += weights[name] * float(x @ y) / float(np.linalg.norm(x) * np.linalg.norm(y))
    return total / np.sqrt(of_a * of_b) if of_a and of_b else 0.0


def test_the_cosine_of_two_items_is_the_weighted_mean_of_their_fields_cosines():
    title, image = embedded([1, 0], [0.6, 0.8]), embedded([0, 1, 0], [0, 1, 0])
    a, b = uncentred({"title": 1, "image": 1}, title=title, image=image)
    assert a @ b == pytest.approx((0.6 + 1.0) / 2)
    a, b = uncentred({"title": 1, "image": 3}, title=title, image=image)
    assert a @ b == pytest.approx((0.6 + 3 * 1.0) / 4)


def test_the_norm_of_an_embedding_does_not_matter():
    a, b = uncentred({"title": 1}, title=embedded([10, 0], [0.06, 0.08]))
    assert a @ b == pytest.approx(0.6)


def test_an_absent_field_says_nothing():
    title = embedded([1, 0], [0.6, 0.8], [0.6, 0.8], None)
    image = embedded(None, None, [1, 0], None)
    a, b, having, nothing = uncentred({"title": 1, "image": 3}, title=title, image=image)
    assert a @ b == pytest.approx(0.6)  # both lack it: the title alone decides
    assert a @ having == pytest.approx(0.6 / np.sqrt(1 * 4))  # one has it: its share of the other goes unmet
    assert not nothing.any()


def test_a_field_that_nobody_has_changes_nothing():
    title = embedded([1, 0], [0.6, 0.8])
    without = uncentred({"title": 1}, title=title)
    with_it = uncentred({"title": 1, "image": 5}, title=title, image=Embedded(
        np.zeros((2, 3), np.float32), np.zeros(2, np.bool_)))
    np.testing.assert_allclose(with_it @ with_it.T, without @ without.T, atol=1e-6)


@st.composite
def catalogues(draw) -> Fields:
    n = draw(st.integers(1, 8))
    parts = {}
    for name in draw(st.lists(st.sampled_from(["title", "plot", "image"]), min_size=1, unique=True)):
        values = draw(arrays(np.float32, (n, 3), elements=st.integers(-8, 8).map(lambda v: (v + 0.3) / 5)))
        present = draw(arrays(np.bool_, n))
        parts[name] = Embedded(np.where(present[:, None], values, np.float32(0)), present)
    return Fields(n, parts)


@given(catalogues(), st.fixed_dictionaries(dict.fromkeys(["title", "plot", "image"], st.floats(0.01, 100))))
def test_cosines_agree_with_the_oracle(known, weights):
    content = ContentPlan().fitted(known, Config(weights=weights)).embed(known)
    expected = [[oracle(a, b, weights, known) for b in range(known.n)] for a in range(known.n)]
    np.testing.assert_allclose(content @ content.T, expected, atol=1e-4)


@given(catalogues())
def test_content_has_norm_1_where_there_is_any_field_and_0_elsewhere(known):
    content = ContentPlan().fitted(known, EVEN).embed(known)
    present = np.any([part.present for part in known.embeddings.values()], axis=0)
    assert content.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(content, axis=1), present, atol=1e-5)


def test_a_direction_that_all_items_share_does_not_count():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((500, 16)).astype(np.float32) + 5
    known = fields(title=Embedded(values, np.ones(500, np.bool_)))
    content = ContentPlan().fitted(known, EVEN).embed(known)
    crowded = uncentred({"title": 1}, **known.embeddings)
    assert np.mean(content @ content.T) < 0.2 < 0.9 < np.mean(crowded @ crowded.T)


def test_one_item_alone_still_has_a_unit_vector():
    known = fields({"price": [3.0], "category": ["mug"]}, title=embedded([0.6, 0.8]))
    content = ContentPlan().fitted(known, EVEN).embed(known)
    assert content.shape == (1, 2 + 2 * NUMBER_NODES + CATEGORY_DIM)
    assert np.linalg.norm(content) == pytest.approx(1)


@given(st.lists(st.floats(-NUMBER_REACH, NUMBER_REACH, width=32), min_size=2, max_size=2))
def test_the_cosine_of_numbers_falls_with_their_distance_as_a_gaussian(z):
    x, y = number_features(z, PRICE)
    assert x @ y == pytest.approx(np.exp(-(((z[0] - z[1]) / NUMBER_WIDTH) ** 2) / 2), abs=1e-3)


def test_a_number_counts_in_deviations_from_the_median_and_is_clipped():
    slot = Slot("price", "number", 2 * NUMBER_NODES, 1.0, centre=100, scale=10)
    low, near, far, farther = number_features([100, 105, 140, 1e9], slot)
    assert low @ near == pytest.approx(np.exp(-0.5), abs=1e-3)  # half a deviation apart
    np.testing.assert_array_equal(far, farther)


def test_centre_and_scale_of_a_number_are_the_median_and_the_quartile_range():
    known = fields({"price": [1, 2, 3, 4, 1_000_000, None]})
    (slot,) = ContentPlan().fitted(known, EVEN).slots
    assert (slot.centre, slot.scale) == pytest.approx((3, (4 - 2) / 1.349))


@pytest.mark.parametrize("values", [[5, 5, 5], [5, 5, 5, 5, 5, 90], [2**53] * 3, [0]])
def test_numbers_without_a_quartile_range_still_have_a_scale(values):
    known = fields({"price": values})
    plan = ContentPlan().fitted(known, EVEN)
    assert plan.slots[0].scale > 0
    np.testing.assert_allclose(np.linalg.norm(plan.embed(known), axis=1), 1, atol=1e-5)


def test_dates_are_numbers():
    day = datetime(2024, 5, 1, tzinfo=UTC)
    known = fields({"made": [day + timedelta(days=n) for n in range(9)]})
    content = ContentPlan().fitted(known, EVEN).embed(known)
    assert content[0] @ content[1] > content[0] @ content[2] > content[0] @ content[8]
    assert is_number(day)
    assert is_number(3)
    assert not is_number(True)
    assert not is_number("3")


def test_equal_categories_agree_and_others_are_unrelated():
    kinds = [f"kind {n}" for n in range(200)]
    known = fields({"category": [*kinds, "kind 7"]})
    content = ContentPlan().fitted(known, EVEN).embed(known)
    cosines = content[:200] @ content[:200].T
    assert content[200] @ content[7] == pytest.approx(1)
    others = cosines[~np.eye(200, dtype=bool)]
    assert np.abs(others).max() < 0.6
    assert others.std() == pytest.approx(1 / np.sqrt(CATEGORY_DIM), abs=0.01)


def test_a_value_means_nothing_under_another_name():
    one, other = category_features(["red"], "colour")[0], category_features(["red"], "mood")[0]
    assert abs(one @ other) / np.linalg.norm(one) / np.linalg.norm(other) < 0.5


def test_lists_share_what_they_have_in_common():
    genres = [["a", "b"], ["b", "a"], ["a", "c"], ["c", "d"], ["a"], None]
    known = fields({"genres": genres})
    content = ContentPlan().fitted(known, EVEN).embed(known)
    one, turned, half, none, single, absent = content
    assert one @ turned == pytest.approx(1, abs=1e-5)
    assert one @ half == pytest.approx(1 / 2, abs=0.2)
    assert one @ single == pytest.approx(1 / np.sqrt(2), abs=0.2)
    assert one @ none == pytest.approx(0, abs=0.3)
    assert not absent.any()


def test_true_and_false_are_categories():
    known = fields({"on_sale": [True, True, False, None]})
    content = ContentPlan().fitted(known, EVEN).embed(known)
    assert content[0] @ content[1] == pytest.approx(1)
    assert content[0] @ content[2] < 0.5
    assert not content[3].any()


def test_attributes_weigh_as_the_settings_say():
    known = fields({"category": ["mug", "mug"], "year": ["1990", "2020"]}, title=embedded([1, 0], [1, 0]))
    plan = ContentPlan().fitted(known, Config(weights={"year": 2.0}, attribute_weight=0.25))
    assert {s.name: s.weight for s in plan.slots} == {"title": 1.0, "category": 0.25, "year": 2.0}
    a, b = plan.embed(known)
    x, y = category_features(["1990", "2020"], "year")
    year = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    assert a @ b == pytest.approx((1 + 0.25 + 2 * year) / 3.25, abs=1e-5)


def test_a_weight_of_0_leaves_a_field_out():
    known = fields({"price": [1, 2], "year": [1, 2]}, title=embedded([1, 0], [0, 1]), plot=embedded([1], [1]))
    plan = ContentPlan().fitted(known, Config(weights={"plot": 0, "price": 1}, attribute_weight=0))
    assert [s.name for s in plan.slots] == ["title", "price"]
    assert plan.covers(known, Config(weights={"plot": 0, "price": 1}, attribute_weight=0))
    assert not plan.covers(known, Config(attribute_weight=0))


def test_codes_that_no_two_items_share_have_no_part_unless_the_settings_say_so():
    codes = {"ean": [str(n) for n in range(60)], "brand": [f"b{n % 35}" for n in range(60)]}
    plan = ContentPlan().fitted(fields(codes), Config())
    assert [s.name for s in plan.slots] == ["brand"]
    assert plan.unshared == {"ean"}
    assert ContentPlan.load(plan.save(), "plan").unshared == {"ean"}
    assert len(ContentPlan().fitted(fields(codes), Config(weights={"ean": 1})).slots) == 2
    alone = fields({"ean": codes["ean"]})
    assert len(ContentPlan().fitted(alone, Config()).slots) == 1  # there is nothing else to go by
    few = {name: values[:10] for name, values in codes.items()}
    assert len(ContentPlan().fitted(fields(few), Config()).slots) == 2  # too few to tell


def test_an_attribute_waits_where_there_is_something_else_to_go_by():
    known = fields({"price": [1, 2]}, title=embedded([1, 0], [0, 1]))
    plan = ContentPlan().fitted(fields(title=embedded([1, 0], [0, 1])), Config())
    assert plan.covers(known, Config())
    assert not ContentPlan().covers(known, Config())
    assert not ContentPlan().covers(fields({"price": [1]}), Config())
    assert ContentPlan().covers(fields({"price": [1]}), Config(attribute_weight=0))


def test_a_text_field_hides_its_namesake_attribute():
    attribute = fields({"brand": ["Acme", "Brand B"]})
    both = fields({"brand": ["Acme", "Acme"]}, brand=embedded([1, 0], [0.6, 0.8]))
    assert both.kinds() == {"brand": ("embedding", 2)}
    before = ContentPlan().fitted(attribute, Config())
    assert not before.covers(both, Config())
    plan = before.fitted(both, Config())
    assert plan.slots == (Slot("brand", "embedding", 2, weight=1.0),)  # the weight of a text
    assert plan.covers(attribute, Config())
    assert not plan.embed(attribute).any()
    a, b = plan.embed(both)
    assert a @ b == pytest.approx(oracle(0, 1, {"brand": 1}, both), abs=1e-5)


def test_to_a_plan_from_before_the_text_an_attribute_that_it_hides_is_absent():
    plan = ContentPlan().fitted(fields({"year": [1990, 2020, 2021]}), EVEN)
    both = fields({"year": [1990, 2020, 2021]}, year=embedded([1, 0], [0, 1], [1, 1]))
    assert not plan.embed(both).any()


def test_categories_as_words_serve_text_queries_alone():
    parts = {"title": embedded([1, 0], [0, 1]), LABELS: embedded([1], [1])}
    known = fields({"brand": ["Acme", "Acme"]}, **parts)
    for config in (Config(), Config(weights={LABELS: 5})):
        plan = ContentPlan().fitted(known, config)
        assert [slot.name for slot in plan.slots] == ["title", "brand"]
        assert plan.covers(known, config)


def test_slots_stay_where_they_are_when_a_field_joins():
    first = fields({"price": [1, 2]}, title=embedded([1, 0], [0, 1]))
    plan = ContentPlan().fitted(first, EVEN)
    joined = fields({"category": ["mug", None], "price": [None, None]}, title=embedded(None, [0, 1]),
                    image=embedded([1, 2, 3], None))
    assert plan.covers(first, EVEN)
    assert not plan.covers(joined, EVEN)
    wider = plan.fitted(joined, EVEN)
    assert wider.covers(joined, EVEN)
    assert [s.name for s in wider.slots] == ["title", "price", "image", "category"]
    assert wider.spans["price"] == plan.spans["price"] == slice(2, 2 + 2 * NUMBER_NODES)
    assert wider.dim == wider.spans["category"].stop


def test_scales_are_kept_for_a_field_that_no_item_has_any_more():
    plan = ContentPlan().fitted(fields({"price": [100, 110, 120, 130]}), EVEN)
    later = plan.fitted(fields({"category": ["mug"]}), EVEN)
    assert later.slots[0] == plan.slots[0]


def test_a_part_lies_in_the_content_where_its_span_says():
    known = fields({"price": [1, 2, 9]}, title=embedded([1, 0], [0, 1], [1, 1]))
    plan = ContentPlan().fitted(known, Config(weights={"title": 3}, attribute_weight=1))
    content = plan.embed(known)
    for name, share in (("title", 3 / 4), ("price", 1 / 4)):
        np.testing.assert_allclose(
            content[:, plan.spans[name]], np.sqrt(share) * plan.part(name, known), atol=1e-6)
    np.testing.assert_allclose(plan.fuse({"title": plan.part("title", known)}, 3)[:, :2],
                               plan.part("title", known), atol=1e-6)


def test_a_catalogue_outgrows_its_estimates_by_doubling_until_there_are_enough():
    assert ContentPlan().outgrown(1)
    assert not ContentPlan(seen=100).outgrown(199)
    assert ContentPlan(seen=100).outgrown(200)
    assert not ContentPlan(seen=ENOUGH).outgrown(10 * ENOUGH)


def test_a_saved_plan_gives_the_same_content():
    attributes = {"price": [1, 2.5, None], "genres": [["a"], None, ["b"]]}
    known = fields(attributes, title=embedded([1, 2], [3, 1], None))
    plan = ContentPlan().fitted(known, EVEN)
    again = ContentPlan.load(plan.save(), "plan")
    assert (again.slots, again.seen) == (plan.slots, plan.seen)
    np.testing.assert_array_equal(again.embed(known), plan.embed(known))


@pytest.fixture
def wide():
    """Items of 1,048 numbers that vary in some 40 directions; the last ten have a rare field alone."""
    rng, n = np.random.default_rng(0), FIRST_COMPACT

    def of_rank(rank: int, dim: int) -> np.ndarray:
        return (rng.normal(size=(n, rank)) @ rng.normal(size=(rank, dim))).astype(np.float32)

    there = np.arange(n) < n - 10
    title = Embedded(of_rank(30, 384) * there[:, None], there)
    image = Embedded(of_rank(8, 640) * ~there[:, None], ~there)
    return fields({"price": [float(i % 50) for i in range(n)]}, title=title, image=image)


def test_compact_content_has_the_cosines_of_content_in_few_numbers(wide, monkeypatch):
    monkeypatch.setattr(content_module, "FLATNESS", 0.0)
    plan = ContentPlan().fitted(wide, EVEN)
    content = plan.embed(wide)
    compact = plan.compacted(content)
    assert content.shape[1] > COMPACT == compact.shape[1]
    np.testing.assert_allclose(compact @ compact[-50:].T, content @ content[-50:].T, atol=5e-3)
    assert not plan.compacted(np.zeros((1, plan.dim), np.float32)).any()


def test_what_fields_add_to_a_cosine_of_compact_content_adds_up(wide):
    plan = ContentPlan().fitted(wide, EVEN)
    content = plan.embed(wide)[-30:]
    compact = plan.compacted(content)
    parts = plan.shares(content, compact[3])
    assert [*parts] == [*plan.spans]
    np.testing.assert_allclose(sum(parts.values()), compact @ compact[3], atol=1e-5)
    assert not parts["image"][:20].any()  # they have none
    whole = ContentPlan(plan.slots, plan.seen, plan.means)
    np.testing.assert_allclose(
        whole.shares(content, content[3])["title"],
        content[:, plan.spans["title"]] @ content[3, plan.spans["title"]], atol=1e-6)


def test_a_saved_plan_makes_the_same_compact_content(wide):
    plan = ContentPlan().fitted(wide, EVEN)
    again, content = ContentPlan.load(plan.save(), "plan"), plan.embed(wide)
    np.testing.assert_array_equal(again.compacted(content), plan.compacted(content))
    np.testing.assert_array_equal(again.embed(wide), content)


def test_a_small_catalogue_has_its_content_whole(wide):
    few = Fields(9, {n: Embedded(x[:9], there[:9]) for n, (x, there) in wide.embeddings.items()}, {})
    plan = ContentPlan().fitted(few, EVEN)
    content = plan.embed(few)
    assert plan.compacted(content) is content


def test_an_empty_plan_can_be_saved():
    assert ContentPlan.load(ContentPlan().save(), "plan") == ContentPlan()
    assert ContentPlan().embed(Fields(3)).shape == (3, 0)


def change(old: bytes, new: bytes):
    return lambda saved: saved.replace(old, new)


@pytest.mark.parametrize("damage", [
    lambda saved: b"", lambda saved: saved[:-5], lambda saved: saved[:20], lambda saved: b"\xff" * 200,
    change(b"kind", b"kond"), change(b'"slots"', b'"slits"'), change(b'"seen":"1"', b'"seen":"x"'),
])
def test_a_damaged_plan_is_an_error_that_names_the_file(damage):
    saved = ContentPlan().fitted(fields(title=embedded([1, 2])), EVEN).save()
    assert damage(saved) != saved
    with pytest.raises(StoreError, match=r"content-1\.safetensors"):
        ContentPlan.load(damage(saved), "content-1.safetensors")
