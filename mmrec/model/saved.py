"""A trained head as files, and back.

::

    head-N/
      config.json            blend, kernel of the content tower, and what `fit` reported
      ids.json               of the items that somebody chose
      towers.safetensors     all arrays
      content.safetensors    the content plan that the head reads by
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import StoreError
from mmrec.model.appeal import Appeal
from mmrec.model.content import ContentPlan
from mmrec.model.kernel_ridge import FieldKernel, Reduction, Smoother, Spans
from mmrec.model.ordered_towers import OrderedTowers, SequencePart
from mmrec.model.parts import Blend, Compression, ItemEmbeddings, Metric, Shares
from mmrec.model.sequence_tower import SequenceTower
from mmrec.model.towers import TrainedTowers

ARRAYS = "towers.safetensors"
NET = "sequence."  # before the names of the weights of a sequence tower
# Names of the arrays of `ItemEmbeddings` in the file, which outlive those in the code.
EMBEDDINGS = ("places_given", "places_base", "places_taken", "places_bias")


class Head(NamedTuple):
    """A trained head.

    Attributes:
        towers: that heed no order, or little.
        embeddings: of the items of `towers.ids`, as they were learned; training can go on from them.
        report: what `fit` said of it, JSON-ready.
        sequence: what heeds the order of a history; None if nothing does.
    """

    towers: TrainedTowers
    embeddings: ItemEmbeddings
    report: Mapping[str, Any]
    sequence: SequencePart | None = None

    @property
    def serving(self) -> TrainedTowers | OrderedTowers:
        """The towers that serve."""
        return self.towers if self.sequence is None else OrderedTowers(self.towers, self.sequence)


def save(head: Head) -> dict[str, bytes]:
    """The files of a head, by name."""
    from safetensors.numpy import save as packed

    arrays = {name: np.ascontiguousarray(x, np.float32) for name, x in _arrays(head).items()}
    texts = {"config.json": _config(head), "ids.json": list(head.towers.ids)}
    return {name: json.dumps(value, ensure_ascii=False).encode() for name, value in texts.items()} | {
        ARRAYS: packed(arrays), "content.safetensors": head.towers.plan.save(),
    }


def load(files: Mapping[str, Any], folder: str) -> Head:
    """Reads what `save` gave; arrays stay in the buffers that hold the files, such as mapped memory.

    Raises:
        StoreError: a file of this folder is absent or damaged.
    """
    try:
        plan = ContentPlan.load(files["content.safetensors"], f"{folder}/content.safetensors")
        config, ids = json.loads(files["config.json"]), json.loads(files["ids.json"])
        return _head(config, ids, _unpacked(files[ARRAYS]), plan)
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"cannot read the trained head {folder}: {error!r}. Run `mmrec doctor` on the store"
        ) from error


def _unpacked(packed: Any) -> dict[str, Vectors]:
    """Arrays of a safetensors file, which are not copied, as they would be by the library's reader.

    Raises:
        ValueError: it is cut off, or holds other numbers than float32.
    """
    first = 8 + int.from_bytes(packed[:8], "little")  # byte of the data
    header = json.loads(bytes(packed[8:first]))
    arrays = {}
    for name, told in header.items():
        if name != "__metadata__":
            if told["dtype"] != "F32":
                raise ValueError(f"{name} holds {told['dtype']} in place of F32")
            count, start = math.prod(told["shape"]), first + told["data_offsets"][0]
            arrays[name] = np.frombuffer(packed, "<f4", count, start).reshape(told["shape"])
    return arrays


def _arrays(head: Head) -> dict[str, Vectors]:
    towers = head.towers
    covariances = {f"spread_{n}": x for n, x in enumerate(towers.covariances)}
    embeddings = dict(zip(EMBEDDINGS, head.embeddings, strict=True))
    compression = {f"compression_{name}": x for name, x in towers.compression._asdict().items()}
    return covariances | embeddings | compression | {
        "landmarks": towers.smoother.landmarks, "coefficients": towers.smoother.coefficients,
        "projection": towers.metric.projection, "rows": towers.rows, "correction": towers.correction,
        **({"reduction": reduction.directions} if (reduction := towers.smoother.reduction) else {}),
        "appeal": np.append(towers.appeal.weights, towers.appeal.centre), **_of_sequence(head.sequence),
    }


def _of_sequence(part: SequencePart | None) -> dict[str, Vectors]:
    if part is None:
        return {}
    weights = {f"{NET}{name}": x for name, x in part.tower.weights.items()}
    return weights | {"sequence_items": part.items, "sequence_coefficients": part.coefficients}


def _config(head: Head) -> dict[str, Any]:
    towers, kernel = head.towers, head.towers.smoother.kernel
    reduction = towers.smoother.reduction
    return {
        "blend": asdict(towers.blend), "dislike_weight": towers.dislike_weight, "report": head.report,
        "kernel": {
            "spans": _ends(kernel.spans),
            "weights": dict(kernel.weights), "widths": dict(kernel.widths),
        },
        "reduction": reduction and {"spans": _ends(reduction.spans), "widths": dict(reduction.widths)},
        "sequence": (part := head.sequence) and {
            "heads": part.tower.heads, "share": part.share, "cold_offset": part.cold_offset,
        },
    }


def _head(config: Mapping[str, Any], ids: list[str], x: Mapping[str, Vectors], plan: ContentPlan) -> Head:
    kernel, reduced = config["kernel"], config.get("reduction")
    smoother = Smoother(
        FieldKernel(_slices(kernel["spans"]), kernel["weights"], kernel["widths"]),
        x["landmarks"], x["coefficients"],
        Reduction(x["reduction"], _slices(reduced["spans"]), reduced["widths"]) if reduced else None,
    )
    embeddings = ItemEmbeddings(*(x[name] for name in EMBEDDINGS))
    blend = config["blend"] | {name: Shares(*config["blend"][name]) for name in ("warm", "short", "cold")}
    stored = {name: x[key] for name in Compression._fields if (key := f"compression_{name}") in x}
    d = len(x["projection"].T) + sum(len(x[f"spread_{n}"]) for n in (0, 1)) + 1
    # the rows of heads of before are whole
    compression = Compression(**stored) if stored else Compression.none(d, x["rows"].shape[1] - d)
    appeal = x.get("appeal", np.zeros(len(x["projection"]) + 1, np.float32))
    towers = TrainedTowers(
        plan, smoother, Metric(x["projection"]), ids, x["rows"], embeddings.base,
        (x["spread_0"], x["spread_1"], x["spread_2"]), Blend(**blend), config["dislike_weight"],
        compression, x.get("correction", np.zeros((len(x["projection"].T), x["rows"].shape[1]), np.float32)),
        Appeal(appeal[:-1], float(appeal[-1])),
    )
    return Head(towers, embeddings, config["report"], _sequence(config.get("sequence"), x))


def _sequence(config: Mapping[str, Any] | None, x: Mapping[str, Vectors]) -> SequencePart | None:
    if config is None:
        return None
    weights = {name.removeprefix(NET): one for name, one in x.items() if name.startswith(NET)}
    return SequencePart(
        SequenceTower(weights, config["heads"]), x["sequence_items"], x["sequence_coefficients"],
        config["share"], config.get("cold_offset", 0.0),  # which heads of before lack
    )


def _ends(spans: Spans) -> dict[str, list[int]]:
    return {name: [span.start, span.stop] for name, span in spans.items()}


def _slices(ends: Mapping[str, list[int]]) -> dict[str, slice]:
    return {name: slice(*pair) for name, pair in ends.items()}
