"""The verdicts of the example fleet as a table that a person can read line by line.

Written anew with `python -m tests.support.verdict_table`; what differs is then reviewed by hand against
design/residency.md before it is committed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from placement.problem import Problem, read_problem
from placement.propagation import Labels, propagate
from placement.rulings import Rulings
from sites.data import Label
from sites.verdict import Outcome, Verdict

CLINICS = Path(__file__).parents[2] / "sites" / "examples" / "clinics"
GOLDEN = Path(__file__).parents[1] / "sites" / "clinics-verdicts.txt"
SINCE, UNTIL = dt.date(2026, 12, 1), dt.date(2027, 2, 28)
SAID = {Outcome.permit: "permit", Outcome.undetermined: "unknown", Outcome.deny: "DENY"}


def table(problem: Problem) -> str:
    """Return the verdict of every stage and fallback at every site, then of every wire, with the rules."""
    lines = [f"Verdicts of the clinics from {problem.window.since} to {problem.window.until}.", ""]
    rulings = Rulings(problem)
    for pipeline in problem.pipelines.values():
        for origin in problem.origins(pipeline):
            policy = problem.policies[pipeline.metadata.tenant]
            labels = propagate(pipeline, origin, problem.models, problem.stores, policy, problem.window)
            lines += [
                f"{pipeline.name} @ {origin.name}",
                *_stages(problem, rulings, pipeline.name, origin.name, labels),
            ]
            lines += [*_wires(problem, rulings, origin.name, labels.stages["input"]), ""]
    return "\n".join(lines)


def _stages(problem: Problem, rulings: Rulings, pipeline: str, origin: str, labels: Labels) -> Iterator[str]:
    spec, born = problem.pipelines[pipeline].spec, problem.sites[origin]
    for stage in (*spec.stages, *spec.fallbacks):
        label = labels.stages[stage.name]
        yield f"  {stage.name}  [{' + '.join(map(_atom, label))}]"
        failover = stage in spec.fallbacks
        asked = {
            site.name: rulings.stage(problem.pipelines[pipeline], stage, label, site, born, failover=failover)
            for site in problem.sites.values()
        }
        yield from _grouped(asked)


def _wires(problem: Problem, rulings: Rulings, origin: str, label: Label) -> Iterator[str]:
    yield f"  wires for the input  [{' + '.join(map(_atom, label))}]"
    asked = {
        f"{site.name}--{link.to}": rulings.hop("default", label, link, site.name, link.to, problem.sites[origin])
        for site in problem.sites.values()
        for link in site.spec.connectivity.links
    }
    yield from _grouped(asked)


def _grouped(asked: dict[str, Verdict]) -> Iterator[str]:
    """Yield one line per verdict, with everything that shares it."""
    verdicts = dict.fromkeys((verdict.outcome, verdict.rules) for verdict in asked.values())
    for outcome, rules in sorted(verdicts, key=lambda said: (list(Outcome).index(said[0]), said[1])):
        names = [name for name, verdict in asked.items() if (verdict.outcome, verdict.rules) == (outcome, rules)]
        yield f"    {SAID[outcome]:<8}{' '.join(sorted(names))}"
        yield f"            by {', '.join(rules)}"


def _atom(atom: object) -> str:
    data, law = getattr(atom, "data"), getattr(atom, "law")  # noqa: B009
    return f"{data} of {'?' if law is None else '+'.join(law)}"


def main() -> None:
    """Write the golden file from the example as it is now."""
    GOLDEN.write_text(table(read_problem(CLINICS, SINCE, UNTIL)), encoding="utf-8")


if __name__ == "__main__":
    main()
