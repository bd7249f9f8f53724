"""Holds what is signed about deltas: which base, which result, and the digest of every frame before it is opened."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bundles.document import Noun
from bundles.errors import TrustError
from bundles.oci import Digest, Size

FRAME_CAP = 16 * 1024 * 1024
"""Most bytes of one frame, packed or unpacked; what a decoder holds in memory at a time."""


class Bytes(Noun):
    """Some bytes by digest and length."""

    digest: Digest
    size: Size


class Frame(Noun):
    """One frame of a delta's body: the digest of its packed bytes, their number, and that of the unpacked ones."""

    digest: Digest
    packed: Annotated[int, Field(ge=1, le=FRAME_CAP)]
    unpacked: Annotated[int, Field(ge=1, le=FRAME_CAP)]


class DeltaDocument(Noun):
    """The document of one delta: its digest is signed in the bundle manifest, and compared before it is parsed."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["Delta"] = "Delta"
    base: Bytes
    result: Bytes
    frames: Annotated[tuple[Frame, ...], Field(max_length=20_000)]

    @property
    def body_size(self) -> int:
        """Bytes of the body: its frames, one after the other."""
        return sum(frame.packed for frame in self.frames)


class Delta(Noun):
    """One delta as the bundle manifest signs it: `result` is made from `base` by `document` and `body`."""

    base: Bytes
    result: Bytes
    document: Bytes
    body: Bytes


class Base(Noun):
    """What an update bundle takes the site to have: blobs of an earlier bundle that do not travel, and deltas.

    Attributes:
        bundle: digest of the bundle manifest that the site was given before.
        kept: blobs that the site has, by digest.
    """

    bundle: Digest
    kept: tuple[Digest, ...]
    deltas: tuple[Delta, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Base:
        """Refuse a blob that is kept and made, or made twice."""
        names = [*self.kept, *(delta.result.digest for delta in self.deltas)]
        if len(names) != len(set(names)):
            raise ValueError("a blob is named twice")
        return self

    @property
    def absent(self) -> set[str]:
        """Every blob of the release that need not be on the medium."""
        return {*self.kept, *(delta.result.digest for delta in self.deltas)}

    def making(self, digest: str) -> Delta | None:
        """Return the delta that makes blob `digest`; None when there is none."""
        return next((delta for delta in self.deltas if delta.result.digest == digest), None)


def odd(why: str) -> TrustError:
    """Return the refusal of a delta that does not say what a delta says."""
    return TrustError("DELTA", f"a delta cannot be read: {why}", advice="fetch the medium again from headquarters",
                      safe="what runs goes on running")  # fmt: skip
