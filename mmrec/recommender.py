"""Recommender: the verbs of mmrec over one store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec import retrieve
from mmrec.catalogue import Catalogue
from mmrec.config import Config
from mmrec.doctor import census, examine
from mmrec.encoders.base import Encoder, Vectors
from mmrec.encoders.bound import BoundEncoders
from mmrec.errors import DataError, NotFitted, StoreError, UnknownItem
from mmrec.head.towers import IdentityTowers, Towers
from mmrec.index import CONTENT, Index, Snapshot
from mmrec.intake import Accept, Intake, Progress
from mmrec.journal import Journal
from mmrec.opening import new_store, settle
from mmrec.queries import Query, point_of
from mmrec.shoppers import Shopper, acts_of, listed, shopper_of, shoppers_of
from mmrec.store import Store
from mmrec.threads import set_threads
from mmrec.types import (
    ImageSource,
    IngestReport,
    Interaction,
    Item,
    Recommendation,
    RecordReport,
    Rejection,
)

if TYPE_CHECKING:
    from mmrec.evaluate.contest import Entry

FULL_TEXT = "full text"  # the ranking by BM25


class Recommender:
    """One shop: its catalogue, its shoppers' behaviour, and what to show to whom.

    Safe to use from several threads; a second process may read while one writes.
    """

    def __init__(self, store: Store, config: Config, encoders: Mapping[str, Encoder]) -> None:
        self.store, self.config, self.path = store, config, store.path
        self._towers: Towers = IdentityTowers(config.dislike_weight)
        self._catalogue = Catalogue(store, config, encoders, self._towers)
        self._index = Index(self._catalogue)
        self._journal = Journal(store, config)

    @classmethod
    def open(
        cls, path: str | Path, config: Config | Mapping[str, Any] | None = None, *,
        encoders: Mapping[str, Encoder] | None = None, device: str | None = None, wait: float = 60.0,
        create: bool = True,
    ) -> Recommender:
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

    def __enter__(self) -> Recommender:
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

    # what comes out

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

    def similar(
        self, item_id: str | None = None, *, text: str | Mapping[str, str] | None = None,
        image: ImageSource | Sequence[ImageSource] | None = None, by: str = CONTENT, k: int = 10,
        where: str | None = None,
    ) -> list[Recommendation]:
        """Items like one of the catalogue, or like words and pictures that are not in it.

        Args:
            item_id: an item of the catalogue; it is not among its own results.
            text: words, or a mapping by field. Words alone are compared with all words of an item.
            image: a picture, or several.
            by: `"content"` (all fields), one field's name, `"words"` (all texts and categories), or
                `"behaviour"` (after `fit`).
            k: number of results.
            where: condition on attributes, such as `price < 30 and category in ('mug', 'lamp')`.

        Raises:
            UnknownItem: `item_id` is not in the catalogue.
            DataError: nothing to compare with, or an argument cannot be used.
            NotFitted: `by="behaviour"` before `fit`.
        """
        k, snapshot = retrieve.check_k(k), self._index.now()
        if by == "behaviour":
            raise NotFitted("by='behaviour' needs a trained head: use by='content' or a field's name")
        if (item_id is None) == (text is None and image is None):
            raise DataError("similar takes either an item_id, or text and/or image", field="item_id")
        mask = snapshot.mask(where)
        if item_id is not None:
            place = snapshot.places([item_id])[0]
            return retrieve.similar(snapshot, snapshot.space(by)[place], by, k, exclude=[place], mask=mask)
        if not len(snapshot):
            return []
        query = point_of(self._catalogue, snapshot, Query(text, image), by)
        return retrieve.similar(snapshot, query.vector, query.space, k, mask=mask)

    def search(self, text: str, *, k: int = 10, where: str | None = None) -> list[Recommendation]:
        """Items for words: full text (BM25) and vectors, fused by reciprocal rank.

        The vectors are those of all words of an item and, with CLIP, of its pictures.

        Raises:
            DataError: the words are blank, or an argument cannot be used.
        """
        k, snapshot = retrieve.check_k(k), self._index.now()
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"search needs words, got {text!r}", field="text")
        mask = snapshot.mask(where)
        if not len(snapshot):
            return []
        depth = max(10 * k, 200)
        rankings = {FULL_TEXT: self._catalogue.match(text, depth, snapshot.parse(where) if where else None)}
        for by in snapshot.readable:
            query = point_of(self._catalogue, snapshot, Query(text), by)
            near = retrieve.similar(snapshot, query.vector, by, depth, mask=mask)
            rankings[by] = [r.item_id for r in near]
        return retrieve.fuse(rankings, k, self.config.rrf_k, {FULL_TEXT: self.config.full_text_weight})

    def recommend(
        self, *, user: str | None = None, history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (), taste: str | None = None, exclude: Sequence[str] = (), k: int = 10,
        where: str | None = None,
    ) -> list[Recommendation]:
        """Items for a user; the first rung that knows something answers, the next fill up to k.

        Rungs: `history` (items liked), `taste` (words, or dislikes alone), `popular`, `newest`. Nothing of
        the history, the dislikes or `exclude` is shown.

        Args:
            user: whose recorded interactions are the history.
            history: item ids, oldest first, for a user whom nobody has seen.
            dislikes: item ids that push away.
            taste: what a new user says to like, in words.
            exclude: item ids not to be shown.
            k: number of results; fewer only if the catalogue (or `where`) has no more.
            where: condition on attributes.

        Raises:
            UnknownItem: none of the history is in the catalogue.
            DataError: both user and history are given, or an argument cannot be used.
        """
        k, snapshot = retrieve.check_k(k), self._index.now()
        if user is not None and history is not None:
            raise DataError("recommend takes a user or a history, not both", field="user")
        acts = self._journal.history(user) if user is not None else []
        acts += acts_of(history or (), dislikes)
        told = taste is not None and taste.strip() and len(snapshot)
        words = point_of(self._catalogue, snapshot, Query(taste)) if told else None
        shopper = shopper_of(snapshot, acts, words=words, exclude=exclude, strict=user is None)
        return self._serve(snapshot, shopper, k, where)

    def recommend_many(
        self, histories: Sequence[Sequence[str]], *, k: int = 10, where: str | None = None
    ) -> list[list[Recommendation]]:
        """`recommend` for many histories at one state of the catalogue."""
        k, snapshot = retrieve.check_k(k), self._index.now()
        return [self._serve(snapshot, s, k, where) for s in shoppers_of(snapshot, histories)]

    def score(
        self, *, history: Sequence[str], items: Sequence[str], dislikes: Sequence[str] = ()
    ) -> Vectors:
        """Scores [n] of items for a history: exactly what `recommend` ranks by on its first rung."""
        snapshot = self._index.now()
        user = retrieve.user_point(snapshot, self._towers, shopper_of(snapshot, acts_of(history, dislikes)))
        scores = snapshot.space(CONTENT) @ user.vector  # as `search` does, so equal to the last bit
        return scores[snapshot.places(listed(items, "items"))]

    def score_many(self, *, histories: Sequence[Sequence[str]], items: Sequence[str]) -> Vectors:
        """Scores, float32 [users, items], as those of `score` but for rounding (1e-6)."""
        snapshot = self._index.now()
        x = snapshot.space(CONTENT)[snapshot.places(listed(items, "items"))]
        points = [retrieve.user_point(snapshot, self._towers, s) for s in shoppers_of(snapshot, histories)]
        users = np.array([p.vector for p in points], np.float32).reshape(len(points), x.shape[1])
        return users @ x.T  # [users, d] @ [d, items]

    def evaluate(
        self, *, protocol: str = "item-cold", seed: int = 0, models: Sequence[str] | None = None,
        parts: str | Path | None = None, every_kind: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> list[Entry]:
        """How well baselines do on this shop's own behaviour and content; see `mmrec.evaluate.contest`."""
        from mmrec.evaluate.contest import contest_of

        now = self._index.now()
        return contest_of(now, self._journal, protocol, seed, models, parts, every_kind, progress)

    def stats(self) -> dict[str, Any]:
        """Counts, fields, encoders and sizes, JSON-ready."""
        return census(self._index.now(), self._journal)

    def doctor(self, *, mend: bool = True) -> dict[str, Any]:
        """Checks the store and mends what it can; see `mmrec.doctor`."""
        return examine(self._catalogue, self._journal, mend=mend)

    def _serve(self, snapshot: Snapshot, shopper: Shopper, k: int, where: str | None) -> list[Recommendation]:
        return retrieve.recommend(
            snapshot, self._towers, shopper, k, snapshot.mask(where), self._journal.popularity()
        )
