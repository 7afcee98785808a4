"""One shop on disk: how it is made and opened, its facts, locks, tables and models."""

from __future__ import annotations

import json
import mmap
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmrec.config import Config, memory_of
from mmrec.encoders.base import Encoder
from mmrec.encoders.modality import BoundEncoders, choose_encoders, encoder_names
from mmrec.errors import StoreBusy, StoreError, StoreMismatch
from mmrec.model import saved
from mmrec.model.content import ContentPlan
from mmrec.model.saved import Head
from mmrec.model.towers import Towers
from mmrec.store.files import LocalFiles, StoreFiles
from mmrec.store.tables import INDEX_CACHE, KeyedTable

FORMAT = 1  # of the folder; a store of another format is refused
FACTS = "store.json"
PLAN, HEAD = "content-{}.safetensors", "head-{}"
WRITER, REWRITE = "writer.lock", "rebuild.lock"
QUARANTINE = "quarantine.lock"  # of the rejected rows, which are kept beside the store's own files


class Models:
    """Content plans and trained heads, by number; the plan and towers asked for last stay in memory."""

    def __init__(self, files: StoreFiles) -> None:
        self.files = files
        self._plans: dict[int, ContentPlan] = {0: ContentPlan()}
        self._towers: dict[int, Towers] = {}

    def plan(self, number: int) -> ContentPlan:
        """The content plan of a number, an empty one of 0; StoreError if its file is absent or damaged."""
        plan = self._plans.get(number)
        if plan is None:
            name = PLAN.format(number)
            plan = ContentPlan.load(self._read(name), f"{self.files.uri}/{name}")
            self._plans = {0: ContentPlan(), number: plan}
        return plan

    def head(self, number: int) -> Head:
        """The trained head of a number, also to go on training; StoreError if it is absent or damaged."""
        folder = HEAD.format(number)
        parts = {name: self._read(f"{folder}/{name}", mapped=True) for name in self.files.names(folder)}
        return saved.load(parts, f"{self.files.uri}/{folder}")

    def towers(self, number: int) -> Towers:
        """The towers of a head; errors as of `head`."""
        towers = self._towers.get(number)
        if towers is None:
            towers = self.head(number).serving
            self._towers = {number: towers}
        return towers

    def write_plan(self, number: int, plan: ContentPlan) -> None:
        """Writes a content plan; raises DataError if the disk refuses."""
        self.files.write(PLAN.format(number), plan.save())

    def write_head(self, number: int, head: Head) -> None:
        """Writes a head, which may serve when this returns; raises DataError if the disk refuses."""
        for name, content in saved.save(head).items():
            self.files.write(f"{HEAD.format(number)}/{name}", content)

    def keep_only(self, plan: int, head: int) -> None:
        """Removes all others, and what killed writers left of them."""
        kept = PLAN.format(plan), HEAD.format(head)
        for name in self.files.names():
            if name.startswith(("content-", ".content-", "head-", ".head-")) and name not in kept:
                self.files.remove(name)

    def _read(self, name: str, *, mapped: bool = False) -> Any:
        """A whole file: its bytes, or mapped memory, which the system reads as it is asked for."""
        try:
            with self.files.open(name) as file:
                if mapped and name.endswith(saved.ARRAYS) and os.fstat(file.fileno()).st_size:
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                return file.read()
        except OSError as error:
            raise StoreError(
                f"cannot read {self.files.uri}/{name}: {error}. Run `mmrec doctor` on the store"
            ) from error


