"""A key that stands twice is refused wherever in a plan it does, with its place: no two readers see two plans."""

from __future__ import annotations

import json
import re

import pytest

from placement.check import DuplicateKeyError, check_bytes
from tests.placement.check.test_classes import alike, canonical, fleet_of

PLACES = {
    "the plan": (b'"kind":"Plan"', "kind"),
    "its cost": (b'"currency":"EUR"', "currency"),
    "a pool": (b'"replicas":2,"site":"dc-paris"', "replicas"),
    "a workload": (b'"pipeline":"patient-message"', "pipeline"),
    "what each workload has for itself": (b'"tenant":"default"', "tenant"),
    "an assignment": (b'"fraction":1', "fraction"),
    "a stage": (b'"variant":"w8"', "variant"),
    "a flow": (b'"verdict":"permit"', "verdict"),
    "a label": (b'"identifiability":"identified"', "identifiability"),
    "a latency": (b'"limit":', "limit"),
}


@pytest.mark.parametrize("last", [False, True], ids=["the first", "the last"])
@pytest.mark.parametrize("name", PLACES)
def test_a_key_that_stands_twice_is_refused_with_its_place(name: str, *, last: bool) -> None:
    documents, plan = alike()
    data, (field, key) = canonical(fleet_and(plan, documents)), PLACES[name]
    found = [match.start() for match in re.finditer(re.escape(field), data)]
    assert found, name
    at = found[-1 if last else 0]
    twice = b'"%s":null,' % key.encode()
    with pytest.raises(DuplicateKeyError, match=f"'{key}' stands twice") as refused:
        check_bytes(data[:at] + twice + data[at:], fleet_of(documents, plan))
    assert f"at byte {at + len(twice)} (line 1)" in str(refused.value)


def test_the_line_is_told_of_a_plan_with_many() -> None:
    documents, plan = alike()
    text = json.dumps(fleet_and(plan, documents), indent=1)
    line = next(n for n, line in enumerate(text.splitlines(), 1) if '"verdict"' in line)
    lines = text.splitlines()
    lines[line - 1 : line - 1] = ['"v\\u0065rdict": "deny",']
    with pytest.raises(DuplicateKeyError, match=rf"'verdict' stands twice .*\(line {line + 1}\)"):
        check_bytes("\n".join(lines).encode(), fleet_of(documents, plan))


@pytest.mark.parametrize("blank", [b" ", b"\n"])
def test_a_blank_hides_no_key(blank: bytes) -> None:
    documents, plan = alike()
    data = canonical(fleet_and(plan, documents))
    field = b'"role":"primary"'
    broken = data.replace(field, b'"role"%b:%b"primary",%b' % (blank, blank, field), 1)
    with pytest.raises(DuplicateKeyError, match="'role' stands twice"):
        check_bytes(broken, fleet_of(documents, plan))


def test_braces_and_keys_within_texts_are_no_keys() -> None:
    documents, plan = alike()
    plan["note"] = {'{"a":1,"a":2}': ['"a":', "{", '\\"a\\":'], "a": {"a": [{"a": 1}, {"a": 2}]}}
    assert check_bytes(canonical(fleet_and(plan, documents)), fleet_of(documents, plan)).findings == ()


def fleet_and(plan: dict[str, object], documents: dict[str, dict[str, object]]) -> dict[str, object]:
    """Return the plan with the digests of its fleet."""
    fleet_of(documents, plan)
    return plan
