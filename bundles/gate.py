"""Decides whether a genuine bundle is for this box: its requirements against the enrolment record."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from bundles.nouns import Enrolment, Requirement


@dataclass(frozen=True)
class Machine:
    """What a machine finds itself to be: architecture, CPU features, glibc, Python ABI."""

    arch: str
    cpu_features: tuple[str, ...]
    glibc: str
    python: str


def this_machine() -> Machine:
    """Return what this machine is; `cpu_features` are the kernel's names, sorted."""
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", _cpuinfo(), re.MULTILINE)
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "glibc 0"
    return Machine(
        arch=platform.machine(),
        cpu_features=tuple(sorted(set(flags.group(1).split()))) if flags else (),
        glibc=libc.split()[-1],
        python=f"cp{sys.version_info.major}{sys.version_info.minor}",
    )


def refusals(needs: Requirement, box: Enrolment) -> list[str]:
    """Return every reason why a bundle with these needs is not for `box`; empty when it is."""
    reasons = [
        f"{field}: the bundle is for {wanted}, this box is {found}"
        for field, wanted, found in (
            ("site", needs.site, box.site),
            ("jurisdiction", needs.jurisdiction, box.jurisdiction),
            ("arch", needs.arch, box.arch),
            ("python", needs.python or box.python, box.python),
        )
        if wanted != found
    ]
    lacking = sorted(set(needs.cpu_features) - set(box.cpu_features))
    if lacking:
        reasons.append(f"cpu: this box lacks {', '.join(lacking)}")
    if needs.glibc and _version(needs.glibc) > _version(box.glibc):
        reasons.append(f"glibc: the bundle needs {needs.glibc}, this box has {box.glibc}")
    return reasons


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
