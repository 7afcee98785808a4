"""What a shop keeps: its catalogue and its shoppers' behaviour, what goes in, and what is known of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from mmrec.config import Config
from mmrec.encoders.base import Encoder
from mmrec.encoders.bound import BoundEncoders
from mmrec.errors import DataError, StoreError, UnknownItem
from mmrec.model.towers import IdentityTowers
from mmrec.ranking.request import listed
from mmrec.search.latest import Index
from mmrec.store.catalogue import Catalogue
from mmrec.store.doctor import census, examine
from mmrec.store.ingest import Accept, Intake, Progress
from mmrec.store.interactions import Journal
from mmrec.store.open import Store, new_store, settle
from mmrec.threads import set_threads
from mmrec.types import IngestReport, Interaction, Item, RecordReport, Rejection


class Shop:
    """A store with its encoders: items and interactions go in, and can be looked up."""

    def __init__(self, store: Store, config: Config, encoders: Mapping[str, Encoder]) -> None:
        self.store, self.config, self.path = store, config, store.path
        self._catalogue = Catalogue(store, config, encoders, IdentityTowers(config.dislike_weight))
        self._index = Index(self._catalogue)
        self._journal = Journal(store, config)

    @classmethod
    def open(
        cls, path: str | Path, config: Config | Mapping[str, Any] | None = None, *,
        encoders: Mapping[str, Encoder] | None = None, device: str | None = None, wait: float = 60.0,
        create: bool = True,
    ) -> Self:
        """Opens a store, or makes one.

        Args:
            path: folder of the store, such as `shop.mmrec`.
            config: settings; of an existing store, weights may change (its vectors are then rewritten,
                nothing is encoded again), encoders may not.
            encoders: your own encoders by modality (`"text"`, `"image"`) in place of named ones.
            device: torch device of the encoders; None takes the best there is.
            wait: seconds to wait for another process's write.
            create: whether to make a store that does not exist.

        Raises:
            ConfigError: a setting is unknown or out of range.
            EncodeError: a model cannot be found (new store).
            StoreError: the path is no store, or damaged.
            StoreMismatch: the store was made by other encoders.
        """
        set_threads()
        path = Path(path)
        if Store.exists(path):
            store = Store.open(path, wait)
        elif create:
            store, encoders = new_store(path, Config.make(config), encoders, device, wait)
        else:
            raise StoreError(f"{path} is no mmrec store: make one with `mmrec ingest {path} FILE`")
        kept, settings = settle(store, config)
        shop = cls(store, settings, BoundEncoders(store.facts["encoders"], encoders, device))
        if settings != kept:
            shop._catalogue.settle(kept)
        return shop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of cached vectors; what was written is already on disk."""
        self._index = Index(self._catalogue)

    def __len__(self) -> int:
        return self._catalogue.table.count()

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and bool(self._catalogue.lookup([item_id]))

    @property
    def encoders(self) -> Mapping[str, Encoder]:
        """Encoders by modality."""
        return self._catalogue.encoders

    # what goes in

    def ingest(
        self, items: Iterable[Item | Rejection], *, strict: bool = False, progress: Progress | None = None,
        on_accept: Accept | None = None,
    ) -> IngestReport:
        """Takes items in, new and changed; what is as before costs no encoder call.

        Args:
            items: Items; a Rejection among them (from `read_items`) is counted and reported.
            strict: stop at the first rejected row, after storing all rows before it.
            progress: called with the number of rows done since the last call.
            on_accept: called with the ids that the store holds after each chunk.

        Raises:
            DataError: with `strict`, the first row that was rejected.
            StoreBusy: another process is writing.
        """
        return Intake(self._catalogue, strict=strict).run(items, progress, on_accept)

    def delete(self, item_ids: Sequence[str]) -> int:
        """Takes items out; returns how many there were. Interactions with them stay."""
        with self.store.writer():
            return self._catalogue.table.delete(listed(item_ids, "item_ids"))

    def record(
        self, interactions: Iterable[Interaction | Rejection], *, strict: bool = False,
        progress: Progress | None = None,
    ) -> RecordReport:
        """Keeps behaviour; an interaction that is recorded already is not doubled."""
        return self._journal.record(interactions, strict=strict, progress=progress)

    def record_many(self, batches: Sequence[Sequence[Interaction | Rejection]]) -> list[RecordReport]:
        """`record` for batches of different senders, one after the other, in a single write."""
        return self._journal.record_many(batches)

    # what is known

    def get(self, item_ids: Sequence[str]) -> list[Item]:
        """The items of these ids, in their order.

        Raises:
            UnknownItem: one of them is not in the catalogue.
        """
        ids = listed(item_ids, "item_ids")
        found = self._catalogue.get(ids)
        if missing := [i for i in ids if i not in found]:
            raise UnknownItem(f"{missing[0]!r} is not in the catalogue: ingest first, or check the id")
        return [found[i] for i in ids]

    def interactions(self, user: str) -> list[Interaction]:
        """What is recorded of a user, oldest first; nothing of an unknown one."""
        return self._journal.interactions(user)

    def browse(
        self, where: str | None = None, *, offset: int = 0, limit: int = 50
    ) -> tuple[int, list[Item]]:
        """How many items a condition keeps, and some of them, in the order of their ids.

        Args:
            where: condition on attributes; None keeps all.
            offset: items to leave out at the beginning.
            limit: items to give at most.

        Raises:
            DataError: the condition cannot be used, or a number is below 0.
        """
        for name, number in (("offset", offset), ("limit", limit)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise DataError(f"{name} must be a whole number from 0 up, got {number!r}", field=name)
        snapshot = self._index.now()
        mask = snapshot.mask(where)
        places = np.arange(len(snapshot)) if mask is None else np.flatnonzero(mask)
        ids = [snapshot.ids[place] for place in places[offset : offset + limit]]
        found = self._catalogue.get(ids)  # another may have deleted one of them by now
        return len(places), [found[i] for i in ids if i in found]

    def stats(self) -> dict[str, Any]:
        """Counts, fields, encoders and sizes, JSON-ready."""
        return census(self._index.now(), self._journal)

    def doctor(self, *, mend: bool = True) -> dict[str, Any]:
        """Checks the store and mends what it can; see `mmrec.store.doctor`."""
        return examine(self._catalogue, self._journal, mend=mend)
