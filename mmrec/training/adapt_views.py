"""What pictures teach an encoder by themselves: two views of one picture belong together.

Each picture is augmented a few times and embedded by the frozen encoder, which is nearly all of the work; the
map behind the encoder then learns from the embeddings alone. The methods differ in their loss.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmrec.data import images
from mmrec.encoders.base import Encoder, Vectors, unit
from mmrec.errors import DataError, MissingExtra
from mmrec.store.catalogue import Catalogue
from mmrec.training.adapt_lessons import LEAST_ITEMS, Learned, Lessons
from mmrec.training.adapter import AdapterNet, AdapterRecipe, Batch, Loss, centred, closeness, train_adapter
from mmrec.training.model import Report
from mmrec.types import IMAGE

TWICE = 2  # times that the two views of a picture are drawn
MOST_PICTURES = 4_000
AT_ONCE = 16  # pictures between two looks at the clock
SHARE = 0.7  # of the minutes, for the embedding of views
MOMENTUM, BANK, HIDDEN = 0.99, 4_096, 512
TEMPERATURE = 0.1
METHODS = ("simclr", "moco", "byol", "vicreg")


def learn_from_views(
    catalogue: Catalogue, lessons: Lessons, method: str, deadline: float, seed: int, say: Report
) -> Learned:
    """A map by which the views of a picture lie together.

    Source: Chen et al. 2020 (SimCLR); He et al. 2020 (MoCo); Grill et al. 2020 (BYOL); Bardes et al. 2022
    (VICReg).

    Raises:
        DataError: too few pictures have an address from which they can be read again.
        MissingExtra: lightly is not installed.
    """
    _lightly()
    rng, recipe = np.random.Generator(np.random.PCG64(seed)), replace(AdapterRecipe(), batch_size=256)
    now = time.monotonic()
    places, views = _views(catalogue, lessons, method, now + SHARE * (deadline - now), rng, say)
    flat = views.reshape(-1, views.shape[2])  # [m, v, e] -> [m * v, e]
    mean: Vectors = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
    stop = lessons.parts.stop[places]
    held_out = _batches(views[stop], mean, recipe.batch_size, rng)
    loss, more, after = _loss(method, len(mean), recipe, seed)
    trained = train_adapter(
        mean, lambda: _batches(views[~stop], mean, recipe.batch_size, rng), loss, list(held_out), recipe,
        seed=seed, deadline=deadline, held_out_loss=_loss("simclr", len(mean), recipe, seed)[0], more=more,
        after_step=after, watch=say,
    )
    return Learned(trained, int((~stop).sum()), int((~stop).sum()), recipe=asdict(recipe))


def _lightly() -> tuple[Any, Any]:
    try:
        from lightly import loss, transforms
    except ImportError as error:
        raise MissingExtra(
            f"adapting by views needs a package that is not installed ({error.name}): pip install"
            " 'mmrec[adapt]'"
        ) from None
    return loss, transforms


def _views(
    catalogue: Catalogue, lessons: Lessons, method: str, deadline: float, rng: np.random.Generator,
    say: Report,
) -> tuple[Any, Vectors]:
    """Positions [m] of items whose pictures can be read, and frozen embeddings [m, v, e] of views of each."""
    encoder, transform = catalogue.encoders[lessons.modality], _transform(method)
    some = rng.permutation(lessons.teaching(IMAGE))[:MOST_PICTURES]
    places: list[int] = []
    found: list[Vectors] = []
    for start in range(0, len(some), AT_ONCE):
        chunk = some[start : start + AT_ONCE].tolist()
        kept, views = _embedded(catalogue, lessons, encoder, transform, chunk)
        places += kept
        found.append(views)
        say({"stage": f"looking at pictures: {len(places)}"})
        if time.monotonic() > deadline:
            break
    parts = lessons.parts.stop[places]
    if len(places) < LEAST_ITEMS or parts.sum() < 2:
        raise DataError(
            f"{len(places)} pictures can be read again from a path or an address, {LEAST_ITEMS} or more are"
            " needed: ingest items with paths of their pictures, or adapt by behaviour", field=IMAGE,
        )
    return np.array(places), np.concatenate(found)


def _embedded(
    catalogue: Catalogue, lessons: Lessons, encoder: Encoder, transform: Callable[[Any], Sequence[Tensor]],
    chunk: Sequence[int],
) -> tuple[list[int], Vectors]:
    """Which of some items have a picture that can be read, and embeddings [m, v, e] of its views."""
    from torchvision.transforms.functional import to_pil_image

    items = catalogue.get([lessons.item_ids[place] for place in chunk])
    kept, pictures = [], []
    for place in chunk:
        item = items.get(lessons.item_ids[place])
        if item is None or not item.images:
            continue
        try:
            picture = images.decode(item.images[0])
        except DataError:
            continue
        kept.append(place)
        pictures += [[to_pil_image(view)] for _ in range(TWICE) for view in transform(picture)]
    vectors = unit(encoder.embed(pictures)) if pictures else np.zeros((0, encoder.dim), np.float32)
    return kept, vectors.reshape(len(kept), 2 * TWICE, encoder.dim)  # [m * v, e] -> [m, v, e]


def _transform(method: str) -> Callable[[Any], Sequence[Tensor]]:
    """Two views of a picture as the method's authors draw them, as tensors [3, h, w] in 0..1."""
    _, transforms = _lightly()
    if method == "byol":
        from lightly.transforms import byol_transform as byol

        return transforms.BYOLTransform(
            byol.BYOLView1Transform(normalize=None), byol.BYOLView2Transform(normalize=None)
        )
    names = {"simclr": "SimCLRTransform", "moco": "MoCoV2Transform", "vicreg": "VICRegTransform"}
    return getattr(transforms, names[method])(normalize=None)


