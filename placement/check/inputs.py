"""Whether a plan binds what it was made from: the digest of every manifest and pack, and this checker's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from placement.errors import PlacementError

CHECKER = "checker"
"""The name under which a plan's `inputs` may bind the checker that was to judge it."""


@cache
def checker_digest() -> str:
    """Return the digest of this checker's sources, as a plan's `inputs` binds it."""
    whole = hashlib.sha256()
    for source in sorted(files("placement.check").iterdir(), key=lambda file: file.name):
        if source.name.endswith(".py"):
            whole.update(f"{source.name}\0{hashlib.sha256(source.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def require_current(inputs: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """Raise PlacementError naming every input that changed since the plan was made (invariant 20)."""
    bound = {name: digest for name, digest in inputs.items() if name != CHECKER}
    changes = [f"{name} changed" for name in sorted(bound.keys() & digests.keys()) if bound[name] != digests[name]]
    changes += [f"{name} is new" for name in sorted(digests.keys() - bound.keys())]
    changes += [f"{name} is gone" for name in sorted(bound.keys() - digests.keys())]
    if changes:
        raise PlacementError(
            f"the plan is stale (invariant 20): {'; '.join(changes)}", advice="plan again with `hybrid plan`"
        )
