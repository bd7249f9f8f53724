"""Says what a draft would change, in words that a custodian can check before signing: people, rules, targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Content = Mapping[str, Any]
_RULES = ("environment", "repository", "clockDriftDays", "expiryPolicy")
_COUNTS = ("profile", "families", "custodians", "compliance", "recovery")
_MOST = 20


def changes(before: Content | None, after: Content) -> list[str]:
    """Return what the signed content `after` changes against `before`, one line each; None is nothing published yet.

    Dates and the version itself are not among them: they change every time.
    """
    old = before or {}
    said = [
        *_people(_keys(old), _keys(after)),
        *_fields(old, after, _RULES),
        *_fields(old.get("quorum", {}), after.get("quorum", {}), _COUNTS, prefix="quorum: "),
        *_thresholds(_roles(old), _roles(after)),
        *_targets(old.get("targets", {}), after.get("targets", {})),
        *_versions(old.get("meta", {}), after.get("meta", {})),
    ]
    return said if len(said) <= _MOST else [*said[:_MOST], f"and {len(said) - _MOST} more changes"]


def _keys(signed: Content) -> dict[str, Any]:
    """Return the keys that a root, or the delegations of a targets role, name."""
    found: dict[str, Any] = (signed.get("delegations") or {}).get("keys") or signed.get("keys") or {}
    return found


def _roles(signed: Content) -> dict[str, Any]:
    listed = (signed.get("delegations") or {}).get("roles") or []
    return {**(signed.get("roles") or {}), **{role["name"]: role for role in listed}}


def _people(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = _by_person(old), _by_person(new)
    said = [f"custodian {who} is removed" for who in sorted(before.keys() - after.keys())]
    said += [f"custodian {who} is new" for who in sorted(after.keys() - before.keys())]
    both = sorted(before.keys() & after.keys())
    return said + [f"custodian {who}: other keys" for who in both if before[who] != after[who]]


def _by_person(keys: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return `name (duty)` -> key ids."""
    found: dict[str, set[str]] = {}
    for keyid, key in keys.items():
        found.setdefault(f"{key.get('custodian')} ({key.get('duty')})", set()).add(keyid)
    return found


def _fields(old: Content, new: Content, names: tuple[str, ...], prefix: str = "") -> list[str]:
    return [f"{prefix}{n} {_say(old.get(n))} becomes {_say(new.get(n))}" for n in names if old.get(n) != new.get(n)]


def _thresholds(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    said = [f"role {name} is removed" for name in sorted(old.keys() - new.keys())]
    for name, role in sorted(new.items()):
        before = old.get(name)
        if before is None:
            said.append(f"role {name} is new: {role.get('threshold')} signatures")
        else:
            said += _fields(before, role, ("threshold", "paths", "terminating"), prefix=f"role {name}: ")
    return said


def _targets(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    said = [f"{path} is removed" for path in sorted(old.keys() - new.keys())]
    for path, entry in sorted(new.items()):
        if entry != old.get(path):
            said.append(f"{path} {'changes to' if path in old else 'is new:'} {entry['hashes']['sha256'][:12]}")
    return said


def _versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = sorted(old.keys() | new.keys())
    said = {name: (old.get(name, {}).get("version", 0), new.get(name, {}).get("version", 0)) for name in names}
    return [f"{name} v{one} becomes v{other}" for name, (one, other) in said.items() if one != other]


def _say(value: Any) -> str:
    return "nothing" if value is None else str(value)
