"""The policy of a generated fleet: five levels of data, from what may go anywhere to what stays in its country."""

from __future__ import annotations

from collections.abc import Iterable

from tools.fleets.countries import COUNTRIES, PACKED

LEVELS = ("system.operations", "user.device", "user.contact", "user.health_and_medical", "system.authentication")
"""Anywhere; where the packs permit; within the bloc; under the bloc's control; in the origin's country alone."""

BLOC = {
    "europe": ["EEA", "CH", "GB"],
    "americas": sorted(c.code for c in COUNTRIES if c.bloc == "americas"),
    "pacific": sorted(c.code for c in COUNTRIES if c.bloc == "pacific"),
}


def _listed(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"


def policy(blocs: Iterable[str]) -> str:
    """Return the one Policy manifest."""
    lines = [
        "apiVersion: hybrid/v1",
        "kind: Policy",
        "metadata: {name: fleet}",
        "spec:",
        "  packs: [eu-gdpr, ch-fadp, uk-gdpr]",
        "  noPack:",
    ]
    for country in sorted(c.code for c in COUNTRIES if c.code not in PACKED):
        lines.append(
            f"    - {{country: {country}, reason: no pack is shipped (generated), by: Nobody (generated), "
            "until: 2099-12-31}"
        )
    lines.append("  rules:")
    for level in LEVELS:
        name = level.replace(".", "-").replace("_", "-")
        lines.append(
            f"    - {{id: {name}-in-house, effect: permit, data: {level}, activities: all, source: generated}}"
        )
    for bloc in sorted(blocs):
        places = _listed(BLOC[bloc])
        lines += [
            f"    - {{id: contact-stays-in-{bloc}, effect: require, data: user.contact, activities: all, "
            f"law: {places}, countries: {places}, source: generated}}",
            f"    - {{id: health-under-{bloc}, effect: require, data: user.health_and_medical, activities: all, "
            f"law: {places}, countries: {places}, compellableBy: {{within: {places}}}, source: generated}}",
        ]
    return "\n".join(lines) + "\n"
