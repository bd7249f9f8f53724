"""Where stages may run as far as neither law nor machines are asked: who serves whom, pins, taints, knowledge, domains.

Selectors are asked once per set of labels; most sites of a large fleet share theirs with many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement.domains import domain_of, rules_on
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from placement.search.shapes import DOMAINS
from sites.noun import Selector, matches
from sites.site import Site

Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grounds:
    """The sites of a fleet, in the order of their ids.

    Attributes:
        labelled: by site, which of `labels` it has.
        cut_off: by site, whether no wire leaves it.
        offers: ids of sites that serve others. offered: by offer, which of `selectors` it serves; -1 serves any.
        known: by kind of domain and site, whether the domain is known.
        tainted: ids of sites with taints, and the names of those.
    """

    problem: Problem
    sites: Sequence[Site]
    ids: dict[str, int]
    labelled: Ids
    labels: Sequence[dict[str, str]]
    cut_off: Bools
    offers: Ids
    offered: Ids
    selectors: Sequence[Selector]
    known: dict[str, Bools]
    tainted: Sequence[tuple[int, frozenset[str]]]

    @classmethod
    def of(cls, problem: Problem, sites: Sequence[Site]) -> Grounds:
        """Return the grounds of sites."""
        sets: dict[tuple[tuple[str, str], ...], int] = {}
        labelled = [sets.setdefault(tuple(sorted(s.metadata.labels.items())), len(sets)) for s in sites]
        cut_off = np.array([site.spec.connectivity.mode == "disconnected" for site in sites], dtype=np.bool_)
        serving = np.array([site.spec.serves != "own" for site in sites], dtype=np.bool_)
        offers = np.flatnonzero(serving & ~cut_off)
        selectors: dict[tuple[tuple[str, str], ...], int] = {}
        offered = [_serves(sites[index], selectors) for index in offers.tolist()]
        return cls(
            problem=problem,
            sites=sites,
            ids={site.name: index for index, site in enumerate(sites)},
            labelled=np.array(labelled, dtype=np.int64),
            labels=[dict(labels) for labels in sets],
            cut_off=cut_off,
            offers=offers,
            offered=np.array(offered, dtype=np.int64),
            selectors=[dict(selector) for selector in selectors],
            known={by: np.array([domain_of(s, by) is not None for s in sites], dtype=np.bool_) for by in DOMAINS},
            tainted=[
                (index, frozenset(taint.name for taint in site.spec.taints))
                for index, site in enumerate(sites)
                if site.spec.taints
            ],
        )

    def selected(self, selector: Selector) -> Bools:
        """Return by site whether a selector selects it."""
        by_labels = np.array([matches(selector, labels) for labels in self.labels], dtype=np.bool_)
        return by_labels[self.labelled] if len(by_labels) else np.zeros(0, np.bool_)

    def served(self) -> Ids:
        """Return by site a class of origins that the same offers serve."""
        if not self.selectors:
            return np.zeros(len(self.sites), np.int64)
        rows = np.array([[matches(selector, labels) for selector in self.selectors] for labels in self.labels])
        _, classes = np.unique(rows, axis=0, return_inverse=True)
        found: Ids = classes.reshape(-1)[self.labelled]
        return found

    def serving(self, origin: Site) -> Bools:
        """Return by offer whether it serves an origin."""
        chosen = [matches(selector, origin.metadata.labels) for selector in self.selectors]
        # The last stands for who serves any: its index is -1.
        return np.array([*chosen, True], dtype=np.bool_)[self.offered]

    def of_stage(self, pipeline: Pipeline, stage: Stage) -> Bools:
        """Return by site whether nothing but law, machines, service or declassifiers could keep a stage off it."""
        allowed = np.ones(len(self.sites), np.bool_)
        allowed[[index for index, taints in self.tainted if not taints.issubset(pipeline.spec.tolerates)]] = False
        if stage.knowledge is not None:
            allowed &= self.selected(self.problem.stores[stage.knowledge].spec.sites)
        if isinstance(stage.sites, dict):
            allowed &= self.selected(stage.sites)
        elif stage.sites is not None:
            allowed &= self.named(stage.sites)
        for _, by in rules_on(pipeline, stage.name):
            allowed &= self.known[by]
        return allowed

    def named(self, names: Sequence[str]) -> Bools:
        """Return by site whether it is among names."""
        found = np.zeros(len(self.sites), np.bool_)
        found[[self.ids[name] for name in names if name in self.ids]] = True
        return found


def _serves(site: Site, selectors: dict[tuple[tuple[str, str], ...], int]) -> int:
    serves: Any = site.spec.serves
    return -1 if serves == "any" else selectors.setdefault(tuple(sorted(serves.items())), len(selectors))
