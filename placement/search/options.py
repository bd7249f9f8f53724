"""The options of every workload as ranges of (site, pool), and the pools that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement.candidates import PoolKey
from placement.cost import replica_per_hour
from placement.search.hardware import POOL_FIELDS, pool_row
from placement.search.kinds import Group, Kind
from placement.search.layout import NOWHERE, Groups, Pools
from placement.search.menus import Menus
from placement.search.rows import array, firsts
from sites.site import Site

Ids = NDArray[np.int64]

BUILT_IN, UNREAD = -1, -1


@dataclass(frozen=True, slots=True)
class Options:
    """Ranges of options, one after another.

    Attributes:
        first: where each range begins, and the last ends.
        site: ids. entry: ids of `Menus.entries`, or BUILT_IN. store: which knowledge is read there, or UNREAD.
    """

    first: Ids
    site: NDArray[np.int32]
    entry: NDArray[np.int32]
    store: NDArray[np.int32]

    @classmethod
    def joined(cls, parts: Sequence[Options]) -> Options:
        """Return the ranges of all parts as one."""
        if not parts:
            none = np.empty(0, np.int32)
            return cls(np.zeros(1, np.int64), none, none, none)
        counts = np.concatenate([np.diff(part.first) for part in parts])
        return cls(
            firsts(counts),
            np.concatenate([part.site for part in parts]),
            np.concatenate([part.entry for part in parts]),
            np.concatenate([part.store for part in parts]),
        )


def spread_out(first: Ids, count: Ids) -> tuple[Ids, Ids]:
    """Return for ranges (first, count) one after another: which range each item is of, and the item."""
    of = np.repeat(np.arange(len(count)), count)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + first[of]


def at_home(groups: Sequence[Group], origins: Ids, room: Ids, stores: Sequence[int]) -> Options:
    """Return the options of a pipeline's origins at home, by origin and slot.

    Args:
        stores: by slot, the knowledge that is read, or UNREAD.
    """
    slots = len(stores)
    counts = np.zeros((len(origins), slots), np.int64)
    for group in groups:
        for slot, menu in enumerate(group.menus):
            each = (
                np.ones(len(group.rows), np.int64) if menu is None else np.diff(menu.first)[room[origins[group.rows]]]
            )
            counts[group.rows, slot] = np.where(group.own[slot], each, 0)
    first = firsts(counts.reshape(-1))
    entry = np.full(first[-1], BUILT_IN, np.int32)
    for group in groups:
        for slot, menu in enumerate(group.menus):
            if menu is not None:
                of, item = spread_out(menu.first[room[origins[group.rows]]], counts[group.rows, slot])
                begin = first[group.rows * slots + slot]
                at = (
                    begin[of]
                    + np.arange(len(of))
                    - (np.cumsum(counts[group.rows, slot]) - counts[group.rows, slot])[of]
                )
                entry[at] = menu.entry[item]
    each = counts.reshape(-1)
    site = np.repeat(np.repeat(origins, slots), each).astype(np.int32)
    store = np.repeat(np.tile(np.array(stores, np.int32), len(origins)), each)
    return Options(first, site, entry, store)


def elsewhere(kind: Kind, offers: Ids, room: Ids, stores: Sequence[int]) -> Options:
    """Return the options of a kind at sites that serve it, by slot."""
    sites, entries, counts = [], [], []
    for permitted, menu in zip(kind.permitted, kind.menus, strict=True):
        found = offers[permitted]
        if menu is None:
            entry = np.full(len(found), BUILT_IN, np.int64)
        else:
            first = menu.first[room[found]]
            of, item = spread_out(first, menu.first[room[found] + 1] - first)
            found, entry = found[of], menu.entry[item]
        sites.append(found.astype(np.int32))
        entries.append(entry.astype(np.int32))
        counts.append(len(found))
    store = np.repeat(np.array(stores, np.int32), counts)
    return Options(firsts(counts), np.concatenate(sites), np.concatenate(entries), store)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Every pool that some option names, in the order of keys.

    Attributes:
        code: by pool, its site times the number of entries, plus its entry in the order of entries.
        place: by entry id, its place in that order. entries: in that order.
    """

    code: Ids
    place: Ids
    entries: Sequence[tuple[str, str, str, str]]

    @classmethod
    def of(cls, menus: Menus, *options: Options) -> Shelf:
        """Return the pools of all options."""
        entries = sorted(menus.entries)
        place = np.empty(len(entries), np.int64)
        place[[menus.entries[entry] for entry in entries]] = np.arange(len(entries))
        codes = [np.unique(_codes(each, place)) for each in options]
        return cls(np.unique(np.concatenate(codes)), place, entries)

    def pools(self, options: Options) -> NDArray[np.int32]:
        """Return the pool of each option; NOWHERE where the stage is built in."""
        found = np.full(len(options.entry), NOWHERE, np.int32)
        found[options.entry != BUILT_IN] = np.searchsorted(self.code, _codes(options, self.place))
        return found

    def keys(self, names: Sequence[str]) -> tuple[PoolKey, ...]:
        """Return the pools' keys."""
        site, entry = np.divmod(self.code, max(1, len(self.entries)))
        return tuple(PoolKey(names[s], *self.entries[e]) for s, e in zip(site.tolist(), entry.tolist(), strict=True))

    def arrays(
        self, menus: Menus, sites: Sequence[Site], groups: Groups, sizes: Sequence[int], *options: Options
    ) -> Pools:
        """Return the pools as arrays.

        Args:
            sizes: of each knowledge, by the number that options name it by.
        """
        site, entry = np.divmod(self.code, max(1, len(self.entries)))
        first_group = np.searchsorted(groups.site, np.arange(len(sites)))
        prices: dict[Any, int] = {}
        paid = np.array([prices.setdefault(_prices(each), len(prices)) for each in sites], np.int64)
        looks = np.stack([menus.room[site], entry, paid[site]], axis=1)
        _, first, of = np.unique(looks, axis=0, return_index=True, return_inverse=True)
        rows = []
        for index in first.tolist():
            place, variant, speed = menus.made(int(menus.room[site[index]]), self.entries[entry[index]])
            group = sorted(sites[site[index]].spec.hardware, key=lambda group: group.name)[place]
            price = replica_per_hour(variant.needs, group)
            rows.append((place, *pool_row(variant.needs, speed.service, speed.throughput, price)))
        index_of, *numbers = (
            array([row[field] for row in rows], kind)[of.reshape(-1)] for field, kind in enumerate(POOL_FIELDS[1:-1])
        )
        group_ids = (first_group[site] + index_of).astype(np.int32)
        return Pools._make([site.astype(np.int32), group_ids, *numbers, self._stored(sizes, options)])

    def _stored(self, sizes: Sequence[int], options: Sequence[Options]) -> Ids:
        """Return by pool the size of all knowledge that is read through it."""
        stored: Ids = np.zeros(len(self.code), np.int64)
        readers = []
        for each in options:
            reading = (each.store != UNREAD) & (each.entry != BUILT_IN)
            readers.append(self.pools(each)[reading].astype(np.int64) * len(sizes) + each.store[reading])
        if sizes:
            pool, store = np.divmod(np.unique(np.concatenate(readers)), len(sizes))
            np.add.at(stored, pool, np.array(sizes, np.int64)[store])
        return stored


def _codes(options: Options, place: Ids) -> Ids:
    named = options.entry != BUILT_IN
    codes: Ids = options.site[named].astype(np.int64) * max(1, len(place)) + place[options.entry[named]]
    return codes


def _prices(site: Site) -> tuple[Any, ...]:
    return tuple([(group.name, group.price.amount) for group in site.spec.hardware])
