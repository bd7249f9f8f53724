"""A replica answers only a fresh passport of its own gateway, for its own plan and this very body, once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid.cluster.admission import Door, issuer
from hybrid.cluster.schema import StageArgs
from tests.support.cluster import KEY, PLAN_DIGEST, a_region, keyid

NOW = dt.datetime(2026, 12, 2, 12, tzinfo=dt.UTC)
BODY = b'{"inputs": {}}'


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> StageArgs:
    return a_region(tmp_path_factory.mktemp("region")).config.applications[0].args


def token(body: bytes = BODY, *, key: Ed25519PrivateKey = KEY, at: dt.datetime = NOW, **changes: Any) -> str:
    fields: dict[str, Any] = {"site": "dc-paris", "model": "assistant", "plan_digest": PLAN_DIGEST, "epoch": 3}
    return issuer(key, keyid(), **(fields | changes), now=lambda: at)(body)


def judge(args: StageArgs, passport: str, body: bytes = BODY, at: dt.datetime = NOW) -> str:
    refusal = Door(args, NOW - dt.timedelta(minutes=5)).admit(passport, body, at)
    return "" if refusal is None else f"{refusal.status} {refusal.rule}"


def test_the_gateways_passport_is_admitted_once(args: StageArgs) -> None:
    door, passport = Door(args, NOW), token()
    assert door.admit(passport, BODY, NOW) is None
    again = door.admit(passport, BODY, NOW)
    assert again is not None
    assert again.rule == "passport/replay"


@pytest.mark.parametrize(
    ("passport", "refusal"),
    [
        ("nonsense", "401 passport/form"),
        (token(key=Ed25519PrivateKey.from_private_bytes(b"\1" * 32)), "401 passport/signature"),
        (token(site="dc-berlin"), "401 passport/key"),
        (token(model="triage"), "403 passport/audience"),
        (token(epoch=2), "409 passport/epoch"),
        (token(plan_digest="sha256:" + "2" * 64), "409 passport/epoch"),
        (token(at=NOW - dt.timedelta(seconds=61)), "401 passport/time"),
        (token(at=NOW - dt.timedelta(minutes=6)), "401 passport/before-start"),
        (token(b"another body"), "403 passport/body"),
    ],
)
def test_anything_else_is_refused(args: StageArgs, passport: str, refusal: str) -> None:
    assert judge(args, passport) == refusal


def test_without_registered_keys_nobody_is_admitted(tmp_path: Path) -> None:
    closed = a_region(tmp_path, site_plan=None).config.applications[0].args
    assert judge(closed, token()) == "401 passport/key"
