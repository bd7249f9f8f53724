"""What runs is compared with what was planned; whatever could serve outside its plan is named for draining."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hybrid.cluster.compile import Region
from hybrid.cluster.live import Live, compare
from hybrid.cluster.region import change
from hybrid.cluster.schema import HARDWARE, NODE, SITE
from tests.support.cluster import a_region

APP = "dc-paris.assistant.fp32.gpu"
Seen = dict[str, Any]


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Region:
    return a_region(tmp_path_factory.mktemp("region"))


def as_planned(region: Region) -> Seen:
    """What the keeper tells when all is well."""
    args = region.config.applications[0].args.model_dump(mode="json")
    labels = {SITE: "dc-paris", HARDWARE: "gpu", NODE: "dc-paris.gpu-0", "ray.io/node-id": "aa"}
    replica = {"id": "r1", "node": "aa", "state": "RUNNING"}
    return {
        "nodes": [{"id": "aa", "labels": labels}],
        "applications": {APP: {"status": "RUNNING", "message": "", "args": args, "replicas": [replica]}},
    }


def relabel(**labels: str) -> Callable[[Seen], None]:
    return lambda seen: seen["nodes"][0]["labels"].update({f"hybrid/{key}": value for key, value in labels.items()})


def another_plan(seen: Seen) -> None:
    seen["applications"][APP]["args"]["admission"]["plan_digest"] = "sha256:" + "9" * 64


def another_folder(seen: Seen) -> None:
    seen["applications"][APP]["args"]["directory"] = "/elsewhere"


def test_what_is_as_planned_has_no_findings(region: Region) -> None:
    assert compare(region.config, region.nodes, Live.of(as_planned(region))) == ()


@pytest.mark.parametrize(
    ("deviate", "says", "drains"),
    [
        (relabel(site="dc-berlin"), "planned hybrid/hardware=gpu", True),
        (relabel(node="dc-paris.gpu-9"), "not planned", True),
        (relabel(hardware="cpu"), "planned hybrid/hardware=gpu", True),
        (lambda seen: seen["nodes"].append({**seen["nodes"][0], "id": "bb"}), "2 nodes say they are", True),
        (another_plan, "runs plan sha256:999", True),
        (another_folder, "other arguments", True),
        (lambda seen: seen["applications"].update(x=seen["applications"][APP]), "x is not planned", True),
        (lambda seen: seen["applications"][APP]["replicas"].clear(), "0 of 1 replicas", False),
        (lambda seen: seen["applications"][APP].update(status="UNHEALTHY"), "(UNHEALTHY)", False),
        (lambda seen: seen["applications"].clear(), "planned and not there", False),
        (lambda seen: seen["nodes"].clear(), "planned and not there", True),  # its replica is nobody knows where
    ],
)
def test_a_deviation_is_found(region: Region, deviate: Callable[[Seen], Any], says: str, drains: bool) -> None:
    seen = copy.deepcopy(as_planned(region))
    deviate(seen)
    findings = compare(region.config, region.nodes, Live.of(seen))
    assert any(says in finding.what for finding in findings), findings
    assert any(finding.drains for finding in findings) == drains


def test_the_difference_is_told_before_it_is_made(region: Region) -> None:
    seen = as_planned(region)
    assert change(region, Live.of(seen)).kept == (APP,)
    another_folder(seen)
    seen["applications"]["old"] = copy.deepcopy(seen["applications"][APP])
    told = change(region, Live.of(seen))
    assert (told.replaced, told.removed) == ((APP,), ("old",))
    assert change(region, Live({}, {})).added == (APP,)
