"""Limits that come before logging: a token bucket for each caller, and one cap on what works at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

from hybrid.gateway.refusal import TOO_MANY, UNAVAILABLE, Refusal, RefusedError

PEER_RATE, PEER_BURST = 200, 400
"""Hops per second that one other site may ask for."""

MOST_AT_ONCE = 64
"""Requests in work at a time; more are told to come again."""


@dataclass
class Bucket:
    """Tokens of one caller: `rate` a second, at most `burst`."""

    rate: float
    burst: float
    tokens: float
    at: float

    def take(self, now: float) -> float:
        """Take one token; return 0.0, or the seconds until there is one."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / self.rate
        self.tokens -= 1.0
        return 0.0


@dataclass
class Limits:
    """The buckets of all known callers, and how much is in work; callers are known, so the map stays small.

    `clock` gives seconds that never go back.
    """

    clock: Callable[[], float]
    at_once: int = MOST_AT_ONCE
    working: int = 0
    _buckets: dict[str, Bucket] = field(default_factory=dict)

    def take(self, caller: str, *, rate: int, burst: int) -> Refusal | None:
        """Return None when `caller` may go on, else the 429 with its Retry-After."""
        now = self.clock()
        bucket = self._buckets.setdefault(caller, Bucket(rate, burst, burst, now))
        wait = bucket.take(now)
        if wait == 0.0:
            return None
        return Refusal(TOO_MANY, "gateway/rate", f"more than {rate} requests a second", retry_after=ceil(wait))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places in work. Raises RefusedError (503) when all are taken."""
        if self.working >= self.at_once:
            raise RefusedError(Refusal(UNAVAILABLE, "gateway/full", "too much is in work here", retry_after=1))
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1
