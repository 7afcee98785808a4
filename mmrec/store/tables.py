"""Keyed tables on disk. The only file that imports lancedb: what bites there is handled here alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from copy import copy
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from mmrec.errors import StoreError
from mmrec.store.files import StoreFiles

log = logging.getLogger(__name__)

KEEP_VERSIONS = timedelta(minutes=10)  # a reader in another process finishes its scan within this
MOST_FRAGMENTS = 32  # small files after which a table is compacted
LOOK = 16.0  # writes after which the files are counted, which takes as long as a write
ROWS = 50  # that are taken for one more write
BLOCK = 1_000  # keys in one `IN (...)`
INDEX_CACHE, METADATA_CACHE = 128 * 2**20, 32 * 2**20  # bytes
POOL = 2**30  # bytes that a write may sort in; by default 300 MB, which a few thousand wide rows exceed
STREAM = 4_096  # rows of a batch that is streamed
WRITTEN = pa.field("written", pa.int64())  # a column of this name tells which version a row came after
T = TypeVar("T")


class KeyedTable:
    """A LanceDB table with one string key, which is its first column; `index_cache` is in bytes."""

    def __init__(
        self, files: StoreFiles, name: str, schema: pa.Schema, index_cache: int = INDEX_CACHE
    ) -> None:
        os.environ.setdefault("LANCE_MEM_POOL_SIZE", str(POOL))  # LanceDB reads it as it loads
        import lancedb

        self.name, self.key, self._files = name, schema.names[0], files
        # The caches leave memory for the vectors; steady writes fill them with what is gone.
        caches = {"index_cache_size_bytes": index_cache, "metadata_cache_size_bytes": METADATA_CACHE}
        # Interval 0: every read sees what other processes have written by then.
        self._connection = connection = lancedb.connect(
            files.uri, read_consistency_interval=timedelta(0), session=lancedb.Session(**caches)
        )
        self._unseen = LOOK  # writes since the last look at whether there is something to tidy
        self._indexed: set[str] = set()
        self._stamps, self._can_stamp = WRITTEN.name in schema.names, False
        self._schema: pa.Schema | None = None  # of a frozen table
        self._known: tuple[Hashable, int] | None = None  # its version, and the stamp of the files by then
        self._heal()
        if self.exists(files, name):
            self._table = _lance(f"open table {name}", lambda: connection.open_table(name))
        else:
            self._table = _lance(f"make table {name}", lambda: connection.create_table(name, schema=schema))
            self._change(f"make table {name}", lambda: self._table.set_unenforced_primary_key([self.key]))

    @staticmethod
    def exists(files: StoreFiles, name: str) -> bool:
        """Whether the table has been made, rather than begun."""
        return any(file.endswith(".manifest") for file in files.names(f"{name}.lance/_versions"))

    @property
    def schema(self) -> pa.Schema:
        """Columns as they are now."""
        return self._schema or self._table.schema

    @property
    def version(self) -> int:
        """Grows with every change, by any process; LanceDB, which is slow to tell, is asked after one."""
        if self._schema:
            return int(self._table.version)
        # The stamp first: a change that comes after it has another one.
        stamp, known = self._files.stamp(f"{self.name}.lance/_versions"), self._known
        if stamp is not None and known is not None and known[0] == stamp:
            return known[1]
        version = int(self._table.version)
        self._known = None if stamp is None else (stamp, version)
        return version

    def frozen(self) -> KeyedTable:
        """The table as it is now, for reading alone: later changes, by any process, do not show in it."""
        still = copy(self)
        still._table = _lance(f"open table {self.name}", lambda: self._connection.open_table(self.name))
        _lance(f"read {self.name}", lambda: still._table.checkout(still._table.version))
        still._schema = still._table.schema  # LanceDB takes milliseconds to tell it
        return still

    def count(self, where: str | None = None) -> int:
        """Number of rows, or of those that a SQL condition keeps."""
        return _lance(f"count {self.name}", lambda: int(self._table.count_rows(where)))

    def scan(self, columns: Sequence[str], where: str | None = None, *, last: int | None = None) -> pa.Table:
        """All rows, those that a SQL condition keeps, or the `last` that were written."""
        query = self._query(columns, where)
        query = query.offset(max(0, self.count() - last)) if last else query
        return _lance(f"read {self.name}", query.to_arrow)

    def _query(self, columns: Sequence[str], where: str | None) -> Any:
        query = self._table.search().select(list(columns))
        return query.where(where) if where else query

    def batches(self, columns: Sequence[str], where: str | None = None) -> Iterator[pa.Table]:
        """All rows, or those that a SQL condition keeps, streamed from one version of the table."""
        query = self._query(columns, where)
        for batch in _lance(f"read {self.name}", lambda: query.to_batches(STREAM)):
            yield pa.Table.from_batches([batch])

    def read(self, keys: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """The rows of these keys that exist, in any order."""
        wanted = [self.key, *(c for c in columns if c != self.key)]
        return pa.concat_tables([self.scan(wanted, where) for where in self._having(keys or [""])])

    def upsert(
        self, rows: pa.Table, *, insert_only: bool = False, update_only: bool = False, stamp: bool = True
    ) -> tuple[int, int]:
        """Writes rows whose keys differ from one another; returns (inserted, updated), verified.

        Args:
            stamp: whether `written_since` shall tell of them.

        Raises:
            StoreError: the table did not take every row; the version before is then restored.
        """
        merge = self._table.merge_insert(self.key)
        merge = merge if insert_only else merge.when_matched_update_all()
        merge = merge if update_only else merge.when_not_matched_insert_all()
        before = int(self._table.version)
        rows = self._stamped(rows, before) if stamp else rows
        # "null": LanceDB refuses null vectors by default, and an absent field is exactly that
        done = self._change(f"write {self.name}", lambda: merge.execute(rows, on_bad_vectors="null"))
        inserted, updated = int(done.num_inserted_rows), int(done.num_updated_rows)
        if not (insert_only or update_only) and inserted + updated != rows.num_rows:
            self._table.restore(before)
            raise StoreError(
                f"{self.name}: {rows.num_rows} rows went in, {inserted} were inserted and {updated} updated;"
                f" the table is back at version {before}. Run `mmrec doctor` on the store"
            )
        self._unseen += 1 + rows.num_rows / ROWS
        return inserted, updated

    def written_since(self, version: int) -> str | None:
        """SQL condition of the rows that were written after a version; None if the table cannot tell."""
        return f"{WRITTEN.name} >= {version}" if WRITTEN.name in self.schema.names else None

    def added_since(self, version: int, rows: int, columns: Sequence[str]) -> pa.Table | None:
        """What came after a version that had so many rows, of a frozen table whose rows stay as they are.

        None says that it cannot be told, as when rows were deleted: all are to be read again.
        """
        where = self.written_since(version)
        if not rows or where is None:
            return None
        added = self.scan(columns, where)
        return added if rows + added.num_rows == self.count() else None

    def _stamped(self, rows: pa.Table, version: int) -> pa.Table:
        """The rows with the version that they came after, where the table keeps it."""
        if not self._stamps:
            return rows
        if not self._can_stamp:  # it was made before there was such a column
            self.add_columns([WRITTEN])
            self._can_stamp = True
        rows = rows.drop_columns([WRITTEN.name]) if WRITTEN.name in rows.schema.names else rows
        return rows.append_column(WRITTEN, pa.array(np.full(rows.num_rows, version)))

    def delete(self, keys: Sequence[str]) -> int:
        """Deletes the rows of these keys; returns how many there were."""
        what, delete = f"delete from {self.name}", self._table.delete
        done = [self._change(what, partial(delete, where)) for where in self._having(keys)]
        return sum(int(one.num_deleted_rows) for one in done)

    def _having(self, keys: Sequence[str]) -> list[str]:
        """SQL conditions that together keep the rows of these keys."""
        blocks = (keys[start : start + BLOCK] for start in range(0, len(keys), BLOCK))
        return [f"{self.key} IN ({literals(block)})" for block in blocks]

    def add_columns(self, fields: Sequence[pa.Field]) -> None:
        """Adds columns that the table lacks, null in every row."""
        known = set(self.schema.names) if fields else ()  # LanceDB takes milliseconds to tell them
        missing = [f for f in fields if f.name not in known]
        if missing:
            self._change(f"add columns to {self.name}", lambda: self._table.add_columns(pa.schema(missing)))

    def drop_columns(self, names: Sequence[str]) -> None:
        """Drops the columns among these that exist."""
        present = [n for n in self.schema.names if n in names]
        if present:
            self._change(f"drop columns of {self.name}", lambda: self._table.drop_columns(present))
            self._indexed -= set(present)

    def rename_columns(self, names: Mapping[str, str]) -> None:
        """Gives columns other names, all in one step."""
        changes = [{"path": before, "rename": after} for before, after in names.items()]
        self._change(f"rename columns of {self.name}", lambda: self._table.alter_columns(*changes))

    def indexed(self, column: str) -> bool:
        """Whether a column has an index. That it has one is asked of LanceDB once: it takes milliseconds."""
        if column not in self._indexed:
            self._indexed = {column for index in self._table.list_indices() for column in index.columns}
        return column in self._indexed

    def index_key(self, column: str) -> None:
        """Makes the scalar index of a column that is looked up by value, if it has none."""
        from lancedb.index import BTree

        if not self.indexed(column):
            self._change(f"index {column}", lambda: self._table.create_index(column, config=BTree()))

    def drop_index(self, column: str) -> None:
        """Drops the index of a column, if it has one."""
        if self.indexed(column):
            names = [index.name for index in self._table.list_indices() if column in index.columns]
            for name in names:
                self._change(f"drop index {name}", partial(self._table.drop_index, name))
            self._indexed -= {column}

    def health(self) -> dict[str, Any]:
        """Rows, versions, files, bytes on disk and how many rows each index covers."""
        return {
            "rows": self.count(),
            "versions": len(self._table.list_versions()),
            "fragments": self._fragments(),
            "bytes": self._files.size(f"{self.name}.lance"),
            "indices": {
                index.name: {"indexed": index.num_indexed_rows, "waiting": index.num_unindexed_rows}
                for index in self._table.list_indices()
            },
        }

    def _fragments(self) -> int:
        return int(self._table.stats()["fragment_stats"]["num_fragments"])

    def tidy(self, *, force: bool = False, keep: timedelta | None = None) -> bool:
        """Compacts, extends indices and drops old versions, if forced or worth it; says whether it did.

        Args:
            keep: age up to which versions stay, for those who are reading one; None takes `KEEP_VERSIONS`.
        """
        if not force and self._unseen < LOOK:
            return False
        self._unseen = 0.0
        waiting = max((i.num_unindexed_rows or 0 for i in self._table.list_indices()), default=0)
        gain = self._fragments() > MOST_FRAGMENTS or waiting > max(1_000, self.count() // 10)
        if not (force or gain):
            return False
        keep = keep or KEEP_VERSIONS
        self._change(f"compact {self.name}", lambda: self._table.optimize(cleanup_older_than=keep))
        return True

    def _change(self, what: str, act: Callable[[], T]) -> T:
        """Runs a LanceDB call, and forces to the disk what it wrote; LanceDB itself never does."""
        done = _lance(what, act)
        self._files.sync(f"{self.name}.lance")
        return done

    def _heal(self) -> None:
        """Removes manifests of zero length (a power cut's), which would make the table unopenable."""
        folder = f"{self.name}.lance/_versions"
        for manifest in self._files.names(folder):
            if manifest.endswith(".manifest") and self._files.size(f"{folder}/{manifest}") == 0:
                self._files.remove(f"{folder}/{manifest}")
                log.warning(
                    "%s: removed an empty manifest (%s), as a power cut leaves; the version before serves."
                    " What was ingested in that moment is to be ingested again", self.name, manifest,
                )


def literals(values: Sequence[str]) -> str:
    """Strings as SQL literals, separated by commas."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def _lance(what: str, act: Callable[[], T]) -> T:
    """Runs a LanceDB call; its errors (of many types) become ours."""
    try:
        return act()
    except (RuntimeError, ValueError, OSError, pa.ArrowException) as error:
        raise StoreError(f"could not {what}: {str(error)[:500]}. Run `mmrec doctor` on the store") from error
