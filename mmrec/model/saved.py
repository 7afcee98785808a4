"""A trained head on disk: a folder that is complete beside, before it takes its name.

::

    head-N/
      config.json            blend, kernel of the content tower, and what `fit` reported
      ids.json               of the items that somebody chose
      towers.safetensors     all arrays
      content.safetensors    the content plan that the head reads by
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmrec.data.files import replacing
from mmrec.encoders.base import Vectors
from mmrec.errors import DataError, StoreError
from mmrec.model.content import ContentPlan
from mmrec.model.item_embeddings import Learned
from mmrec.model.kernel_ridge import FieldKernel, Smoother
from mmrec.model.metric import Metric
from mmrec.model.trained import Blend, Shares, TrainedTowers


class Head(NamedTuple):
    """A trained head.

    Attributes:
        towers: that serve.
        places: of the items of `towers.ids`, as they were learned; training can go on from them.
        report: what `fit` said of it, JSON-ready.
    """

    towers: TrainedTowers
    places: Learned
    report: Mapping[str, Any]


def save(folder: Path, head: Head) -> None:
    """Writes a head; a folder of its name is complete or absent.

    Raises:
        DataError: the disk refuses.
    """
    from safetensors.numpy import save as packed

    beside = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(beside, ignore_errors=True)  # of a process that was killed
    try:
        beside.mkdir()
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error}. Check the folder and its rights") from error
    arrays = {name: np.ascontiguousarray(x, np.float32) for name, x in _arrays(head).items()}
    texts = {"config.json": _config(head), "ids.json": list(head.towers.ids)}
    for name, value in texts.items():
        with replacing(beside / name) as file:
            file.write(json.dumps(value, ensure_ascii=False).encode())
    with replacing(beside / "towers.safetensors") as file:
        file.write(packed(arrays))
    head.towers.plan.save(beside / "content.safetensors")
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def load(folder: Path) -> Head:
    """Reads what `save` wrote.

    Raises:
        StoreError: a file is absent or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    plan = ContentPlan.load(folder / "content.safetensors")
    try:
        config = json.loads((folder / "config.json").read_bytes())
        ids = json.loads((folder / "ids.json").read_bytes())
        return _head(config, ids, load_file(folder / "towers.safetensors"), plan)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"cannot read the trained head {folder}: {error}. Run `mmrec doctor` on the store"
        ) from error


def _arrays(head: Head) -> dict[str, Vectors]:
    towers, places = head.towers, head.places
    spreads = {f"spread_{n}": x for n, x in enumerate(towers.spreads)}
    learned = {f"places_{name}": x for name, x in places._asdict().items()}
    return spreads | learned | {
        "landmarks": towers.smoother.landmarks, "coefficients": towers.smoother.coefficients,
        "projection": towers.metric.projection, "rows": towers.rows,
    }


def _config(head: Head) -> dict[str, Any]:
    towers, kernel = head.towers, head.towers.smoother.kernel
    return {
        "blend": asdict(towers.blend), "dislike_weight": towers.dislike_weight, "report": head.report,
        "kernel": {
            "spans": {name: [span.start, span.stop] for name, span in kernel.spans.items()},
            "weights": dict(kernel.weights), "widths": dict(kernel.widths),
        },
    }


def _head(config: Mapping[str, Any], ids: list[str], x: Mapping[str, Vectors], plan: ContentPlan) -> Head:
    kernel = config["kernel"]
    spans = {name: slice(*ends) for name, ends in kernel["spans"].items()}
    smoother = Smoother(
        FieldKernel(spans, kernel["weights"], kernel["widths"]), x["landmarks"], x["coefficients"]
    )
    places = Learned(*(x[f"places_{name}"] for name in Learned._fields))
    blend = config["blend"] | {name: Shares(*config["blend"][name]) for name in ("warm", "short", "cold")}
    towers = TrainedTowers(
        plan, smoother, Metric(x["projection"]), ids, x["rows"], places.base,
        (x["spread_0"], x["spread_1"], x["spread_2"]), Blend(**blend), config["dislike_weight"],
    )
    return Head(towers, places, config["report"])
