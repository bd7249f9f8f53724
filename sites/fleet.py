"""A fleet: a directory of manifests read once, with the digest of every file.

`sites` knows its own kinds; who knows more (placement) passes them in, so that the arrow of imports stays one-way.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from sites.collecting import no_collections
from sites.consistency import RESERVED, currencies, double_rules, doubles, finding_in, name_of, policies
from sites.document import MAX_BYTES
from sites.document import Path as Where
from sites.errors import SitesError
from sites.finding import Finding, ManifestError
from sites.manifest import Manifest, read_manifests
from sites.noun import Noun
from sites.policy import ORG_DEFAULT, Pack, Policy
from sites.site import Site

__all__ = ["KINDS", "Finding", "Fleet", "Manifest", "ManifestError", "read_fleet", "shipped_packs"]

KINDS: dict[str, type[Noun]] = {"Site": Site, "Policy": Policy}
"""The kinds that `sites` itself knows; `Pack` is read from `packs/` only."""

EMPTY = "write the manifest again, or remove the file; what else is missing may follow from this"
MAX_FILES = 100_000
_SUFFIXES = (".yaml", ".yml")

N = TypeVar("N", bound=Noun)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything read from one directory.

    Attributes:
        root: the directory.
        manifests: in the order of (file, line).
        packs: the packs that the fleet's policies name and `org-default`, by name.
        digests: `sha256:…` of every input by its relative path; shipped packs as `pack:NAME`.
    """

    root: Path
    manifests: tuple[Manifest, ...]
    packs: Mapping[str, Pack]
    digests: Mapping[str, str]

    def of(self, kind: type[N]) -> tuple[N, ...]:
        """Return the nouns of one kind, sorted by name."""
        found = [m.noun for m in self.manifests if isinstance(m.noun, kind)]
        return tuple(sorted(found, key=name_of))

    def finding(self, noun: Noun, path: Where, message: str, hint: str = "") -> Finding:
        """Return a finding at one value of a manifest, such as `("spec", "links", 0, "to")`.

        For faults that show only across manifests. The file is read again; where it is gone, the manifest's own line
        is named.
        """
        manifest = next(m for m in self.manifests if m.noun is noun)
        return finding_in(self.root, manifest, path, message, hint)


def read_fleet(directory: Path, kinds: Mapping[str, type[Noun]] = KINDS) -> Fleet:
    """Read every `*.yaml` and `*.yml` below `directory`; hidden files and folders are passed over.

    Files under `packs/` hold packs, all others manifests of `kinds`. Nothing is written, and no link to a folder is
    followed.

    Raises:
        ManifestError: with every finding of every file.
        SitesError: `directory` is none, or holds no manifest.
    """
    if not directory.is_dir():
        raise SitesError(
            f"{directory} is no directory", advice="name a folder of manifests, or make one: hybrid init DIR"
        )
    manifests: list[Manifest] = []
    own: list[Manifest] = []
    findings: list[Finding] = []
    empty: list[Finding] = []
    digests: dict[str, str] = {}
    with no_collections():
        for path, name in _files(directory):
            refused = len(findings)
            data = _bytes(path, name, findings)
            is_pack = name.startswith("packs/")
            read, wrong = read_manifests(data, name, {"Pack": Pack} if is_pack else kinds)
            (own if is_pack else manifests).extend(read)
            findings += wrong
            if not read and len(findings) == refused:
                empty.append(Finding(name, 1, 1, "the file holds no manifest", EMPTY, comes_first=True))
            digests[name] = "sha256:" + hashlib.sha256(data).hexdigest()
    if not digests or not (manifests or own or findings):
        raise SitesError(f"{directory} holds no manifest (*.yaml)", advice="begin with the example: hybrid init DIR")
    findings += empty
    known = _known_packs(directory, own, findings)
    findings += doubles(directory, manifests)
    findings += policies(directory, manifests, known)
    findings += currencies(directory, manifests)
    if findings:
        raise ManifestError(findings)
    packs = _wanted(manifests, known)
    digests.update((f"pack:{name}", digest) for name, digest in _shipped_digests().items() if name in packs)
    return Fleet(directory, tuple(manifests), packs, digests)


def shipped_packs() -> dict[str, Pack]:
    """Return the packs that come with this distribution, by name. Raises ManifestError if one cannot be read."""
    packs: dict[str, Pack] = {}
    for name, data in _shipped().items():
        read, wrong = read_manifests(data, f"sites/packs/{name}.yaml", {"Pack": Pack})
        if wrong:
            raise ManifestError(wrong)
        packs.update((m.noun.name, m.noun) for m in read if isinstance(m.noun, Pack))
    return packs


def _shipped() -> dict[str, bytes]:
    folder = files("sites") / "packs"
    entries = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name)
    return {entry.name.removesuffix(".yaml"): entry.read_bytes() for entry in entries}


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield path and relative name of every manifest file, by name."""
    root = os.fspath(directory)
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.join(folder, n) for n in names if n.endswith(_SUFFIXES) and not n.startswith(".")]
        if len(found) > MAX_FILES:
            raise SitesError(f"{directory} holds over {MAX_FILES} manifest files", advice="name a folder of manifests")
    named = ((path, path[len(root) :].lstrip("/")) for path in found)
    return iter(sorted(named, key=lambda pair: pair[1]))


def _bytes(path: str, name: str, findings: list[Finding]) -> bytes:
    try:
        if not os.path.isfile(path):
            findings.append(Finding(name, 1, 1, "not a regular file", "a manifest is a plain file"))
            return b""
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        findings.append(Finding(name, 1, 1, f"cannot be read: {error.strerror}"))
        return b""
    if len(data) > MAX_BYTES:
        findings.append(Finding(name, 1, 1, f"the file is over {MAX_BYTES} bytes", "split it into several files"))
        return b""
    return data


def _shipped_digests() -> dict[str, str]:
    return {name: "sha256:" + hashlib.sha256(data).hexdigest() for name, data in _shipped().items()}


def _wanted(manifests: list[Manifest], known: Mapping[str, Pack]) -> dict[str, Pack]:
    named = (name for m in manifests if isinstance(m.noun, Policy) for name in m.noun.spec.packs)
    return {name: known[name] for name in sorted({ORG_DEFAULT, *named})}


def _known_packs(root: Path, own: list[Manifest], findings: list[Finding]) -> dict[str, Pack]:
    """Return the shipped packs and the fleet's own; one that takes a shipped name, or lies elsewhere, is a finding."""
    shipped = shipped_packs()
    known = dict(shipped)
    for manifest in own:
        pack = manifest.noun
        assert isinstance(pack, Pack)
        place = ("metadata", "name")
        if pack.name in shipped:
            message, hint = f"pack {pack.name!r} is a shipped one", "give yours a name that nobody can mistake for it"
            findings.append(finding_in(root, manifest, place, message, hint))
        if pack.name in RESERVED:
            message, hint = f"no pack may be called {pack.name!r}", "verdicts cite a layer by this name: rename it"
            findings.append(finding_in(root, manifest, place, message, hint))
        if Path(manifest.file).with_suffix("") != Path("packs", pack.name):
            message, hint = f"pack {pack.name!r} stands in {manifest.file}", f"name the file packs/{pack.name}.yaml"
            findings.append(finding_in(root, manifest, place, message, hint))
        findings += double_rules(root, manifest, pack.spec.rules)
        known.setdefault(pack.name, pack)
    return known
