"""What an encoder can learn from in a shop, and how what it learned is written into the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmrec.encoders.adapted import FOLDER, MAP, TOLD, mapped_fingerprint, record_of
from mmrec.encoders.base import Fingerprint
from mmrec.errors import DataError
from mmrec.evaluate.logs import bounded, log_of_positions, log_of_shop
from mmrec.evaluate.splits import rows_of
from mmrec.model.content import ENOUGH, Embedded, Fields
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.interactions import Interactions
from mmrec.store.swap import fields_of
from mmrec.training.adapt_pairs import Parts
from mmrec.training.adapter import Trained
from mmrec.types import IMAGE, LABELS

LEAST_PAIRS = 200  # interactions of users with several items, without which behaviour cannot teach
LEAST_ITEMS = 20  # without which nothing can be learned
Pairs = str | Path | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Lessons:
    """What is known of the n items that an encoder can learn from.

    Attributes:
        modality: of the encoder.
        item_ids: in the order of the rows.
        names: the fields that the encoder fills.
        stored: their embeddings by the encoder that serves, and all other fields.
        histories: what users chose [users, n]; no rows where nothing is known.
        single: whether these are pairs of items that belong together, in place of users' histories.
        parts: which items teach and which judge.
    """

    modality: str
    item_ids: Sequence[str]
    names: Sequence[str]
    stored: Fields
    histories: csr_matrix
    single: bool
    parts: Parts

    @classmethod
    def of(
        cls, catalogue: Catalogue, behaviour: Interactions, modality: str | None, pairs: Pairs | None,
        seed: int,
    ) -> Lessons:
        """Of the latest items of a shop.

        Raises:
            DataError: the modality has no embeddings here, there are too few items, or the pairs cannot be
                read.
        """
        modality = _chosen(catalogue, modality)
        columns = schema.field_columns(catalogue.table.schema)
        rows = catalogue.table.scan(["item_id", *columns], last=ENOUGH).sort_by("item_id")
        ids, stored = rows["item_id"].to_pylist(), schema.fields_of(rows)
        names = fields_of(catalogue, modality)
        if len(ids) < LEAST_ITEMS:
            raise DataError(f"adapting needs {LEAST_ITEMS} items or more, the catalogue has {len(ids)}")
        if pairs is not None:
            histories = histories_of_pairs(read_pairs(pairs), ids)
        else:
            log = bounded(log_of_shop(behaviour, ids))
            histories = rows_of(log, np.ones(len(log.items), np.bool_))
        return cls(modality, ids, names, stored, histories, pairs is not None, Parts.of(ids, seed))

    @property
    def fields(self) -> dict[str, Embedded]:
        """The embeddings that a map is learned from, by field; labels are sums of several."""
        return {name: self.stored.embeddings[name] for name in self.names if name != LABELS}

    @property
    def enough(self) -> bool:
        """Whether behaviour can teach."""
        lengths = np.diff(self.histories.indptr)
        return int(lengths[lengths > 1].sum()) >= LEAST_PAIRS

    def teaching(self, name: str) -> NDArray[np.intp]:
        """Positions of items with a field that do not judge."""
        return np.flatnonzero(~self.parts.judge & self.stored.embeddings[name].present)


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of a training.

    Attributes:
        trained: the map, if one was learned, and how it went.
        items, pairs: that taught.
        model: folder of a model that was trained as a whole, and its fingerprint.
    """

    trained: Trained
    items: int
    pairs: int
    model: tuple[Path, Fingerprint] | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def write(self, catalogue: Catalogue, modality: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Puts it into the store; returns the record of the adapted encoder, which does not serve yet."""
        parent, files = catalogue.encoded_by[modality], catalogue.store.files
        if self.trained.adapter is not None:
            packed = self.trained.adapter.save()
            encoder_id = hashlib.sha256(packed).hexdigest()[:12]
            fingerprint = mapped_fingerprint(parent, encoder_id, packed)
            files.write(f"{FOLDER}/{encoder_id}/{MAP}", packed)
        else:
            assert self.model is not None
            folder, fingerprint = self.model
            encoder_id = folder.name
        record = record_of(parent, encoder_id, fingerprint)
        told = {
            "id": encoder_id, "parent": parent["fingerprint"], "sha256": fingerprint.sha256,
            "asked": dict(asked), "recipe": dict(self.recipe), "training": self._told(),
        }
        files.write(f"{FOLDER}/{encoder_id}/{TOLD}", json.dumps(told, indent=1).encode())
        return record

    def _told(self) -> dict[str, Any]:
        curves = [{name: round(value, 6) for name, value in one.items()} for one in self.trained.curves]
        best = next(one for one in curves if one["epoch"] == self.trained.best)
        return {
            "items": self.items, "pairs": self.pairs, "stopped": self.trained.stopped, "curves": curves,
            "frozen": curves[0], "best": best,
        }


def _chosen(catalogue: Catalogue, modality: str | None) -> str:
    """The modality that was asked for, or the one that most can be learned of."""
    known = [name for name in catalogue.encoded_by if set(fields_of(catalogue, name)) - {LABELS}]
    chosen = modality or (IMAGE if IMAGE in known else next(iter(known), None))
    if chosen not in known:
        raise DataError(
            f"no {chosen or 'item'} embeddings are stored: choose one of {', '.join(known) or 'none yet'}, or"
            " ingest first", field="modality",
        )
    return chosen


def read_pairs(pairs: Pairs) -> list[tuple[str, str]]:
    """Pairs of item ids as they are, or from the first two columns of a table (Parquet, CSV or TSV).

    Raises:
        DataError: the file is no such table.
    """
    if not isinstance(pairs, str | Path):
        return [(str(one), str(other)) for one, other in pairs]
    from pyarrow import csv, parquet

    path = Path(pairs)
    try:
        if path.suffix == ".parquet":
            table = parquet.read_table(path)
        else:
            parsing = csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
            names = csv.open_csv(path, parse_options=parsing).schema.names
            types = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))  # "007" is no number
            table = csv.read_csv(path, parse_options=parsing, convert_options=types)
        left, right = (table.column(n).cast(pa.string()).to_pylist() for n in (0, 1))
    except (OSError, pa.ArrowException, IndexError) as error:
        raise DataError(
            f"cannot read pairs from {path}: {error}; expected a table whose first two columns are item ids,"
            " as .parquet, .csv or .tsv with a header", field="pairs",
        ) from None
    return list(zip(left, right, strict=True))


def histories_of_pairs(pairs: Sequence[tuple[str, str]], item_ids: Sequence[str]) -> csr_matrix:
    """One history [pairs, n] of two items for each pair of items that are there."""
    position = {item_id: n for n, item_id in enumerate(item_ids)}
    known = [(position[a], position[b]) for a, b in pairs if a in position and b in position and a != b]
    unique = sorted({(min(pair), max(pair)) for pair in known})
    log = log_of_positions(
        [str(n) for n in range(len(unique))], item_ids, users=np.repeat(np.arange(len(unique)), 2),
        items=np.array(unique, np.int64).reshape(-1), times=np.tile([0, 1], len(unique)),  # [p, 2] -> [2 p]
    )
    return rows_of(log, np.ones(len(log.items), np.bool_))
