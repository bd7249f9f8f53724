"""What must agree across the manifests of a fleet, as far as `sites` knows them: each check yields findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sites.document import Path as Where
from sites.finding import Finding
from sites.manifest import Manifest, finding_at
from sites.noun import Noun
from sites.policy import Pack, Policy, Rule
from sites.site import Site

RESERVED = ("invariant", "no-pack", "unknown")
"""Layers that are nobody's to write: no policy and no pack is called so."""


def name_of(noun: Noun) -> str:
    """Return the name of a noun that is a manifest."""
    return str(getattr(noun, "name"))  # noqa: B009 -- every kind has one; the base class does not say so


def finding_in(root: Path, manifest: Manifest, path: Where, message: str, hint: str = "") -> Finding:
    """Return a finding at one value of a manifest, its file read again; where it is gone, at the manifest's line."""
    try:
        text = (root / manifest.file).read_text(encoding="utf-8-sig")
    except OSError:
        return Finding(manifest.file, manifest.line, 1, message, hint)
    return finding_at(text, manifest.file, manifest.line, path, message, hint)


def doubles(root: Path, manifests: Iterable[Manifest]) -> Iterator[Finding]:
    """Yield names that two manifests of one kind share."""
    first: dict[tuple[str, str], Manifest] = {}
    for manifest in manifests:
        kind, name = type(manifest.noun).__name__, name_of(manifest.noun)
        other = first.setdefault((kind, name), manifest)
        if other is not manifest:
            message = f"{kind} {name!r} is already in {other.file}:{other.line}"
            yield finding_in(root, manifest, ("metadata", "name"), message, "names are unique among a kind")


def policies(root: Path, manifests: Iterable[Manifest], packs: Mapping[str, Pack]) -> Iterator[Finding]:
    """Yield a tenant's second policy, doubled rules, and what a policy names that is not among the known `packs`."""
    by_tenant: dict[str, Manifest] = {}
    for manifest in manifests:
        if not isinstance(manifest.noun, Policy):
            continue
        policy = manifest.noun
        other = by_tenant.setdefault(policy.metadata.tenant, manifest)
        if other is not manifest:
            message = f"tenant {policy.metadata.tenant!r} already has a policy in {other.file}:{other.line}"
            yield finding_in(root, manifest, ("metadata", "name"), message, "one policy per tenant: join the two")
        if policy.name in (*packs, *RESERVED):
            message = f"policy {policy.name!r} takes the name of a {'pack' if policy.name in packs else 'layer'}"
            yield finding_in(
                root, manifest, ("metadata", "name"), message, "its rules are cited as NAME/RULE: rename it"
            )
        yield from double_rules(root, manifest, policy.spec.rules)
        yield from _references(root, manifest, policy, packs)


def _references(root: Path, manifest: Manifest, policy: Policy, packs: Mapping[str, Pack]) -> Iterator[Finding]:
    """Yield what a policy names and does not exist: packs, adopted rules, waived rules."""
    known = ", ".join(sorted(packs))
    for index, name in enumerate(policy.spec.packs):
        if name not in packs:
            yield finding_in(root, manifest, ("spec", "packs", index), f"no pack {name!r}", f"there are {known}")
    named = [packs[name] for name in policy.spec.packs if name in packs]
    ids = {f"{pack.name}/{rule.id}" for pack in named for rule in pack.spec.rules}
    ids |= {f"{policy.name}/{rule.id}" for rule in policy.spec.rules}
    for index, name in enumerate(policy.spec.adopt):
        if name not in ids:
            hint = "ids are PACK/RULE, of a pack that this policy names"
            yield finding_in(root, manifest, ("spec", "adopt", index), f"no rule {name!r} to adopt", hint)
    waivable = {rule.id for rule in policy.spec.rules if rule.effect != "permit"}
    for index, waiver in enumerate(policy.spec.waivers):
        if waiver.rule not in waivable:
            message = f"{waiver.rule!r} is no requirement or prohibition of this policy"
            hint = "only the organisation's own can be waived; rules of packs cannot"
            yield finding_in(root, manifest, ("spec", "waivers", index, "rule"), message, hint)


def double_rules(root: Path, manifest: Manifest, rules: tuple[Rule, ...]) -> Iterator[Finding]:
    """Yield rule ids that are used twice in one policy or pack."""
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            message = f"rule id {rule.id!r} is used twice"
            yield finding_in(root, manifest, ("spec", "rules", index, "id"), message, "a rule is cited by its id")
        seen.add(rule.id)


def currencies(root: Path, manifests: Iterable[Manifest]) -> Iterator[Finding]:
    """Yield prices in another currency than the fleet's first."""
    first: tuple[str, str] | None = None
    for manifest in manifests:
        if not isinstance(manifest.noun, Site):
            continue
        for path, currency in _prices(manifest.noun):
            first = first or (currency, manifest.file)
            if currency != first[0]:
                message = f"a price in {currency}, where {first[1]} has {first[0]}"
                yield finding_in(root, manifest, path, message, "one currency per fleet: convert it")


def _prices(site: Site) -> Iterator[tuple[Where, str]]:
    for index, group in enumerate(site.spec.hardware):
        yield ("spec", "hardware", index, "price"), group.price.currency
    for index, link in enumerate(site.spec.connectivity.links):
        yield ("spec", "connectivity", "links", index, "price"), link.price.currency