def _batches(views: Vectors, mean: Vectors, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """All items [m, v, e] once, two different views of each."""
    order = rng.permutation(len(views))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        one = rng.integers(views.shape[1], size=len(rows))
        other = (one + rng.integers(1, views.shape[1], size=len(rows))) % views.shape[1]
        if len(rows) > 1:
            yield Batch(centred(views[rows, one], mean), centred(views[rows, other], mean))


def _loss(
    method: str, dim: int, recipe: AdapterRecipe, seed: int
) -> tuple[Loss, Sequence[nn.Parameter], Callable[[AdapterNet], None] | None]:
    """The loss of a method, the parameters that learn beside the map, and what follows each step."""
    losses, _ = _lightly()
    if method in ("moco", "byol"):
        return _with_momentum(method, dim, recipe, seed)
    if method == "vicreg":
        vicreg, scale = losses.VICRegLoss(), dim**0.5  # its variances are those of numbers around 1
        return _near(lambda left, right: vicreg(scale * left, scale * right), recipe), (), None
    return _near(losses.NTXentLoss(temperature=TEMPERATURE), recipe), (), None


def _near(of_pairs: Callable[[Tensor, Tensor], Tensor], recipe: AdapterRecipe) -> Loss:
    """A loss of pairs of adapted embeddings, and of their distance to the frozen ones."""

    def loss(net: AdapterNet, batch: Batch) -> Tensor:
        left, right = net(batch.left), net(batch.right)
        return of_pairs(left, right) + recipe.closeness * closeness(batch, left, right)

    return loss


def _with_momentum(
    method: str, dim: int, recipe: AdapterRecipe, seed: int
) -> tuple[Loss, Sequence[nn.Parameter], Callable[[AdapterNet], None]]:
    """MoCo's or BYOL's loss: what is to be met comes from a copy that follows the map slowly."""
    losses, _ = _lightly()
    copy = AdapterNet(dim, recipe, torch.Generator().manual_seed(seed)).eval()
    predictor = nn.Sequential(
        nn.Linear(dim, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, dim)
    )
    contrast = losses.NTXentLoss(temperature=TEMPERATURE, memory_bank_size=(BANK, dim))
    likeness = losses.NegativeCosineSimilarity()

    def loss(net: AdapterNet, batch: Batch) -> Tensor:
        left, right = net(batch.left), net(batch.right)
        with torch.no_grad():
            one, other = copy(batch.left), copy(batch.right)
        if method == "moco":
            value = contrast(left, other)
        else:
            value = (likeness(predictor(left), other) + likeness(predictor(right), one)) / 2
        found: Tensor = value + recipe.closeness * closeness(batch, left, right)
        return found

    def follow(net: AdapterNet) -> None:
        with torch.no_grad():
            for slow, fast in zip(copy.parameters(), net.parameters(), strict=True):
                slow.lerp_(fast, 1 - MOMENTUM)

    return loss, list(predictor.parameters()) if method == "byol" else (), follow
