"""Runs a pipeline's graph at one site: what is placed here on worker threads, what is elsewhere by one hop per site.

In each round every place whose inputs are here is served by the first of its targets that the table permits for the
label of this request and that has not failed; targets are tried in the plan's order and each is checked again. What
another site can run from what is held here goes to it in one hop; that site hands on by itself where the plan says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from hybrid.errors import InputError
from hybrid.gateway.engines import Engine, Wanted
from hybrid.gateway.flows import ANSWER, Crossing, Placed, cross, may_run
from hybrid.gateway.journal import Journal
from hybrid.gateway.metrics import Metrics
from hybrid.gateway.refusal import BAD_REQUEST, UNAVAILABLE, Refusal, RefusedError
from hybrid.gateway.run import Hop, Hops, Payload, Returned, Run, UnavailableError
from hybrid.gateway.table import Decision, FlowKey, Table, Target

OK = 200
_log = logging.getLogger("hybrid.gateway")


@dataclass(frozen=True)
class Chain:
    """Runs requests at this site; `workers` are the threads of the engines, `at_home` the requests born here."""

    table: Table
    engines: Mapping[Wanted, Engine]
    hops: Hops
    journal: Journal
    metrics: Metrics
    workers: Executor
    at_home: dict[str, Run] = field(default_factory=dict)

    async def run(self, run: Run) -> None:
        """Serve every place of `run` that is this site's to serve; outputs end in `run.held`.

        Raises:
            RefusedError: 451 when residency leaves a place no target, 503 when no permitted target answers.
        """
        if run.asked is None:
            self.at_home[run.request] = run
        try:
            while ready := list(self._ready(run)):
                await together([*self._work(run, ready)])
            await self._bring_home(run)
        finally:
            if run.asked is None:
                del self.at_home[run.request]

    def _work(self, run: Run, ready: list[Placed]) -> Iterator[Coroutine[Any, Any, None]]:
        here = [placed for placed in ready if placed.target.site == self.table.site]
        for placed in here:
            yield self._here(run, placed)
        for hop in self._hops(run, [placed for placed in ready if placed not in here]):
            yield self._there(run, hop)

    def _ready(self, run: Run) -> Iterator[Placed]:
        for place in run.assignment.stages:
            if place not in run.served and self._mine(run, place):
                found = self.choose(run, place)
                if found is not None:
                    yield found

    def _mine(self, run: Run, place: str) -> bool:
        """Say whether this site serves or hands on this place: all of them at the origin, else what it was asked for.

        What follows is this site's when it is placed here and rests on what came back, or when the plan lets all its
        inputs flow from here.
        """
        if run.asked is None or place in run.asked.targets:
            return True
        first = run.assignment.stages[place].targets[0]
        if not run.served.keys() & set(first.after):
            return False
        if first.site == self.table.site:
            return any(name in run.served and name not in run.asked.targets for name in first.after)
        return all(run.assignment.flow(self._key(name, first)) for name in first.after)

    def choose(self, run: Run, place: str) -> Placed | None:
        """Return the first target that may and can serve `place` now, None while its inputs are still to come.

        Raises:
            RefusedError: none is left; the 451 cites what refused, the 503 says that permitted ones did not answer.
        """
        refused: list[Decision | Refusal] = []
        asked = None if run.asked is None else run.asked.targets.get(place)
        for number, target in enumerate(run.assignment.stages[place].targets):
            if (place, number) in run.failed or target.role == "queue" or asked not in (None, target):
                continue
            missing = [name for name in target.after if name not in run.held]
            if any(name in run.assignment.stages and name not in run.served for name in missing):
                return None
            if missing:
                continue
            verdict = self.judge(run, Placed(place, target))
            if verdict is None:
                return Placed(place, target)
            refused.append(verdict)
        raise RefusedError(run.refusal(place, refused))

    def judge(self, run: Run, placed: Placed) -> Decision | Refusal | None:
        """Return None when the table permits this target for this request, else what refuses it."""
        decision = may_run(placed, run.floor, self.table, run.assignment)
        if not decision.permitted:
            return decision
        if placed.target.site == self.table.site:
            return None
        crossings = self._crossings(run, placed)
        return next((crossing for crossing in crossings if isinstance(crossing, Refusal)), None)

    def _key(self, name: str, target: Target) -> FlowKey:
        return FlowKey(name, target.stage, self.table.site, target.site)

    def _crossings(self, run: Run, placed: Placed) -> list[Crossing | Refusal]:
        """Return what the table says of everything held here that `placed` would receive."""
        keys = [self._key(name, placed.target) for name in placed.target.after if name in run.held]
        return [cross(key, run.floor, self.table, run.assignment) for key in keys]

    async def _here(self, run: Run, placed: Placed) -> None:
        began = perf_counter()
        try:
            output = await self._call(run, placed.target)
        except InputError as error:
            self._outcome(run, placed, BAD_REQUEST, began)
            raise RefusedError(Refusal(BAD_REQUEST, "stage/input", f"{placed.place}: {error}")) from error
        except Exception as error:  # an engine's fault is the target's failure; its text may hold what it was given
            _log.warning("%s: %s failed: %s", run.name, placed.target.stage, type(error).__name__)
            self._outcome(run, placed, UNAVAILABLE, began)
            run.failed.add((placed.place, run.assignment.stages[placed.place].targets.index(placed.target)))
            return
        self._outcome(run, placed, OK, began)
        run.held[placed.place] = output
        run.served[placed.place] = placed.target

    async def _call(self, run: Run, target: Target) -> Payload:
        engine = self.engines.get(wanted(target))
        if engine is None:
            raise UnavailableError(f"no engine for {target.stage} is open here")
        inputs = {name: run.held[name] for name in target.after}
        return await asyncio.get_running_loop().run_in_executor(self.workers, engine.run, inputs)

    def _outcome(self, run: Run, placed: Placed, status: int, began: float) -> None:
        target = placed.target
        decision = may_run(placed, run.floor, self.table, run.assignment)
        self.journal.note("outcome", run.common() | {
            "stage": target.stage, "model": target.model, "variant": target.variant, "status": status,
            "label": self.table.label_json(run.label(placed.place)), "verdict": decision.verdict,
            "rules": list(decision.rules), "ms": round((perf_counter() - began) * 1000, 3),
        })  # fmt: skip
        names = {"pipeline": run.workload.pipeline, "stage": target.stage, "site": target.site}
        self.metrics.count("hybrid_stages_total", status=str(status), **names)

    def _hops(self, run: Run, elsewhere: Iterable[Placed]) -> Iterator[Hop]:
        """Yield one hop per site for primaries, with all that it can run from what is held; fallbacks go alone."""
        seen: set[str] = set()
        for placed in elsewhere:
            if placed.target.role == "fallback":
                yield self._hop(run, (placed,))
            elif placed.target.site not in seen:
                seen.add(placed.target.site)
                yield self._hop(run, tuple(self._reachable(run, placed.target.site)))

    def _reachable(self, run: Run, site: str) -> Iterator[Placed]:
        """Yield the places whose primary is at `site` and that it can run from what is held here, in their order."""
        known = set(run.held)
        for place, entry in run.assignment.stages.items():
            placed = Placed(place, entry.targets[0])
            mine = place not in run.served and placed.target.site == site and (place, 0) not in run.failed
            if mine and set(placed.target.after) <= known and self.judge(run, placed) is None:
                known.add(place)
                yield placed

    def _hop(self, run: Run, stages: tuple[Placed, ...]) -> Hop:
        found = [crossing for placed in stages for crossing in self._crossings(run, placed)]
        crossings = {c.flow.key: c for c in found if isinstance(c, Crossing)}
        payloads = {key.from_stage: run.held[key.from_stage] for key in crossings}
        return Hop(run, stages[0].target.site, stages, payloads, tuple(crossings.values()))

    async def _there(self, run: Run, hop: Hop) -> None:
        """Send a hop; take back only what the table lets flow from there to here."""
        stages = {placed.target.stage: placed for placed in hop.stages}
        try:
            returned = await self.hops.send(hop)
        except UnavailableError as error:
            _log.warning("%s: %s: %s", run.name, hop.site, error)
            run.fail(hop.site)
            return
        if not stages.keys() <= returned.ran:
            run.fail(hop.site)
            return
        back = {f.from_stage for f in run.assignment.flows if (f.from_site, f.to_site) == (hop.site, self.table.site)}
        for placed in (*hop.stages, *self._beyond(run, returned.ran - stages.keys())):
            name = placed.target.stage
            run.served[placed.place] = placed.target
            if name in returned.payloads and name in back:
                run.held[placed.place] = returned.payloads[name]

    def _beyond(self, run: Run, ran: frozenset[str]) -> Iterator[Placed]:
        """Yield what another site says it handed on, of what was not served yet and is not this site's to serve."""
        for place, entry in run.assignment.stages.items():
            if place in ran and place not in run.served and entry.targets[0].site != self.table.site:
                yield Placed(place, entry.targets[0])

    async def _bring_home(self, run: Run) -> None:
        """Send answers whose planned way leads straight to the origin, not back through the site that asked."""
        origin = run.workload.origin
        if run.asked is None or origin == run.asked.caller:
            return
        keys = [
            FlowKey(target.stage, ANSWER, self.table.site, origin)
            for place, target in run.served.items()
            if target.site == self.table.site and run.assignment.stages[place].answer
        ]
        found = [cross(key, run.floor, self.table, run.assignment) for key in keys]
        crossings = tuple(crossing for crossing in found if isinstance(crossing, Crossing))
        if crossings:
            payloads = {c.flow.from_stage: run.held[c.flow.from_stage] for c in crossings}
            await self._send_home(Hop(run, origin, (), payloads, crossings))

    async def _send_home(self, hop: Hop) -> Returned:
        try:
            return await self.hops.send(hop)
        except UnavailableError as error:
            raise RefusedError(Refusal(UNAVAILABLE, "gateway/no-way-home", str(error), retry_after=5)) from error


async def together(work: list[Coroutine[Any, Any, None]]) -> None:
    """Run all of `work` at once; the first refusal ends the rest and is raised bare."""
    if len(work) == 1:
        await work[0]
        return
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as errors:
        refused, other = errors.split(RefusedError)
        if refused is None or other is not None:
            raise
        raise refused.exceptions[0] from None


def wanted(target: Target) -> Wanted:
    """Return the engine that a target asks for."""
    return Wanted(target.task, target.model, target.variant, target.knowledge)
