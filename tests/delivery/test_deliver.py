"""A bundle over a real sshd: delivered, continued after a cut, never half in place, and never waiting for ever."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid.delivery.delivery import Delivered, deliver, look
from hybrid.delivery.destination import Destination
from hybrid.delivery.errors import DeliveryError, LinkLostError
from hybrid.delivery.parcel import read_parcel
from hybrid.errors import EvidenceError, InputError
from tests.support.delivery import Host, Wire, a_bundle, an_sshd, tree

pytestmark = pytest.mark.debian("openssh-server")
MB = 1 << 20


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with an_sshd(tmp_path / "sshd") as running:
        yield running


def carry(bundle: Path, to: Destination, into: Path, *, patience_s: float = 10, attempts: int = 1) -> Delivered:
    return deliver(read_parcel(bundle), to, str(into), patience_s=patience_s, attempts=attempts)


def test_every_file_arrives_and_a_second_delivery_sends_nothing(host: Host, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "lyon")
    first = carry(bundle, host.direct, host.far)
    assert tree(host.far / "lyon") == tree(bundle)
    assert first.target == str(host.far / "lyon")
    assert [sent.name for sent in first.sent][-1] == "index.json"
    with Wire(host.port, after=None) as wire:
        second = carry(bundle, host.through(wire.port), host.far)
        assert second.unchanged == second.files == 5
        assert wire.carried < 10_000


def test_one_tar_is_carried_as_one_file(host: Host, tmp_path: Path) -> None:
    (tar := tmp_path / "lyon.tar").write_bytes(os.urandom(300_000))
    assert carry(tar, host.direct, host.far).target == str(host.far / "lyon.tar")
    assert (host.far / "lyon.tar").read_bytes() == tar.read_bytes()


def test_a_cut_delivery_is_not_in_place_and_continues_where_it_stopped(host: Host, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "lyon", blobs=(12 * MB,))
    with Wire(host.port, after=6 * MB) as wire:
        with pytest.raises(LinkLostError, match=r"lost|failed") as caught:
            carry(bundle, host.through(wire.port), host.far)
        assert "continues" in caught.value.advice
        arrived = [path for path in (host.far / "lyon").rglob("*") if path.is_file()]
        assert [path.suffix for path in arrived] == [".part"]
        part = arrived[0].stat().st_size
        assert part > 2 * MB  # sshd holds what the window let through and may still be writing it
        wire.calm()
        done = carry(bundle, host.through(wire.port), host.far)
        assert done.sent[0].resumed_at >= part
        assert wire.carried < 12 * MB - part + MB
    assert tree(host.far / "lyon") == tree(bundle)


def test_a_lost_link_is_tried_again_when_asked(host: Host, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "lyon", blobs=(5 * MB,))
    with Wire(host.port, after=4 * MB) as wire:  # cuts every connection
        done = carry(bundle, host.through(wire.port), host.far, attempts=3)
    assert done.attempts == 2
    assert tree(host.far / "lyon") == tree(bundle)


@pytest.mark.parametrize("how", ["stall", "swallow"])
def test_a_black_hole_ends_in_bounded_time(host: Host, tmp_path: Path, how: str) -> None:
    bundle = a_bundle(tmp_path / "lyon", blobs=(40 * MB,))
    with Wire(host.port, after=2 * MB, how=how) as wire:
        began = time.monotonic()
        with pytest.raises(LinkLostError):
            carry(bundle, host.through(wire.port), host.far, patience_s=2)
        assert time.monotonic() - began < 15


def test_a_host_that_accepts_and_says_nothing_ends_in_bounded_time(host: Host, tmp_path: Path) -> None:
    with Wire(host.port, after=0, how="stall") as wire:
        began = time.monotonic()
        with pytest.raises(LinkLostError, match=r"127\.0\.0\.1"):
            carry(a_bundle(tmp_path / "lyon"), host.through(wire.port), host.far, patience_s=1)
        assert time.monotonic() - began < 8


def test_a_flipped_byte_in_the_part_is_begun_anew(host: Host, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "lyon", blobs=(2 * MB,))
    blob = next((bundle / "blobs/sha256").iterdir())
    (far := host.far / "lyon/blobs/sha256").mkdir(parents=True)
    data = bytearray(blob.read_bytes()[:MB])
    data[77] ^= 1
    (far / (blob.name + ".part")).write_bytes(data)
    done = carry(bundle, host.direct, host.far)
    assert done.sent[0].resumed_at == 0
    assert tree(host.far / "lyon") == tree(bundle)


def test_a_flipped_byte_in_a_delivered_file_is_sent_again(host: Host, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "lyon")
    carry(bundle, host.direct, host.far)
    layout = host.far / "lyon/oci-layout"
    layout.write_bytes(layout.read_bytes()[:-1] + b"]")
    assert [sent.name for sent in carry(bundle, host.direct, host.far).sent] == ["oci-layout"]
    assert tree(host.far / "lyon") == tree(bundle)


def test_a_file_that_changes_while_it_travels_is_refused_and_removed(host: Host, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "lyon")
    parcel = read_parcel(bundle)
    (bundle / "oci-layout").write_text('{"imageLayoutVersion": "6.6.6"}')
    with pytest.raises(DeliveryError, match="arrived damaged"):
        deliver(parcel, host.direct, str(host.far), patience_s=10, attempts=3)
    assert not (host.far / "lyon/oci-layout").exists()
    assert not (host.far / "lyon/oci-layout.part").exists()
    assert not (host.far / "lyon/index.json").exists()


def test_parts_of_another_bundle_are_cleared_away(host: Host, tmp_path: Path) -> None:
    (far := host.far / "lyon/blobs/sha256").mkdir(parents=True)
    (far / ("0" * 64 + ".part")).write_bytes(b"left over")
    carry(a_bundle(tmp_path / "lyon"), host.direct, host.far)
    assert tree(host.far / "lyon") == tree(tmp_path / "lyon")


def test_a_dry_run_says_what_would_travel_and_writes_nothing(host: Host, tmp_path: Path) -> None:
    parcel = read_parcel(a_bundle(tmp_path / "lyon"))
    work, free = look(parcel, host.direct, str(host.far / "deep"), patience_s=10)
    assert work.to_send == parcel.size
    assert free > 0
    assert list(host.far.iterdir()) == []


def test_a_folder_that_the_account_may_not_write_is_said(host: Host, tmp_path: Path) -> None:
    (host.far / "lyon").write_text("a file where the folder should be")
    with pytest.raises(DeliveryError, match=r"File exists|Not a directory"):
        carry(a_bundle(tmp_path / "lyon"), host.direct, host.far)


@pytest.fixture
def small_host(tmp_path: Path) -> Iterator[Host]:
    """A host whose disk has 8 MiB: a tmpfs in sshd's own mount namespace."""
    if os.geteuid() != 0:
        pytest.skip("mounts a small disk: needs root")
    mount = f'mount -t tmpfs -o size=8m none {tmp_path}/sshd/far && exec "$@"'
    with an_sshd(tmp_path / "sshd", wrapper=("unshare", "-m", "sh", "-c", mount, "-")) as running:
        yield running


