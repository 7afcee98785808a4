"""What the service counts, for Prometheus."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mmrec.types import Recommendation

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The figures of one service; routes are named by their pattern, so that there are few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mmrec_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "mmrec_request_seconds", "Seconds until a request was answered.", ["route"],
            buckets=SECONDS, registry=self.registry)
        self.results = Counter(
            "mmrec_results", "Results shown, by the rung that found them.", ["route", "rung"],
            registry=self.registry)
        self.in_flight = Gauge(
            "mmrec_requests_in_flight", "Requests being worked on.", registry=self.registry)
        self.shed = Counter(
            "mmrec_requests_shed", "Requests sent away as the queue was full.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def shown(self, route: str, results: Iterable[Recommendation]) -> None:
        """Counts what one answer shows."""
        for rung, count in Tally(result.rung for result in results).items():
            self.results.labels(route, rung).inc(count)

    def text(self) -> bytes:
        """All figures, in Prometheus's own format."""
        return generate_latest(self.registry)
