"""Lets root's rights go before strangers are answered, where the medium can be read without them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

NOBODY = 65534


def dropped(needed: Callable[[], object]) -> bool:
    """Become nobody, for good, if `needed` succeeds as nobody too; return whether this process is root no more.

    It is tried in a child first, because there is no way back: a stick may be mounted for root alone.
    """
    if os.geteuid() != 0:
        return True
    if not _works_for_nobody(needed):
        return False
    _become_nobody()
    return True


def _works_for_nobody(needed: Callable[[], object]) -> bool:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    status = 1
    with contextlib.suppress(BaseException):
        _become_nobody()
        needed()
        with open(__file__, "rb"):  # what Python still has to import must be readable too
            status = 0
    os._exit(status)


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
