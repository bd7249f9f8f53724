"""Counters in Prometheus' text form, whose labels are names from the signed table and never anything of a request."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges in seconds."""

HELP = {
    "hybrid_requests_total": "Requests by pipeline and status.",
    "hybrid_refusals_total": "Refusals by status and rule.",
    "hybrid_stages_total": "Stages served by pipeline, stage, site and outcome.",
    "hybrid_hops_total": "Hops by direction, peer site and status.",
    "hybrid_request_seconds": "Time from the request's headers to its answer.",
}
Labels = tuple[tuple[str, str], ...]


@dataclass
class Histogram:
    """Counts per bucket, the last one without an upper edge."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """All counters of one gateway."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._counts: dict[str, dict[Labels, int]] = {name: defaultdict(int) for name in HELP if name.endswith("total")}
        self._seconds: dict[Labels, Histogram] = defaultdict(Histogram)

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter of `HELP`."""
        self._counts[name][tuple(sorted(labels.items()))] += 1

    def took(self, seconds: float, *, pipeline: str) -> None:
        """Note how long a request took."""
        self._seconds[(("pipeline", pipeline),)].observe(seconds)

    def refusals(self) -> dict[str, int]:
        """Return how many refusals there were by status, for the signed counters in the log."""
        found: dict[str, int] = defaultdict(int)
        for labels, count in self._counts["hybrid_refusals_total"].items():
            found[dict(labels)["status"]] += count
        return dict(sorted(found.items()))

    def text(self) -> str:
        """Return the exposition, sorted, so that the same counts give the same text."""
        lines: list[str] = []
        for name, counts in self._counts.items():
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} counter"]
            lines += [f"{name}{_braces(labels)} {value}" for labels, value in sorted(counts.items())]
        name = "hybrid_request_seconds"
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} histogram"]
        for labels, histogram in sorted(self._seconds.items()):
            lines += _histogram(name, labels, histogram)
        return "\n".join(lines) + "\n"


def _histogram(name: str, labels: Labels, histogram: Histogram) -> list[str]:
    lines, seen = [], 0
    for edge, count in zip((*map(str, BUCKETS), "+Inf"), histogram.counts, strict=True):
        seen += count
        lines.append(f"{name}_bucket{_braces((*labels, ('le', edge)))} {seen}")
    lines.append(f"{name}_sum{_braces(labels)} {histogram.total:.6f}")
    return [*lines, f"{name}_count{_braces(labels)} {seen}"]


def _braces(labels: Labels) -> str:
    escaped = ((key, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for key, value in labels)
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "}" if labels else ""
