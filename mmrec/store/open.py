"""How a store is made, and how its settings agree with those that a caller asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmrec.config import Config
from mmrec.data.files import replacing
from mmrec.encoders.base import Encoder
from mmrec.encoders.bound import choose_encoders
from mmrec.errors import StoreBusy, StoreError, StoreMismatch
from mmrec.store.tables import INDEX_CACHE, KeyedTable, connect

FORMAT = 1  # of the folder; a store of another format is refused


class Store:
    """One shop on disk.

    Attributes:
        facts: what `store.json` says; change it through `save_facts`.
    """

    def __init__(self, path: Path, facts: dict[str, Any], wait: float) -> None:
        from filelock import FileLock

        self.path, self.facts = path, facts
        self._mutex = threading.RLock()
        self._reading = threading.Lock()  # a thread that reads old facts must not set them after new ones
        self._lock = FileLock(path / "writer.lock", timeout=wait, thread_local=False)
        self._tables: dict[str, KeyedTable] = {}

    @classmethod
    def exists(cls, path: Path) -> bool:
        """Whether the folder is a store."""
        return (path / "store.json").is_file()

    @classmethod
    def create(cls, path: Path, facts: Mapping[str, Any], wait: float) -> Store:
        """Makes the folder of a new store; one that another process made in the meantime keeps its facts.

        Raises:
            StoreError: the path is a file, or a folder that holds something else.
        """
        taken = path.exists() and (not path.is_dir() or any(map(_is_foreign, path.iterdir())))
        if taken and not cls.exists(path):  # asked last, as store.json comes before the tables
            raise StoreError(f"{path} exists and is no mmrec store: give another path, or an empty folder")
        path.mkdir(parents=True, exist_ok=True)
        store = cls(path, {"format": FORMAT, **facts}, wait)
        with store._alone():
            if cls.exists(path):
                store.refresh()
            else:
                store.save_facts()
        return store

    @classmethod
    def open(cls, path: Path, wait: float) -> Store:
        """Opens a store that exists.

        Raises:
            StoreError: `store.json` is damaged.
            StoreMismatch: the store is of another format.
        """
        return cls(path, _read_facts(path), wait)

    def table(self, name: str, schema: pa.Schema, index_cache: int = INDEX_CACHE) -> KeyedTable:
        """A table of the store, made at its first use.

        Args:
            index_cache: bytes of its indices that may be held in memory.
        """
        with self._mutex:
            if name not in self._tables:
                with nullcontext() if KeyedTable.exists(self.path, name) else self._alone():
                    self._tables[name] = KeyedTable(connect(self.path, index_cache), self.path, name, schema)
            return self._tables[name]

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Holds the writer's lock, of this process's threads and of all processes.

        Raises:
            StoreBusy: another process held it for longer than the store waits.
        """
        with self._alone():
            self.refresh()
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        from filelock import Timeout

        with self._mutex:
            try:
                self._lock.acquire()
            except Timeout:
                raise StoreBusy(
                    f"another process has been writing to {self.path} for {self._lock.timeout:g} s: try again"
                    " later, or open with a longer `wait`"
                ) from None
            try:
                yield
            finally:
                self._lock.release()

    def refresh(self) -> dict[str, Any]:
        """The facts as another process may have changed them."""
        with self._reading:
            self.facts = _read_facts(self.path)
            return self.facts

    def save_facts(self, **changes: Any) -> None:
        """Changes facts in one step: complete beside, then swapped in."""
        facts = {**self.facts, **changes}
        with self._reading:
            with replacing(self.path / "store.json") as file:
                file.write(json.dumps(facts, indent=1, ensure_ascii=False).encode())
            self.facts = facts


def _is_foreign(path: Path) -> bool:
    """Whether a file is none that the making of a store begins with."""
    return not path.name.startswith(("writer.lock", ".store.json"))


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = dict(json.loads((path / "store.json").read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"cannot read {path / 'store.json'}: {error}. Restore it from a backup") from error
    if facts.get("format") != FORMAT:
        raise StoreMismatch(
            f"{path} is a store of format {facts.get('format')}, this mmrec reads format {FORMAT}: install"
            " the version that made it, or ingest into a new store"
        )
    return facts


def new_store(
    path: Path, settings: Config, encoders: Mapping[str, Encoder] | None, device: str | None, wait: float
) -> tuple[Store, dict[str, Encoder]]:
    """A new store and its encoders, chosen once and for all.

    Raises:
        EncodeError: a model cannot be found.
        StoreError: the path holds something else.
    """
    names = {"text": settings.text_encoder, "image": settings.image_encoder}
    record, loaded = choose_encoders(names, encoders, device)
    facts = {"config": settings.model_dump(mode="json"), "encoders": record}
    return Store.create(path, facts, wait), loaded  # the facts are another's if a process was faster


def settle(store: Store, config: Config | Mapping[str, Any] | None) -> tuple[Config, Config]:
    """The settings that a store keeps, and those that shall serve: other weights, never other encoders.

    Raises:
        ConfigError: a setting is unknown or out of range.
        StoreMismatch: other encoders are asked for.
    """
    kept = Config.make(store.facts["config"])
    if config is None:
        return kept, kept
    asked, recorded = Config.make(config), store.facts["encoders"]
    for modality, was, wish in (
        ("text", kept.text_encoder, asked.text_encoder), ("image", kept.image_encoder, asked.image_encoder)
    ):
        has = recorded.get(modality, {"name": "none"})["name"]
        if wish not in ("auto", was, has):
            raise StoreMismatch(
                f"this store was made with the {modality} encoder {has!r}, not {wish!r}: leave"
                f" {modality}_encoder out, or ingest into a new store"
            )
    same = {"text_encoder": kept.text_encoder, "image_encoder": kept.image_encoder}
    return kept, asked.model_copy(update=same)
