"""The contrastive loss: what a user chose against what the user might have been shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def contrastive_loss(
    scores: torch.Tensor, targets: torch.Tensor, *, hidden: torch.Tensor | None = None,
    log_q: torch.Tensor | None = None, temperature: float = 1.0,
) -> torch.Tensor:
    """Cross-entropy [b] of each user's targets under a softmax over the candidates (InfoNCE).

    Args:
        scores: of m candidates for b users, [b, m].
        targets: weight of each candidate as a target [b, m]; 0 for what the user did not choose.
        hidden: candidates that are neither right nor wrong for a user [b, m], true to leave them out: what
            is in the history already, or would be right as well.
        log_q: log of the probability that a candidate is among the m [m]. Candidates that a sample draws more
            often would be pushed down for it; taking `log_q` off their scores makes the sampled softmax
            an unbiased estimate of the full one. None if all items are candidates.
        temperature: smaller is sharper.

    Source: van den Oord, Li & Vinyals 2018, eq. 4 (InfoNCE); Yi et al. 2019, Sampling-bias-corrected neural
    modeling, eq. 3 (logQ); Liang et al. 2018, Variational autoencoders for collaborative filtering, eq. 2.
    """
    logits = scores / temperature
    if log_q is not None:
        logits = logits - log_q
    if hidden is not None:
        logits = logits.masked_fill(hidden, float("-inf"))
    chosen = logits.masked_fill(targets == 0, 0.0)  # what is hidden weighs 0, and 0 x -inf is no number
    totals = targets.sum(dim=1)
    return totals * logits.logsumexp(dim=1) - (targets * chosen).sum(dim=1)


def presence(counts: torch.Tensor, users: int, batch: int, negatives: int) -> torch.Tensor:
    """Probability [n] of each item to be a candidate: chosen by one of a batch of users, or drawn besides.

    Args:
        counts: users who chose each item [n].
        users: of whom there are so many, and `batch` of them in a step.
        negatives: items drawn uniformly besides.
    """
    import torch

    unchosen = batch * torch.log1p(-(counts / users).clamp(max=1 - 1e-6))  # log of the probability
    undrawn = negatives * math.log1p(-1 / len(counts)) if len(counts) > 1 else 0.0
    absent = unchosen + undrawn
    return -torch.expm1(absent)
