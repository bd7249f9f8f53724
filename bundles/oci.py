"""The OCI image layout: index, artifact manifests, descriptors, as nouns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bundles.document import Noun, canonical, digest
from bundles.layout import PATH_ANNOTATION, SHA384_ANNOTATION, TAG_ANNOTATION

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
_OURS = "application/vnd.sovereign-hybrid.{}.v1+json"
BUNDLE, RUNTIME, SITEPLAN, TUF = (_OURS.format(kind) for kind in ("bundle", "runtime", "siteplan", "tuf"))
MODEL = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"
MODEL_WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
MODEL_WEIGHT_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
WHEEL = "application/zip"
PLAIN = "application/octet-stream"
MANIFEST_CAP = 16 * 1024 * 1024
"""Most bytes of a manifest, or of any other document that is read whole."""
LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'
EMPTY_BLOB = b"{}"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0, lt=4 * 1024**3)]


class Layout(Noun):
    """`oci-layout`: the one version there is; tools write it with spaces or without."""

    image_layout_version: Literal["1.0.0"]


class Descriptor(Noun):
    """A blob by digest and length; annotations matter only in signed component manifests, and there only the path."""

    media_type: str
    digest: Digest
    size: Size
    annotations: dict[str, str] | None = None
    artifact_type: str | None = None

    @property
    def path(self) -> str:
        """The file path a component manifest gives this blob; empty when it gives none."""
        return (self.annotations or {}).get(PATH_ANNOTATION, "")

    @property
    def sha384(self) -> str:
        """The SHA-384 (hex) that a component manifest of profile `cnsa2` gives this blob too; else empty."""
        return (self.annotations or {}).get(SHA384_ANNOTATION, "")


class Manifest(Noun):
    """One artifact: its type, its config, its blobs."""

    schema_version: Literal[2] = 2
    media_type: Literal["application/vnd.oci.image.manifest.v1+json"] = "application/vnd.oci.image.manifest.v1+json"
    artifact_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...] = Field(max_length=20_000)
    annotations: dict[str, str] | None = None


class Index(Noun):
    """`index.json`: says only where to look, decides nothing."""

    schema_version: Literal[2] = 2
    media_type: Literal["application/vnd.oci.image.index.v1+json"] = "application/vnd.oci.image.index.v1+json"
    manifests: tuple[Descriptor, ...] = Field(max_length=1_000)
    annotations: dict[str, str] | None = None


def describe(data: bytes, media_type: str, **annotations: str) -> Descriptor:
    """Return the descriptor of `data`."""
    return Descriptor(media_type=media_type, digest=digest(data), size=len(data), annotations=annotations or None)


def with_path(blob: Descriptor, path: str) -> Descriptor:
    """Return `blob` carrying the file path `path`, beside the annotations it has."""
    return blob.model_copy(update={"annotations": {**(blob.annotations or {}), PATH_ANNOTATION: path}})


def tagged(manifest: bytes, artifact_type: str, tag: str) -> Descriptor:
    """Return the index entry for `manifest` under `tag`."""
    entry = describe(manifest, MANIFEST, **{TAG_ANNOTATION: tag})
    return entry.model_copy(update={"artifact_type": artifact_type})


def tag_of(entry: Descriptor) -> str:
    """Return the tag of an index entry; empty when it has none."""
    return (entry.annotations or {}).get(TAG_ANNOTATION, "")


def empty_config() -> Descriptor:
    """Return the descriptor of the empty config that OCI names."""
    return describe(EMPTY_BLOB, EMPTY)


def manifest_bytes(artifact_type: str, config: Descriptor, layers: tuple[Descriptor, ...]) -> bytes:
    """Return the canonical bytes of an artifact manifest."""
    return canonical(Manifest(artifact_type=artifact_type, config=config, layers=layers))


def model_config(name: str, layers: tuple[Descriptor, ...]) -> bytes:
    """Return a ModelPack config: what CNCF model-spec asks for, and no more."""
    diff_ids = [layer.digest for layer in layers]
    return canonical({"config": {}, "descriptor": {"name": name}, "modelfs": {"type": "layers", "diffIds": diff_ids}})
