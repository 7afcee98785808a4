"""A shop's own behaviour as a log to evaluate on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.evaluate.logs import log_of_positions
from mmrec.evaluate.setting import Log
from mmrec.journal import Journal

log = logging.getLogger(__name__)


def log_of_shop(journal: Journal, item_ids: Sequence[str], *, every_kind: bool = False) -> Log:
    """The recorded wishes for items of the catalogue; those for items that are not in it are left out.

    Args:
        journal: the store's behaviour.
        item_ids: of the whole catalogue, in the order of the rows of the content.
        every_kind: whether each interaction counts as a wish, dislikes too (as the published cold-start
            protocols take every rating); else those of positive weight alone.
    """
    rows = journal.table.scan(["user_id", "item_id", "kind", "weight", "time"])
    if not every_kind:
        rows = rows.filter(pa.array(journal.worths(rows) > 0))
    items = pc.index_in(rows["item_id"], value_set=pa.array(item_ids, pa.string()))
    known = pc.is_valid(items)
    if lost := rows.num_rows - (pc.sum(known).as_py() or 0):
        log.warning("%d interactions with items outside the catalogue are left out", lost)
    rows, items = rows.filter(known), items.filter(known)
    users = rows["user_id"].combine_chunks().dictionary_encode()
    return log_of_positions(
        users.dictionary.to_pylist(), item_ids, users=users.indices.to_numpy(),
        items=items.to_numpy().astype(np.int64), times=rows["time"].cast(pa.int64()).to_numpy(),
    )
