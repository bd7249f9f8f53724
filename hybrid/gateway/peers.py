"""Reads where other gateways listen; an address grants nothing, keys are pinned."""

from __future__ import annotations

import json
from pathlib import Path

from hybrid.errors import InputError

PEERS = Path("gateway") / "peers.json"


def read_peers(root: Path) -> dict[str, str]:
    """Return site -> address from `gateway/peers.json`. Raises InputError when it is not such a file."""
    path = root / PEERS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}", advice='write {"dc-paris": "https://10.0.0.1:8471"}') from None
    if not isinstance(found, dict) or not all(str(url).startswith("https://") for url in found.values()):
        raise InputError(f"{path}: every peer needs an https:// address", advice="passports travel over TLS alone")
    return {str(site): str(url) for site, url in found.items()}
