"""Pictures: a photo that was changed is the same, another colour of it is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from planting import CHANGES, change

from ingest.demo import make_shop
from ingest.demo.dice import Dice
from mmrec.check.pictures import SIDE, Look, alike, candidates, joined, looks, misfit, show_the_same
from mmrec.encoders.base import unit
from mmrec.search.rows import Rows


def drawing(seed, colour=(200, 60, 40)):
    """A thing of one colour with a pattern, on a light ground."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (220, 260), (246, 244, 240))
    pen = ImageDraw.Draw(picture)
    left, top = rng.integers(30, 60, 2).tolist()
    right, bottom = (rng.integers(150, 190, 2)).tolist()
    pen.rounded_rectangle((left, top, right, bottom), 20, fill=colour)
    for _ in range(6):
        x, y = int(rng.integers(left + 10, right - 10)), int(rng.integers(top + 10, bottom - 10))
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), fill=(40, 40, 60))
    return picture


def look(picture, folder, name="one"):
    path = folder / f"{name}.png"
    picture.save(path)
    return looks({0: str(path)})[0]


@pytest.mark.parametrize("how", CHANGES)
def test_most_changed_photos_are_the_same(tmp_path, how):
    same = []
    for seed, item in enumerate(make_shop(products=48, shoppers=1).items):
        path = change(item.images[0], tmp_path / "changed", how, Dice(seed))
        same.append(alike(look(item.images[0], tmp_path), looks({0: str(path)})[0]))
    assert np.mean(same) >= 0.85


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_another_colour_is_not(tmp_path, seed, colour):
    far = max(abs(a - b) for a, b in zip(colour, (200, 60, 40), strict=True)) > 40
    one, other = look(drawing(seed), tmp_path), look(drawing(seed, colour), tmp_path, "two")
    assert not (far and alike(one, other))


def test_another_thing_is_another(tmp_path):
    other = Image.effect_mandelbrot((200, 200), (-2, -1.5, 1, 1.5), 30).convert("RGB")
    assert not alike(look(drawing(1), tmp_path), look(other, tmp_path, "two"))


@pytest.mark.parametrize(("shift", "scale"), [((2, 0), 1.0), ((0, -3), 1.0), ((1, 1), 1.06), ((0, 0), 0.95)])
def test_laying_one_over_the_other_finds_shift_and_scale(shift, scale):
    y, x = np.mgrid[:SIDE, :SIDE]

    def waves(y, x, light=0):
        red = light + 120 + 80 * np.sin(x / 4) * np.cos(y / 5)
        picture = np.stack([red, light + 90 + y, light + 200 - 2 * x], -1).astype(np.float32)
        return Look(None, picture, np.ones((SIDE, SIDE), bool), np.zeros(6), flat=False)

    one, middle = waves(y, x), (SIDE - 1) / 2
    y, x = (middle + scale * (at - middle) + by for at, by in zip((y, x), shift, strict=True))
    other = waves(y, x)
    blocks, shade = misfit(one, other)
    assert blocks < 4 < np.abs(one.pixels - other.pixels).max()
    assert shade < 1
    assert misfit(one, waves(y, x, light=5))[1] == pytest.approx(5, abs=1)
    assert misfit(one, waves(y + 9, 2 * x))[0] > 30


def test_what_cannot_be_read_is_left_out(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert looks({1: str(tmp_path / "broken.png"), 2: str(tmp_path / "absent.png")}) == {}


def test_a_picture_of_one_tone_shows_nothing(tmp_path):
    assert look(Image.new("RGB", (90, 90), "white"), tmp_path).flat
    assert not look(drawing(0), tmp_path).flat


@given(seed=st.integers(0, 1_000), n=st.integers(2, 60))
def test_candidates_are_the_near_ones(seed, n):
    rng = np.random.default_rng(seed)
    x = unit(rng.normal(size=(n, 100)).astype(np.float32))
    twins = rng.permutation(n)[: 2 * (n // 4)].reshape(-1, 2)
    x[twins[:, 1]] = unit(x[twins[:, 0]] + 0.02 * rng.normal(size=(len(twins), 100)).astype(np.float32))
    absent = int(rng.integers(n))
    x[absent] = 0
    pairs, cosines = candidates(Rows.of(x), range(n))
    expected = {tuple(sorted(pair)) for pair in twins.tolist() if absent not in pair}
    assert {tuple(pair) for pair in pairs.tolist()} == expected
    assert (cosines > 0.5).all()


def test_an_index_with_cells_finds_them_too(monkeypatch):
    monkeypatch.setattr("mmrec.check.pictures.SAMPLE", 500)
    x = unit(np.random.default_rng(0).normal(size=(2_000, 32)).astype(np.float32))
    x[1_000:1_200] = unit(x[:200] + 0.01)
    pairs, _ = candidates(Rows.of(x), range(2_000))
    assert len({tuple(pair) for pair in pairs.tolist()} & {(n, 1_000 + n) for n in range(200)}) >= 190


def test_without_files_only_the_nearest_embeddings_are_the_same():
    pairs = np.array([[0, 1], [2, 3]])
    assert show_the_same(pairs, np.array([0.995, 0.9]), {}).tolist() == [[0, 1]]
    assert show_the_same(pairs[:0], np.zeros(0), {}).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_chains_of_pairs_are_one_group(pairs):
    groups = joined(pairs, 10)
    assert all(groups[a] == groups[b] for a, b in pairs)
    reached = {n: {n} for n in range(10)}
    for _ in range(10):
        for a, b in pairs:
            reached[a] |= reached[b]
            reached[b] |= reached[a]
    assert len(set(groups.tolist())) == len({frozenset(one) for one in reached.values()})
