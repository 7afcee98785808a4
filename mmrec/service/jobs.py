"""Work that takes longer than a request: one job at a time, in a thread of its own, with its progress."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from mmrec.data.rows import json_ready
from mmrec.errors import MmrecError
from mmrec.service.errors import Refused, described

log = logging.getLogger(__name__)
REMEMBERED = 100  # jobs that can still be asked about

Progress = Callable[[Mapping[str, Any]], None]
Work = Callable[[Progress], Mapping[str, Any]]


@dataclass
class Job:
    """One piece of work, what it reported last, and in the end its result or error (as of a request)."""

    kind: str
    request_id: str
    job_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: Literal["running", "done", "failed"] = "running"
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished: datetime | None = None
    progress: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    error: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "job_id": self.job_id, "kind": self.kind, "state": self.state,
            "started": self.started.isoformat(), "finished": self.finished and self.finished.isoformat(),
            "progress": json_ready(self.progress), "result": json_ready(self.result), "error": self.error,
        }


class Jobs:
    """The jobs of one service; they end with its process, and the store then serves what it served before."""

    def __init__(self) -> None:
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._jobs: dict[str, Job] = {}  # the oldest first
        self._thread: threading.Thread | None = None  # of the last one

    def start(self, kind: str, work: Work, request_id: str) -> Job:
        """Starts a job; `work` is given a function that takes its progress. Refused if another job runs."""
        with self._lock:
            if busy := next((job for job in self._jobs.values() if job.state == "running"), None):
                raise Refused(
                    409, "JobRunning", f"job {busy.job_id} is running since {busy.started:%H:%M:%S} UTC",
                    f"Wait for it: GET /jobs/{busy.job_id} tells how far it is.",
                )
            job = Job(kind, request_id)
            self._jobs[job.job_id] = job
            if len(self._jobs) > REMEMBERED:
                del self._jobs[next(iter(self._jobs))]
            self._thread = threading.Thread(
                target=_run, args=(job, work, self._stopping), name=f"mmrec-{kind}", daemon=True)
            self._thread.start()
        return job

    def stop(self, seconds: float) -> None:
        """Ends the job that runs when it next reports progress; waits so many seconds for it at most."""
        self._stopping.set()
        if self._thread:
            self._thread.join(seconds)

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return self._thread is not None and self._thread.is_alive()

    def get(self, job_id: str) -> Job:
        """The job with an id; Refused if there is none."""
        if job_id not in self._jobs:
            raise Refused(
                404, "UnknownJob", f"there is no job {job_id[:80]!r}",
                f"Take the id that starting it gave; the last {REMEMBERED} of this process are remembered.",
            )
        return self._jobs[job_id]


def _run(job: Job, work: Work, stopping: threading.Event) -> None:
    def report(progress: Mapping[str, Any]) -> None:
        if stopping.is_set():
            raise Refused(503, "Stopped", "the service was stopped", "Start the job again.")
        job.progress = dict(progress)

    try:
        job.result = work(report)
        state: Literal["done", "failed"] = "done"
    except Exception as error:  # nobody else would see it, in a thread
        log.error("job %s (%s, request %s) failed: %s", job.job_id, job.kind, job.request_id, error,
                  exc_info=not isinstance(error, MmrecError | Refused))
        job.error, state = {**described(error)[1], "request_id": job.request_id}, "failed"
    job.finished = datetime.now(UTC)
    job.state = state  # last, so that whoever sees it sees the rest
