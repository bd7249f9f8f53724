"""The label of every stage of a pipeline at an origin: the checker's own least fixpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache

from placement.check.graph import INPUT, declared
from placement.check.logic import below
from placement.check.snapshot import Snapshot
from placement.pipeline import Pipeline, Stage
from sites.country import country_of
from sites.data import UNKNOWN_LABEL, Atom, Identifiability, Label
from sites.policy import Declassifier
from sites.site import Site

STRENGTH: dict[str | None, int] = {"anonymised": 0, "pseudonymised": 1, "identified": 2}


class Kept(tuple[Atom, ...]):
    """A label that is asked about often: its hash is worked out once."""

    @cached_property
    def _hash(self) -> int:
        return tuple.__hash__(self)

    def __hash__(self) -> int:
        """Return the hash of the tuple that it is."""
        return self._hash


@lru_cache(maxsize=65536)
def kept(label: Label) -> Label:
    """Return one and the same object for equal labels."""
    return Kept(label)


def join(labels: Iterable[Label]) -> Label:
    """Return the union: one atom per class, one set of laws, and nothing permitted that one part forbids.

    Where two atoms of one class meet, the stronger identifiability and the purposes of both remain.
    """
    atoms = [atom for label in labels for atom in label]
    law = _union(atom.law for atom in atoms)
    by_class: dict[str, list[Atom]] = {}
    for atom in atoms:
        by_class.setdefault(atom.data, []).append(atom)
    return tuple(_merged(data, by_class[data], law) for data in sorted(by_class))


def _union(laws: Iterable[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    found: set[str] = set()
    for law in laws:
        if law is None:
            return None
        found.update(law)
    return tuple(sorted(found))


def _merged(data: str, atoms: list[Atom], law: tuple[str, ...] | None) -> Atom:
    keys = sorted({key for atom in atoms for key in _keys(atom)})
    regimes = sorted({regime for atom in atoms for regime in atom.regimes})
    return Atom(
        data, law, _strongest(atoms), _common_purposes(atoms), "+".join(keys) if keys else None, tuple(regimes)
    )  # fmt: skip


def _strongest(atoms: list[Atom]) -> Identifiability | None:
    if any(atom.identifiability is None for atom in atoms):
        return None
    return max((atom.identifiability for atom in atoms), key=lambda value: STRENGTH[value])


def _common_purposes(atoms: list[Atom]) -> tuple[str, ...] | None:
    common: set[str] | None = None
    for atom in atoms:
        if atom.purposes is None:
            return None
        common = set(atom.purposes) if common is None else _narrower(common, atom.purposes)
    return tuple(sorted(common or ()))


def _narrower(a: Iterable[str], b: Iterable[str]) -> set[str]:
    """Return the purposes that both sides allow: of two on one branch the lower."""
    return {p if below(p, q) else q for p in a for q in b if below(p, q) or below(q, p)}


@lru_cache(maxsize=65536)
def within(recomputed: Label, planned: Label) -> bool:
    """Return whether a plan's label says at least what the recomputed one says, and each class once."""
    stated = {atom.data: atom for atom in planned}
    return len(stated) == len(planned) and all(
        atom.data in stated and _covered(atom, stated[atom.data]) for atom in recomputed
    )


def _covered(atom: Atom, stated: Atom) -> bool:
    law = stated.law is None or (atom.law is not None and set(atom.law) <= set(stated.law))
    purposes = stated.purposes is None or (
        atom.purposes is not None and all(any(below(p, q) for q in atom.purposes) for p in stated.purposes)
    )
    identified = stated.identifiability is None or (
        atom.identifiability is not None and STRENGTH[stated.identifiability] >= STRENGTH[atom.identifiability]
    )
    named = set(atom.regimes) <= set(stated.regimes) and _keys(atom) <= _keys(stated)
    return law and purposes and identified and named


def input_label(pipeline: Pipeline, origin: Site) -> Label:
    """Return the label of what enters: its classes under the origin's law and `input.law`."""
    declared_input = pipeline.spec.input
    if not declared_input.data:
        return UNKNOWN_LABEL
    place = origin.spec.location
    law = None if place is None else tuple(sorted({country_of(place), *declared_input.law}))
    purposes = declared_input.purposes
    return join(
        (Atom(
            data, law, declared_input.identifiability, None if purposes is None else tuple(sorted(set(purposes))),
            declared_input.key_ref, tuple(sorted(set(declared_input.regimes))),
        ),)
        for data in declared_input.data
    )  # fmt: skip


