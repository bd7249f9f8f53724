"""The card: what a person holds against the medium, as text and as a page, the same for the same seed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bundles.errors import InputError
from bundles.nouns import SiteRecord
from bundles.seed import open_seed, write_seed
from hybrid.carry.card import lines_of, write_pdf
from hybrid.errors import InputError as WrongInput
from tests.support.bundles import BundleForge, a_wheel

RECORD = SiteRecord(site="clinic-jura", jurisdiction="FR-39", box_id="clinic-jura-1", environment="demo",
                    issued="2026-11-21T08:00:00Z")  # fmt: skip
DIGEST = "sha256:" + "".join(f"{n:x}" * 4 for n in range(16))


def test_the_page_shows_the_digest_in_groups_and_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        write_pdf(tmp_path / name, RECORD, DIGEST)
    page = (tmp_path / "a.pdf").read_bytes()
    assert page == (tmp_path / "b.pdf").read_bytes()
    assert page.startswith(b"%PDF-")
    assert b"/Count 1 " in page
    for pair in ("00001111   22223333", "ccccdddd   eeeeffff", "clinic-jura-1", "FR-39", "2026-11-21", "--demo"):
        assert pair.encode() in page, pair


def test_the_text_says_the_same() -> None:
    text = "\n".join(lines_of(RECORD, DIGEST))
    assert "00001111 22223333 44445555 66667777 88889999 aaaabbbb ccccdddd eeeeffff" in text
    assert "sha256sum -c --strict --quiet SHA256SUMS && sha256sum SHA256SUMS" in text
    assert 'sh INSTALL.sh --card "the 64 characters" --demo' in text


def test_a_card_is_never_written_over_another(tmp_path: Path) -> None:
    (tmp_path / "card.pdf").write_text("the card of another box")
    with pytest.raises(WrongInput, match="exists"):
        write_pdf(tmp_path / "card.pdf", RECORD, DIGEST)
    assert (tmp_path / "card.pdf").read_text() == "the card of another box"


def test_the_command_writes_seed_page_and_text_of_one_digest(tmp_path: Path) -> None:
    forge = BundleForge(tmp_path / "hq", demo=True)
    (tmp_path / "wheels").mkdir()
    shutil.copy(a_wheel(tmp_path / "w", {}), tmp_path / "wheels")
    options = {"-o": "seed", "--wheelhouse": "wheels", "--pdf": "card.pdf"}
    words = [str(word) for name, place in options.items() for word in (name, tmp_path / place)]
    where = ["--site", "clinic-jura", "--jurisdiction", "FR-39", "--output", "json"]
    command = [sys.executable, "-m", "hybrid", "trust", "card", str(forge.repository.folder), *words, *where]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    told = json.loads(done.stdout)
    assert open_seed(tmp_path / "seed").digest == told["card"]
    digits = told["card"].removeprefix("sha256:")
    assert f"{digits[:8]}   {digits[8:16]}".encode() in (tmp_path / "card.pdf").read_bytes()
    assert told["wheels"] == 1


@pytest.mark.parametrize("name", ["libc6_2.36_amd64.deb", "a b_1_amd64.deb", "evil.sh"])
def test_a_package_that_no_seed_carries(tmp_path: Path, name: str) -> None:
    """The C library is the box's own: another one beside it would break every program there."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="cannot be carried"):
        write_seed(tmp_path / "seed", b"{}", RECORD, [], [tmp_path / name])
    assert not (tmp_path / "seed").exists()


def test_packages_and_wheels_of_two_architectures(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, {})
    wheel = wheel.rename(wheel.with_name(wheel.name.replace("-any", "-manylinux_2_28_aarch64")))
    package = tmp_path / "python3.11-minimal_3.11.2_amd64.deb"
    package.write_bytes(b"")
    with pytest.raises(InputError, match="not for aarch64"):
        write_seed(tmp_path / "seed", b"{}", RECORD, [wheel], [package])
