"""Names every path once: on the carrier, on the box, and in the metadata."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from bundles.errors import MediumError

BOX_ROOT = Path("/var/lib/hybrid")
TUF_TAG = "tuf"
BUNDLE_TAG = "bundle"
PATH_ANNOTATION = "org.cncf.model.filepath"
SHA384_ANNOTATION = "vnd.sovereign-hybrid.sha384"
TITLE_ANNOTATION = "org.opencontainers.image.title"
TAG_ANNOTATION = "org.opencontainers.image.ref.name"

SITE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SEGMENT = re.compile(r"[\w+][\w .+@()!,-]{0,199}")


def site_role(site: str) -> str:
    """Return the name of the delegation that signs `site`'s plan."""
    return f"site-plans-{site}"


def bundle_target(site: str) -> str:
    """Return the top-level target that holds `site`'s bundle manifest."""
    return f"bundles/{site}.json"


def bill_target(site: str) -> str:
    """Return the top-level target that holds the bill of materials of `site`'s bundle."""
    return f"bills/{site}.json"


def plan_target(site: str) -> str:
    """Return the target that holds the site plan."""
    return f"site-plans/{site}/plan.json"


def delegation_paths(site: str) -> dict[str, str]:
    """Return delegation -> the one path pattern it may sign; a pattern covers exactly one level."""
    return {"models": "models/*", "runtime": "runtime/*", site_role(site): f"site-plans/{site}/*"}


def logical_path(target: str, path: str) -> str:
    """Return where a file of component manifest `target` stands in the release, e.g. `models/minilm/w8/model.onnx`.

    Raises:
        MediumError: `path` leaves its component, or could mean two things on some file system.
    """
    segments = path.split("/")
    clean = unicodedata.normalize("NFC", path) == path and len(path) <= 400
    if not clean or not all(_SEGMENT.fullmatch(part) and not part.endswith((".", " ")) for part in segments):
        raise MediumError("PATH", f"{target}: bad file path {path!r}", advice="build the bundle again")
    first = target.split("/")[0]
    kind = first if first in ("models", "runtime") else target.rsplit("/", 1)[1].removesuffix(".json")
    return f"{kind}/{path}"


@dataclass(frozen=True)
class Box:
    """The folders of a box, below its root."""

    root: Path

    @property
    def identity(self) -> Path:
        """Enrolment record, private keys, request."""
        return self.root / "identity"

    @property
    def enrolment(self) -> Path:
        """The record made at enrolment, never changed afterwards."""
        return self.identity / "enrolment.json"

    @property
    def request(self) -> Path:
        """What travels home after enrolment."""
        return self.identity / "request.json"

    @property
    def trust(self) -> Path:
        """Trusted metadata and the two copies of the state."""
        return self.root / "trust"

    @property
    def trusted_root(self) -> Path:
        """The root of trust in force."""
        return self.trust / "root.json"

    @property
    def store(self) -> Path:
        """Content-addressed blobs."""
        return self.root / "store" / "sha256"

    @property
    def releases(self) -> Path:
        """One folder per installed release."""
        return self.root / "releases"

    @property
    def current(self) -> Path:
        """The link to the release that serves."""
        return self.root / "current"

    @property
    def runtimes(self) -> Path:
        """Unpacked runtimes by digest."""
        return self.root / "runtimes"

    @property
    def run(self) -> Path:
        """Sockets, pid files, the install lock."""
        return self.root / "run"

    def blob(self, digest: str) -> Path:
        """Return where the blob `sha256:<hex>` lies."""
        name = digest.removeprefix("sha256:")
        return self.store / name[:2] / name

    def release(self, number: int) -> Path:
        """Return the record of release `number`."""
        return self.releases / str(number) / "release.json"

    def runtime(self, digest: str) -> Path:
        """Return the folder of the runtime `sha256:<hex>`."""
        return self.runtimes / digest.removeprefix("sha256:")
