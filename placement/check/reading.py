"""Makes nouns of what a plan says of its workloads: what repeats is made once, and compared by identity from then on.

A plan repeats whole workloads, too: one pipeline does the same at a thousand origins. So the text of a workload with a
mark in the place of its origin's name, and without the two numbers that each has for itself, is looked up by its digest
before it is parsed. That is safe where the origin's name means nothing else in a plan: `words` are those that do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection
from itertools import pairwise
from operator import itemgetter
from typing import TypeVar

from placement.check.document import (
    FailedEntry,
    FlowKind,
    Outline,
    Part,
    Said,
    StageKind,
    TargetKind,
    WorkloadEntry,
    label_of,
)  # fmt: skip
from placement.check.graph import ANSWER, INPUT
from placement.check.recent import Recent
from placement.check.schema import (
    Entry,
    FailureText,
    FlowText,
    LabelText,
    RulesText,
    StageText,
    TargetText,
    WorkloadText,
    read,
)  # fmt: skip
from placement.check.source import WORKLOAD, Raw, Texts
from placement.errors import PlacementError
from sites.data import Label

T = TypeVar("T")

_STAGE = itemgetter("stage", "site", "label", "rules")
_FLOW = itemgetter("fromStage", "toStage", "bytes", "rate", "label", "verdict", "rules", "from", "to", "route")
_NUMBERS = frozenset((int, float))
_LITERALS = frozenset(("primary", "fallback", "placed", "degraded", "permit", "impossible", "crowded", INPUT, ANSWER))
_NUMBER = rb"(-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)"
_OWN = re.compile(
    rb'"costPerHour":' + _NUMBER + rb',"fallbacks":.*,"id":"([^"\\]+)".*,'
    rb'"latency_ms":\{"limit":[^,{}]*,"modelled":' + _NUMBER + rb'\},"origin":"([^"\\]+)"',
    re.DOTALL,
)
"""What each workload has for itself: its cost, id, latency and origin."""


MOST_OUTLINES = 4096
"""So many assignments are remembered at a time, at least, to be recognised when they come again."""


class Reader:
    """Reads workloads and failures.

    Args:
        texts: what the marks of a source stand for.
        words: every word that manifests use for something else than a site.
    """

    def __init__(self, texts: Texts, words: Collection[str]) -> None:
        self._texts, self._words = texts, _LITERALS.union(words)
        self._stages: dict[tuple[Raw, ...], StageKind] = {}
        self._flows: dict[tuple[Raw, ...], FlowKind] = {}
        self._targets: dict[tuple[Raw, ...], TargetKind] = {}
        self._labels: dict[str, Label] = {}
        self._cited: dict[str, tuple[str, ...]] = {}
        self._outlines: Recent[tuple[Raw, ...], Outline] = Recent(MOST_OUTLINES)
        self._said: Recent[bytes, Said] = Recent(MOST_OUTLINES)

    def workload(self, found: bytes | Raw) -> WorkloadEntry:
        """Return a workload of its text or its fields. Raises PlacementError naming the first field that is wrong."""
        if not isinstance(found, bytes):
            return self._read(self._workload, found, WorkloadText, "workloads")
        own = _OWN.search(found, max(found.rfind(b'"costPerHour":'), 0))
        if own is None or (origin := own[4].decode()) in self._words or b'"%b":' % own[4] in found:
            return self._read(self._workload, self._texts.parse(WORKLOAD + found + b"}"), WorkloadText, "workloads")
        ours, mark = own[4], self._texts.secret.encode()
        text = b"%b,%b,%b" % (found[: own.start(1)], found[own.end(1) : own.start(3)], found[own.end(3) :])
        text = text.replace(b'"%b"' % ours, b'"%b"' % mark).replace(b'@%b"' % ours, b'@%b"' % mark)
        digest = hashlib.sha256(text).digest()
        said = self._said.get(digest)
        if said is None:
            raw = self._texts.parse(WORKLOAD + found + b"}")
            entry = self._read(self._workload, raw, WorkloadText, "workloads")
            own_numbers = (entry.id, entry.origin, entry.modelled, entry.cost_per_hour)
            if own_numbers != (own[2].decode(), origin, float(own[3]), float(own[1])):
                return entry  # what was found in the text is not what the parser found
            said = self._said.put(digest, entry.said)
        return WorkloadEntry(own[2].decode(), origin, said, float(own[3]), float(own[1]))

    def failure(self, raw: Raw) -> tuple[str, tuple[FailedEntry, ...]]:
        """Return what is lost and where workloads then run. Raises PlacementError as `workload` does."""
        return self._read(self._failure, raw, FailureText, "failures")

    def _read(self, make: Callable[[Raw], T], raw: Raw, shape: type[Entry], where: str) -> T:
        try:
            return make(raw)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
            read(shape, self._in_full(raw), where)
        raise PlacementError(f"{where}: nonsense", advice="write the plan again with `hybrid plan`")

    def _workload(self, raw: Raw) -> WorkloadEntry:
        latency, cost, origin = raw["latency_ms"], raw.get("costPerHour"), raw["origin"]
        limit = latency.get("limit")
        said = Said(
            raw["pipeline"], raw["tenant"], raw["rate"], raw["status"], limit, raw.get("kind"),
            tuple(map(tuple, raw.get("causes", ()))), self._parts(raw, origin),
        )  # fmt: skip
        entry = WorkloadEntry(raw["id"], origin, said, latency["modelled"], cost)
        "".join((entry.id, origin, said.pipeline, said.tenant, said.kind or ""))
        "".join(cause for causes in said.causes for cause in causes)
        if not said.parts or said.status not in ("placed", "degraded"):
            raise ValueError
        _numbers(said.rate, entry.modelled, 0 if limit is None else limit, 0 if cost is None else cost)
        return entry

    def _failure(self, raw: Raw) -> tuple[str, tuple[FailedEntry, ...]]:
        "".join((raw["lost"], *(one["id"] for one in raw["workloads"])))
        moved = (FailedEntry(one["id"], self._parts(one, one["id"].rpartition("@")[2])) for one in raw["workloads"])
        return raw["lost"], tuple(moved)

    def _parts(self, raw: Raw, origin: str) -> tuple[Part, ...]:
        """Return the assignments of a workload, each with its fallback orders: those of the first unless they say."""
        orders: dict[int, dict[str, Raw]] = {}
        for order in raw.get("fallbacks", ()):
            own = orders.setdefault(order.get("assignment", 0), {})
            if own.setdefault(order["stage"], order["order"]) is not order["order"]:
                raise PlacementError(f"fallbacks of {raw['id']}: two orders of one stage", advice="plan again")
        parts = [self._part(one, origin, list(orders.pop(at, {}).items())) for at, one in enumerate(raw["assignments"])]
        if orders:
            raise PlacementError(f"fallbacks of {raw['id']}: of an assignment that is none", advice="plan again")
        return tuple(parts)

    def _part(self, raw: Raw, origin: str, orders: list[tuple[str, Raw]]) -> Part:
        places = {origin: 0}
        fraction = raw["fraction"]
        stages = tuple([self._stage(stage, places) for stage in raw["stages"]])
        flows = tuple([self._flow(flow, places) for flow in raw["flows"]])
        chosen = tuple([(name, tuple([self._target(one, places) for one in order])) for name, order in orders])
        "".join(places)
        key = (fraction, stages, flows, chosen)
        outline = self._outlines.get(key)
        if outline is None:
            _numbers(fraction)
            if not 0 <= fraction <= 1:
                raise ValueError
            hops = dict.fromkeys(hop for *_, route in flows for hop in pairwise(route))
            named = [(place, kind.hardware) for kind, place in stages]
            named += [(place, kind.hardware) for _, order in chosen for kind, place in order if place is not None]
            machines = dict.fromkeys((place, hardware) for place, hardware in named if hardware is not None)
            outline = self._outlines.put(key, Outline(fraction, stages, flows, chosen, tuple(hops), tuple(machines)))
        return Part(outline, tuple(places)[1:])

    def _stage(self, raw: Raw, places: dict[str, int]) -> tuple[StageKind, int]:
        stage, site, label, rules = _STAGE(raw)
        get = raw.get
        key = (
            stage, get("model"), get("variant"), get("hardware"), get("partition"), _token(label), _token(rules)
        )  # fmt: skip
        kind = self._stages.get(key)
        if kind is None:
            text = read(StageText, {**raw, "label": (), "rules": ()})
            kind = self._stages[key] = StageKind(
                text.stage, text.model, text.variant, text.hardware, self._label(label), self._rules(rules),
                text.partition,
            )  # fmt: skip
        return kind, places.setdefault(site, len(places))

    def _flow(self, raw: Raw, places: dict[str, int]) -> tuple[FlowKind, int, int, tuple[int, ...]]:
        sender, receiver, size, rate, label, verdict, rules, source, target, route = _FLOW(raw)
        key = (sender, receiver, size, rate, verdict, raw.get("role"), _token(label), _token(rules))
        kind = self._flows.get(key)
        if kind is None:
            text = read(FlowText, {**raw, "label": (), "rules": ()})
            kind = self._flows[key] = FlowKind(
                text.from_stage, text.to_stage, text.role, text.size, text.rate, self._label(label), text.verdict,
                self._rules(rules),
            )  # fmt: skip
        number = places.setdefault
        return (
            kind, number(source, len(places)), number(target, len(places)),
            tuple([number(site, len(places)) for site in route]),
        )  # fmt: skip

    def _label(self, found: Raw) -> Label:
        token = _token(found)
        if token not in self._labels:
            text = read(LabelText, {"label": self._texts.parsed.get(token, found)})
            self._labels[token] = label_of(text.label)
        return self._labels[token]

    def _rules(self, found: Raw) -> tuple[str, ...]:
        token = _token(found)
        if token not in self._cited:
            self._cited[token] = read(RulesText, {"rules": self._texts.parsed.get(token, found)}).rules
        return self._cited[token]

    def _target(self, raw: Raw, places: dict[str, int]) -> tuple[TargetKind, int | None]:
        get = raw.get
        queue = get("queue")
        where = get("site") if queue is None else queue
        key = (get("stage"), get("model"), get("variant"), get("hardware"), queue is not None)
        kind = self._targets.get(key)
        if kind is None:
            text = read(TargetText, raw)
            kind = self._targets[key] = TargetKind(
                text.stage, text.model, text.variant, text.hardware, queue is not None
            )  # fmt: skip
        return kind, None if where is None else places.setdefault(where, len(places))

    def _in_full(self, raw: Raw) -> Raw:
        """Return a value with the texts themselves in place of their marks."""
        texts = self._texts.parsed
        if isinstance(raw, dict):
            return {
                key: texts[value]
                if key in ("label", "rules") and isinstance(value, str) and value in texts
                else self._in_full(value)
                for key, value in raw.items()
            }
        return [self._in_full(item) for item in raw] if isinstance(raw, list) else raw


def _token(value: Raw) -> str:
    """Return what tells one label, or one list of rules, from another: its mark, or its own text."""
    return value if type(value) is str else json.dumps(value, sort_keys=True)


def _numbers(*found: Raw) -> None:
    """Raise ValueError unless all are finite numbers."""
    for value in found:
        if type(value) not in _NUMBERS or value - value != 0:
            raise ValueError
