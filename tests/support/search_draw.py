"""Draws random small fleets in which every filter of the planner refuses something and no two sites need be alike."""

from __future__ import annotations

import random
from typing import Any

from placement.problem import Problem
from sites.noun import Noun
from tests.support.placement import (
    DIGEST,
    a_clinic,
    a_knowledge,
    a_law,
    a_model,
    a_pipeline,
    a_problem,
    a_stage,
    a_variant,
)
from tests.support.sites import a_box, a_link, a_party, a_policy, a_rule

COUNTRIES = ("FR", "DE", "CH", "US", "FR-69", None)
HEALTH, CREDENTIALS = "user.health_and_medical", "system.authentication"
DATA = ("system.operations", HEALTH, "user.health_and_medical.genetic", CREDENTIALS)
QUOTE = {"name": "quote", "task": "quote", "after": ["input"], "output": "1KiB"}
L4 = [{"hardware": "l4", "service": "9ms", "throughput": "50/s"}]


class Draw:
    """One draw; `problem` is what it comes to."""

    def __init__(self, seed: int) -> None:
        """Draw names and modes of sites, which their links depend on."""
        self.draw = random.Random(seed)
        self.names = [f"s{index}" for index in range(self.draw.randint(3, 8))]
        modes = ("connected", "connected", "connected", "intermittent", "disconnected")
        self.modes = {name: self.pick(*modes) for name in self.names}

    def pick(self, *values: Any) -> Any:
        """Return one of the values."""
        return self.draw.choice(values)

    def maybe(self, chance: float, **fields: Any) -> dict[str, Any]:
        """Return the fields, or none."""
        return fields if self.draw.random() < chance else {}

    def problem(self) -> Problem:
        """Return a problem of a few sites and two pipelines."""
        fine = a_variant("w4", quality={}, needs={"cpus": 3.3, "memory": "1GiB", "disk": "400GiB"})
        quick = a_variant("big", needs={"cpus": 1, "accelerator": "3/8"}, speed=L4)
        trained = [{"data": "system.operations", "law": ["CH"]}]
        nouns: list[Noun] = [
            *(self.site(name) for name in self.names),
            a_model("small", a_variant(), fine, trainedOn=self.pick([], [], trained)),
            a_model("other", quick),
            a_model("drafted", state="candidate"),
            a_model("encoder", a_variant(needs={"cpus": 2}), task="embed"),
            a_knowledge(sites=self.pick({}, {"size": "large"}), size="1GiB"),
            a_pipeline("mail", *self.stages(), fallbacks=[QUOTE], **self.spec()),
            a_pipeline("mail-b", *self.stages(), fallbacks=[QUOTE], **self.spec()),
            self.policy(),
        ]
        lawful = a_rule("lawful", **self.maybe(0.3, law=["EU", "CH"]))
        return a_problem(*nouns, law=a_law(lawful))

    def site(self, name: str) -> Noun:
        """Return a site with links to some of those before it."""
        mode, location = self.modes[name], self.pick(*COUNTRIES)
        before = [other for other in self.names[: self.names.index(name)] if self.modes[other] != "disconnected"]
        ends = [] if mode == "disconnected" else self.draw.sample(before, min(len(before), self.pick(0, 1, 2, 3)))
        boxes = [a_box(count=self.pick(1, 2), cpus=self.pick(2, 8), price=self.pick("0.1 EUR/h", "0.3 EUR/h"))]
        is_first = name == self.names[0]
        if is_first or self.draw.random() < 0.5:
            boxes.append(a_box(name="rack", accelerators={"kind": "l4", "count": 2, "memory": "24GiB"}))
        party = a_party(self.pick("FR", "DE", "US"), name=self.pick("Clinique", "Cloud", "Both"))
        return a_clinic(
            name,
            location,
            mode=mode,
            links=[self.link(end) for end in ends],
            labels={"role": "clinic", "size": "large"}
            if is_first
            else {"role": self.pick("clinic", "region"), "size": self.pick("small", "large")},
            serves=self.pick("own", "own", "any", "any", {"size": "large"}),
            hardware=boxes,
            taints=self.pick([], [], [], [{"name": "moving", "reason": "in May"}]),
            **self.maybe(0.5, operator=party),
            **self.maybe(0.2, telemetry="US"),
            **self.maybe(0.2, basis="declared"),
            **self.maybe(0.5, erasure={"within": "1d"}),
        )

    def link(self, to: str) -> dict[str, Any]:
        """Return a link; few values, so that paths tie."""
        return a_link(
            to,
            rtt=self.pick("0ms", "5ms", "5ms", "10ms"),
            price=self.pick("0 EUR/GB", "0.01 EUR/GB", "0.02 EUR/GB"),
            bandwidth=self.pick("20Mbit/s", "5Mbit/s"),
            transit=self.pick([], [], ["CH"], ["US"]),
            tls=self.pick("passthrough", "passthrough", "terminated"),
            intermediary=a_party(self.pick("FR", "US"), name="Carrier"),
        )

    def stages(self) -> list[dict[str, Any]]:
        """Return one to three stages."""
        asks = self.maybe(0.3, sites=self.pick({"size": "large"}, self.names[:2]))
        stages = [a_stage("one", owner="Nurses", share=self.pick(1.0, 0.3), quality=self.pick({}, {"accuracy": 0.5}))]
        stages[0] |= self.maybe(0.3, state="shared") | self.maybe(0.3, models=["small", "drafted", "other"])
        after = self.pick(["input"], ["one"], ["input", "one"])
        late = self.maybe(0.3, **{"async": True}) | self.maybe(0.2, retain="2d") | self.maybe(0.3, purpose="essential")
        stages.append(a_stage("two", models=["other", "small"], after=after, fallback=["quote"], **late, **asks))
        if self.draw.random() < 0.5:
            reads = {"task": "retrieve", "models": ["encoder"], "knowledge": "protocols", "output": "6KiB"}
            stages.append(
                a_stage("recall", after=self.pick(["input"], ["one"]), answer=self.pick(True, False), **reads)
            )
        return stages

    def spec(self) -> dict[str, Any]:
        """Return everything of a pipeline but its stages."""
        data = self.draw.sample(DATA, self.pick(1, 1, 2))
        by = self.pick("site", "country", "operator")
        return {
            "origins": self.pick({}, {"role": "clinic"}),
            "input": {"data": data, "identifiability": self.pick("identified", "anonymised"), "size": "2KiB"}
            | self.maybe(0.3, law=["CH"])
            | self.maybe(0.6, purposes=["essential.service"]),
            "rate": self.pick("0.5/s", "7/s"),
            "rates": self.pick([], [{"sites": {"size": "large"}, "rate": "1.7/s"}]),
            "utilisation": self.pick(0.7, 0.35),
            "priority": self.pick(1, 2.5),
            **self.maybe(0.5, latency="1s"),
            **self.maybe(0.5, tolerates=["moving"]),
            **self.maybe(0.3, apart=[{"stages": ["one", "two"], "by": by}]),
            **self.maybe(0.3, spread=[{"stage": "two", "by": by, "most": 0.4}]),
        }

    def policy(self) -> Noun:
        """Return a policy with some of every kind of rule."""
        where = self.pick(["EU"], ["FR", "CH"], ["DE"], ["FR-69", "CH"])
        rules = [a_rule(**self.maybe(0.3, law=["EU", "CH", "US"]))]
        for chance, rule in (
            (0.4, a_rule("home", "require", data=[CREDENTIALS], countries="ORIGIN")),
            (0.3, a_rule("near", "require", data=[HEALTH], countries=where, activities=["process", "transit"])),
            (0.3, a_rule("ours", "require", data=[HEALTH], compellableBy={"within": where})),
            (0.2, a_rule("never", "prohibit", data=["system"], countries=["US"], activities=["transit"])),
            (0.2, a_rule("agreed", "require", data=[HEALTH], instrument=["contract"], activities=["process"])),
            (0.1, a_rule("sure", "require", data=[HEALTH], basis="declared")),
        ):
            rules += [rule] if self.draw.random() < chance else []
        ends = {"exporter": self.pick("Clinique", self.names[0]), "importer": self.pick("Cloud", self.names[1])}
        agreed = {"type": "contract", "data": HEALTH, "from": "2020-01-01", "until": "2030-01-01", **ends}
        no_pack = {"country": "US", "reason": "none is shipped", "by": "Board", "until": "2030-01-01"}
        gate = {
            "stage": "one", "digest": DIGEST, "fromAtoms": [{"data": HEALTH, "law": self.pick(["FR"], ["FR", "DE"])}],
            "toAtoms": [{"data": "system.operations", "law": ["FR"]}], "recipients": self.pick(["two"], ["answer"]),
            "sites": self.names[1:4], "approver": "Officer (example)", "until": "2027-12-31",
        }  # fmt: skip
        return a_policy(
            *rules,
            packs=["law"],
            instruments=[agreed] if self.draw.random() < 0.7 else [],
            noPack=self.pick([], [no_pack]),
            declassifiers=self.pick([], [], [gate]),
            **self.maybe(0.2, retention=[{"data": HEALTH, "most": "3d"}]),
        )
