"""Ways to break a plan or the facts under it: each a function that changes one thing in place.

A path of keys and indices leads to what is changed; facts are those of the fleet in `tests.support.check_guarded`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.check import Shape, a_rule
from tests.support.check_guarded import DECLASSIFIER, INSTRUMENT, LYON, PIPELINE, POLICY

AT_LYON, AT_SHIP = "patient-message@clinic-lyon", "patient-message@ship"
Change = Callable[[Any], Any]


def at(shape: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        shape = shape[key]
    return shape


def put(*path: str | int, to: Any) -> Change:
    return lambda shape: at(shape, path[:-1]).__setitem__(path[-1], to)


def cut(*path: str | int) -> Change:
    return lambda shape: at(shape, path[:-1]).__delitem__(path[-1])


def add(*path: str | int, item: Any) -> Change:
    return lambda shape: at(shape, path).append(item)


def both(*changes: Change) -> Change:
    return lambda shape: [change(shape) for change in changes]


def found_in(plan: Shape, of: str, kind: str, name: str) -> Shape:
    workload = next(entry for entry in plan["workloads"] if entry["id"] == of)
    named = {"stages": lambda e: e["stage"], "flows": lambda e: f"{e['fromStage']}>{e['toStage']}"}[kind]
    return next(entry for entry in workload["assignments"][0][kind] if named(entry) == name)


def stage(name: str, of: str = AT_LYON, /, **changes: Any) -> Change:
    return lambda plan: found_in(plan, of, "stages", name).update(changes)


def flow(ends: str, of: str = AT_LYON, /, **changes: Any) -> Change:
    return lambda plan: found_in(plan, of, "flows", ends).update(changes)


def atom(name: str, data: str, **changes: Any) -> Change:
    """Change one atom of a stage's label; None takes the fact away."""

    def change(plan: Shape) -> None:
        entry = found_in(plan, AT_LYON, "stages", name)
        merged = [{**one, **(changes if one["data"] == data else {})} for one in entry["label"]]
        entry["label"] = [{key: value for key, value in one.items() if value is not None} for one in merged]

    return change


def drop(kind: str, name: str, of: str = AT_LYON) -> Change:
    def change(plan: Shape) -> None:
        workload = next(entry for entry in plan["workloads"] if entry["id"] == of)
        workload["assignments"][0][kind].remove(found_in(plan, of, kind, name))

    return change


def twice(kind: str, name: str, **changes: Any) -> Change:
    def change(plan: Shape) -> None:
        entries = plan["workloads"][0]["assignments"][0][kind]
        entries.append({**found_in(plan, AT_LYON, kind, name), **changes})

    return change


def order(*targets: Shape, of: str = "draft") -> Change:
    return put("workloads", 0, "fallbacks", to=[{"stage": of, "order": list(targets)}])


def rule(name: str = "new", effect: str = "require", **fields: Any) -> Change:
    return add(POLICY, "spec", "rules", item=a_rule(name, effect, **fields))


def party(file: str, role: str, /, **changes: Any) -> Change:
    def change(fleet: dict[str, Shape]) -> None:
        parties = fleet[file]["spec"]["parties"]
        merged = {**parties[role], **changes}
        parties[role] = {key: value for key, value in merged.items() if value is not None}

    return change


def registered(**changes: Any) -> Change:
    return put(POLICY, "spec", "declassifiers", to=[{**DECLASSIFIER, **changes}])


def approvers(*entries: Shape) -> Change:
    return put(POLICY, "spec", "approvers", to=list(entries))


def instrument(**changes: Any) -> Change:
    return put(POLICY, "spec", "instruments", to=[{**INSTRUMENT, **changes}])


def links(**changes: Any) -> Change:
    """Change the wire from Lyon to the relay; None takes a field away."""

    def change(fleet: dict[str, Shape]) -> None:
        wires = fleet[LYON]["spec"]["connectivity"]["links"]
        wires[0] = {key: value for key, value in {**wires[0], **changes}.items() if value is not None}

    return change


def stages(index: int, /, **changes: Any) -> Change:
    return lambda fleet: fleet[PIPELINE]["spec"]["stages"][index].update(changes)


def given(**changes: Any) -> Change:
    return lambda fleet: fleet[PIPELINE]["spec"]["input"].update(changes)


def trained(**declared: Any) -> Change:
    return put("models/assistant.yaml", "spec", "trainedOn", to=[{"law": ["FR"], **declared}])
