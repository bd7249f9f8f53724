"""Makes the unsigned content that custodians sign: a root, the delegations below targets, and how long each holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bundles.document import Noun, stamp
from bundles.errors import InputError
from bundles.layout import delegation_paths
from bundles.trust.custody import Custodian
from bundles.trust.expiry import FIELD, ExpiryPolicy
from bundles.trust.keys import Environment, Keyring
from bundles.trust.quorum import Quorum, needs_compliance
from bundles.trust.roots import DEFAULT_DRIFT_DAYS
from bundles.trust.stock import DelegatedRole, Delegations, Role, Root, TargetFile

TOP = ("root", "timestamp", "snapshot", "targets")
VALID_DAYS = {"root": 5 * 365}
VALID_DAYS_OTHERS = 400


class Rules(Noun):
    """What a root says beside its keys.

    Attributes:
        identity: tells one repository from another; requests name it, and a custodian's keys serve one.
    """

    identity: str = ""
    environment: Environment
    quorum: Quorum
    clock_drift_days: int = DEFAULT_DRIFT_DAYS
    expiry: ExpiryPolicy = ExpiryPolicy()


def expiry_of(role: str, issued: datetime) -> datetime:
    """Return when `role` runs out if it is issued at `issued`."""
    return issued + timedelta(days=VALID_DAYS.get(role, VALID_DAYS_OTHERS))


def root_of(people: Iterable[Custodian], rules: Rules, version: int, issued: datetime) -> Root:
    """Return the root of `people`: release custodians sign every role, recovery custodians stand there for orders."""
    by_duty: Mapping[str, list[Custodian]] = {"release": [], "compliance": [], "recovery": []}
    for person in people:
        by_duty[person.duty].append(person)
    release = [key for person in by_duty["release"] for key in person.tuf_keys()]
    recovery = [key for person in by_duty["recovery"] for key in person.tuf_keys()]
    roles = {role: Role([key.keyid for key in release], rules.quorum.threshold(role)) for role in TOP}
    more = {"repository": rules.identity} if rules.identity else {}
    return Root(
        version=version, expires=expiry_of("root", issued), keys={key.keyid: key for key in (*release, *recovery)},
        roles=roles, consistent_snapshot=False,
        unrecognized_fields={
            "issued": stamp(issued), "environment": rules.environment,
            "quorum": rules.quorum.model_dump(mode="json", by_alias=True),
            "clockDriftDays": rules.clock_drift_days,
            FIELD: rules.expiry.model_dump(mode="json", by_alias=True), **more,
        },
    )  # fmt: skip


def delegations_of(people: Iterable[Custodian], quorum: Quorum, sites: Iterable[str]) -> Delegations:
    """Return models, runtime and the plans of `sites`, each delegated to those whose duty it is."""
    chosen = list(people)
    patterns = {role: path for site in sites for role, path in delegation_paths(site).items()}
    roles, keys = {}, {}
    for role, pattern in sorted(patterns.items()):
        duties = {"release", "compliance"} if needs_compliance(role) else {"release"}
        mine = {key.keyid: key for person in chosen if person.duty in duties for key in person.tuf_keys()}
        keys.update(mine)
        roles[role] = DelegatedRole(role, list(mine), quorum.threshold(role), True, paths=[pattern])
    return Delegations(dict(keys), roles)


def signed_target(path: str, data: bytes, quorum: Quorum) -> TargetFile:
    """Return `data` as target `path`: its length and every hash of the profile."""
    return TargetFile.from_data(path, data, list(quorum.hashes))


def check_custodians(people: list[Custodian], rules: Rules) -> None:
    """Refuse custodians of another environment or profile, or too few of them to ever meet the quorum.

    Raises:
        InputError: with the names and what to do.
        TrustError: one key or one custodian stands twice.
    """
    Keyring().admit(key for person in people for key in person.tuf_keys())
    quorum = rules.quorum
    wrong = [person.custodian for person in people if person.environment != rules.environment]
    if wrong:
        raise InputError("ENVIRONMENT", f"{', '.join(wrong)}: keys of another environment than {rules.environment}",
                         advice="demo keys sign demo repositories only")  # fmt: skip
    other = [p.custodian for p in people if {key.family: key.scheme for key in p.keys} != dict(quorum.schemes)]
    if other:
        raise InputError("PROFILE", f"{', '.join(other)}: keys of another profile than {quorum.profile}",
                         advice=f"make keys with hybrid trust add-key DIR --profile {quorum.profile}")  # fmt: skip
    wanted = {"release": quorum.custodians, "compliance": quorum.compliance, "recovery": quorum.recovery}
    for duty, count in wanted.items():
        have = sum(person.duty == duty for person in people)
        if have < count and (have or duty != "recovery"):  # none at all: recovery is impossible, all else goes on
            raise InputError("CUSTODIANS", f"fewer than {count} custodians with the duty {duty}",
                             advice=f"hybrid trust add-key DIR --custodian NAME --duty {duty}")  # fmt: skip
