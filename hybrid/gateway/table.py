"""The decision table of one site: atom × origin × stage to ordered targets, each with its verdict, and never changed.

`compilation.compile_table` writes it from a plan and its fleet; the site plan carries it; `Table` answers from it. A
verdict stands per atom: it is that of the planned label with this atom added. So a request whose label has more atoms
than its pipeline's is decided by the same look-up, the worst verdict counting. What was not decided is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ValidationError

from hybrid.errors import EvidenceError
from sites.data import UNLABELLED, is_or_descends
from sites.noun import AsTuple, Noun, Strings

WHOLE = 1_000_000
"""An assignment's share is a whole number of millionths."""

UNDECIDED = -1
MOST_JOINS = 65_536
Numbers = Annotated[tuple[int, ...], AsTuple]
AtomIds = frozenset[int]


class Decision(Noun):
    """A verdict with the rules that gave it."""

    verdict: Literal["permit", "undetermined", "deny"]
    rules: Strings

    @property
    def permitted(self) -> bool:
        """Return whether this permits; undetermined does not."""
        return self.verdict == "permit"


NOT_DECIDED = Decision(verdict="undetermined", rules=("residency:table/unknown-atom",))


class AtomEntry(Noun):
    """An atom as the plan writes it."""

    data: str
    law: Strings | None = None
    identifiability: str | None = None
    purposes: Strings | None = None
    key_ref: str | None = None
    regimes: Strings | None = None


class Target(Noun):
    """One place and way to serve a stage, in the order fixed by the plan.

    `stage` is the stage that runs (a declared fallback has its own name); `queue` targets only take work in.
    `decisions[atom]` is an index into the table's decisions, or -1.
    """

    site: str
    stage: str
    task: str
    model: str | None = None
    variant: str | None = None
    knowledge: str | None = None
    after: Strings
    role: Literal["primary", "fallback", "queue"]
    decisions: Numbers


class StageEntry(Noun):
    """A stage of an assignment: what its output is labelled, whether it is an answer, who may serve it."""

    label: Numbers
    answer: bool
    targets: Annotated[tuple[Target, ...], AsTuple]


class FlowEntry(Noun):
    """A flow between two sites: the output of `from_stage`, labelled `label`, for `to_stage`; with its verdicts."""

    from_stage: str
    to_stage: str
    from_site: str
    to_site: str
    role: Literal["primary", "fallback"]
    route: Strings
    label: Numbers
    decisions: Numbers

    @property
    def key(self) -> FlowKey:
        """Return what identifies the flow within its assignment."""
        return FlowKey(self.from_stage, self.to_stage, self.from_site, self.to_site)


class FlowKey(NamedTuple):
    """A flow without its verdict."""

    from_stage: str
    to_stage: str
    from_site: str
    to_site: str


class Assignment(Noun):
    """One whole assignment of a workload; `share` in millionths."""

    share: int
    stages: dict[str, StageEntry]
    flows: Annotated[tuple[FlowEntry, ...], AsTuple]

    def flow(self, key: FlowKey) -> FlowEntry | None:
        """Return the flow, None when the plan has none such."""
        return next((flow for flow in self.flows if flow.key == key), None)


class Workload(Noun):
    """A pipeline at an origin, as this site may serve it; `known` are the atoms that were decided for this origin.

    `latency` is the pipeline's limit in microseconds, None where it has none.
    """

    pipeline: str
    origin: str
    tenant: str
    status: Literal["placed", "degraded", "unplaced"]
    input_label: Numbers
    known: Numbers
    purposes: Strings = ()
    latency: int | None = None
    assignments: Annotated[tuple[Assignment, ...], AsTuple]
    causes: Strings = ()


class Store(Noun):
    """A Knowledge that a stage reads at this site, with the embedder that the plan chose and the store's own label."""

    model: str
    variant: str
    label: Numbers


class TableFile(Noun):
    """The table as the site plan carries it; it holds from `since` to `until`, both days included."""

    version: Literal[1]
    site: str
    since: str
    until: str
    atoms: Annotated[tuple[AtomEntry, ...], AsTuple]
    decisions: Annotated[tuple[Decision, ...], AsTuple]
    workloads: dict[str, Workload]
    stores: dict[str, Store] = {}


class Table:
    """Answers from a verified table; holds no state but the joins it has already made."""

    def __init__(self, file: TableFile) -> None:
        """Index `file` by atom."""
        self.file = file
        self.site = file.site
        self.workloads: Mapping[str, Workload] = file.workloads
        self._joined: dict[tuple[tuple[int, ...], AtomIds], Decision] = {}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Table:
        """Read the table of a verified site plan. Raises EvidenceError when it is no table that we know."""
        try:
            return cls(TableFile.model_validate(table))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise EvidenceError(
                f"the site plan's table is not of a form that this gateway knows: {where}: {first['msg']}",
                advice="build the bundle with the same version of hybrid that the site runs",
            ) from None

    def holds_on(self, day: dt.date) -> bool:
        """Return whether the verdicts were made for this day; on any other nothing is permitted."""
        return self.file.since <= day.isoformat() <= self.file.until

    def decide(self, decisions: tuple[int, ...], label: AtomIds) -> Decision:
        """Join the decisions of every atom of `label`: the worst verdict, with the rules that gave it."""
        found = self._joined.get((decisions, label))
        if found is None:
            if len(self._joined) >= MOST_JOINS:
                self._joined.clear()
            found = joined(self._decision(decisions, atom) for atom in sorted(label))
            self._joined[decisions, label] = found
        return found

    def _decision(self, decisions: tuple[int, ...], atom: int) -> Decision:
        if not 0 <= atom < len(decisions) or decisions[atom] == UNDECIDED:
            return NOT_DECIDED
        return self.file.decisions[decisions[atom]]

    def floor(self, data: str, workload: Workload) -> AtomIds:
        """Return what a floor of this data class adds: every atom of the class or below; unknown is unlabelled."""
        found = [i for i in workload.known if is_or_descends(self.file.atoms[i].data, data)]
        return frozenset(found or [self.atom(AtomEntry(data=UNLABELLED))])

    def atom(self, atom: AtomEntry) -> int:
        """Return the number of an atom; one that the table does not know gets a number that nothing permits."""
        try:
            return self.file.atoms.index(atom)
        except ValueError:
            return len(self.file.atoms)

    def label_json(self, label: Iterable[int]) -> list[dict[str, Any]]:
        """Return the atoms of a label as the plan writes them."""
        atoms = [self.file.atoms[i] for i in sorted(label) if i < len(self.file.atoms)]
        return [atom.model_dump(mode="json", by_alias=True, exclude_none=True) for atom in atoms]


def joined(decisions: Iterable[Decision]) -> Decision:
    """Return the worst of `decisions`: a permit cites all rules, a refusal those of its verdict alone."""
    found = list(decisions)
    if not found:
        return NOT_DECIDED
    worst = max(found, key=lambda decision: SEVERITY[decision.verdict]).verdict
    rules = {rule for decision in found if decision.verdict == worst for rule in decision.rules}
    return Decision(verdict=worst, rules=tuple(sorted(rules)))


SEVERITY = {"permit": 0, "undetermined": 1, "deny": 2}
