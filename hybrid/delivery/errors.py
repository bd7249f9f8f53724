"""The errors of a delivery: what the far end, the wire or the key did, and what to do next."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from hybrid.errors import HybridError

CARRY_ON = "run the same command again: it continues where it stopped"


class DeliveryError(HybridError):
    """The far end could not take the bundle; trying again alone does not help."""


class LinkLostError(DeliveryError):
    """The wire failed or fell silent; trying again resumes."""


class HostKeyError(DeliveryError):
    """The host's key is unknown, another one, or revoked; nothing was sent, not even a user name."""

    exit_code = 3


@contextmanager
def explained(where: str, doing: str) -> Iterator[None]:
    """Turn paramiko's and the socket's errors into ours: `doing` is what was attempted at `where`.

    paramiko reports a dead link as a bare EOFError, an OSError without errno, or an SSHException, by chance.
    """
    import paramiko

    try:
        yield
    except DeliveryError:
        raise
    except TimeoutError as error:
        raise LinkLostError(f"{where} fell silent while {doing}", advice=CARRY_ON) from error
    except socket.gaierror as error:
        raise DeliveryError(
            f"{where}: no such host name ({error.strerror})",
            advice="check the name after --to, or give the site a Host entry in ~/.ssh/config",
        ) from error
    except ConnectionRefusedError as error:
        raise LinkLostError(
            f"{where} refuses connections while {doing}", advice="start sshd there, or name its port"
        ) from error
    except (paramiko.ChannelException, paramiko.AuthenticationException) as error:
        raise DeliveryError(f"{where}: {error} while {doing}", advice="check what the account may do there") from error
    except (EOFError, paramiko.SSHException) as error:
        raise LinkLostError(
            f"the connection to {where} was lost while {doing} {_why(error)}".rstrip(), advice=CARRY_ON
        ) from error
    except PermissionError as error:
        raise DeliveryError(
            f"{where}: permission denied while {doing}", advice="use another account, or --into"
        ) from error
    except OSError as error:
        if error.filename:  # a path of this machine: not the far end's fault
            raise
        raise _far_failure(where, doing, error) from error


def _far_failure(where: str, doing: str, error: OSError) -> DeliveryError:
    if error.errno is not None or "closed" in str(error):
        return LinkLostError(f"the connection to {where} failed while {doing} {_why(error)}".rstrip(), advice=CARRY_ON)
    # SSH_FX_FAILURE carries no reason; the caller that knows better (a full disk) says so itself.
    return DeliveryError(
        f"{where} refused while {doing} {_why(error)}".rstrip(), advice="look at its disk and its sshd's log"
    )


def _why(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return f"({text})" if text else ""
