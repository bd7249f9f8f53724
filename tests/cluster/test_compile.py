"""A plan's pools become pinned applications, the same bytes each time, and never across a border."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest
import yaml

from hybrid.cluster.compile import BorderError
from hybrid.cluster.emit import kuberay_yaml, serve_yaml
from hybrid.cluster.planned import read_planned
from hybrid.errors import InputError
from placement.errors import PlacementError
from tests.support.cluster import PLAN_DIGEST, a_plan, a_problem, a_region, a_site_plan, keyid

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, text: str) -> None:
    """Compare with a golden file; HYBRID_GOLDEN=write writes it anew."""
    if os.environ.get("HYBRID_GOLDEN") == "write":
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def test_the_configuration_is_as_it_was(tmp_path: Path) -> None:
    region = a_region(tmp_path, models=Path("/models"))
    golden("serve.yaml", serve_yaml(region))
    golden("rayservice.yaml", kuberay_yaml(region, image="registry.example/hybrid:1", name="hybrid-dc-paris"))


def test_the_order_of_pools_changes_nothing(tmp_path: Path) -> None:
    plan = a_plan()
    other = a_plan(site="dc-lyon")
    both = {key: plan[key] + other[key] for key in ("workloads", "pools")}
    turned = {key: list(reversed(both[key])) for key in both}
    problem, sites = a_problem(tmp_path), ("dc-lyon", "dc-paris")
    first = a_region(tmp_path, plan=both, problem=problem, sites=sites)
    assert serve_yaml(first) == serve_yaml(a_region(tmp_path, plan=turned, problem=problem, sites=sites))
    assert [app.args.site for app in first.config.applications] == ["dc-lyon", "dc-paris"]


def test_a_kuberay_service_carries_the_same_configuration(tmp_path: Path) -> None:
    region = a_region(tmp_path)
    service = yaml.safe_load(kuberay_yaml(region, image="i", name="n"))
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == region.config.plain()
    assert service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["labels"]["hybrid/site"] == "dc-paris"


def test_a_cluster_never_spans_a_border(tmp_path: Path) -> None:
    with pytest.raises(BorderError, match="dc-berlin in DE, dc-paris in FR") as caught:
        a_region(tmp_path, sites=("dc-berlin", "dc-paris"))
    assert caught.value.exit_code == 1


def test_only_the_sites_own_unrevoked_passport_keys_are_admitted(tmp_path: Path) -> None:
    region = a_region(tmp_path)
    assert [key.keyid for key in region.config.applications[0].args.admission.keys] == [keyid()]
    for changes in ({"revoked": [keyid()]}, {"keys": [a_site_plan("clinic-lyon")["keys"][0]]}):
        closed = a_region(tmp_path, site_plan=a_site_plan() | changes)
        assert closed.config.applications[0].args.admission.keys == ()
    assert a_region(tmp_path, site_plan=None).config.applications[0].args.admission.keys == ()


def test_a_site_plan_of_another_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belongs to plan"):
        a_region(tmp_path, site_plan=a_site_plan(planDigest="sha256:" + "2" * 64))


def test_a_site_without_a_pool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pool at dc-lyon"):
        a_region(tmp_path, sites=("dc-lyon",))
    with pytest.raises(InputError, match="no such site"):
        a_region(tmp_path, sites=("dc-nowhere",))


def a_plan_file(path: Path, inputs: dict[str, str]) -> Path:
    """A whole plan.json that places nothing."""
    cost = {"perHour": 0, "billedPerHour": 0, "egressPerHour": 0, "lowerBoundPerHour": 0, "gap": None, "gapOver": "all"}
    plan = {
        "apiVersion": "hybrid/v1", "kind": "Plan", "from": "2026-12-01", "until": "2027-02-01", "inputs": inputs,
        "engine": {"name": "exact", "version": "0", "work": 0, "seed": 0}, "workloads": [], "unplaced": [], "pools": [],
        "invariants": {"checked": [], "notChecked": {}}, "cost": {"currency": "EUR", **cost},
    }  # fmt: skip
    path.write_text(json.dumps(plan))
    return path


def test_a_stale_plan_is_refused_with_the_name_of_what_changed(tmp_path: Path) -> None:
    problem, today = a_problem(tmp_path / "fleet"), dt.date(2026, 12, 24)
    file = a_plan_file(tmp_path / "plan.json", dict(problem.digests))
    assert read_planned(file, tmp_path / "fleet", today).plan["pools"] == []
    with pytest.raises(InputError, match="ended on 2027-02-01"):
        read_planned(file, tmp_path / "fleet", dt.date(2027, 2, 2))
    berlin = tmp_path / "fleet/dc-berlin.yaml"
    berlin.write_text(berlin.read_text().replace("32GiB", "16GiB"))
    with pytest.raises(PlacementError, match=r"dc-berlin\.yaml: changed"):
        read_planned(file, tmp_path / "fleet", today)


def test_the_plan_digest_stands_in_every_application(tmp_path: Path) -> None:
    region = a_region(tmp_path)
    assert {app.args.admission.plan_digest for app in region.config.applications} == {PLAN_DIGEST}
