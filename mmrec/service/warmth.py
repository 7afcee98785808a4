"""Whether the service is warm: models loaded and vectors in memory before the first shopper comes."""

from __future__ import annotations

import logging

from mmrec.recommender import Recommender
from mmrec.service.errors import Refused, described

log = logging.getLogger(__name__)


class Warmth:
    """The way from cold to ready.

    Attributes:
        ready: whether requests are served.
        failure: why it will not get warm, if it will not.
    """

    def __init__(self) -> None:
        self.ready = False
        self.failure: str | None = None

    def warm(self, shop: Recommender) -> None:
        """Loads what the first requests would load; an error is kept for `/health/ready` to tell."""
        try:
            import torch  # noqa: F401  (it scans faster, see `mmrec.scan`, and a service has the time to load it)

            first = shop.recommend(k=1)
            if first:
                shop.similar(first[0].item_id, k=1)
            for modality in shop.encoders:
                shop.encoders[modality]  # loads it
            shop.search("warm up", k=1)
        except Exception as error:  # of any library that loads a model: it must not go unnoticed in a thread
            self.failure = described(error)[1]["message"]
            log.exception("the service cannot get ready")
        else:
            self.ready = True

    def check(self) -> None:
        """Raises Refused while the service is not ready."""
        if self.failure is not None:
            raise Refused(
                503, "NotReady", f"the service cannot get ready: {self.failure}",
                "Mend it on the service's machine, whose log says more, and start the service again.",
            )
        if not self.ready:
            raise Refused(
                503, "NotReady", "the service is loading its models and vectors",
                "Wait until GET /health/ready answers 200.", {"Retry-After": "1"},
            )
