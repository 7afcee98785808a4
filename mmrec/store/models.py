"""Content plans and trained heads in the files of a store, by the numbers they were written under."""

from __future__ import annotations

from mmrec.errors import StoreError
from mmrec.model import saved
from mmrec.model.content import ContentPlan
from mmrec.model.saved import Head
from mmrec.model.towers import Towers
from mmrec.store.files import StoreFiles


class Models:
    """Reads and writes them; the plan and the towers that were asked for last stay in memory."""

    def __init__(self, files: StoreFiles) -> None:
        self.files = files
        self._plans: dict[int, ContentPlan] = {0: ContentPlan()}
        self._towers: dict[int, Towers] = {}

    def plan(self, number: int) -> ContentPlan:
        """The content plan of a number; an empty one of 0.

        Raises:
            StoreError: its file is absent or damaged.
        """
        plan = self._plans.get(number)
        if plan is None:
            name = _plan_name(number)
            plan = ContentPlan.load(self._read(name), f"{self.files.uri}/{name}")
            self._plans = {0: ContentPlan(), number: plan}
        return plan

    def head(self, number: int) -> Head:
        """The trained head of a number, with all that training can go on from.

        Raises:
            StoreError: one of its files is absent or damaged.
        """
        folder = _head_name(number)
        parts = {name: self._read(f"{folder}/{name}") for name in self.files.names(folder)}
        return saved.load(parts, f"{self.files.uri}/{folder}")

    def towers(self, number: int) -> Towers:
        """The towers of a head; errors as of `head`."""
        towers = self._towers.get(number)
        if towers is None:
            towers = self.head(number).towers
            self._towers = {number: towers}
        return towers

    def write_plan(self, number: int, plan: ContentPlan) -> None:
        """Writes a content plan; raises DataError if the disk refuses."""
        self.files.write(_plan_name(number), plan.save())

    def write_head(self, number: int, head: Head) -> None:
        """Writes a head, which may serve when this returns; raises DataError if the disk refuses."""
        for name, content in saved.save(head).items():
            self.files.write(f"{_head_name(number)}/{name}", content)

    def keep_only(self, plan: int, head: int) -> None:
        """Removes all others, and what killed writers left of them."""
        kept = _plan_name(plan), _head_name(head)
        for name in self.files.names():
            if name.startswith(("content-", ".content-", "head-", ".head-")) and name not in kept:
                self.files.remove(name)

    def _read(self, name: str) -> bytes:
        try:
            with self.files.open(name) as file:
                return file.read()
        except OSError as error:
            raise StoreError(
                f"cannot read {self.files.uri}/{name}: {error}. Run `mmrec doctor` on the store"
            ) from error


def _plan_name(number: int) -> str:
    return f"content-{number}.safetensors"


def _head_name(number: int) -> str:
    return f"head-{number}"
