"""The verb `adapt`: an encoder learns from a shop's items, and serves if new items are then found better."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from mmrec.encoders.adapted import told_of
from mmrec.errors import DataError
from mmrec.model.content import Embedded, Fields
from mmrec.search.snapshot import Snapshot
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.interactions import Interactions
from mmrec.store.swap import ADAPTING, Road, begin, discard
from mmrec.training import adapt_text, adapt_views
from mmrec.training.adapt_guard import Figure, Sides, cold_recall, fallen, searches
from mmrec.training.adapt_lessons import Learned, Lessons, Pairs
from mmrec.training.adapt_pairs import PairSource, mean_of
from mmrec.training.adapter import AdapterRecipe, contrast, train_adapter
from mmrec.training.fit import fit
from mmrec.training.model import Report

MINUTES = 15.0
BEHAVIOUR = "behaviour"
METHODS = {"image": (BEHAVIOUR, *adapt_views.METHODS), "text": (BEHAVIOUR, *adapt_text.METHODS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptReport:
    """The outcome of an adaptation.

    Attributes:
        method, modality: what was asked for, or chosen.
        parent: the encoder that was adapted.
        id: of the adapted one.
        minutes: wall time.
        items: that taught.
        pairs: of items or of views, in an epoch.
        stopped: why the training ended before its last epoch, if it did.
        frozen: figures of the encoder as it was: loss on held-out items, alignment, uniformity, rank.
        best: the same of the epoch that was kept.
        figures: by old and new embeddings, on items that taught nothing.
        served: whether the adapted encoder serves.
        why: in words.
        fitted: whether the head was trained again, as one served before.
        curves: the figures of each epoch.
    """

    method: str
    modality: str
    parent: str
    id: str
    minutes: float = 0.0
    items: int
    pairs: int
    stopped: str | None
    frozen: Mapping[str, float]
    best: Mapping[str, float]
    figures: tuple[Figure, ...] = ()
    served: bool = False
    why: str = ""
    fitted: bool = False
    curves: Sequence[Mapping[str, float]] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def adapt(
    catalogue: Catalogue, behaviour: Interactions, *, method: str | None = None, modality: str | None = None,
    minutes: float = MINUTES, pairs: Pairs | None = None, force: bool = False, seed: int = 0,
    device: str | None = None, progress: Report | None = None,
) -> AdaptReport:
    """Adapts the encoder of one modality to the catalogue, and lets it serve if new items are found better.

    What served before serves until all is done, also if this is killed; asked the same again, it goes on.

    Args:
        method: one of `METHODS`; None takes `"behaviour"` where enough is recorded.
        modality: whose encoder; None takes pictures where there are any.
        minutes: of training, at most.
        pairs: items that belong together, in place of the recorded behaviour: pairs of ids, or a file, as
            `adapt_lessons.read_pairs` takes it.
        force: let it serve whatever the figures say.
        seed: also of which items teach and which judge.
        device: of torch, for a new head and for models that are trained as a whole.
        progress: called with the progress: `stage`, and of a training `epoch`, `loss`.

    Raises:
        DataError: an argument cannot be used, or there is too little to learn from.
        MissingExtra: the method needs packages that are not installed.
    """
    began, say = time.monotonic(), progress or (lambda _: None)
    catalogue.mend()
    lessons = Lessons.of(catalogue, behaviour, modality, pairs, seed)
    method = _method(method, lessons)
    asked = {"method": method, "modality": lessons.modality, "seed": seed, "pairs": lessons.single}
    parent = catalogue.encoded_by[lessons.modality]
    way = catalogue.store.refresh().get(ADAPTING) or {}
    if way.get("asked") != asked or way["record"]["parent"] != parent:
        learned = learn(catalogue, lessons, method, began + 60 * minutes, seed, device, say)
        way = {"record": learned.write(catalogue, lessons.modality, asked)}
        begin(catalogue, lessons.modality, way["record"], asked=asked)
    encoder_id = way["record"]["adapted"]
    report = AdaptReport(
        method=method, modality=lessons.modality, parent=parent["fingerprint"]["model"],
        id=encoder_id, **told_of(catalogue.store.path, encoder_id)["training"],
    )
    report = _decided(report, catalogue, lessons, force, say)
    report = _settled(report, catalogue, behaviour, seed, device, say)
    return replace(report, minutes=(time.monotonic() - began) / 60)


def learn(
    catalogue: Catalogue, lessons: Lessons, method: str, deadline: float, seed: int, device: str | None,
    say: Report,
) -> Learned:
    """Trains by a method until it is done, or the deadline is there, as `time.monotonic` tells it."""
    say({"stage": f"learning by {method}"})
    with torch.random.fork_rng(devices=[]):  # dropout and initial weights draw from torch's own
        torch.manual_seed(seed)
        if method == BEHAVIOUR:
            return _by_behaviour(lessons, deadline, seed, say)
        if method in adapt_views.METHODS:
            return adapt_views.learn_from_views(catalogue, lessons, method, deadline, seed, say)
        return adapt_text.learn_from_texts(catalogue, lessons, method, deadline, seed, device, say)


def _by_behaviour(lessons: Lessons, deadline: float, seed: int, say: Report) -> Learned:
    """A map by which items that one user chose lie together."""
    rng, recipe = np.random.Generator(np.random.PCG64(seed)), AdapterRecipe()
    mean, parts = mean_of(lessons.fields), lessons.parts
    source = PairSource(lessons.fields, mean, lessons.histories, parts, recipe.batch_size)
    held_out = source.held_out(rng)
    if not lessons.enough or not source.pairs or not held_out:
        raise DataError(
            f"{lessons.histories.nnz} wishes of {lessons.histories.shape[0]} users are too few to learn from:"
            " record more with `mmrec record`, or give pairs of items"
        )
    trained = train_adapter(
        mean, source.epochs(rng), contrast(recipe), held_out, recipe, seed=seed, deadline=deadline, watch=say
    )
    taught = np.unique(lessons.histories.indices)
    items = int(parts.teach[taught].sum())
    return Learned(trained, items, source.pairs, recipe=asdict(recipe))


def _method(method: str | None, lessons: Lessons) -> str:
    """The method that was asked for, or the best that can be had."""
    known = METHODS.get(lessons.modality, (BEHAVIOUR,))
    chosen = method or (BEHAVIOUR if lessons.enough or len(known) == 1 else known[1])
    if chosen not in known:
        raise DataError(
            f"{lessons.modality} encoders adapt by {', '.join(known)}, got {method!r}", field="method"
        )
    return chosen


def _decided(
    report: AdaptReport, catalogue: Catalogue, lessons: Lessons, force: bool, say: Report
) -> AdaptReport:
    """The report with figures of old and new embeddings, and whether these shall serve."""
    say({"stage": "encoding"})
    Road(catalogue).encode()
    say({"stage": "comparing"})
    sides, judge = _sides(catalogue, lessons), lessons.parts.judge
    found = cold_recall(sides, catalogue.config, lessons.histories, judge, single=lessons.single)
    other = searches(sides, catalogue.config, judge)
    figures = tuple(one for one in (found, *other) if one)
    if found is None:
        good, why = False, "no behaviour can tell whether it is better"
    elif lost := fallen(other):
        good, why = False, f"{lost[0].name} falls from {lost[0].before:.3f} to {lost[0].after:.3f}"
    else:
        good = found.difference.low > 0
        why = f"new items are found {'better' if good else 'no better for sure'}: {found.difference}"
    if force and not good:
        why = f"it was forced, though {why}"
    return replace(report, figures=figures, served=good or force, why=why)


def _settled(
    report: AdaptReport, catalogue: Catalogue, behaviour: Interactions, seed: int, device: str | None,
    say: Report,
) -> AdaptReport:
    """Lets the encoder serve, with a new head where one served; or throws it away."""
    if not report.served:
        discard(catalogue)
        return report
    say({"stage": "swapping"})
    before = catalogue.head()
    Road(catalogue).swap()
    if before is None:
        return report
    fit(
        catalogue, Snapshot(catalogue), behaviour, warm_start=False, epochs=None, seed=seed,
        ordered=bool(before.report.get("ordered")), device=device, progress=say,
    )
    return replace(report, fitted=True)


def _sides(catalogue: Catalogue, lessons: Lessons) -> Sides:
    """All fields of the lessons' items, and the same with what the encoder on its way makes of them."""
    fields, known = lessons.stored, catalogue.table.schema
    names = [name for name in lessons.names if schema.NEXT + name in known.names]
    rows = catalogue.table.read(lessons.item_ids, [schema.NEXT + name for name in names])
    position = {item_id: n for n, item_id in enumerate(lessons.item_ids)}
    places = [position[item_id] for item_id in rows["item_id"].to_pylist()]  # some may be deleted by now
    new = {}
    for name in names:
        column = rows[schema.NEXT + name]
        made = schema.matrix(column, column.type.list_size)
        new[name] = Embedded(
            np.zeros((fields.n, made.values.shape[1]), np.float32), np.zeros(fields.n, np.bool_)
        )
        new[name].values[places], new[name].present[places] = made
    return Sides(fields, Fields(fields.n, {**fields.embeddings, **new}, fields.attributes), names)
