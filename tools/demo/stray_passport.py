"""Hands a genuine passport to a gateway for a stage that its table does not have, and prints what it answers.

Usage: stray_passport.py ROOT URL STAGE [SITE]. The passport is signed with the keys of the box under ROOT. Without
SITE it is for the box's own site, and the body is held back until the gateway agrees; with SITE the body is pushed at
once. Exit 0 when it was taken, 1 when it was refused.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import secrets
import sys
from pathlib import Path

import aiohttp

from bundles.release import open_release
from hybrid.gateway.identity import read_identity
from hybrid.gateway.passport import HEADER, digest, passport, sign
from hybrid.gateway.registry import Registry
from hybrid.gateway.tls import client_context
from hybrid.gateway.transport import PATH, Body


async def hand_over(root: Path, url: str, stage: str, to: str | None) -> tuple[int, str, bool]:
    """Return the status, the answer's text, and whether the body left."""
    plan, identity, now = open_release(root).site_plan, read_identity(root / "identity"), dt.datetime.now(dt.UTC)
    body = Body(json.dumps({"payloads": {"input": {"text": "a message that must not travel"}}}).encode())
    site, atom = plan["site"], {"data": "user.health_and_medical", "law": ["FR"]}
    ticket = passport({
        "issuer": site, "keyId": identity.passport_id, "audience": {"site": to or site, "stages": [stage]},
        "workload": f"patient-message@{site}", "origin": site, "carries": ["input"], "label": [atom],
        "purposes": ["essential.service"], "planDigest": plan["planDigest"], "epoch": plan["epoch"],
        "request": secrets.token_hex(16), "hop": 1, "parent": None, "body": digest(body.data),
    }, now)  # fmt: skip
    context = client_context(
        identity.certificate, identity.tls_key, Registry.of(plan).certificates(now, site=to or site)
    )
    headers = {HEADER: sign(ticket, identity.passport), "content-type": "application/json"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.post(
            url + PATH, data=body, headers=headers, expect100=to is None, server_hostname=to or site
        ) as response,
    ):
        return response.status, await response.text(), body.sent


def main() -> int:
    """Hand it over and print the outcome."""
    root, url, stage, *to = sys.argv[1:]
    status, text, sent = asyncio.run(hand_over(Path(root), url, stage, to[0] if to else None))
    print(f"HTTP {status}, the body {'left' if sent else 'never left'}\n{text}")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
