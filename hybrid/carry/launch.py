"""Hands a service over to the release's own runtime, every file of which was hashed a moment before.

`hybrid site serve` on the box is the seed's verifier. What answers is the release: its own wheels, started by its own
`run.py`. The verifier looks before it lets go; see `bundles.runtime` for who checks whom.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def hand_over(root: Path, arguments: Sequence[str]) -> None:
    """Go on as `run.py ARGUMENTS` of the release that serves under `root`.

    Returns only where this process is that runtime already, or the release carries none.

    Raises:
        InputError: nothing is installed.
        StateError: a file of the runtime is missing, changed or additional: nothing is started.
    """
    from bundles.release import runtime_of

    launcher = runtime_of(root)
    if launcher is None or Path(__file__).resolve().is_relative_to(launcher.parent):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-I", "-B", str(launcher), *arguments])
