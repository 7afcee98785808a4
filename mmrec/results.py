"""What comes out: results with their reasons, and what became of rows that came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from mmrec.errors import Rejection

Rung = Literal["history", "taste", "popular", "newest"]
RUNGS: tuple[Rung, ...] = get_args(Rung)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One contribution to a score: the parts of one recommendation's reasons sum to its score."""

    source: Literal["item", "field", "words", "other"]
    name: str
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One result, from `recommend`, `similar` and `search` alike; the best comes first.

    Attributes:
        reasons: contributions that sum to the score.
        propensity: the chance that its slot showed it, given those above; below 1 with exploration.
    """

    item_id: str
    score: float
    rung: Rung | Literal["similar", "search"]
    reasons: tuple[Reason, ...] = ()
    propensity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What became of every row: `rows == added + updated + unchanged + rejected`.

    Attributes:
        encoder_calls: inputs given to encoders (texts and pictures), not batches.
        without_picture: items that were taken without a picture that they name, as it cannot be used.
        rejections, incomplete: why, of each rejected row, and of each item taken without a part.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    encoder_calls: int = 0
    seconds: float = 0.0
    without_picture: int = 0
    rejections: tuple[Rejection, ...] = field(default=(), repr=False)
    incomplete: tuple[Rejection, ...] = field(default=(), repr=False)

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.added + self.updated + self.unchanged + self.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReport:
    """What became of every interaction: added, already known, or rejected."""

    added: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejections: tuple[Rejection, ...] = field(default=(), repr=False)
