"""A default-deny packet filter from the signed table: the gateway's user reaches the planned sites, and nothing else.

It runs outside the gateway's user, so that a gateway gone wrong cannot widen it, and its named counters are a second
witness of what left: one for each peer, one for what was denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from hybrid.errors import InputError
from hybrid.gateway.table import FlowEntry, Table

DENIED = "denied"


def ruleset(table: Table, peers: Mapping[str, str], *, uid: int, hop_port: int | None) -> str:
    """Return the nftables file of a site.

    Args:
        table: the site's decision table; only sites that a permitted flow joins to this one are let through.
        peers: site to `https://address:port`, as in `gateway/peers.json`.
        uid: of the user that the gateway runs as.
        hop_port: where other gateways connect; None admits none.

    Raises:
        InputError: a planned peer has a host name for an address: a filter that asks a name server denies nothing.
    """
    outward = [(site, *_address(site, peers[site])) for site in _joined(table, "from_site", "to_site") if site in peers]
    inward = [(site, *_address(site, peers[site])) for site in _joined(table, "to_site", "from_site") if site in peers]
    names = [*(f"to_{_word(site)}" for site, *_ in outward), *(f"from_{_word(site)}" for site, *_ in inward), DENIED]
    out = [
        f"meta skuid {uid} {family} daddr {host} tcp dport {port} counter name to_{_word(site)} accept"
        for site, family, host, port in outward
    ]
    into = [
        f"{family} saddr {host} tcp dport {hop_port} counter name from_{_word(site)} accept"
        for site, family, host, _ in inward
        if hop_port is not None
    ]
    closed = [] if hop_port is None else [f"tcp dport {hop_port} counter name {DENIED} drop"]
    lines = [f"# Egress and ingress of {table.site}, from its signed plan. Load it as root: nft -f FILE"]
    lines += ["table inet hybrid {}", "delete table inet hybrid", "table inet hybrid {"]
    lines += [f"  counter {name} {{}}" for name in dict.fromkeys(names)]
    lines += _chain("output", [f'meta skuid {uid} oifname "lo" accept', *_established(uid), *out,
                               f"meta skuid {uid} counter name {DENIED} reject"])  # fmt: skip
    lines += _chain("input", ['iifname "lo" accept', *into, *closed])
    return "\n".join([*lines, "}", ""])


def _established(uid: int) -> list[str]:
    """Let answers to admitted callers out; a connection that the gateway opens is judged as a new one."""
    return [f"meta skuid {uid} ct direction reply ct state established accept"]


def _joined(table: Table, near: str, far: str) -> list[str]:
    """Return the sites that a flow permitted for its planned label joins to this one, sorted."""
    found = {
        getattr(flow, far)
        for workload in table.workloads.values()
        for assignment in workload.assignments
        for flow in assignment.flows
        if getattr(flow, near) == table.site and _permitted(table, flow)
    }
    return sorted(found)


def _permitted(table: Table, flow: FlowEntry) -> bool:
    return table.decide(flow.decisions, frozenset(flow.label)).permitted


def _chain(hook: str, rules: Iterable[str]) -> list[str]:
    head = [f"  chain {hook} {{", f"    type filter hook {hook} priority filter; policy accept;"]
    return [*head, *(f"    {rule}" for rule in rules), "  }"]


def _address(site: str, url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        raise InputError(f"{site}: {url} is no IP address", advice="write the address itself into peers.json") from None
    return ("ip6" if address.version == 6 else "ip"), str(address), parts.port or 443


def _word(site: str) -> str:
    return site.replace("-", "_").replace(".", "_")
