"""A refusal: what the gateway answers when it does not serve, always with the rule that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNAUTHENTICATED, FORBIDDEN, CONFLICT, TOO_LARGE, TOO_MANY, DENIED, UNAVAILABLE = 401, 403, 409, 413, 429, 451, 503
BAD_REQUEST, NOT_FOUND = 400, 404


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer without service.

    Attributes:
        status: 401 unknown caller, 403 not yours, 409 foreign epoch, 429 too many, 451 denied by residency,
            503 no permitted target answers; 400, 404 and 413 for requests that make no sense.
        rule: the first rule that refused, such as `residency:clinics/health-in-house` or `passport/audience`.
        message: one sentence for people, without anything of the request in it.
        rules: every rule that refused.
        retry_after: seconds, where trying again makes sense.
    """

    status: int
    rule: str
    message: str
    rules: tuple[str, ...] = ()
    retry_after: int | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers of the answer."""
        headers = {"hybrid-rule": self.rule}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        return headers

    def to_json(self) -> dict[str, Any]:
        """Return the body of the answer, in the shape that OpenAI's clients expect of an error."""
        error: dict[str, Any] = {"message": self.message, "type": KINDS.get(self.status, "refused"), "code": self.rule}
        return {"error": error | {"rules": list(self.rules or (self.rule,))}}


KINDS = {
    UNAUTHENTICATED: "authentication_error", FORBIDDEN: "permission_error", CONFLICT: "foreign_epoch",
    TOO_MANY: "rate_limit_error", DENIED: "residency_error", UNAVAILABLE: "unavailable", BAD_REQUEST: "bad_request",
    NOT_FOUND: "not_found", TOO_LARGE: "too_large",
}  # fmt: skip


class RefusedError(Exception):
    """Carries a refusal up through a chain that runs in several tasks; it never leaves the gateway."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.rule)
        self.refusal = refusal


def missing(what: str) -> Refusal:
    """Return the answer for something that is not there; it does not tell whether it exists elsewhere."""
    return Refusal(NOT_FOUND, "gateway/not-found", f"there is no {what} here for this credential")
