"""Sites that really run: boxes with keys, a plan made by the planner, gateways on real ports with TLS between them.

`a_world()` is an honest group of two clinics and three regions; a test takes it, does one thing wrong, and looks at
the answer, at what left, and at the logs. The models are tiny ONNX graphs run by the real engines; the generator of
the regions is the one engine of the tests' own, because a real one needs a region.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import uvloop

from bundles.document import digest, plain
from bundles.enrolment import _make_identity
from bundles.layout import Box
from bundles.nouns import SiteRecord
from hybrid.gateway import passport as passports
from hybrid.gateway.compilation import compile_table
from hybrid.gateway.credentials import issue
from hybrid.gateway.engines import Engine, Wanted, prompt_of
from hybrid.gateway.identity import read_identity
from hybrid.gateway.listening import listen, listening
from hybrid.gateway.passport import HEADER, PARENTS_HEADER
from hybrid.gateway.service import Gateway
from hybrid.gateway.tls import client_context
from hybrid.gateway.transport import PATH, Body
from placement.engine import plan
from placement.problem import problem_of
from sites.fleet import Fleet
from sites.question import Window
from tests.support.placement import a_clinic, a_knowledge, a_law, a_model, a_pipeline, a_region, a_stage, a_variant
from tests.support.sites import a_box, a_fleet, a_link, a_policy, a_rule

T = TypeVar("T")
TODAY = dt.datetime.now(dt.UTC).date()
ORIGIN, REGION, OTHER, OVERSEAS = "clinic-lyon", "dc-paris", "dc-marseille", "dc-ohio"
PIPELINES = ("embed-note", "log-triage", "patient-message", "relay")
DRAFTED = f"patient-message@{ORIGIN}"
EVERYONE = (ORIGIN, REGION, OTHER)
MESSAGE = {"text": "my chest hurts when i walk"}
LABELS = ("routine", "urgent")
WORDS = (
    "[UNK]",
    "chest",
    "hurts",
    "walk",
    "when",
    "my",
    "i",
    "appointment",
    "breathing",
    "pain",
    "rest",
    "disk",
    "full",
)
HEALTH = {"data": ["user.health_and_medical"], "identifiability": "identified", "purposes": ["essential.service"]}


def a_health_group(*rules: dict[str, Any]) -> Fleet:
    """Return clinics and regions: triage and recall run where the data is born, drafts in a region, logs overseas."""
    local = {"needs": {"memory": "64MiB"}, "speed": [_speed("x86_64-avx2")]}
    fields: dict[str, Any] = {"output": "6KiB"}
    draft = a_stage(
        "draft", task="generate", models=["assistant"], after=["input", "triage", "recall"], fallback=["quote"]
    )
    nouns = [
        a_clinic(
            ORIGIN,
            labels={"role": "clinic", "site": "lyon"},
            links=[a_link(REGION), a_link(OTHER, price="0.09 EUR/GB"), a_link(OVERSEAS)],
        ),
        a_clinic("clinic-nimes", links=[a_link(OTHER)]),
        a_region(REGION, hardware=[_rack("l4", "north")], connectivity=connected(a_link(OTHER))),
        a_region(OTHER, hardware=[_rack("l4", "south")]),
        a_region(OVERSEAS, "US", hardware=[_rack("slow")]),
        a_model("small", a_variant(**local)),
        a_model("finder", a_variant(**local), task="embed"),
        a_model("assistant", a_variant(needs={"memory": "64GiB"}, speed=[_speed("x86_64-l4")]), task="generate"),
        a_model("reader", a_variant(speed=[_speed("x86_64-north")]), task="generate"),
        a_model("writer", a_variant(speed=[_speed("x86_64-south")]), task="generate"),
        a_model("bulk", a_variant(speed=[_speed("x86_64-slow")])),
        a_knowledge(),
        a_pipeline(
            "patient-message",
            a_stage("triage"),
            a_stage("recall", task="retrieve", models=["finder"], knowledge="protocols", **fields),
            draft,
            fallbacks=[a_stage("quote", task="quote", models=[], after=["recall"])],
            input=HEALTH,
            rate="4/s",
        ),
        a_pipeline("log-triage", a_stage("sort", models=["bulk"])),
        a_pipeline(
            "relay",
            a_stage("read", task="generate", models=["reader"]),
            a_stage("write", task="generate", models=["writer"], after=["read"]),
            origins={"site": "lyon"},
        ),
        a_pipeline("embed-note", a_stage("embed", task="embed", models=["finder"]), input=HEALTH),
        a_policy(*([*rules] or [a_rule()]), packs=["law"]),
    ]  # fmt: skip
    return a_fleet(*nouns, given=(a_law(),))


def _speed(hardware: str) -> dict[str, str]:
    return {"hardware": hardware, "service": "20ms", "throughput": "10/s"}


def connected(*links: dict[str, Any]) -> dict[str, Any]:
    """Return the connectivity of a site with these links."""
    return {"mode": "connected", "links": list(links)}


def _rack(*isa: str) -> dict[str, Any]:
    return a_box(name="rack", isa=list(isa), cpus=64, memory="256GiB", price="0.5 EUR/h")


@cache
def honest() -> tuple[Fleet, dict[str, Any]]:
    """Return the health group and its plan, made once."""
    return a_health_group(), a_plan(a_health_group())


def a_plan(fleet: Fleet) -> dict[str, Any]:
    """Return the planner's plan of a fleet from today on, as JSON."""
    return plan(problem_of(fleet, Window(TODAY, TODAY + dt.timedelta(days=30)))).to_json()


