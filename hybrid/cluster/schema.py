"""The form of a Serve configuration that we write: every key known, every deployment pinned, every wait bounded.

Ray's own schema ignores keys that it does not know, so that `label_selectr:` deploys a replica wherever there is room.
Nothing reaches Ray but what this schema has read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError
from pydantic import model_validator as validator

from hybrid.errors import InputError
from sites.noun import AsTuple

SITE, HARDWARE, NODE = "hybrid/site", "hybrid/hardware", "hybrid/node"
"""The labels that a node declares; nobody attests them (`live` compares them with the inventory)."""

BUILDER = "hybrid.cluster.deployments:application"
DEPLOYMENT = "Stage"
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Labels = dict[str, str]


class Strict(BaseModel):
    """A frozen value in Serve's own snake_case that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Key(Strict):
    """A passport key of this site's gateway, as the signed site plan registers it."""

    keyid: str
    public_key: str
    since: str
    until: str


class Admission(Strict):
    """Whose passports a replica admits: those of its own site's gateway, for this plan; without keys, nobody's."""

    plan_digest: Digest
    epoch: PositiveInt
    keys: Annotated[tuple[Key, ...], AsTuple] = ()


class StageArgs(Strict):
    """What a replica is told: which pool it belongs to, which files it may load, whom it admits."""

    site: str
    model: str
    variant: str
    hardware: str
    task: Literal["generate", "classify", "embed"]
    directory: str
    files: dict[str, Digest]
    admission: Admission


class ActorOptions(Strict):
    """What the replica's actor takes from its bundle, and the labels of the node it needs."""

    num_cpus: PositiveFloat
    num_gpus: NonNegativeFloat = 0.0
    memory: PositiveInt
    label_selector: Labels


class Bundle(Strict):
    """The reservation of one replica; what its tasks start stays inside."""

    CPU: PositiveFloat
    GPU: NonNegativeFloat = 0.0
    memory: PositiveInt


class Deployment(Strict):
    """One pool's replicas: pinned twice (actor and placement group), with limits on work, queue and silence."""

    name: Literal["Stage"] = "Stage"
    num_replicas: PositiveInt
    max_ongoing_requests: PositiveInt
    max_queued_requests: PositiveInt
    graceful_shutdown_wait_loop_s: PositiveFloat
    graceful_shutdown_timeout_s: PositiveFloat
    health_check_period_s: PositiveFloat
    health_check_timeout_s: PositiveFloat
    ray_actor_options: ActorOptions
    placement_group_bundles: Annotated[tuple[Bundle, ...], AsTuple, Field(min_length=1, max_length=1)]
    placement_group_strategy: Literal["STRICT_PACK"] = "STRICT_PACK"
    placement_group_bundle_label_selector: Annotated[tuple[Labels, ...], AsTuple, Field(min_length=1, max_length=1)]

    @validator(mode="after")
    def pinned(self) -> Deployment:
        """Refuse a deployment whose two pins differ or name no site."""
        if SITE not in self.ray_actor_options.label_selector:
            raise ValueError(f"label_selector must name {SITE}")
        if self.placement_group_bundle_label_selector[0] != self.ray_actor_options.label_selector:
            raise ValueError("the placement group's selector must equal the actor's")
        return self


class Application(Strict):
    """One pool as a Serve application: its route, its builder, its arguments, its one deployment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,200}$")]
    route_prefix: Annotated[str, Field(pattern=r"^/[a-z0-9./-]+$")]
    import_path: Literal["hybrid.cluster.deployments:application"] = "hybrid.cluster.deployments:application"
    args: StageArgs
    deployments: Annotated[tuple[Deployment, ...], AsTuple, Field(min_length=1, max_length=1)]

    @validator(mode="after")
    def one_site(self) -> Application:
        """Refuse an application that would serve for one site and be pinned to another."""
        if self.deployments[0].ray_actor_options.label_selector[SITE] != self.args.site:
            raise ValueError(f"{SITE} must be the args' site, {self.args.site}")
        return self


class HttpOptions(Strict):
    """The data port: loopback of the head's own network, and an answer or a failure in bounded time."""

    host: Literal["127.0.0.1"] = "127.0.0.1"
    port: Annotated[int, Field(gt=0, lt=65536)] = 8000
    request_timeout_s: PositiveFloat


class ServeConfig(Strict):
    """A whole configuration; applications are sorted by name."""

    proxy_location: Literal["HeadOnly"] = "HeadOnly"
    http_options: HttpOptions
    applications: Annotated[tuple[Application, ...], AsTuple]

    def plain(self) -> dict[str, Any]:
        """Return what Ray reads, without fields that are not set."""
        return self.model_dump(mode="json", exclude_none=True)


def parse_config(value: Any, where: str) -> ServeConfig:
    """Read a configuration; `where` names it in errors.

    Raises:
        InputError: names every field that is unknown, missing or wrong.
    """
    try:
        return ServeConfig.model_validate(value)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, found['loc'])) or 'top level'}: {found['msg']}"
            for found in error.errors(include_url=False, include_input=False)
        ]
        raise InputError(
            f"{where}: " + "; ".join(lines),
            advice="write it with `hybrid cluster compile`, and do not edit it by hand",
        ) from None


def read_config(path: Path) -> ServeConfig:
    """Read `serve.yaml` as `emit.serve_yaml` writes it. Raises InputError."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no YAML ({str(error).splitlines()[0]})", advice="compile it again") from error
    return parse_config(value, str(path))
