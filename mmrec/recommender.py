"""Recommender: the verbs of mmrec over one store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.encoders.base import Vectors
from mmrec.errors import DataError, MmrecError
from mmrec.keeping import Shop
from mmrec.ranking import export, retrieve
from mmrec.ranking import fusion as hybrid
from mmrec.ranking.request import Diversity, Exploration, Plan, listed
from mmrec.ranking.retrieve import Ask
from mmrec.ranking.users import Point, Query, acts_of, asking, point_of, shopper_of, shoppers_of
from mmrec.search.hits import exact_scores
from mmrec.search.vectors import BEHAVIOUR, CONTENT
from mmrec.types import ImageSource, Recommendation

if TYPE_CHECKING:
    from mmrec.evaluate.contest import Entry
    from mmrec.search.snapshot import Snapshot
    from mmrec.training.fit import FitReport


class Recommender(Shop):
    """One shop: its catalogue, its shoppers' behaviour, and what to show to whom.

    Safe to use from several threads; a second process may read while one writes.

    `similar`, `search`, `recommend` and `recommend_many` all take the same wishes for their results:
    `k` of them, a condition `where`, `exclude`, `diversity`, `max_per` and `distinct`, described in
    `mmrec.ranking.request.Plan`. There are fewer than `k` only if no more items fulfil them.
    """

    def similar(
        self, item_id: str | None = None, *, text: str | Mapping[str, str] | None = None,
        image: ImageSource | Sequence[ImageSource] | None = None, by: str = CONTENT, k: int = 10,
        where: str | None = None, exclude: Sequence[str] = (), diversity: Diversity = 0.0,
        max_per: Mapping[str, int] | None = None, distinct: float | str | None = None,
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
            exclude: item ids not to be shown.
            diversity: 0 is pure relevance, 1 pure diversity of the content; of fields or attributes alone by
                their names, such as `{"genres": 0.3}`.
            max_per: most results of one value of an attribute, such as `{"brand": 2}`.
            distinct: show one of nearly equal items: of those with the same value of this attribute, or
                with at least this cosine of their content.

        Raises:
            UnknownItem: `item_id` is not in the catalogue.
            DataError: nothing to compare with, or an argument cannot be used.
            NotFitted: `by="behaviour"` before `fit`.
        """
        plan = Plan(k=k, where=where, exclude=exclude, diversity=diversity, max_per=max_per,
                    distinct=distinct)
        snapshot = self._index.now()
        if by == BEHAVIOUR:
            snapshot.space(by)  # says so if no head was trained, even where there is nothing else to say
        if (item_id is None) == (text is None and image is None):
            raise DataError("similar takes either an item_id, or text and/or image", field="item_id")
        if item_id is not None:
            place = int(snapshot.places([item_id])[0])
            return retrieve.similar(snapshot, Point(by, snapshot.space(by)[place]), plan, exclude=[place])
        snapshot.mask(where)  # a condition that cannot be used is refused by an empty catalogue, too
        if not len(snapshot):
            return []
        query = point_of(self._catalogue, snapshot, Query(text, image), by)
        return retrieve.similar(snapshot, query, plan)

    def search(
        self, text: str | None = None, *, image: ImageSource | Sequence[ImageSource] | None = None,
        history: Sequence[str] | None = None, weights: Mapping[str, float] | None = None, k: int = 10,
        where: str | None = None, exclude: Sequence[str] = (), diversity: Diversity = 0.0,
        max_per: Mapping[str, int] | None = None, distinct: float | str | None = None,
    ) -> list[Recommendation]:
        """Items for words, a picture and a taste together: rankings, fused by reciprocal rank.

        The rankings are `full text` (BM25), `words` (vectors of all words of an item), `words to image` (the
        words compared with pictures, with CLIP), `image` (a given picture) and `taste` (a history).

        Args:
            text: words to search for.
            image: a picture, or several of one thing.
            history: item ids, oldest first; found by words or picture they may come up themselves.
            weights: of rankings by name; 0 leaves one out. One that is not named weighs 1, full text
                `config.full_text_weight`.
            k, where, exclude, diversity, max_per, distinct: as of `similar`.

        Raises:
            DataError: there is nothing to search for, or an argument cannot be used.
            UnknownItem: none of the history is in the catalogue.
        """
        plan = Plan(k=k, where=where, exclude=exclude, diversity=diversity, max_per=max_per,
                    distinct=distinct)
        asked = hybrid.weights_of(self.config, weights)
        blank = not isinstance(text, str) or not text.strip()
        if blank and (text is not None or (image is None and history is None)):
            raise DataError(f"search needs words, a picture or a history, got text={text!r}", field="text")
        snapshot = self._index.now()
        snapshot.mask(where)
        shopper = shopper_of(snapshot, acts_of(history)) if history else None
        if not len(snapshot):
            return []
        return hybrid.search(self._catalogue, snapshot, Query(text, image), shopper, plan, asked)

    def recommend(
        self, *, user: str | None = None, history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (), taste: str | None = None, exclude: Sequence[str] = (), k: int = 10,
        where: str | None = None, diversity: Diversity = 0.0, max_per: Mapping[str, int] | None = None,
        distinct: float | str | None = None, explore: Exploration | float = 0.0,
        rng: np.random.Generator | int | None = None,
    ) -> list[Recommendation]:
        """Items for a user; the first rung that knows something answers, the next fill up to k.

        Rungs: `history` (items liked), `taste` (words, or dislikes alone), `popular`, `newest`. Nothing of
        the history, the dislikes or `exclude` is shown.

        Args:
            user: whose recorded interactions are the history.
            history: item ids, oldest first, for a user whom nobody has seen.
            dislikes: item ids that push away.
            taste: what a new user says to like, in words.
            explore: share of the slots that goes to new items (their `propensity` says how likely it was),
                or an `Exploration` with an age limit. New is what came within that many days of the newest
                item. Caps and `distinct` do not count explored items.
            rng: draws the explored items; a whole number is a seed.
            exclude, k, where, diversity, max_per, distinct: as of `similar`.

        Raises:
            UnknownItem: none of the history is in the catalogue.
            DataError: both user and history are given, or an argument cannot be used.
        """
        return self._recommended([{
            "user": user, "history": history, "dislikes": dislikes, "taste": taste, "exclude": exclude,
            "k": k, "where": where, "diversity": diversity, "max_per": max_per, "distinct": distinct,
            "explore": explore, "rng": rng,
        }])[0]

    def recommend_each(
        self, requests: Sequence[Mapping[str, Any]]
    ) -> list[list[Recommendation] | MmrecError]:
        """`recommend` for requests that came at once: what they have in common is done once for all.

        Args:
            requests: arguments of `recommend`, each with its own.

        Returns:
            For each its recommendations, or the error that `recommend` would have raised.
        """
        try:
            return list(self._recommended(requests))
        except MmrecError as error:
            if len(requests) == 1:
                return [error]
        return [self.recommend_each([request])[0] for request in requests]

    def recommend_many(
        self, histories: Sequence[Sequence[str]], *, exclude: Sequence[str] = (), k: int = 10,
        where: str | None = None, diversity: Diversity = 0.0, max_per: Mapping[str, int] | None = None,
        distinct: float | str | None = None, explore: Exploration | float = 0.0,
        rng: np.random.Generator | int | None = None,
    ) -> list[list[Recommendation]]:
        """`recommend` for many histories at one state of the catalogue, much faster than one by one.

        A history of unknown items alone gets what is popular.
        """
        plan = Plan(k=k, where=where, exclude=exclude, diversity=diversity, max_per=max_per,
                    distinct=distinct, explore=explore, rng=rng)
        plan = replace(plan, rng=plan.draws)  # else one seed would draw the same for everybody
        snapshot = self._index.now()
        asks = [Ask(shopper, plan) for shopper in shoppers_of(snapshot, histories, exclude)]
        return retrieve.recommend(snapshot, asks, self._journal.popularity)

    def export(
        self, path: str | Path, *, users: Sequence[str] | None = None, k: int = 10, where: str | None = None,
        batch: int = export.BATCH, progress: Callable[[int], None] | None = None,
    ) -> int:
        """Writes what is recommended to users to a Parquet file; returns how many users there are.

        Columns: `user_id`, `rank` (from 1), `item_id`, `score`, `rung`. The file is complete beside an
        older one, before it takes its place.

        Args:
            users: whom to serve; None for all whose interactions are recorded.
            batch: users served at once, which bounds the memory.
            progress: called with the number of users done since the last call.

        Raises:
            DataError: an argument cannot be used.
        """
        plan, snapshot = Plan(k=k, where=where), self._index.now()
        names = None if users is None else listed(users, "users")
        return export.write(Path(path), snapshot, self._journal, plan, names, batch, progress)

    def score(
        self, *, history: Sequence[str], items: Sequence[str], dislikes: Sequence[str] = ()
    ) -> Vectors:
        """Scores [n] of items for a history: exactly what `recommend` ranks by on its first rung."""
        snapshot = self._index.now()
        user = retrieve.user_point(snapshot, shopper_of(snapshot, acts_of(history, dislikes)))
        return exact_scores(snapshot.space(user.space), snapshot.places(listed(items, "items")), user.vector)

    def score_many(self, *, histories: Sequence[Sequence[str]], items: Sequence[str]) -> Vectors:
        """Scores, float32 [users, items], as those of `score` but for rounding (1e-6)."""
        snapshot = self._index.now()
        x = snapshot.space(snapshot.serving)[snapshot.places(listed(items, "items"))]
        users = retrieve.user_vectors(snapshot, shoppers_of(snapshot, histories))
        return users @ x.T  # [users, d] @ [d, items]

    def _recommended(self, requests: Sequence[Mapping[str, Any]]) -> list[list[Recommendation]]:
        snapshot = self._index.now()
        asks = [self._ask(snapshot, **request) for request in requests]
        return retrieve.recommend(snapshot, asks, self._journal.popularity)

    def _ask(
        self, snapshot: Snapshot, *, user: str | None = None, history: Sequence[str] | None = None,
        dislikes: Sequence[str] = (), taste: str | None = None, exclude: Sequence[str] = (), **wishes: Any,
    ) -> Ask:
        plan = Plan(exclude=exclude, **wishes)  # checks what is wished before anybody is looked up
        who = asking(self._catalogue, self._journal, snapshot, user, history, dislikes, taste, exclude)
        return Ask(who, plan)

    def fit(
        self, *, warm_start: bool = False, ordered: bool = False, epochs: int | None = None, seed: int = 0,
        device: str | None = None, progress: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> FitReport:
        """Aligns content with behaviour: trains a head on all recorded wishes, and lets it serve.

        Nothing is encoded again; one pass rewrites the vectors. What served before serves on until all of it
        is done, also if the process is killed. Items that come later have their vectors at once. A head that
        ranks worse than plain content in its own validation does not serve; the report says so.

        Args:
            warm_start: go on from the head that serves with what was recorded since; what its validation
                decided is kept.
            ordered: learn what comes next in time, in place of what belongs together; good where the last
                click says most. A warm start keeps to what the head before did.
            epochs: passes over all users; None takes what is usual.
            seed: the same gives the same head, on one device.
            device: of torch, such as `"cuda"`; None takes the CPU.
            progress: called with what is going on: `stage`, and of a training `epoch`, `loss`, `seconds`.

        Raises:
            DataError: there are too few interactions, or an argument cannot be used.
            NotFitted: `warm_start` without a head to go on from.
        """
        from mmrec.training.fit import fit

        return fit(
            self._catalogue, self._index.now(), self._journal, warm_start=warm_start, ordered=ordered,
            epochs=epochs, seed=seed, device=device, progress=progress,
        )

    def evaluate(
        self, *, protocol: str = "item-cold", seed: int = 0, models: Sequence[str] | None = None,
        parts: str | Path | None = None, every_kind: bool = False, page: str | Path | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> list[Entry]:
        """How well models do on this shop's own behaviour and content; see `mmrec.evaluate.contest`.

        Args:
            protocol: `item-cold`, `user-cold`, `warm`, `leave-last-out` or `global-time`.
            seed: of the split.
            models: names of baselines, and `mmrec` for the head; None takes all baselines.
            parts: Parquet table user, item, part: a published item-cold split.
            every_kind: whether every interaction counts as a wish, dislikes too.
            page: HTML file to write: the tables, and charts of where each model is good.
            progress: called with the name of each model before its turn.

        Raises:
            DataError: there is too little behaviour, the page cannot be written, or an argument cannot be
                used.
            MissingExtra: a model that was named, or the page, needs a library that is not installed.
        """
        from mmrec.evaluate.contest import contest_of
        from mmrec.evaluate.page import check_page, write_page

        if page is not None:
            check_page(page)  # before the work
        now = self._index.now()
        split, entries = contest_of(now, self._journal, protocol, seed, models, parts, every_kind, progress)
        if page is not None:
            write_page(page, entries, split, added_at=now.facts["added_at"].to_numpy())
        return entries