class Generator:
    """A generator that says what it was prompted with, for regions in tests; `before` may refuse or wait."""

    task = "generate"

    def __init__(self, name: str = "assistant", before: Callable[[], None] = lambda: None) -> None:
        self.name, self.before, self.seen = name, before, 0

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.before()
        self.seen += 1
        return {"text": f"{self.name}: {prompt_of(inputs)}", "tokens": 3}


@dataclass(frozen=True)
class Release:
    """An opened release whose files and plan lie where the test put them."""

    root: Path
    number: int
    site_plan: Mapping[str, Any]
    files: Mapping[str, Path]


@dataclass
class Clock:
    """The machine's clock, with an offset that a test may set."""

    offset: dt.timedelta = dt.timedelta()

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.offset


@dataclass
class Station:
    """One site that runs: its box, its gateway, and the ports it listens on."""

    site: str
    root: Path
    gateway: Gateway
    clock: Clock
    key: str = ""
    port: int = 0
    hop_port: int = 0
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the records of the log so far, of these kinds."""
        return [r for r in records(self.root) if not kinds or r["kind"] in kinds]


def records(root: Path) -> list[dict[str, Any]]:
    """Return every record in the log under `root`, oldest first."""
    lines = [line for path in sorted((root / "evidence").rglob("*.jsonl")) for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


class World:
    """Stations in one event loop on a thread of its own."""

    def __init__(
        self, base: Path, fleet: Fleet | None, engines: Mapping[str, Mapping[Wanted, Engine]], files: Mapping[str, Path]
    ) -> None:
        self.base, self.engines, self.files = base, engines, files
        self.fleet, self.plan = honest() if fleet is None else (fleet, a_plan(fleet))
        self.stations: dict[str, Station] = {}
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.keys: list[dict[str, Any]] = []
        self.revoked: list[str] = []
        self.doors: dict[str, Any] = {}
        self.tokens: dict[str, str] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the world's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def enrol(self, *sites: str) -> None:
        """Give each site a box with keys, and admit them to the registry."""
        for site in sites:
            record = SiteRecord(
                site=site, jurisdiction="FR", box_id=site, environment="demo", issued="2026-11-01T00:00:00Z"
            )
            now = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(minutes=5)
            request = _make_identity(Box(self.base / site), record, now)
            self.keys += [plain(key) for key in request.keys]
            self.doors[site] = listen("127.0.0.1", 0)

    def site_plan(self, site: str, **fields: Any) -> dict[str, Any]:
        """Return the site plan that the quorum would sign."""
        return {
            "site": site, "epoch": 1, "issued": "2026-11-01T00:00:00Z", "planDigest": digest(b"plan"),
            "policyDigest": digest(b"policy"), "table": compile_table(self.plan, self.fleet, site), "keys": self.keys,
            "revoked": self.revoked, "minSecurityVersion": 0, **fields,
        }  # fmt: skip

    def start(self, site: str, **fields: Any) -> Station:
        """Open a site's gateway and listen on free ports; the addresses of all enrolled sites are known to it."""
        root = self.base / site
        release = Release(root, 1, self.site_plan(site, **fields), {**models(root), **documents(root), **self.files})
        index(release)
        clock = Clock()
        peers = {name: "https://{}:{}".format(*door.getsockname()) for name, door in self.doors.items()}
        gateway = Gateway(release, clock=clock, engines=self.engines.get(site), peers=peers)
        station = Station(site, root, gateway, clock)
        self.run(_open(station, self.doors[site]))
        self.stations[site] = station
        return station

    def stop(self, site: str) -> Path:
        """End a site's gateway and return its root; nobody listens at its address any more."""
        station = self.stations.pop(site)
        del self.doors[site]
        self.run(_shut(station))
        return station.root

    def close(self) -> None:
        """End everything."""
        for site in list(self.stations):
            self.stop(site)
        for door in self.doors.values():
            door.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def _open(station: Station, hops: Any) -> None:
    callers = listen("127.0.0.1", 0)
    station.port, station.hop_port = (door.getsockname()[1] for door in (callers, hops))
    gateway = station.gateway
    await station.stack.enter_async_context(listening(gateway.front(), callers))
    await station.stack.enter_async_context(listening(gateway.receiving(), hops, tls=gateway.context()))


