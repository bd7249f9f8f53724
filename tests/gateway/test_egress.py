"""The packet filter: it names the planned sites and no other, and nftables itself reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hybrid.errors import InputError
from hybrid.gateway.compilation import compile_table
from hybrid.gateway.egress import ruleset
from hybrid.gateway.table import Table
from tests.support.gateway import ORIGIN, OTHER, OVERSEAS, REGION, honest

PEERS = {
    REGION: "https://10.0.0.1:8471",
    OTHER: "https://[fd00::2]:8471",
    OVERSEAS: "https://10.0.0.3",
    "dc-atlantis": "https://10.9.9.9:1",
}


def written(site: str = ORIGIN, hop_port: int | None = 8471) -> str:
    fleet, plan = honest()
    return ruleset(Table.of(compile_table(plan, fleet, site)), PEERS, uid=977, hop_port=hop_port)


def test_the_filter_lets_out_to_planned_sites_and_denies_the_rest() -> None:
    lines = [line.strip() for line in written().splitlines()]

    assert "meta skuid 977 ip daddr 10.0.0.1 tcp dport 8471 counter name to_dc_paris accept" in lines
    assert "meta skuid 977 ip6 daddr fd00::2 tcp dport 8471 counter name to_dc_marseille accept" in lines
    assert "meta skuid 977 ip daddr 10.0.0.3 tcp dport 443 counter name to_dc_ohio accept" in lines
    assert "10.9.9.9" not in written()
    denied = lines.index("meta skuid 977 counter name denied reject")
    assert all(denied > lines.index(line) for line in lines if "skuid" in line and line.endswith("accept"))


def test_overseas_never_reaches_a_region() -> None:
    assert "10.0.0.1" not in written(OVERSEAS)


def test_a_host_name_is_refused() -> None:
    fleet, plan = honest()

    with pytest.raises(InputError, match="no IP address"):
        ruleset(
            Table.of(compile_table(plan, fleet, ORIGIN)), {REGION: "https://paris.example:1"}, uid=977, hop_port=None
        )


@pytest.mark.debian("nftables")
@pytest.mark.parametrize("hop_port", [8471, None])
def test_nftables_reads_it(tmp_path: Path, hop_port: int | None) -> None:
    file = tmp_path / "egress.nft"
    file.write_text(written(hop_port=hop_port))
    namespace = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]

    done = subprocess.run([*namespace, "/usr/sbin/nft", "-c", "-f", str(file)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
