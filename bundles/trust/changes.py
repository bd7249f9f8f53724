"""Says what a draft would change, in words that a custodian can check before signing: people, rules, targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Content = Mapping[str, Any]
_RULES = ("environment", "repository", "clockDriftDays", "expiryPolicy")
_COUNTS = ("profile", "families", "custodians", "compliance", "recovery")
_SAID = {*_RULES, "keys", "roles", "delegations", "quorum", "targets", "meta"}
_DATES = {"_type", "version", "expires", "issued", "rootVersion"}


def changes(before: Content | None, after: Content) -> list[str]:
    """Return everything that the signed content `after` changes against `before`; None is nothing published yet.

    Dates and the version itself are not among them: they change every time. Both are sound TUF metadata.
    """
    old = before or {}
    counts, others = old.get("quorum", {}), sorted({*old, *after} - _SAID - _DATES) if before else []
    return [
        *_people(_keys(old), _keys(after)),
        *_fields(old, after, _RULES),
        *_fields(counts, after.get("quorum", {}), _COUNTS, prefix="quorum: "),
        *_thresholds(_roles(old), _roles(after)),
        *_who_signs(old, after),
        *_fields(old, after, others),
        *_targets(old.get("targets", {}), after.get("targets", {})),
        *_versions(old.get("meta", {}), after.get("meta", {})),
    ]


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


def _who_signs(old: Content, new: Content) -> list[str]:
    """Return who, being a custodian before and after, signs a role anew or no more: with the key of one family even."""
    said: list[str] = []
    for name in sorted(_roles(old).keys() & _roles(new).keys()):
        before, after = _hands(old, name), _hands(new, name)
        stay = {who for who, _ in _hands(old)} & {who for who, _ in _hands(new)}
        said += [f"role {name}: {who} ({family}) signs it no more" for who, family in sorted(before - after)
                 if who in stay]  # fmt: skip
        said += [f"role {name}: {who} ({family}) signs it from now on" for who, family in sorted(after - before)
                 if who in stay]  # fmt: skip
    return said


def _hands(signed: Content, role: str | None = None) -> set[tuple[str, str]]:
    """Return (custodian, family) of the keys that sign `role`; of all keys without one."""
    keys = _keys(signed)
    ids = keys if role is None else _roles(signed)[role].get("keyids", ())
    return {(str(keys[one].get("custodian")), str(keys[one].get("family"))) for one in ids if one in keys}


def _fields(old: Content, new: Content, names: Iterable[str], prefix: str = "") -> list[str]:
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