async def _shut(station: Station) -> None:
    await station.stack.aclose()
    await station.gateway.close()


@contextlib.contextmanager
def a_world(
    base: Path,
    fleet: Fleet | None = None,
    *,
    start: tuple[str, ...] = EVERYONE,
    keys: Mapping[str, dict[str, Any]] | None = None,
    files: Mapping[str, Path] | None = None,
    **engines: Engine,
) -> Iterator[World]:
    """Run an honest world.

    `keys` are further API keys of the clinic, by name, with what differs from the usual; `files` replace files of the
    release; `engines` are the regions' generators, by site with underscores.
    """
    generators: dict[str, Mapping[Wanted, Engine]] = {
        site: {
            Wanted("generate", model, "w8"): engines.get(site.replace("-", "_"), Generator(model))
            for model in ("assistant", "reader", "writer")
        }
        for site in (REGION, OTHER)
    }
    world = World(base, fleet, generators, files or {})
    try:
        world.enrol(ORIGIN, REGION, OTHER, OVERSEAS)
        wanted = {"desk": {}, **(keys or {})}
        world.tokens = {name: a_key(base / ORIGIN, name, **fields) for name, fields in wanted.items()}
        for site in start:
            world.start(site).key = world.tokens["desk"] if site == ORIGIN else ""
        yield world
    finally:
        world.close()


def a_key(root: Path, name: str, **fields: Any) -> str:
    """Issue an API key of the clinic for all pipelines."""
    facts: dict[str, Any] = {"origin": ORIGIN, "pipelines": PIPELINES, **fields}
    return issue(root, name, **facts)


def call(
    station: Station, path: str, body: Any = None, *, key: str | None = None, **headers: str
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Call a station's door for callers as a client would; return status, JSON body (or text) and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", station.port, timeout=30)
    sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
    bearer = {"authorization": f"Bearer {station.key if key is None else key}"}
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, sent, bearer | headers)
        response = connection.getresponse()
        raw = response.read()
    is_json = response.headers.get_content_type() == "application/json"
    found = json.loads(raw) if is_json else {"text": raw.decode()}
    return response.status, found, {name.lower(): value for name, value in response.getheaders()}


def chat(station: Station, pipeline: str = "patient-message", **kwargs: Any) -> tuple[int, dict[str, Any]]:
    """Ask a pipeline through OpenAI's chat; return status and body."""
    body = {"model": pipeline, "messages": [{"role": "user", "content": MESSAGE["text"]}]}
    status, found, _ = call(station, "/v1/chat/completions", body, **kwargs)
    return status, found


DRAFT = b'{"payloads":{"input":{"text":"my chest hurts"},"recall":{"passages":[]},"triage":{"label":"urgent"}}}'


def a_passport(world: World, *, body: bytes = DRAFT, **fields: Any) -> dict[str, Any]:
    """Return the fields of an honest passport that brings a message from the clinic to the region for its draft."""
    station = world.stations[ORIGIN]
    table, plan = station.gateway.table, station.gateway.receiver.epochs[0]
    flows = [f for f in table.workloads[DRAFTED].assignments[0].flows if (f.from_site, f.to_site) == (ORIGIN, REGION)]
    return {
        "issuer": ORIGIN, "keyId": station.gateway.identity.passport_id, "workload": DRAFTED, "origin": ORIGIN,
        "audience": {"site": REGION, "stages": ["draft"]}, "carries": ["input", "recall", "triage"],
        "label": table.label_json({atom for flow in flows for atom in flow.label}), "purposes": ["essential.service"],
        "planDigest": plan.plan_digest, "epoch": plan.number, "request": "ab" * 16, "hop": 1, "parent": None,
        "body": passports.digest(body), **fields,
    }  # fmt: skip


