"""What a check found: each finding with its number or code, what was expected, and what the plan says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is not so.

    Attributes:
        code: `invariant/N`, or `plan/…` where the plan contradicts its own numbers or the manifests.
        workload: its id; empty when it concerns the whole plan, a site or a pool.
        subject: the stage, flow (`from>to`), pool, link or field.
        expected: what ought to be.
        found: what the plan says, or what the evaluator answered.
    """

    code: str
    workload: str
    subject: str
    expected: str
    found: str

    @property
    def invariant(self) -> int | None:
        """Return the number of the broken invariant; None for a contradiction within the plan."""
        kind, _, number = self.code.partition("/")
        return int(number) if kind == "invariant" else None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as `--output json` prints it."""
        return {
            "code": self.code, "invariant": self.invariant, "workload": self.workload, "subject": self.subject,
            "expected": self.expected, "found": self.found,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of a check; a plan with no findings holds as far as `checked` reaches.

    Attributes:
        checked: numbers of the invariants that were checked in full.
        not_checked: number to the field that is missing; these are not passes.
        notes: what is no fault, and what whoever reads the plan may want to know.
    """

    findings: tuple[Finding, ...]
    checked: tuple[int, ...]
    not_checked: Mapping[int, str]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Return whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return the result as `--output json` prints it."""
        return {
            "passed": self.passed,
            "findings": [finding.to_json() for finding in self.findings],
            "checked": list(self.checked),
            "notChecked": {str(number): reason for number, reason in sorted(self.not_checked.items())},
            "notes": list(self.notes),
        }
