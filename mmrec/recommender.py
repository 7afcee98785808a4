"""Recommender: the verbs of mmrec over one store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from mmrec.config import Config
from mmrec.encoders.base import Encoder, Vectors
from mmrec.errors import MmrecError, Rejection, UnknownItem
from mmrec.model.towers import IdentityTowers
from mmrec.ranking import fusion, retrieve
from mmrec.ranking.request import Exploration, PageOptions, Request, Rng, check_whole, listed
from mmrec.ranking.users import Query, users_of
from mmrec.results import IngestReport, Recommendation, RecordReport
from mmrec.search.latest import LatestSnapshot, search_health
from mmrec.search.snapshot import Snapshot
from mmrec.search.vectors import CONTENT
from mmrec.store.catalogue import Catalogue
from mmrec.store.doctor import census, examine, retype
from mmrec.store.ingest import Intake, Progress
from mmrec.store.interactions import Interactions, Recorded
from mmrec.store.open import Store, open_store
from mmrec.store.swap import rollback
from mmrec.threads import set_threads
from mmrec.types import Images, Interaction, Item, Sounds, normal_id

if TYPE_CHECKING:
    from mmrec.check.misfits import Suggestion
    from mmrec.check.report import CheckReport
    from mmrec.evaluate.contest import Entry
    from mmrec.training.adapt import AdaptReport
    from mmrec.training.fit import FitReport


class Recommender:
    """One shop: its catalogue, its users' behaviour, and what to show to whom.

    Safe to use from several threads; a second process may read while one writes. `similar`, `search`,
    `recommend` and `recommend_many` take the same options for their page, which `ranking.request.Request`
    describes. There are fewer than `k` results only if no more items meet them.

    `catalogue` has the items and what makes vectors, `behaviour` the log, `latest` the snapshot that answers.
    """

    def __init__(self, store: Store, config: Config, encoders: Mapping[str, Encoder]) -> None:
        self.store, self.config, self.path = store, config, store.path
        self.catalogue = Catalogue(store, config, encoders, IdentityTowers(config.dislike_weight))
        self.encoders, self.behaviour = self.catalogue.encoders, Interactions(store, config)
        self.latest = LatestSnapshot(self.catalogue)

    @classmethod
    def open(
        cls, path: str | Path, config: Config | Mapping[str, Any] | None = None, *,
        encoders: Mapping[str, Encoder] | None = None, device: str | None = None, wait: float = 60.0,
        create: bool = True, memory: str | int | None = None,
    ) -> Self:
        """Opens a store, or makes one; raises MmrecError as `mmrec.store.open.open_store` says.

        Args:
            config: settings; of an existing store, weights may change, encoders may not.
            encoders: your own encoders by modality (`"text"`, `"image"`, `"audio"`) in place of named ones.
            device: torch device of the encoders; None takes the best there is.
            wait: seconds to wait for another process's write.
            create: whether to make a store that does not exist.
            memory: for vectors, such as "3GB", by default a quarter of the machine's; the rest is in a file.
        """
        set_threads()
        store, kept, settings, bound = open_store(Path(path), config, encoders, device, wait, create, memory)
        shop = cls(store, settings, bound)
        if settings != kept:
            shop.catalogue.change_settings(kept)
        return shop

    def __enter__(self) -> Self:
        return self

    def close(self, *_: object) -> None:
        """Frees the vectors in memory; what was written is already on disk."""
        self.latest = LatestSnapshot(self.catalogue)

    __exit__ = close

    def __len__(self) -> int:
        return self.catalogue.table.count()

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and bool(self.catalogue.lookup([normal_id(item_id)]))

    def snapshot(self) -> Snapshot:
        """The catalogue as it is now."""
        return self.latest.now()

    def ingest(
        self, items: Iterable[Item | Rejection], *, strict: bool = False, progress: Progress | None = None,
    ) -> IngestReport:
        """Takes items in, new and changed; what is as before costs no encoder call. Rejections are counted.

        `strict` raises DataError at the first, after storing those before; `progress` gets rows of a chunk.
        """
        return Intake(self.catalogue, strict=strict).run(items, progress)

    def retype(self, name: str, kind: str, **options: Any) -> dict[str, Any]:
        """Gives a stored attribute another type, such as "number"; see `mmrec.store.doctor.retype`."""
        return retype(self.catalogue, name, kind, **options)

    def delete(self, item_ids: Sequence[str]) -> int:
        """Takes items out; returns how many there were. Interactions with them stay."""
        with self.store.writer():
            return self.catalogue.table.delete(listed(item_ids, "item_ids"))

    def record(
        self, interactions: Iterable[Recorded], *, strict: bool = False, progress: Progress | None = None
    ) -> RecordReport:
        """Keeps behaviour, and what was shown; what is recorded already is not doubled."""
        return self.behaviour.record(interactions, strict=strict, progress=progress)

    def record_many(self, batches: Sequence[Sequence[Interaction | Rejection]]) -> list[RecordReport]:
        """`record` for batches of different senders, one after the other, in a single write."""
        return self.behaviour.record_many(batches)

    def get(self, item_ids: Sequence[str]) -> list[Item]:
        """The items of these ids, in their order; UnknownItem if one of them is not in the catalogue."""
        ids = listed(item_ids, "item_ids")
        found = self.catalogue.get(ids)
        if missing := [i for i in ids if i not in found]:
            raise UnknownItem(f"{missing[0]!r} is not in the catalogue: ingest first, or check the id")
        return [found[i] for i in ids]

    def interactions(self, user: str) -> list[Interaction]:
        """What is recorded of a user, oldest first; nothing of an unknown one."""
        return self.behaviour.interactions(normal_id(user))

    def browse(self, where: str | None = None, *, offset: int = 0, limit: int = 50) -> tuple[int, list[Item]]:
        """Number of items that a condition keeps, and `limit` of them from `offset` on, ordered by id."""
        start, end = check_whole(offset, "offset", 0), offset + check_whole(limit, "limit", 0)
        places = (snapshot := self.snapshot()).matching(where)
        ids = [snapshot.ids[place] for place in places[start:end]]
        found = self.catalogue.get(ids)  # another may have deleted one of them by now
        return len(places), [found[i] for i in ids if i in found]

    def stats(self) -> dict[str, Any]:
        """Counts, fields, encoders and sizes, JSON-ready."""
        return census(self.catalogue, self.behaviour) | {"spaces": list(self.snapshot().spaces)}

    def doctor(self, *, mend: bool = True) -> dict[str, Any]:
        """Checks the store and mends what it can; see `mmrec.store.doctor`."""
        return examine(self.catalogue, self.behaviour, mend=mend) | {"search": search_health(self.catalogue)}

    def check(self, against: Recommender | None = None) -> CheckReport:
        """What in items and log would mislead a training; see `mmrec.check.report.check`."""
        from mmrec.check.report import check
        return check(self.snapshot(), self.behaviour, None if against is None else against.snapshot())

    def suggest(
        self, item_ids: Sequence[str] | None = None, fields: Sequence[str] | None = None, least: float = 0.8
    ) -> list[Suggestion]:
        """Values for categories that items lack, with their certainty; see `mmrec.check.misfits.suggest`."""
        from mmrec.check.misfits import suggest
        return suggest(self.snapshot(), item_ids, fields, least)

    def similar(
        self, item_id: str | None = None, *, text: str | Mapping[str, str] | None = None,
        image: Images = None, audio: Sounds = None, by: str = CONTENT,
        **options: Unpack[PageOptions],
    ) -> list[Recommendation]:
        """Items like one of the catalogue, or like words, pictures and sounds that are not in it.

        Args:
            text: words, or a mapping by field. Words alone are compared with all words of an item.
            by: `"content"` (all fields), one field's name, `"words"` (all texts and categories), or
                `"behaviour"` (after `fit`).

        Raises:
            UnknownItem, DataError: `item_id` is not in the catalogue, or there is nothing to compare with.
            NotFitted: `by="behaviour"` before `fit`.
        """
        query, request = Query(text, image, audio), Request(**options)
        return retrieve.similar(self.snapshot(), item_id, query, by, request, self.behaviour.popularity)

    def search(
        self, text: str | None = None, *, image: Images = None, audio: Sounds = None,
        history: Sequence[str] | None = None, weights: Mapping[str, float] | None = None,
        **options: Unpack[PageOptions],
    ) -> list[Recommendation]:
        """Items for words, a picture, a sound and a taste together: rankings, fused by reciprocal rank.

        Args:
            history: item ids, oldest first; found by words or picture they may come up themselves.
            weights: of the rankings `full text` (BM25), `words` (of an item), `words to image` (with CLIP),
                `words to audio` (CLAP), `image`, `audio` and `taste` (the history); 1 where not named.

        Raises DataError if there is nothing to search for, UnknownItem if none of the history is known.
        """
        query, request = Query(text, image, audio), Request(history=history, **options)
        return fusion.search(self.snapshot(), self.behaviour, query, request, weights)

    def recommend(
        self, *, user: str | None = None, history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (), taste: str | None = None, signals: Mapping[str, float] | None = None,
        explore: Exploration | float = 0.0, rng: Rng = None, **options: Unpack[PageOptions],
    ) -> list[Recommendation]:
        """Items for a user; the first rung that knows something answers, the next fill up to k.

        Rungs: `history` (items liked), `taste` (words, or dislikes alone), `popular`, `newest`. Nothing of
        the history, the dislikes or `exclude` is shown. Raises UnknownItem if none of the history is known,
        DataError if both user and history are given.

        Args:
            user: whose recorded interactions are the history.
            history: item ids, oldest first, for a user whom nobody has seen; `dislikes` push away.
            taste: what a new user says to like, in words.
            signals: what is added to relevance, such as `{"newness": 0.2}`; see `mmrec.ranking.signals`.
            explore: share of the slots that goes to new items, or an `Exploration`; results then have the
                `propensity` of being shown. `rng`, or a seed, draws them.
        """
        return self._recommend([Request(
            user=user, history=history, dislikes=dislikes, taste=taste, signals=signals, explore=explore,
            rng=rng, **options,
        )])[0]

    def recommend_each(
        self, requests: Sequence[Mapping[str, Any]]
    ) -> list[list[Recommendation] | MmrecError]:
        """`recommend` for several requests at once: for each its results, or the error it would raise."""
        try:
            return list(self._recommend([Request(**request) for request in requests]))
        except MmrecError as error:
            if len(requests) == 1:
                return [error]
        return [self.recommend_each([request])[0] for request in requests]

    def recommend_many(
        self, histories: Sequence[Sequence[str]], *, signals: Mapping[str, float] | None = None,
        explore: Exploration | float = 0.0, rng: Rng = None, **options: Unpack[PageOptions],
    ) -> list[list[Recommendation]]:
        """`recommend` for many histories at once, much faster; one of unknown items gets what is popular."""
        request = Request(signals=signals, explore=explore, rng=rng, **options)
        return retrieve.recommend_many(self.snapshot(), histories, request, self.behaviour)

    def export(
        self, path: str | Path, *, users: Sequence[str] | None = None, k: int = 10, where: str | None = None,
        batch: int = retrieve.BATCH, progress: Progress | None = None,
    ) -> int:
        """Writes what is recommended to users to a Parquet file; returns how many users there are.

        Columns: `user_id`, `rank` (from 1), `item_id`, `score`, `rung`. None means all `users` recorded.
        """
        request = Request(k=k, where=where)
        return retrieve.export(Path(path), self.snapshot(), self.behaviour, request, users, batch, progress)

    def score(self, *, history: Sequence[str], items: Sequence[str], dislikes: Sequence[str] = ()) -> Vectors:
        """Scores [n] of items for a history: exactly what `recommend` ranks by on its first rung."""
        snapshot, request = self.snapshot(), Request(history=history, dislikes=dislikes)
        (user,) = users_of(snapshot, self.behaviour, [request])
        return retrieve.scores(snapshot, user, listed(items, "items"))

    def score_many(self, *, histories: Sequence[Sequence[str]], items: Sequence[str]) -> Vectors:
        """Scores, float32 [users, items], as those of `score` but for rounding (1e-6)."""
        return retrieve.scores_of_many(self.snapshot(), histories, listed(items, "items"))

    def fit(
        self, *, warm_start: bool = False, ordered: bool = False, epochs: int | None = None, seed: int = 0,
        device: str | None = None, progress: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> FitReport:
        """Aligns content with behaviour: trains a head on all recorded positives, and lets it serve.

        What served before serves until all is done, also if that is killed. See `mmrec.training.fit.fit`.
        """
        from mmrec.training.fit import fit
        return fit(self.catalogue, self.snapshot(), self.behaviour, warm_start=warm_start, ordered=ordered,
                   epochs=epochs, seed=seed, device=device, progress=progress)

    def adapt(self, **options: Any) -> AdaptReport:
        """Adapts an encoder to the catalogue; it serves if it is better. See `mmrec.training.adapt.adapt`."""
        from mmrec.training.adapt import adapt
        return adapt(self.catalogue, self.behaviour, **options)

    def rollback(self, **options: Any) -> dict[str, Any]:
        """Lets the encoder from before `adapt` serve again; see `mmrec.store.swap.rollback`."""
        return rollback(self.catalogue, **options)

    def evaluate(
        self, *, protocol: str = "item-cold", seed: int = 0, models: Sequence[str] | None = None,
        parts: str | Path | None = None, every_kind: bool = False, groups: Sequence[str] | None = None,
        page: str | Path | None = None, progress: Callable[[str], None] | None = None,
    ) -> list[Entry]:
        """How well models do on this shop's behaviour; see `mmrec.evaluate.page.evaluate_shop`."""
        from mmrec.evaluate.page import evaluate_shop
        from mmrec.training.model import TwoTower
        return evaluate_shop(
            self.snapshot(), self.behaviour, {"mmrec": partial(TwoTower, guarded=True)}, seed=seed, page=page,
            protocol=protocol, models=models, parts=parts, every_kind=every_kind, groups=groups,
            progress=progress)

    def _recommend(self, requests: Sequence[Request]) -> list[list[Recommendation]]:
        users = users_of(snapshot := self.snapshot(), self.behaviour, requests)
        return retrieve.recommend(snapshot, requests, users, self.behaviour.popularity, self.behaviour)
