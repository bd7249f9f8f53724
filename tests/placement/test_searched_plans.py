"""A searched plan as a whole holds before the independent checker, which shares no code with what made it."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from hybrid.cli import app
from hybrid.cli.console import exit_code_of
from hybrid.cli.plan import show
from placement.check import CheckResult, check_bytes
from placement.engine import plan
from placement.exact.engine import can_all_be_placed
from placement.exact.reach import is_small
from placement.instance import instance_of
from placement.plan import Plan
from placement.plan_reading import parse_plan, read_plan
from placement.problem import KINDS, read_problem
from sites.fleet import read_fleet
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem
from tools.fleets import write_fleet

SITES, SEED = 44, 3
"""More than the exact engine plans, of which a tenth is disconnected."""

FIRST, LAST = dt.date(2026, 12, 1), dt.date(2027, 2, 28)
DAYS = ("--from", FIRST.isoformat(), "--until", LAST.isoformat())


@dataclass(frozen=True)
class Made:
    """A fleet and the file of its plan."""

    fleet: Path
    file: Path

    def check(self) -> CheckResult:
        """Return what the checker says of the file."""
        return check_bytes(self.file.read_bytes(), read_fleet(self.fleet, KINDS))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a generated fleet with the plan that is searched for it."""
    folder = tmp_path_factory.mktemp("searched")
    write_fleet(folder / "fleet", SITES, SEED)
    return _planned(folder / "fleet", folder / "plan.json")


def _planned(fleet: Path, file: Path, current: Plan | None = None) -> Made:
    problem = read_problem(fleet, FIRST, LAST)
    assert not is_small(problem)
    file.write_bytes(plan(problem, current=current).to_bytes())
    return Made(fleet, file)


def test_a_searched_plan_holds(made: Made) -> None:
    found = read_plan(made.file)
    assert found.engine.name == "search"
    assert {1, 2, 6, 15, 20} <= set(made.check().checked)
    assert made.check().findings == ()


def test_it_offers_the_checker_something_to_look_at(made: Made) -> None:
    workloads = read_plan(made.file).workloads
    flows = [flow for workload in workloads for one in workload.assignments for flow in one.flows]
    assert {workload.status for workload in workloads} == {"placed", "degraded"}
    assert any(len(flow.route) > 2 for flow in flows)
    assert {flow.role for flow in flows} == {"primary", "fallback"}
    targets = [target for workload in workloads for order in workload.fallbacks for target in order.order]
    assert any(target.site and target.model for target in targets)


def test_the_checker_names_a_route_that_was_changed(made: Made) -> None:
    """One searched route that goes to and fro is no longer the best, so that silence above says something."""
    data = made.file.read_bytes()
    crossing = re.search(rb'"role":"primary","route":\["([a-z0-9-]+)","([a-z0-9-]+)"\]', data)
    assert crossing is not None
    a, b = crossing[1], crossing[2]
    longer = crossing[0].replace(b'"%b","%b"' % (a, b), b'"%b","%b","%b","%b"' % (a, b, a, b))
    changed = data[: crossing.start()] + longer + data[crossing.end() :]
    found = check_bytes(changed, read_fleet(made.fleet, KINDS)).findings
    assert {"plan/route"} <= {finding.code for finding in found}


