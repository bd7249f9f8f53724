"""Says which algorithms a repository counts: its profile, signed in root.

`standard` is Ed25519 beside ML-DSA-65. `cnsa2` is Ed25519 beside ML-DSA-87, with SHA-384 beside SHA-256 on every
signed target: whoever accepts CNSA 2.0's algorithms alone still finds a whole quorum of ML-DSA-87 (it hashes with
SHA-512 before it signs), and a break of lattices alone still opens nothing. See docs/adr.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["standard", "cnsa2"]


@dataclass(frozen=True)
class Profile:
    """Attributes: `schemes`, family -> the signature scheme that counts; `hashes`, what every target carries."""

    schemes: Mapping[str, str]
    hashes: tuple[str, ...]


PROFILES: dict[ProfileName, Profile] = {
    "standard": Profile({"ed25519": "ed25519", "ml-dsa": "ml-dsa-65/1"}, ("sha256",)),
    "cnsa2": Profile({"ed25519": "ed25519", "ml-dsa": "ml-dsa-87/1"}, ("sha256", "sha384")),
}
