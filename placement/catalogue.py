"""The governed catalogue: models, their variants, what each needs and what was measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from placement.pipeline import Task
from sites.data import DeclaredAtom
from sites.noun import AsTuple, Digest, Metadata, Name, Noun, Person
from sites.quantity import Bytes, Eighths, Microseconds, PerSecond, SomeBytes
from sites.site import Day


class Source(Noun):
    """Where the weights come from: a package or a path, and the digest of what was used."""

    package: str | None = None
    path: str | None = None
    digest: Digest


class Approval(Noun):
    """Who approved the model for production, and when."""

    by: Person
    on: Day


class Needs(Noun):
    """What one replica takes from one node; memory and disk in bytes, `accelerator` in eighths of a device."""

    cpus: PositiveInt | PositiveFloat
    memory: SomeBytes
    disk: Bytes
    accelerator: Eighths | None = None


class Speed(Noun):
    """Service time (microseconds) and throughput (per second) of one replica on one kind of hardware.

    `hardware` is an accelerator kind, an `arch`, or `arch-isa`.
    """

    hardware: str
    service: Microseconds
    throughput: PerSecond
    measured_on: str | None = None


class Variant(Noun):
    """One file set of a model, with its needs, quality and speeds."""

    name: Name
    files: dict[str, Digest] = {}
    needs: Needs
    quality: dict[str, float | str] = {}
    speed: Annotated[tuple[Speed, ...], AsTuple, Field(min_length=1)]


class ModelSpec(Noun):
    """A model; `trained_on` empty means nothing restricted, None means unknown."""

    task: Task
    source: Source
    licence: str
    trained_on: Annotated[tuple[DeclaredAtom, ...] | None, AsTuple] = None
    state: Literal["candidate", "approved", "retired"] = "candidate"
    approval: Approval | None = None
    variants: Annotated[tuple[Variant, ...], AsTuple]


class Model(Noun):
    """A manifest of kind Model."""

    metadata: Metadata
    spec: ModelSpec

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.metadata.name