def test_a_full_disk_is_said_before_anything_travels(small_host: Host, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match=r"12\.\d MB to send, 8\.\d MB free"):
        carry(a_bundle(tmp_path / "lyon", blobs=(12 * MB,)), small_host.direct, small_host.far)


def test_a_disk_that_fills_meanwhile_is_said_and_continued_when_there_is_room(small_host: Host, tmp_path: Path) -> None:
    parcel = read_parcel(a_bundle(tmp_path / "lyon", blobs=(6 * MB,)))
    inside = Path(f"/proc/{small_host.pid}/root{small_host.far}")

    def fill(_: float) -> None:
        if not (inside / "filler").exists():
            (inside / "filler").write_bytes(bytes(4 * MB))

    with pytest.raises(DeliveryError, match="the disk is full") as caught:
        deliver(parcel, small_host.direct, str(small_host.far), patience_s=10, attempts=1, advance=fill)
    assert "free space" in caught.value.advice
    assert not (inside / "lyon/index.json").exists()
    (inside / "filler").unlink()
    done = deliver(parcel, small_host.direct, str(small_host.far), patience_s=10, attempts=1)
    assert done.sent[0].resumed_at > MB
    assert tree(inside / "lyon") == tree(tmp_path / "lyon")


def test_a_blob_whose_bytes_are_not_its_name_never_leaves(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "lyon")
    blob = next((bundle / "blobs/sha256").iterdir())
    blob.write_bytes(blob.read_bytes() + b"x")
    with pytest.raises(EvidenceError, match="not those of its name"):
        read_parcel(bundle)


def test_a_link_in_a_bundle_is_refused(tmp_path: Path) -> None:
    (bundle := a_bundle(tmp_path / "lyon")).joinpath("passwd").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="no file that a bundle may hold"):
        read_parcel(bundle)


def test_the_command_speaks_json(host: Host, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from hybrid.cli.deliver import app

    bundle = a_bundle(tmp_path / "lyon")
    to = f"{os.environ.get('USER') or 'root'}@127.0.0.1:{host.port}"
    options = ["--to", to, "--into", str(host.far), *host.options, "--output", "json"]
    ran = CliRunner().invoke(app, [str(bundle), *options])
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    assert (
        said["sentBytes"] == said["bytes"] == sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    )
    assert said["target"] == str(host.far / "lyon")
