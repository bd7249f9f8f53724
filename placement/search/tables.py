"""Tables of routes for a large fleet: shortest paths are worked out once per set of core sites that open hops join.

Under most labels a fleet falls apart into countries or blocs, and many labels open the same hops there: equal parts of
the network share one table, whatever mask they were met under.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.search.paths import Local, all_pairs, parts
from placement.search.rows import array, firsts
from placement.search.ways import Ways
from placement.search.wires import Wires

Bools = NDArray[np.bool_]
Ids = NDArray[np.int32]


def ways_of(wires: Wires, serving: Bools, opened: NDArray[np.uint8]) -> Ways:
    """Return the tables in which `placement.search.ways` looks.

    Args:
        serving: by site, whether a flow of another site's may end there.
        opened: [mask, hop], 1 where the hop is open under the mask; the same in both directions.
    """
    core = core_of(wires, serving)
    masks, sites = opened.shape[0], len(serving)
    table, place = np.full((masks, sites), -1, np.int32), np.full((masks, sites), -1, np.int32)
    made = _Tables(wires)
    pairs = _pairs(wires, core)
    for mask in range(masks):
        made.fill(opened[mask], core, table[mask], place[mask])
        promoted = made.shortcuts(pairs, opened[mask], table[mask], place[mask])
        if len(promoted):
            among = core.copy()
            among[promoted] = True
            made.fill(opened[mask], among, table[mask], place[mask])
    return made.ways(opened, table, place)


def core_of(wires: Wires, serving: Bools) -> Bools:
    """Return which sites are core: those that serve others, and whatever is next to one that does not.

    Both ends of a hop that costs neither time nor money are core too: a leaf's own hop must make a way longer.
    """
    core = serving.copy()
    core[wires.end[~serving[wires.start]]] = True
    free = (wires.rtt == 0) & (wires.price == 0)
    core[wires.start[free]] = True
    return core


def _pairs(wires: Wires, core: Bools) -> NDArray[np.int64]:
    """Return every two hops out of one leaf, as [2, pair]."""
    found = [np.empty((2, 0), np.int64)]
    counts = np.diff(wires.first_hop)
    for site in np.flatnonzero(~core & (counts > 1)).tolist():
        one, other = np.triu_indices(int(counts[site]), 1)
        found.append(np.stack([one, other]) + wires.first_hop[site])
    return np.concatenate(found, axis=1)


class _Table(NamedTuple):
    """Entries from each member to each, as in `Ways`."""

    rtt: NDArray[np.int64]
    price: NDArray[np.int64]
    last: Ids
    narrow: Ids


@dataclass(slots=True)
class _Tables:
    """Tables made so far, by the members and open hops of the part of the network that they cover."""

    wires: Wires
    known: dict[bytes, int] = field(default_factory=dict)
    tables: list[_Table] = field(default_factory=list)
    longest: int = 0

    def fill(self, opened: NDArray[np.uint8], core: Bools, table: Ids, place: Ids) -> None:
        """Write the table and the place of every core site under one mask, making what tables are missing."""
        wires = self.wires
        hops = np.flatnonzero((opened == 1) & core[wires.start] & core[wires.end])
        part = parts(len(core), wires.start[hops], wires.end[hops])
        part[~core] = -1
        members = np.flatnonzero(core)
        members = members[np.argsort(part[members], kind="stable")]
        bounds = np.flatnonzero(np.diff(part[members], prepend=-2, append=-2))
        of_hop = part[wires.start[hops]]
        order = np.argsort(of_hop, kind="stable")
        hops, of_hop = hops[order], of_hop[order]
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            own = members[begin:end]
            low, high = np.searchsorted(of_hop, part[own[0]], "left"), np.searchsorted(of_hop, part[own[0]], "right")
            table[own] = self._table(own, hops[low:high])
            place[own] = np.arange(len(own))

    def _table(self, members: NDArray[np.int64], hops: NDArray[np.int64]) -> int:
        key = members.tobytes() + b"/" + hops.tobytes()
        if key not in self.known:
            self.known[key] = len(self.tables)
            self.tables.append(self._make(members, hops))
        return self.known[key]

    def _make(self, members: NDArray[np.int64], hops: NDArray[np.int64]) -> _Table:
        wires, size = self.wires, len(members)
        start, end = np.searchsorted(members, wires.start[hops]), np.searchsorted(members, wires.end[hops])
        graph = Local(
            first=firsts(np.bincount(start, minlength=size)),
            end=end.astype(np.int32),
            rtt=wires.rtt[hops],
            price=wires.price[hops],
            bandwidth=wires.bandwidth[hops],
            hop=hops.astype(np.int32),
        )
        made = _Table(*(np.empty((size, size), kind) for kind in (np.int64, np.int64, np.int32, np.int32)))
        self.longest = max(self.longest, int(all_pairs(graph, *made)))
        return made

    def shortcuts(self, pairs: NDArray[np.int64], opened: NDArray[np.uint8], table: Ids, place: Ids) -> NDArray[Any]:
        """Return the leaves through which a way between two core sites is no longer than what the tables know."""
        wires = self.wires
        one, other = pairs[:, (opened[pairs[0]] == 1) & (opened[pairs[1]] == 1)]
        a, b = wires.end[one], wires.end[other]
        is_shorter = table[a] != table[b]
        for index in np.unique(table[a[~is_shorter]]).tolist():
            here = np.flatnonzero(~is_shorter & (table[a] == index))
            spot = place[a[here]], place[b[here]]
            rtt, price = self.tables[index].rtt[spot], self.tables[index].price[spot]
            over = wires.rtt[one[here]] + wires.rtt[other[here]]
            paid = wires.price[one[here]] + wires.price[other[here]]
            is_shorter[here] = (over < rtt) | ((over == rtt) & (paid <= price))
        return np.unique(wires.start[one[is_shorter]])

    def ways(self, opened: NDArray[np.uint8], table: Ids, place: Ids) -> Ways:
        """Return all tables as one."""
        sizes = [len(made.rtt) for made in self.tables]
        rtt, price, last, narrow = (_joined(parts, kind) for parts, kind in self._columns())
        return Ways(
            *self.wires[:6],
            open=opened,
            table=table,
            place=place,
            first_entry=firsts([size * size for size in sizes]),
            size=array(sizes, np.int64),
            entry_rtt=rtt,
            entry_price=price,
            last=last,
            narrow=narrow,
            price_scale=self.wires.price_scale,
            # From a leaf to a core site, on among those, and down to a leaf.
            longest=self.longest + 2,
        )

    def _columns(self) -> Iterator[tuple[list[NDArray[Any]], Any]]:
        for index, kind in enumerate((np.int64, np.int64, np.int32, np.int32)):
            yield [made[index] for made in self.tables], kind


def _joined(parts: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate([part.reshape(-1) for part in parts]) if parts else np.empty(0, kind)
