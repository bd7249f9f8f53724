"""The tables of routes over what each loss leaves of the network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from placement.search.layout import Layout
from placement.search.tables import ways_of
from placement.search.ways import Ways
from placement.search.wires import Wires

MOST_BYTES = 1 << 28
"""Tables that are kept for when the same loss is met again."""


@dataclass(slots=True)
class Remaining:
    """What is left of a network; losses are numbered: every site, then every wire by the lesser of its two hops.

    Attributes:
        serving: by site, whether a flow of another site's may end there.
        used: by hop, whether some route between core sites goes over it: tables change only where one does.
    """

    layout: Layout
    serving: NDArray[np.bool_] = field(init=False)
    used: NDArray[np.bool_] = field(init=False)
    _kept: OrderedDict[int, Ways] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def __post_init__(self) -> None:
        """Read off the layout what stands in its tables."""
        ways = self.layout.ways
        self.serving = np.zeros(self.sites, np.bool_)
        self.serving[self.layout.works.remote_site] = True
        self.used = np.zeros(len(ways.start), np.bool_)
        self.used[ways.last[ways.last >= 0]] = True

    @property
    def sites(self) -> int:
        """Return how many sites there are."""
        return len(self.layout.ways.first_hop) - 1

    def wire(self, hop: int) -> int:
        """Return the loss of the wire that a hop is a direction of."""
        start, end = self.layout.ways.start, self.layout.ways.end
        ids = np.flatnonzero((start == end[hop]) & (end == start[hop]))
        return self.sites + min(hop, int(ids[0]))

    def lost(self, loss: int) -> NDArray[np.int64]:
        """Return the hops that a loss takes away, in both directions."""
        start, end = self.layout.ways.start, self.layout.ways.end
        if loss < self.sites:
            return np.flatnonzero((start == loss) | (end == loss))
        hop = loss - self.sites
        return np.flatnonzero(((start == start[hop]) & (end == end[hop])) | ((start == end[hop]) & (end == start[hop])))

    def ways(self, loss: int) -> Ways:
        """Return the routes without what is lost."""
        if loss in self._kept:
            self._kept.move_to_end(loss)
            return self._kept[loss]
        found = self._made(self.lost(loss))
        self._kept[loss] = found
        self._bytes += _size(found)
        while self._bytes > MOST_BYTES and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return found

    def batches(self, pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[Ways, list[int]]]:
        """Yield routes with all workloads of (workload, loss) that may be asked about over them at once.

        A wire that no route between core sites uses matters to who is born at its ends alone: of such wires, all that
        are nobody else's go together.
        """
        origin, ways = self.layout.works.origin, self.layout.ways
        asked: dict[int, list[int]] = {}
        for work, loss in sorted(set(pairs)):
            asked.setdefault(loss, []).append(work)
        alone = [loss for loss in asked if loss < self.sites or self.used[self.lost(loss)].any()]
        for loss in alone:
            yield self.ways(loss), asked.pop(loss)
        while asked:
            ends: set[int] = set()
            together = []
            for loss in asked:
                homes = set(origin[asked[loss]].tolist())
                if not ends & homes:
                    ends |= homes
                    together.append(loss)
            opened = ways.open.copy()
            opened[:, np.concatenate([self.lost(loss) for loss in together])] = 0
            yield ways._replace(open=opened), sorted(work for loss in together for work in asked.pop(loss))

    def _made(self, lost: NDArray[np.int64]) -> Ways:
        ways = self.layout.ways
        opened = ways.open.copy()
        opened[:, lost] = 0
        if not self.used[lost].any():
            return ways._replace(open=opened)
        return ways_of(Wires(*ways[:6], ways.price_scale), self.serving, opened)


def _size(ways: Ways) -> int:
    return sum(part.nbytes for part in ways if isinstance(part, np.ndarray))