def own_label(stage: Stage, snapshot: Snapshot) -> Label:
    """Return what a stage adds by itself: what its models were trained on, and the knowledge it reads."""
    parts: list[Label] = []
    for model in snapshot.approved(stage):
        trained = model.spec.trained_on
        parts.append(UNKNOWN_LABEL if trained is None else join((Atom.declared(atom),) for atom in trained))
    if stage.knowledge is not None:
        store = snapshot.knowledge.get(stage.knowledge)
        parts.append(join((Atom.declared(atom),) for atom in store.spec.data) if store else UNKNOWN_LABEL)
    return join(parts)


@lru_cache(maxsize=65536)
def joined_with_keys(label: Label) -> Label:
    """Return each pseudonymised atom whose key also leads to an atom that is, or may be, identified: as identified."""
    found = []
    for atom in label:
        met = any(
            other.identifiability in (None, "identified") and _keys(other) & _keys(atom)
            for other in label
            if other is not atom
        )
        if atom.identifiability == "pseudonymised" and met:
            found.append(Atom(atom.data, atom.law, "identified", atom.purposes, atom.key_ref, atom.regimes))
    return kept(tuple(found))


def _keys(atom: Atom) -> set[str]:
    return set(atom.key_ref.split("+")) if atom.key_ref else set()


class Labels:
    """Labels of one pipeline at one origin; the raw label of a stage, and what a recipient gets of it."""

    def __init__(self, pipeline: Pipeline, origin: Site, snapshot: Snapshot, lowering: Lowering) -> None:
        self.stages = declared(pipeline.spec)
        self.lowering = lowering
        self._own = {name: own_label(stage, snapshot) for name, stage in self.stages.items()}
        self._raw: dict[str, Label] = dict.fromkeys(self.stages, ())
        self._raw[INPUT] = input_label(pipeline, origin)
        self._settle()
        self._kept = {name: kept(label or UNKNOWN_LABEL) for name, label in self._raw.items()}
        self._sent: dict[tuple[str, str], Label] = {}

    def of(self, stage: str) -> Label:
        """Return the raw label of a stage, or of the input; the unlabelled atom where nothing is known."""
        return self._kept[stage]

    def sent(self, stage: str, recipient: str) -> Label:
        """Return the label of the flow from a stage to a recipient: lowered where a declassifier says so."""
        if (stage, recipient) not in self._sent:
            lowered = self.lowering.lowered(stage, recipient, self._raw[stage])
            self._sent[stage, recipient] = kept(lowered or UNKNOWN_LABEL)
        return self._sent[stage, recipient]

    def _settle(self) -> None:
        changed = True
        while changed:
            changed = False
            for name, stage in self.stages.items():
                parts = [self.lowering.lowered(source, name, self._raw[source]) for source in self._senders(stage)]
                parts += [self._raw[fallback] for fallback in stage.fallback]
                label = join([self._own[name], self._raw[name], *parts])
                changed = changed or label != self._raw[name]
                self._raw[name] = label

    def _senders(self, stage: Stage) -> Iterator[str]:
        """Yield who may send to a stage: a fallback that takes a declassifier's place lowers nothing itself."""
        for source in stage.after or (INPUT,):
            yield source
            if source in self.stages:
                yield from self.stages[source].fallback


class Lowering:
    """The registered declassifiers that are in force for a pipeline, by stage."""

    def __init__(self, registered: Mapping[str, Declassifier]) -> None:
        self.registered = registered

    def lowered(self, stage: str, recipient: str, raw: Label) -> Label:
        """Return the label after the stage's declassifier, for a recipient that it names; otherwise the raw one."""
        entry = self.registered.get(stage)
        if entry is None or recipient not in entry.recipients or not raw:
            return raw
        kept = tuple(atom for atom in raw if not any(_names(atom, Atom.declared(a)) for a in entry.from_atoms))
        if len(kept) == len(raw):
            return raw
        return join([kept, *((Atom.declared(atom),) for atom in entry.to_atoms)])


def _names(atom: Atom, pattern: Atom) -> bool:
    """Return whether an atom is what a declassifier is registered for: the class, and every fact that it states."""
    return (
        atom.data == pattern.data
        and (pattern.law is None or (atom.law is not None and set(atom.law) <= set(pattern.law)))
        and pattern.identifiability in (None, atom.identifiability)
        and (pattern.purposes is None or atom.purposes == pattern.purposes)
        and set(atom.regimes) <= set(pattern.regimes)
    )
