"""Ray ignores keys that it does not know; our schema refuses them, and every deployment that is not pinned twice."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid.cluster.emit import serve_yaml
from hybrid.cluster.schema import HARDWARE, SITE, parse_config, read_config
from hybrid.errors import InputError
from tests.support.cluster import a_region

Config = dict[str, Any]


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return a_region(tmp_path_factory.mktemp("region")).config.plain()


def deployment(config: Config) -> Config:
    found: Config = config["applications"][0]["deployments"][0]
    return found


def misspell(config: Config) -> None:
    options = deployment(config)["ray_actor_options"]
    options["label_selectr"] = options.pop("label_selector")


def tell_apart(config: Config) -> None:
    deployment(config)["placement_group_bundle_label_selector"] = [{SITE: "dc-berlin", HARDWARE: "gpu"}]


def move(config: Config) -> None:
    pin = {SITE: "dc-berlin", HARDWARE: "gpu"}
    deployment(config)["ray_actor_options"]["label_selector"] = pin
    deployment(config)["placement_group_bundle_label_selector"] = [pin]


@pytest.mark.parametrize(
    ("deviate", "says"),
    [
        (misspell, "label_selectr: Extra inputs are not permitted"),
        (lambda c: deployment(c).pop("placement_group_bundles"), "placement_group_bundles: Field required"),
        (lambda c: deployment(c)["ray_actor_options"].update(runtime_env={"pip": ["x"]}), "runtime_env: Extra inputs"),
        (lambda c: deployment(c).update(max_queued_requests=-1), "greater than 0"),
        (lambda c: c["http_options"].pop("request_timeout_s"), "request_timeout_s: Field required"),
        (lambda c: c["http_options"].update(host="0.0.0.0"), "127.0.0.1"),
        (lambda c: c.update(proxy_location="EveryNode"), "HeadOnly"),
        (lambda c: c["applications"][0].update(import_path="os:system"), "import_path"),
        (tell_apart, "must equal the actor's"),
        (move, "must be the args' site"),
    ],
)
def test_a_deviation_is_refused_by_name(valid: Config, deviate: Callable[[Config], Any], says: str) -> None:
    config = copy.deepcopy(valid)
    deviate(config)
    with pytest.raises(InputError, match=r"serve\.yaml") as caught:
        parse_config(config, "serve.yaml")
    assert says in str(caught.value)
    parse_config(valid, "serve.yaml")


def test_what_is_emitted_is_read_back_and_known_to_ray(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, as it is imported
        from ray.serve.schema import ServeDeploySchema

    region = a_region(tmp_path)
    (file := tmp_path / "serve.yaml").write_text(serve_yaml(region))
    assert read_config(file) == region.config
    rays = ServeDeploySchema.model_validate(region.config.plain()).applications[0].deployments[0]
    assert rays.ray_actor_options.label_selector == {SITE: "dc-paris", HARDWARE: "gpu"}
    assert rays.placement_group_bundle_label_selector == [{SITE: "dc-paris", HARDWARE: "gpu"}]
