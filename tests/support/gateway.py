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
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bundles.document import digest, plain
from bundles.enrolment import _make_identity
from bundles.layout import Box
from bundles.nouns import SiteRecord
from hybrid.gateway.credentials import issue
from hybrid.gateway.engines import Engine, Wanted, prompt_of
from hybrid.gateway.listening import listen, listening
from hybrid.gateway.service import Gateway
from hybrid.gateway.table import compile_table
from placement.engine import plan
from placement.problem import problem_of
from sites.fleet import Fleet
from sites.question import Window
from tests.support.placement import a_clinic, a_knowledge, a_law, a_model, a_pipeline, a_region, a_stage, a_variant
from tests.support.sites import a_box, a_fleet, a_link, a_policy, a_rule

T = TypeVar("T")
TODAY = dt.datetime.now(dt.UTC).date()
ORIGIN, REGION, OTHER, OVERSEAS = "clinic-lyon", "dc-paris", "dc-marseille", "dc-ohio"
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
        a_clinic(ORIGIN, links=[a_link(REGION), a_link(OTHER, price="0.09 EUR/GB"), a_link(OVERSEAS)]),
        a_clinic("clinic-nimes", links=[a_link(OTHER)]),
        a_region(REGION, hardware=[_rack("l4")]),
        a_region(OTHER, hardware=[_rack("l4")]),
        a_region(OVERSEAS, "US", hardware=[_rack("slow")]),
        a_model("small", a_variant(**local)),
        a_model("finder", a_variant(**local), task="embed"),
        a_model("assistant", a_variant(needs={"memory": "64GiB"}, speed=[_speed("x86_64-l4")]), task="generate"),
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
        a_pipeline("embed-note", a_stage("embed", task="embed", models=["finder"]), input=HEALTH),
        a_policy(*([*rules] or [a_rule()]), packs=["law"]),
    ]  # fmt: skip
    return a_fleet(*nouns, given=(a_law(),))


def _speed(hardware: str) -> dict[str, str]:
    return {"hardware": hardware, "service": "20ms", "throughput": "10/s"}


def _rack(isa: str) -> dict[str, Any]:
    return a_box(name="rack", isa=[isa], cpus=64, memory="256GiB", price="0.5 EUR/h")


def a_plan(fleet: Fleet) -> dict[str, Any]:
    """Return the planner's plan of a fleet from today on, as JSON."""
    return plan(problem_of(fleet, Window(TODAY, TODAY + dt.timedelta(days=30)))).to_json()


class Generator:
    """A generator that says what it was prompted with, for regions in tests; `before` may refuse or wait."""

    task = "generate"

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.before, self.seen = before, 0

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.before()
        self.seen += 1
        return {"text": f"Draft. {prompt_of(inputs)}", "tokens": 3}


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

    def __init__(self, base: Path, fleet: Fleet, engines: Mapping[str, Mapping[Wanted, Engine]]) -> None:
        self.base, self.fleet, self.engines = base, fleet, engines
        self.plan = a_plan(fleet)
        self.stations: dict[str, Station] = {}
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.keys: list[dict[str, Any]] = []
        self.revoked: list[str] = []

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

    def site_plan(self, site: str, **fields: Any) -> dict[str, Any]:
        """Return the site plan that the quorum would sign."""
        return {
            "site": site, "epoch": 1, "issued": "2026-11-01T00:00:00Z", "planDigest": digest(b"plan"),
            "policyDigest": digest(b"policy"), "table": compile_table(self.plan, self.fleet, site), "keys": self.keys,
            "revoked": self.revoked, "minSecurityVersion": 0, **fields,
        }  # fmt: skip

    def start(self, site: str, **fields: Any) -> Station:
        """Open a site's gateway and listen on free ports; peers are the stations that run already."""
        root = self.base / site
        release = Release(root, 1, self.site_plan(site, **fields), models(root) | documents(root))
        index(release)
        clock = Clock()
        peers = {name: f"https://127.0.0.1:{station.hop_port}" for name, station in self.stations.items()}
        gateway = Gateway(release, clock=clock, engines=self.engines.get(site), peers=peers)
        station = Station(site, root, gateway, clock)
        self.run(_open(station))
        self.stations[site] = station
        return station

    def stop(self, site: str) -> Path:
        """End a site's gateway and return its root."""
        station = self.stations.pop(site)
        self.run(_shut(station))
        return station.root

    def close(self) -> None:
        """End everything."""
        for site in list(self.stations):
            self.stop(site)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def _open(station: Station) -> None:
    doors = [listen("127.0.0.1", 0), listen("127.0.0.1", 0)]
    station.port, station.hop_port = (door.getsockname()[1] for door in doors)
    gateway = station.gateway
    await station.stack.enter_async_context(listening(gateway.front(), doors[0]))
    await station.stack.enter_async_context(listening(gateway.receiving(), doors[1], tls=gateway.context()))


async def _shut(station: Station) -> None:
    await station.stack.aclose()
    await station.gateway.close()


@contextlib.contextmanager
def a_world(
    base: Path, fleet: Fleet | None = None, *, start: tuple[str, ...] = (REGION, OTHER, ORIGIN), **engines: Engine
) -> Iterator[World]:
    """Run an honest world: regions first, so that the clinic knows where they listen."""
    wanted = Wanted("generate", "assistant", "w8")
    generators: dict[str, Mapping[Wanted, Engine]] = {
        site: {wanted: engines.get(site.replace("-", "_"), Generator())} for site in (REGION, OTHER)
    }
    world = World(base, fleet or a_health_group(), generators)
    try:
        world.enrol(ORIGIN, REGION, OTHER, OVERSEAS)
        for site in start:
            if site == ORIGIN:
                key = a_key(base / site, "desk")
            station = world.start(site)
            station.key = key if site == ORIGIN else ""
        yield world
    finally:
        world.close()


def a_key(root: Path, name: str, **fields: Any) -> str:
    """Issue an API key of the clinic for all pipelines."""
    facts: dict[str, Any] = {"origin": ORIGIN, "pipelines": ("embed-note", "log-triage", "patient-message"), **fields}
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
