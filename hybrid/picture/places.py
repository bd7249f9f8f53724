"""What a page says of a site: where it lies, who runs it, and whose authorities can compel disclosure there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sites.country import BLOCS, country_name, country_of
from sites.data import UNKNOWN_LABEL
from sites.question import Question, taking_part
from sites.site import Assurance, Party, Site


def site_facts(site: Site) -> dict[str, Any]:
    """Return what the report says of a site: place, zone, parties, who can compel disclosure there."""
    spec = site.spec
    question = Question(UNKNOWN_LABEL[0], "process", spec.location, taking_part(site), None, site, site)
    places = {None if place is None else country_of(place) for place in question.compellers}
    compellers = sorted(place for place in places if place) + (["unknown"] if None in places else [])
    operator = spec.parties.get("operator")
    country = None if spec.location is None else country_of(spec.location)
    return {
        "name": site.name, "place": spec.location, "country": country,
        "countryName": "unknown place" if country is None else country_name(country), "zone": zone(country),
        "operator": "unknown" if operator is None else operator.name, "compellableBy": compellers,
        "mode": spec.connectivity.mode, "serves": "own" if spec.serves == "own" else "others", "basis": spec.basis,
        "support": spec.access.support or "unknown",
        "parties": [_party(role, party) for role, party in taking_part(site)],
        "assurances": [_assurance(assurance) for assurance in spec.assurances or ()],
    }  # fmt: skip


def zone(country: str | None) -> str:
    """Return the legal zone of a country: the EEA as one, any other country by itself."""
    if country is None:
        return "Unknown place"
    return "European Economic Area" if country in BLOCS["EEA"] else country_name(country)


def _assurance(assurance: Assurance) -> dict[str, Any]:
    until = None if assurance.until is None else str(assurance.until)
    return {"scheme": assurance.scheme, "until": until, "basis": assurance.basis}


def _party(role: str, party: Party | None) -> dict[str, Any]:
    if party is None:
        return {"role": role, "name": "unknown", "country": "unknown", "controlledBy": ["unknown"], "basis": None}
    chain = ["unknown"] if party.controlled_by is None else list(_controllers(party))
    return {
        "role": role, "name": party.name, "country": party.country or "unknown", "controlledBy": chain,
        "basis": party.basis,
    }  # fmt: skip


def _controllers(party: Party) -> Iterator[str]:
    for controller in party.controlled_by or ():
        yield f"{controller.name} ({controller.country or 'unknown'})"
        yield from _controllers(controller)
