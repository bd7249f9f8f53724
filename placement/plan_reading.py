"""Reads plan.json, a large one in parts, and refuses one whose inputs have changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from placement.errors import PlacementError
from placement.plan import Plan, WorkloadPlan, adapter
from sites.collecting import no_collections

MOST_BYTES = 2**32
"""A larger file is no plan."""

LARGE, PART = 2**22, 2**20
"""A plan of so many bytes is read in parts of so many."""

WORKLOADS, NEXT = b'"workloads":[', b',{"assignments":['
"""The bytes with which the last member of a plan, and every workload but the first, begin."""


def read_plan(path: Path) -> Plan:
    """Return the plan in a file. Raises PlacementError when it is not one, OSError when it cannot be read."""
    if path.stat().st_size > MOST_BYTES:
        raise PlacementError(f"{path}: larger than any plan", advice="give the file that `hybrid plan -o` wrote")
    return parse_plan(path.read_bytes(), str(path))


def parse_plan(data: bytes, name: str = "plan") -> Plan:
    """Return the plan that bytes hold. Raises PlacementError naming the first field that is wrong."""
    try:
        with no_collections():
            return _in_parts(data) or adapter().validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise PlacementError(
            f"{name}: this is no plan: {where}: {first['msg']}", advice="write it anew with `hybrid plan FLEET -o`"
        ) from None


def _in_parts(data: bytes) -> Plan | None:
    """Return a plan whose workloads are read some at a time; None when it is small, wrong, or not as we write it.

    A whole large document would be held in a form many times its size. `"` is escaped within strings, so these bytes
    stand nowhere but where a list of workloads, or one of them, begins; and a cut anywhere else leaves no JSON.
    """
    begin = data.rfind(WORKLOADS)
    if len(data) < LARGE or begin < 0:
        return None
    begin += len(WORKLOADS)
    end = data.rfind(b"]}")
    workloads: list[WorkloadPlan] = []
    try:
        plan = adapter().validate_json(data[:begin] + data[end:])
        while begin < end:
            cut = data.find(NEXT, begin + PART, end)
            stop = end if cut < 0 else cut
            workloads += _workloads().validate_json(b"[" + data[begin:stop] + b"]")
            begin = stop + 1
    except ValidationError:
        return None
    return replace(plan, workloads=tuple(workloads))


def check_fresh(plan: Plan, digests: Mapping[str, str]) -> None:
    """Raise PlacementError naming each input of a plan that is no longer what it was.

    The checker that a plan binds is not compared: another one may judge the plan, and says so.
    """
    inputs = {name: digest for name, digest in plan.inputs.items() if name != "checker"}
    changed = [
        f"{name}: {'changed' if name in inputs and name in digests else 'added' if name in digests else 'removed'}"
        for name in sorted({*inputs, *digests})
        if inputs.get(name) != digests.get(name)
    ]
    if changed:
        raise PlacementError(
            f"the plan is stale; since it was made, {'; '.join(changed)}", advice="plan again: hybrid plan FLEET -o …"
        )


@cache
def _workloads() -> TypeAdapter[tuple[WorkloadPlan, ...]]:
    return TypeAdapter(tuple[WorkloadPlan, ...])
