"""Prints what each rule in force costs: a table for people, the same for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hybrid.cli.console import Output, emit, out, progress, table

if TYPE_CHECKING:
    from placement.plan import Plan
    from placement.prices import Priced
    from placement.problem import Problem

MOST_NAMES = 3


def show_prices(problem: Problem, plan: Plan, output: Output) -> None:
    """Work out and print the price of every rule, waiver and word of a fleet."""
    from placement.prices import prices

    done = 0
    with progress("pricing rules", total=1.0) as advance:

        def tick(index: int, of: int) -> None:
            nonlocal done
            advance((index - done) / of)
            done = index

        found = prices(problem, plan, tick)
    emit(output, {"currency": problem.currency, "rules": [_json(one) for one in found]}, lambda: _show(problem, found))


def _json(one: Priced) -> dict[str, Any]:
    return {
        "rule": one.rule, "kind": one.kind, "perMonth": one.per_month, "unplaced": list(one.unplaced),
        "degraded": list(one.degraded), "estimate": one.is_estimate,
    }  # fmt: skip


def _show(problem: Problem, found: list[Priced]) -> None:
    rules = [one for one in found if one.kind not in ("waiver", "word")]
    words = [one for one in found if one.kind in ("waiver", "word")]
    columns = ("rule", "of", f"{problem.currency}/month", "keeps unplaced", "keeps degraded")
    table("what each rule costs, for the same service", columns, _rows(one for one in rules if one.binds))
    if idle := [one.rule for one in rules if not one.binds]:
        out().print(f"without a price today: {', '.join(idle)}", markup=False)
    if words:
        columns = ("waiver or word", "of", f"saves {problem.currency}/month", "lets be placed", "lets be as declared")
        table("what each waiver and each word that no pack is needed saves", columns, _rows(words))
    if any(one.is_estimate for one in found):
        out().print(
            "~ is an estimate: some workloads asked alone, with the others where they are; waivers are not estimated",
            markup=False,
        )
    out().print("A price is told, not proposed: who answers for a rule decides about it.", markup=False)


def _rows(found: Iterator[Priced] | list[Priced]) -> Iterator[tuple[str, ...]]:
    for one in found:
        about = "~" if one.is_estimate else ""
        yield one.rule, one.kind, f"{about}{one.per_month:.2f}", _names(one.unplaced), _names(one.degraded)


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
