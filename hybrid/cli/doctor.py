"""`hybrid doctor`: what this machine can and cannot do, one line each, with what to install."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, table

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` is empty when it is there."""

    what: str
    found: str
    ok: bool
    advice: str = ""


def _python() -> Finding:
    fits = sys.version_info[:2] == (3, 11)
    return Finding("Python", platform.python_version(), fits, "" if fits else "the locks are for Python 3.11")


def _extra(name: str, module: str) -> Callable[[], Finding]:
    def look() -> Finding:
        ok = find_spec(module) is not None
        return Finding(
            f"extra {name}",
            "installed" if ok else "missing",
            ok,
            "" if ok else f"pip install 'sovereign-hybrid[{name}]'",
        )

    return look


def _tool(command: str, package: str, why: str) -> Callable[[], Finding]:
    def look() -> Finding:
        places = os.pathsep.join([os.environ.get("PATH", ""), os.path.dirname(sys.executable), "/usr/sbin", "/sbin"])
        path = shutil.which(command, path=places)
        return Finding(
            f"{command} ({why})", path or "missing", bool(path), "" if path else f"apt-get install {package}"
        )

    return look


def _isolation() -> Finding:
    if os.geteuid() == 0:
        return Finding("service isolation", "root: a user of its own", True)
    works = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False).returncode == 0
    advice = (
        "" if works else "run as root, or allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1"
    )
    return Finding("service isolation", "unshare -Urn" if works else "none", works, advice)


def _cpu() -> Finding:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = next((line.split(":")[1].split() for line in file if line.startswith(("flags", "Features"))), [])
    except OSError:
        flags = []
    known = [f for f in ("avx2", "avx512f", "avx512_vnni", "asimddp") if f in flags]
    return Finding("processor", f"{platform.machine()} {' '.join(known)}".strip(), True)


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    ok = free > 5 * 10**9
    return Finding("disk free here", f"{free / 1e9:.1f} GB", ok, "" if ok else "the workshop needs 5 GB, a site 1 GB")


LOOKS: tuple[Callable[[], Finding], ...] = (
    _python, _cpu, _disk, _isolation,
    _extra("site", "onnxruntime"), _extra("models", "optimum"), _extra("cluster", "ray"), _extra("deliver", "paramiko"),
    _tool("sshd", "openssh-server", "delivery target"), _tool("nft", "nftables", "egress filter"),
    _tool("ansible-playbook", "ansible", "provisioning"),
)  # fmt: skip


@app.command()
def doctor(output: OutputOption = Output.text) -> None:
    """Say what this machine can and cannot do. Always exits 0: nothing here is wrong, only absent."""
    findings = [look() for look in LOOKS]
    rows = [("ok" if f.ok else "--", f.what, f.found, f.advice) for f in findings]
    emit(output, [asdict(f) for f in findings], lambda: table("", ("", "what", "found", "to have it"), rows))
    if output is Output.text:
        next_step("hybrid init my-fleet")