@pytest.fixture(scope="session")
def without_a_site(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the same fleet without the site that serves most other sites, planned upon the plan that runs."""
    folder = tmp_path_factory.mktemp("lost")
    lost = _busiest(read_plan(made.file))
    shutil.copytree(made.fleet, folder / "fleet")
    for manifest in _naming(folder / "fleet" / "sites", lost):
        manifest.unlink() if manifest.stem == lost else manifest.write_text(_unlinked(manifest.read_text(), lost))
    return _planned(folder / "fleet", folder / "plan.json", read_plan(made.file))


def _busiest(found: Plan) -> str:
    served: dict[str, int] = {}
    for workload in found.workloads:
        for stage in workload.assignments[0].stages:
            served[stage.site] = served.get(stage.site, 0) + (stage.site != workload.origin)
    return max(served, key=lambda site: (served[site], site))


def _naming(folder: Path, site: str) -> Iterator[Path]:
    yield from (path for path in sorted(folder.glob("*.yaml")) if site in path.read_text())


def _unlinked(text: str, site: str) -> str:
    """Return a manifest without its link to a site: one line of a list that may be empty then."""
    text = re.sub(rf"\n *- \{{to: {site},.*", "", text)
    return re.sub(r"links:\n(?! *-)", "links: []\n", text + "\n")


def test_what_is_planned_upon_the_plan_that_runs_holds(made: Made, without_a_site: Made) -> None:
    assert without_a_site.check().findings == ()
    before, after = (read_plan(one.file) for one in (made, without_a_site))
    lost, old, new = _busiest(before), _places(before), _places(after)
    assert lost in old.values()
    assert lost not in new.values()
    could = [key for key in old.keys() & new.keys() if old[key] != lost]
    assert sum(new[key] == old[key] for key in could) > 0.9 * len(could)


def _places(found: Plan) -> dict[tuple[str, str], str]:
    return {(one.id, stage.stage): stage.site for one in found.workloads for stage in one.assignments[0].stages}


def test_the_commands_agree(made: Made, tmp_path: Path) -> None:
    """`hybrid plan` writes what the engine returns, to the byte, and `hybrid check` accepts it."""
    _, table = _hybrid("plan", made.fleet, "-o", tmp_path / "plan.json", *DAYS)
    assert "(each of them: --all)" in table
    assert (tmp_path / "plan.json").read_bytes() == made.file.read_bytes()
    code, said = _hybrid("check", tmp_path / "plan.json", made.fleet)
    assert (code, "no findings" in said) == (0, True)


def test_every_workload_has_a_row_when_one_asks_for_all_and_each_pipeline_otherwise(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read_plan(made.file)
    show(found, is_whole=False)
    told = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in told.splitlines() if line.startswith(" ") and "-" in line}
    for pipeline in {workload.pipeline for workload in found.workloads}:
        statuses = [workload.status for workload in found.workloads if workload.pipeline == pipeline]
        unplaced = sum(lacking.id.startswith(f"{pipeline}@") for lacking in found.unplaced)
        assert rows[pipeline][1:4] == [str(statuses.count("placed")), str(statuses.count("degraded")), str(unplaced)]
    show(found, is_whole=True)
    whole = capsys.readouterr().out
    assert all(workload.origin in whole for workload in found.workloads)


def test_it_is_read_as_it_was_written(made: Made) -> None:
    data = made.file.read_bytes()
    assert parse_plan(data).to_bytes() == data


def _hybrid(*words: str | Path) -> tuple[int, str]:
    out, code = StringIO(), 0
    with redirect_stdout(out), redirect_stderr(out):
        try:
            app([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception as error:
            code = exit_code_of(error)
    return code, out.getvalue()


def test_a_pool_that_is_full_to_the_last_request_has_no_replica_too_many() -> None:
    thirds = [a_pipeline(name, rate="1/s", utilisation=0.3) for name in ("mail", "post", "fax")]
    made = plan(a_problem(*(a_clinic(f"clinic-{index:02}") for index in range(31)), a_model(), *thirds))
    assert made.engine.name == "search"
    assert {(pool.load, pool.replicas) for pool in made.pools} == {(3.0, 1)}
    assert {node.replicas for pool in made.pools for node in pool.nodes.values()} == {1}


def test_what_it_calls_impossible_the_solver_cannot_place_alone(made: Made) -> None:
    found, problem = read_plan(made.file), read_problem(made.fleet, FIRST, LAST)
    assert found.unplaced
    for lacking in found.unplaced:
        alone = instance_of(problem, only=[lacking.id], is_brief=True)
        assert (lacking.kind == "crowded") == can_all_be_placed(alone)
    kinds = {lacking.kind for lacking in (*found.unplaced, *(w for w in found.workloads if w.status == "degraded"))}
    assert found.cost.gap_over == ("all" if kinds == {"impossible"} else "set")
