"""Tables of routes for a large fleet: shortest paths are worked out once per set of core sites that open hops join.

Under most labels a fleet falls apart into countries or blocs, and many labels open the same hops there: equal parts of
the network share one table, whatever mask they were met under.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.search.paths import Local, parts, paths_from
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
    made = _Tables(wires, core, np.full(len(core), -1, np.int32))
    pairs = _pairs(wires, core)
    spots = [_Spots.of(len(core)) for _ in opened]
    for each, spot in zip(opened, spots, strict=True):
        made.fill(each, core, spot)
        passed = made.shortcuts(pairs, each, spot)
        if len(passed):
            among = core.copy()
            among[passed] = True
            made.fill(each, among, spot)
    return made.ways(opened, spots)


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
    """Entries from each core member to each member, as in `Ways`."""

    rtt: NDArray[np.int64]
    price: NDArray[np.int64]
    last: Ids
    narrow: Ids


_ALONE = _Table(*(np.full((1, 1), fill, kind) for fill, kind in ((0, int), (0, int), (-1, np.int32), (-1, np.int32))))


class _Spots(NamedTuple):
    """By site under one mask: the table of a core site and its row there, and the column of any member."""

    table: Ids
    row: Ids
    place: Ids

    @classmethod
    def of(cls, sites: int) -> _Spots:
        """Return that no site is in a table."""
        return cls(*(np.full(sites, -1, np.int32) for _ in range(3)))


@dataclass(slots=True)
class _Tables:
    """Tables made so far, by the members and open hops of the part of the network that they cover.

    Attributes:
        alone: by site, the table of it alone; -1 while there is none.
    """

    wires: Wires
    core: Bools
    alone: Ids
    known: dict[bytes, int] = field(default_factory=dict)
    tables: list[_Table] = field(default_factory=list)
    longest: int = 0

    def fill(self, opened: NDArray[np.uint8], among: Bools, spots: _Spots) -> None:
        """Write where every site in `among` is under one mask, making what tables are missing."""
        wires = self.wires
        hops = np.flatnonzero((opened == 1) & among[wires.start] & among[wires.end])
        part = parts(len(among), wires.start[hops], wires.end[hops])
        members = np.flatnonzero(among)
        if not len(members):
            return
        members = members[np.argsort(part[members], kind="stable")]
        bounds = np.flatnonzero(np.diff(part[members], prepend=-1, append=-1))
        hops = hops[np.argsort(part[wires.start[hops]], kind="stable")]
        low = np.searchsorted(part[wires.start[hops]], part[members[bounds[:-1]]])
        high = np.append(low[1:], len(hops))
        # Most parts of a fleet whose data must stay at home are one site alone.
        is_alone = low == high
        self._place_alone(members[bounds[:-1][is_alone]], spots)
        ranges = np.stack([bounds[:-1], bounds[1:], low, high], axis=1)[~is_alone]
        for begin, end, first, last in ranges.tolist():
            self._place(members[begin:end], hops[first:last], spots)

    def _place_alone(self, members: NDArray[np.int64], spots: _Spots) -> None:
        """Write that each of these core sites is in a table of its own."""
        for site in members[self.alone[members] < 0].tolist():
            self.alone[site] = len(self.tables)
            self.tables.append(_ALONE)
        spots.table[members] = self.alone[members]
        spots.row[members] = spots.place[members] = 0

    def _place(self, members: NDArray[np.int64], hops: NDArray[np.int64], spots: _Spots) -> None:
        """Write where the members of one part are."""
        key = members.tobytes() + b"/" + hops.tobytes()
        sources = np.flatnonzero(self.core[members])
        if key not in self.known:
            self.known[key] = len(self.tables)
            self.tables.append(self._make(members, sources, hops))
        spots.table[members[sources]] = self.known[key]
        spots.row[members[sources]] = np.arange(len(sources))
        spots.place[members] = np.arange(len(members))

    def _make(self, members: NDArray[np.int64], sources: NDArray[np.int64], hops: NDArray[np.int64]) -> _Table:
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
        made = _Table(*(np.empty((len(sources), size), kind) for kind in (np.int64, np.int64, np.int32, np.int32)))
        self.longest = max(self.longest, int(paths_from(graph, sources, *made)))
        return made

    def shortcuts(self, pairs: NDArray[np.int64], opened: NDArray[np.uint8], spots: _Spots) -> NDArray[Any]:
        """Return the leaves through which a way between two core sites is no longer than what the tables know."""
        wires, table = self.wires, spots.table
        one, other = pairs[:, (opened[pairs[0]] == 1) & (opened[pairs[1]] == 1)]
        a, b = wires.end[one], wires.end[other]
        is_shorter = table[a] != table[b]
        for index in np.unique(table[a[~is_shorter]]).tolist():
            here = np.flatnonzero(~is_shorter & (table[a] == index))
            spot = spots.row[a[here]], spots.place[b[here]]
            rtt, price = self.tables[index].rtt[spot], self.tables[index].price[spot]
            over = wires.rtt[one[here]] + wires.rtt[other[here]]
            paid = wires.price[one[here]] + wires.price[other[here]]
            is_shorter[here] = (over < rtt) | ((over == rtt) & (paid <= price))
        return np.unique(wires.start[one[is_shorter]])

    def ways(self, opened: NDArray[np.uint8], spots: Sequence[_Spots]) -> Ways:
        """Return all tables that some site is in as one."""
        table = np.array([spot.table for spot in spots], np.int32).reshape(len(spots), len(self.core))
        used = np.unique(table[table >= 0])
        columns = [list(column) for column in zip(*(self.tables[index] for index in used.tolist()), strict=True)]
        rtt, price, last, narrow = columns or ([], [], [], [])
        widths, sizes = [each.shape[1] for each in rtt], [each.size for each in rtt]
        # Tables are given up one column at a time: together they are most of what is held.
        self.tables.clear()
        self.known.clear()
        table[table >= 0] = np.searchsorted(used, table[table >= 0])
        return Ways(
            *self.wires[:6],
            open=opened,
            table=table,
            row=np.array([spot.row for spot in spots], np.int32).reshape(table.shape),
            place=np.array([spot.place for spot in spots], np.int32).reshape(table.shape),
            first_entry=firsts(sizes),
            width=array(widths, np.int64),
            entry_rtt=_joined(rtt, np.int64),
            entry_price=_joined(price, np.int64),
            last=_joined(last, np.int32),
            narrow=_joined(narrow, np.int32),
            price_scale=self.wires.price_scale,
            # From a leaf to a core site, on among those, and down to a leaf.
            longest=self.longest + 2,
        )


def _joined(parts: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    """Return all parts as one, which empties the list."""
    found = np.concatenate([part.reshape(-1) for part in parts]) if parts else np.empty(0, kind)
    parts.clear()
    return found
