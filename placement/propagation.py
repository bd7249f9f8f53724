"""Labels along the graph: what the output of each stage is, given where the data was born and what the stage read.

A label is fixed per (pipeline, origin, stage), whatever variant or fallback later serves: the labels of all it
receives, what every approved model it names was trained on, every fallback, and the knowledge it reads. It falls only
at a registered declassifier. (design/residency.md, "Labels")
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from placement.catalogue import Model
from placement.graph import INPUT
from placement.knowledge import Knowledge
from placement.pipeline import Input, Pipeline, Stage
from sites.country import country_of
from sites.data import UNKNOWN_LABEL, Atom, DeclaredAtom, Label, is_or_descends, join, label_of
from sites.policy import Approver, Declassifier, Policy
from sites.question import Window
from sites.site import Site


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one pipeline at one origin.

    Attributes:
        stages: raw label by stage or fallback; `input` is among them.
        lowered: the label of flows from a declassifying stage to a named recipient.
        confined: sites at which a declassifying stage may run, by stage.
    """

    stages: Mapping[str, Label]
    lowered: Mapping[tuple[str, str], Label]
    confined: Mapping[str, tuple[str, ...]]

    def flow(self, source: str, target: str) -> Label:
        """Return the label of what `source` sends to `target`."""
        return self.lowered.get((source, target), self.stages[source])


def propagate(
    pipeline: Pipeline,
    origin: Site,
    models: Mapping[str, Model],
    stores: Mapping[str, Knowledge],
    policy: Policy,
    window: Window,
) -> Labels:
    """Return the least fixpoint of the labels of every stage and fallback."""
    stages = {stage.name: stage for stage in (*pipeline.spec.stages, *pipeline.spec.fallbacks)}
    own = {name: _contribution(stage, models, stores) for name, stage in stages.items()}
    gates = {name: gate for name in stages if (gate := _gate(stages[name], models, policy, window)) is not None}
    labels: dict[str, Label] = dict.fromkeys(stages, ())
    labels[INPUT] = input_label(pipeline.spec.input, origin)
    changed = True
    while changed:
        changed = False
        for name, stage in stages.items():
            label = _joined(labels[name], own[name], *_received(stage, stages, labels, gates))
            changed, labels[name] = changed or label != labels[name], label
    return Labels(labels, _lowered(labels, gates), {name: gate.sites for name, gate in gates.items()})


def input_label(given: Input, origin: Site) -> Label:
    """Return the label of a pipeline's input: its law is the origin's country and what the input adds."""
    if not given.data:
        return UNKNOWN_LABEL
    place = origin.spec.location
    law = None if place is None else tuple(sorted({country_of(place), *given.law}))
    purposes = None if given.purposes is None else tuple(sorted(set(given.purposes)))
    regimes = tuple(sorted(set(given.regimes)))
    return join((Atom(data, law, given.identifiability, purposes, given.key_ref, regimes),) for data in given.data)


def approved(stage: Stage, models: Mapping[str, Model]) -> tuple[Model, ...]:
    """Return the models that a stage names and somebody approved."""
    return tuple(models[name] for name in stage.models if models[name].spec.state == "approved")


def _contribution(stage: Stage, models: Mapping[str, Model], stores: Mapping[str, Knowledge]) -> Label:
    """Return what a stage adds by itself; one that receives nothing and adds nothing is unlabelled."""
    trained = [label_of(model.spec.trained_on) for model in approved(stage, models)]
    read = [label_of(stores[stage.knowledge].spec.data)] if stage.knowledge is not None else []
    return _joined(*trained, *read) or (() if stage.after else UNKNOWN_LABEL)


def _joined(*labels: Label) -> Label:
    """Return the join, or nothing while the fixpoint has nothing to join: only what stays empty is unlabelled."""
    return join(labels) if any(labels) else ()


def _received(
    stage: Stage, stages: Mapping[str, Stage], labels: Mapping[str, Label], gates: Mapping[str, Declassifier]
) -> list[Label]:
    """Return the labels of all that may reach a stage; a fallback may send in place of what it stands in for."""
    senders = [name for named in stage.after for name in (named, *(stages[named].fallback if named != INPUT else ()))]
    return [_sent(name, stage.name, labels, gates) for name in senders] + [labels[name] for name in stage.fallback]


def _sent(source: str, target: str, labels: Mapping[str, Label], gates: Mapping[str, Declassifier]) -> Label:
    gate = gates.get(source)
    return lowered(labels[source], gate) if gate is not None and target in gate.recipients else labels[source]


def _lowered(labels: Mapping[str, Label], gates: Mapping[str, Declassifier]) -> dict[tuple[str, str], Label]:
    return {(name, to): lowered(labels[name], gate) for name, gate in gates.items() for to in gate.recipients}


def _gate(stage: Stage, models: Mapping[str, Model], policy: Policy, window: Window) -> Declassifier | None:
    """Return a stage's declassifier; one that is not as registered, or that nobody may approve, lowers nothing."""
    usable = approved(stage, models)
    for gate in policy.spec.declassifiers:
        if gate.stage != stage.name or stage.owner is None or _plain(gate.approver) == _plain(stage.owner):
            continue
        if len(usable) != 1 or usable[0].spec.source.digest != gate.digest or not _runs_with(stage, gate):
            continue
        if gate.until >= window.until and _has_authority(gate, policy.spec.approvers, window):
            return gate
    return None


def _runs_with(stage: Stage, gate: Declassifier) -> bool:
    """Return whether a stage's parameters are those registered; to Python `1` equals `True`, to a model it may not."""
    given, registered = stage.parameters, gate.parameters
    return given == registered and all(type(given[key]) is type(registered[key]) for key in given)


def _has_authority(gate: Declassifier, approvers: tuple[Approver, ...] | None, window: Window) -> bool:
    """Return whether the approver may approve that every atom named falls, all the window long; None: nobody says who.

    Authority over a class is authority over what lies below it.
    """
    if approvers is None:
        return True
    own = [
        approver.data
        for approver in approvers
        if _plain(approver.name) == _plain(gate.approver)
        and approver.since <= window.since
        and window.until <= approver.until
    ]
    return all(any(is_or_descends(atom.data, data) for data in own) for atom in gate.from_atoms)


def _plain(person: str) -> str:
    """Return a name as people hear it: case, width and blanks make nobody another person."""
    return " ".join(unicodedata.normalize("NFKC", person).casefold().split())


def lowered(label: Label, gate: Declassifier) -> Label:
    """Return a label after a declassifier: the atoms it names are gone, its own stand in their place."""
    kept = tuple(atom for atom in label if not any(_covers(of, atom) for of in gate.from_atoms))
    if len(kept) == len(label):
        return label
    return join((kept, label_of(gate.to_atoms)))


def _covers(declared: DeclaredAtom, atom: Atom) -> bool:
    """Return whether a declassifier was approved for an atom: every fact that it names must be the atom's own.

    For its class alone: what lies below (genetic data below health data) may need more than was looked at.
    """
    if atom.data != declared.data:
        return False
    if declared.purposes is not None and atom.purposes != tuple(sorted(set(declared.purposes))):
        return False
    laws = declared.law is None or (atom.law is not None and set(atom.law) <= set(declared.law))
    kind = declared.identifiability is None or atom.identifiability == declared.identifiability
    return laws and kind and set(atom.regimes) <= set(declared.regimes)