class Store:
    """One shop on disk.

    Attributes:
        files: where it lies.
        facts: what `store.json` says; change it through `save_facts`.
        models: its content plans and trained heads.
        memory: bytes of vectors that readers hold in memory; what is more lies in a file.
    """

    def __init__(self, files: StoreFiles, facts: dict[str, Any], wait: float) -> None:
        self.files, self.facts, self.wait = files, facts, wait
        self.memory = memory_of(None)
        self._reading = threading.Lock()  # a thread that reads old facts must not set them after new ones
        self._locks = {name: (threading.RLock(), files.lock(name)) for name in (WRITER, REWRITE)}
        self._tables: dict[str, KeyedTable] = {}
        self.models = Models(files)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.files.uri)

    @classmethod
    def exists(cls, place: Path | StoreFiles) -> bool:
        """Whether a place holds a store."""
        try:
            return FACTS in _files_of(place).names()
        except OSError:  # it is a file
            return False

    @classmethod
    def create(cls, place: Path | StoreFiles, facts: Mapping[str, Any], wait: float) -> Store:
        """Makes a new store; one that another process made in the meantime keeps its facts.

        Raises:
            StoreError: the path is a file, or a folder that holds something else.
        """
        files = _files_of(place)
        if _is_taken(files) and not cls.exists(files):  # asked last, as store.json comes before the tables
            raise StoreError(
                f"{files.uri} exists and is no mmrec store: give another path, or an empty folder"
            )
        files.make()
        store = cls(files, {"format": FORMAT, **facts}, wait)
        with store._alone(WRITER, refresh=False):
            if cls.exists(files):
                store.refresh()
            else:
                store.save_facts()
        return store

    @classmethod
    def open(cls, place: Path | StoreFiles, wait: float) -> Store:
        """Opens a store that exists.

        Raises:
            StoreError: `store.json` is damaged.
            StoreMismatch: the store is of another format.
        """
        files = _files_of(place)
        return cls(files, _read_facts(files), wait)

    def table(self, name: str, schema: pa.Schema, index_cache: int = INDEX_CACHE) -> KeyedTable:
        """A table of the store, made at its first use.

        Args:
            index_cache: bytes of its indices that may be held in memory.
        """
        with self._locks[WRITER][0]:
            if name not in self._tables:
                with nullcontext() if KeyedTable.exists(self.files, name) else self.writer():
                    self._tables[name] = KeyedTable(self.files, name, schema, index_cache)
            return self._tables[name]

    def writer(self) -> AbstractContextManager[None]:
        """Holds the writer's lock, of this process's threads and of all processes, for one short write.

        Raises:
            StoreBusy: another process held it for longer than the store waits.
        """
        return self._alone(WRITER)

    def rewriting(self, *, patient: bool = True) -> AbstractContextManager[None]:
        """Holds the right to rewrite all vectors, while others still write rows. Taken before `writer`.

        Args:
            patient: whether to wait for whoever rewrites them now.

        Raises:
            StoreBusy: somebody does, for longer than the store waits.
        """
        return self._alone(REWRITE, patient=patient)

    @contextmanager
    def _alone(self, name: str, *, patient: bool = True, refresh: bool = True) -> Iterator[None]:
        mutex, lock = self._locks[name]
        wait = self.wait if patient else 0.0
        doing = "writing to" if name == WRITER else "rewriting the vectors of"
        busy = StoreBusy(
            f"another process has been {doing} {self.path} for {wait:g} s: try again later, or open with a"
            " longer `wait`"
        )
        with ExitStack() as held:
            if not mutex.acquire(blocking=patient):
                raise busy
            held.callback(mutex.release)
            try:
                lock.acquire(wait)
            except TimeoutError:
                raise busy from None
            held.callback(lock.release)
            if refresh:
                self.refresh()
            yield

    def refresh(self) -> dict[str, Any]:
        """The facts as another process may have changed them."""
        with self._reading:
            self.facts = _read_facts(self.files)
            return self.facts

    def save_facts(self, **changes: Any) -> None:
        """Changes facts in one step: complete beside, then swapped in."""
        facts = {**self.facts, **changes}
        with self._reading:
            self.files.write(FACTS, json.dumps(facts, indent=1, ensure_ascii=False).encode())
            self.facts = facts


def _files_of(place: Path | StoreFiles) -> StoreFiles:
    return LocalFiles(place) if isinstance(place, Path) else place


def _is_taken(files: StoreFiles) -> bool:
    """Whether the place is a file, or holds one that the making of a store does not begin with."""
    try:
        return any(not name.startswith((WRITER, REWRITE, QUARANTINE, f".{FACTS}")) for name in files.names())
    except OSError:
        return True


def _read_facts(files: StoreFiles) -> dict[str, Any]:
    try:
        with files.open(FACTS) as file:
            facts: dict[str, Any] = dict(json.loads(file.read()))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"cannot read {files.uri}/{FACTS}: {error}. Restore it from a backup") from error
    if facts.get("format") != FORMAT:
        raise StoreMismatch(
            f"{files.uri} is a store of format {facts.get('format')}, this mmrec reads format {FORMAT}:"
            " install the version that made it, or ingest into a new store"
        )
    return facts


def open_store(
    path: Path, config: Config | Mapping[str, Any] | None, encoders: Mapping[str, Encoder] | None,
    device: str | None, wait: float, create: bool, memory: str | int | None = None,
) -> tuple[Store, Config, Config, BoundEncoders]:
    """A store that exists or is made, the settings it keeps, those that shall serve, and its encoders.

    Raises:
        ConfigError: a setting is unknown or out of range, or `memory` is no size.
        EncodeError: a model cannot be found (new store).
        StoreError: the path is no store, or damaged.
        StoreMismatch: the store was made by other encoders than those that are given or asked for.
    """
    budget = memory_of(memory)
    if Store.exists(path):
        store = Store.open(path, wait)
    elif create:
        settings = Config.make(config)
        record, encoders = choose_encoders(encoder_names(settings), encoders, device)
        facts = {"config": settings.model_dump(mode="json"), "encoders": record}
        store = Store.create(path, facts, wait)  # whose facts are another's, if a process was faster
    else:
        raise StoreError(f"{path} is no mmrec store: make one with `mmrec ingest {path} FILE`")
    store.memory = budget
    kept, settings = _settings(store, config)
    return store, kept, settings, BoundEncoders(lambda: store.facts["encoders"], encoders, device, store.path)


def _settings(store: Store, config: Config | Mapping[str, Any] | None) -> tuple[Config, Config]:
    """The settings that a store keeps, and those that shall serve: other weights, never other encoders.

    A mapping changes what it names.
    """
    kept = Config.make(store.facts["config"])
    if config is None:
        return kept, kept
    asked = Config.make(config if isinstance(config, Config) else kept.model_dump() | dict(config))
    recorded, names = store.facts["encoders"], encoder_names(kept)
    for modality, wanted in encoder_names(asked).items():
        has = recorded.get(modality, {"name": "none"})["name"]
        if wanted not in ("auto", names[modality], has):
            raise StoreMismatch(
                f"this store was made with the {modality} encoder {has!r}, not {wanted!r}: leave"
                f" {modality}_encoder out, or ingest into a new store"
            )
    return kept, asked.model_copy(update={f"{modality}_encoder": name for modality, name in names.items()})