def signed(world: World, fields: Mapping[str, Any], *, by: str = ORIGIN, age: float = 0.0, **changed: Any) -> str:
    """Return the token of a passport with `fields`, issued `age` seconds ago and signed with the key of `by`."""
    identity = read_identity(world.base / by / "identity")
    made = passports.passport(fields, dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age))
    return passports.sign(made.model_copy(update=changed), identity.passport)


@dataclass
class Sent:
    """How a forged hop ended: status, JSON body, and how many bytes of the body left."""

    status: int
    body: dict[str, Any]
    left: int

    @property
    def rule(self) -> str:
        """Return the rule of the refusal."""
        return str(self.body["error"]["code"])


def send(
    world: World, token: str, body: bytes = DRAFT, *, tls: str = ORIGIN, wait: bool = True, parents: str = ""
) -> Sent:
    """Send a hop to the region with the certificate of `tls`; without `wait` the body goes at once."""
    return world.run(_send(world, token, Body(body), tls, wait, parents))


@contextlib.contextmanager
def raw(world: World, *, tls: str = ORIGIN) -> Iterator[ssl.SSLSocket]:
    """Open a bare TLS connection to the region, for callers without manners."""
    address = ("127.0.0.1", world.stations[REGION].hop_port)
    with (
        socket.create_connection(address, timeout=10) as wire,
        _context(world, tls).wrap_socket(wire, server_hostname=REGION) as wrapped,
    ):
        yield wrapped


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return as soon as `condition` holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def _context(world: World, tls: str) -> ssl.SSLContext:
    identity = read_identity(world.base / tls / "identity")
    certificates = world.stations[REGION].gateway.receiver.registry.certificates(dt.datetime.now(dt.UTC), site=REGION)
    return client_context(identity.certificate, identity.tls_key, certificates)


async def _send(world: World, token: str, body: Body, tls: str, wait: bool, parents: str) -> Sent:
    context = _context(world, tls)
    headers = {HEADER: token, PARENTS_HEADER: parents, "content-length": str(len(body.data))}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        url = f"https://127.0.0.1:{world.stations[REGION].hop_port}{PATH}"
        async with session.post(url, data=body, headers=headers, expect100=wait, server_hostname=REGION) as answer:
            return Sent(answer.status, await answer.json(), len(body.data) if body.sent else 0)


def models(root: Path) -> dict[str, Path]:
    """Write the tiny models of the clinic and return them as a release's files."""
    files = {}
    for name, task in (("small", "classify"), ("finder", "embed")):
        folder = root / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "model.onnx").exists():
            _graph(folder / "model.onnx", task)
            _tokenizer(folder / "tokenizer.json")
        files |= {f"models/{name}/w8/{file}": folder / file for file in ("model.onnx", "tokenizer.json")}
    return files


def documents(root: Path) -> dict[str, Path]:
    """Write the clinic's documents and return them as a release's files."""
    folder = root / "documents"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "pain.md": "# Chest pain\n\nWhen the chest hurts, rest and call.\n",
        "visits.md": "# Visits\n\nappointment\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {f"knowledge/protocols/{name}": folder / name for name in texts}


def index(release: Release) -> None:
    """Index the release's documents at the site, with its own embedder."""
    from hybrid.knowledge.indexing import build_index, documents_of

    folder = release.root / "knowledge"
    if not (folder / "protocols.index").exists():
        folder.mkdir(parents=True, exist_ok=True)
        found = documents_of(release, "protocols")
        build_index(release, "protocols", found, knowledge=folder, model="finder", variant="w8")


def _graph(path: Path, task: str) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(7)
    width = len(LABELS) if task == "classify" else 16
    table = numpy_helper.from_array(rng.normal(size=(len(WORDS), width)).astype(np.float32), "table")
    last = (
        helper.make_node("Softmax", ["mean"], ["out"])
        if task == "classify"
        else helper.make_node("LpNormalization", ["mean"], ["out"], axis=-1, p=2)
    )
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis"], ["wide"]),
        helper.make_node("Mul", ["words", "wide"], ["kept"]),
        helper.make_node("ReduceMean", ["kept", "one"], ["mean"], keepdims=0),
        last,
    ]
    constants = [table, numpy_helper.from_array(np.array([2]), "axis"), numpy_helper.from_array(np.array([1]), "one")]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, [1, "n"]) for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, width])
    graph = helper.make_graph(nodes, task, inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"task": task, "max_tokens": "32", "labels": json.dumps(LABELS)})
    onnx.save(model, path)


def _tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(path))
