"""A stick goes into one box of a site, and the others install from it over the network, each verifying end to end."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bundles.carrier import Address
from bundles.errors import BundleError, GateError, LinkError, MediumError, TrustError
from bundles.install import install
from bundles.layout import Box
from bundles.medium import Medium
from bundles.packing import CLUSTER, pack, split
from bundles.release import open_release
from bundles.verification import verify
from hybrid.cli import app
from hybrid.errors import EvidenceError, InputError
from hybrid.hub.calling import as_box, place_of
from hybrid.hub.doors import Doors
from hybrid.hub.offer import Guests
from tests.bundles.test_delta import tensors, tuned, write_safetensors
from tests.support.bundles import ABox, BundleForge, FakeClock, Published, blobs, copy_of, flip, refused
from tests.support.hubs import AHub, Reply, a_hub, a_liar, asked_by


@pytest.fixture
def other(published: Published, tmp_path: Path) -> ABox:
    """Another box of the same site."""
    return a_neighbour(published.forge, tmp_path)


def a_neighbour(forge: BundleForge, place: Path, number: int = 2, site: str = "clinic-jura") -> ABox:
    seed, card = forge.seed(site, boxId=f"{site}-{number}")
    machine = "sha256:" + str(number) * 64
    return ABox(place / f"{site}-{number}", forge.clock, machine).enrol(seed, card)


def test_boxes_of_a_site_install_from_one_of_them(
    published: Published, box: ABox, other: ABox, bundle: Path, tmp_path: Path
) -> None:
    """Two boxes, two names, two states, one bundle: what they come to is what the stick comes to."""
    third = a_neighbour(published.forge, tmp_path, 3)
    box.install(bundle)
    with a_hub(box, bundle) as hub:
        for neighbour in (other, third):
            done = neighbour.install(hub.address)
            assert done.record.model_copy(update={"installed": ""}) == open_release(box.root).record.model_copy(
                update={"installed": ""}
            )
    assert {one.standing().enrolment.box_id for one in (box, other, third)} == {f"clinic-jura-{n}" for n in (1, 2, 3)}


def test_what_is_there_does_not_travel_again(tmp_path: Path) -> None:
    forge = BundleForge(tmp_path)
    box, other = forge.box(), a_neighbour(forge, tmp_path)
    first = forge.build()
    with a_hub(box, first) as hub:
        other.install(hub.address)
        before = hub.sent()
        assert other.install(hub.address).record.written == 0
        again = hub.sent() - before
    models = Box(other.root).blob(open_release(other.root).record.files["models/minilm/w8/model.onnx"].digest)
    assert again < before - models.stat().st_size, "documents travel again, models do not"
    forge.clock.pass_(days=1)
    second = forge.build(forge.cargo(table={"stages": ["quote"]}))
    with a_hub(box, second) as hub:
        assert other.install(hub.address).record.number == 2
        assert hub.sent() < before - models.stat().st_size


def test_an_update_fits_the_boxes_that_have_what_it_names(tmp_path: Path) -> None:
    """A model travels as a delta, the rest not at all: a box that was given the bundle before installs it, one that was
    not says so."""
    forge = BundleForge(tmp_path)
    box, other, fresh = forge.box(), a_neighbour(forge, tmp_path), a_neighbour(forge, tmp_path, 3)
    path, weights = "models/minilm/w8/model.safetensors", tensors(1)
    before = write_safetensors(tmp_path / "before", weights)
    after = write_safetensors(tmp_path / "after", tuned(weights))
    first = forge.build(forge.cargo(files={**forge.cargo().files, path: before}))
    for one in (box, other):
        one.install(first)
    forge.clock.pass_(days=1)
    update = forge.build(forge.cargo(files={**forge.cargo().files, path: after}, base=first))
    with a_hub(box, update) as hub:
        assert other.install(hub.address).record.number == 2
        refused(fresh, hub.address, "BASE")
    assert open_release(other.root).files[path].read_bytes() == after.read_bytes()
    assert not any(one.read_bytes() == after.read_bytes() for one in blobs(update)), "only a delta is on the medium"


def in_parts(published: Published, tmp_path: Path) -> list[Path]:
    """Return the bundle on the smallest media that it can be cut for."""
    whole = copy_of(published.bundle, tmp_path / "whole")
    for size in itertools.count(CLUSTER, CLUSTER):
        with suppress(BundleError):
            return split(whole, tmp_path / "parts", size)
    raise AssertionError


def test_from_a_tar_and_from_a_part(published: Published, box: ABox, other: ABox, tmp_path: Path) -> None:
    """A hub serves from whatever its medium is; a part is offered as the part that it is."""
    whole = published.verify(published.bundle)
    pack(published.bundle, tmp_path / "bundle.tar")
    with a_hub(box, tmp_path / "bundle.tar") as hub:
        assert other.install(hub.address).record.bundle_digest == whole.digest
    third = a_neighbour(published.forge, tmp_path, 3)
    parts = in_parts(published, tmp_path)
    for number, part in enumerate(parts[:-1], 1):
        with a_hub(box, part) as hub, pytest.raises(MediumError, match=f"part {number + 1} is needed"):
            third.install(hub.address)
    with a_hub(box, parts[-1]) as hub:
        assert third.install(hub.address).record.bundle_digest == whole.digest


def test_the_next_part_is_asked_for_at_the_same_hub(
    published: Published, box: ABox, other: ABox, tmp_path: Path
) -> None:
    """The stick at the hub is changed; whoever sits at the other box presses Enter."""
    parts = in_parts(published, tmp_path)
    with ExitStack() as stack:
        hubs = [stack.enter_context(a_hub(box, part)) for part in parts]
        medium = stack.enter_context(Medium(hubs[0].address, lambda number, *_: hubs[number - 1].address))
        assert install(other.standing(), medium).record.number == 1


def test_a_hub_offers_only_what_its_own_box_would_install(published: Published, box: ABox, tmp_path: Path) -> None:
    """Another site's stick, an older one, a damaged one: the hub does not even open."""
    forge = published.forge
    theirs = forge.build(forge.cargo(site="clinic-vosges"))
    with pytest.raises(GateError), a_hub(box, theirs):
        pass
    bent = copy_of(published.bundle, tmp_path / "bent")
    flip(max(blobs(bent), key=lambda path: path.stat().st_size))
    with pytest.raises(TrustError, match="BLOB"), a_hub(box, bent):
        pass


def test_another_sites_box_is_refused_by_its_own_gate(
    published: Published, box: ABox, bundle: Path, tmp_path: Path
) -> None:
    """What the hub sends to another box of its site crosses nothing; a box of another site does not take it."""
    stranger = a_neighbour(published.forge, tmp_path, site="clinic-vosges")
    with a_hub(box, bundle) as hub:
        refused(stranger, hub.address, "GATE", GateError)
    assert not list((stranger.root / "store").rglob("*/*/*"))


def admitted(tmp_path: Path, clock: FakeClock | None = None) -> tuple[BundleForge, ABox, ABox, Path]:
    """Return two boxes of a site, today, whose keys the bundle's plan admits, and that bundle."""
    forge = BundleForge(tmp_path, clock or FakeClock.here())
    box, other = forge.box(), a_neighbour(forge, tmp_path)
    keys = tuple(key for one in (box, other) if one.enrolled for key in one.enrolled.request.keys)
    return forge, box, other, forge.build(forge.cargo(keys=keys))


def test_over_tls_boxes_of_the_site_are_let_in_and_nobody_else(tmp_path: Path) -> None:
    """The plan admits keys; a box that it does not know, one of another site, and one without a certificate read
    nothing, not even the offer."""
    forge, box, other, bundle = admitted(tmp_path)
    unknown, stranger = a_neighbour(forge, tmp_path, 3), a_neighbour(forge, tmp_path, site="clinic-vosges")
    with a_hub(box, bundle, tls=True) as hub:
        assert other.install(asked_by(other, hub.address)).record.number == 1
        before = hub.sent()
        for one in (unknown, stranger):
            refused(one, asked_by(one, hub.address), "HUB-TLS", LinkError)
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
        refused(unknown, replace(hub.address, tls=bare), "HUB-TLS", LinkError)
        assert "https://" in refused(other, hub.address, "HUB-TLS").todo, "plain HTTP to a hub that speaks TLS"
        assert hub.sent() == before


@pytest.mark.parametrize("years", [-30, 0, 2, 4])
def test_over_tls_effective_time_decides(tmp_path: Path, years: int) -> None:
    """The machines' clocks say this year, whatever it is; what counts is what was signed, and what the boxes ran since.
    Certificates are in force for three years."""
    clock = FakeClock(FakeClock().now - dt.timedelta(days=365 * 30) * (years < 0))
    _, box, other, bundle = admitted(tmp_path, clock)
    here = box.standing()
    with Medium(bundle) as medium:
        guests = Guests.of(verify(medium, here.trust()), here.time.now + dt.timedelta(days=365 * max(years, 0)))
    if years > 3:
        assert not guests.digests
        return
    assert len(guests.digests) == 2
    with a_hub(box, bundle, tls=True) as hub:
        assert other.install(asked_by(other, hub.address)).record.number == 1


def vouched_for(box: Box, place: Path) -> tuple[Path, Path]:
    """Return a new certificate and its key, signed with the TLS key of `box`."""
    issuer = x509.load_pem_x509_certificate((box.identity / "tls.crt").read_bytes())
    signer = serialization.load_pem_private_key((box.identity / "tls.key").read_bytes(), password=None)
    key = generate_private_key(SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_before_utc + dt.timedelta(days=900))
        .sign(signer, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (place / "new.crt").write_bytes(made.public_bytes(pem))
    (place / "new.key").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return place / "new.crt", place / "new.key"


def test_a_certificate_that_an_admitted_box_made_is_not_admitted(tmp_path: Path) -> None:
    """The certificates of boxes are their own authorities: one box vouches for a stranger, and OpenSSL believes it."""
    _, box, other, bundle = admitted(tmp_path)
    context = as_box(Box(other.root))
    context.load_cert_chain(*vouched_for(Box(other.root), tmp_path))
    with a_hub(box, bundle, tls=True) as hub:
        refused(other, replace(hub.address, tls=context), "HUB-ANSWER")
        assert hub.sent() == 0


def test_a_site_whose_plan_admits_no_box_has_no_hub_over_tls(published: Published, box: ABox, bundle: Path) -> None:
    with pytest.raises(EvidenceError, match="no TLS certificate"), a_hub(box, bundle, tls=True):
        pass


def test_tls_asked_of_a_plain_hub(box: ABox, other: ABox, bundle: Path) -> None:
    with a_hub(box, bundle) as hub:
        refused(other, asked_by(other, hub.address), "HUB-TLS", LinkError)


def test_nobody_listens(other: ABox) -> None:
    """A wrong address is said at once, without waiting for it to become right."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    began = time.monotonic()
    refused(other, Address("127.0.0.1", port), "HUB-AWAY", LinkError)
    assert time.monotonic() - began < 2


def test_a_transfer_that_breaks_is_taken_up_where_it_broke(published: Published, other: ABox, bundle: Path) -> None:
    """The hub hangs up in the middle of every file, once: no byte travels twice, and one pass hashes them all."""
    cut: set[str] = set()

    def lie(name: str, start: int, reply: Reply) -> Reply:
        data = b"".join(reply.body)
        if name in cut or len(data) < 5000:
            return replace(reply, body=(data,))
        cut.add(name)
        return replace(reply, body=(data[: len(data) // 2],), close=True)

    with a_liar(bundle, lie, patience_s=20) as liar:
        assert other.install(liar.address).record.bundle_digest == published.verify(bundle).digest
    model = published.verify(bundle).files["models/minilm/w8/model.onnx"]
    starts = [start for name, start in liar.asked if name.endswith(model.digest[7:])]
    assert starts[:2] == [0, model.size // 2]


def test_a_hub_that_comes_back(published: Published, box: ABox, other: ABox, bundle: Path) -> None:
    """The hub is closed in mid-copy and opened again at the same address: the install goes on."""
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        hub = first.enter_context(a_hub(box, bundle))
        port = hub.address.port

        def again(*_: object) -> None:
            first.close()
            stack.enter_context(a_hub(box, bundle, port=port))

        address = replace(hub.address, patience_s=20)
        assert other.install(address, announce=again).record.number == 1


def test_a_hub_that_stays_away(box: ABox, other: ABox, bundle: Path) -> None:
    """Closed in mid-copy and not opened again: refused, nothing changed; the stick, or the hub next day, completes it
    with what is missing."""
    with ExitStack() as stack:
        hub = stack.enter_context(a_hub(box, bundle))
        before = other.snapshot()
        seen = []

        def after_some(size: float) -> None:
            seen.append(size)
            if len(seen) == 3:
                stack.close()

        with pytest.raises(LinkError, match="HUB-AWAY") as caught:
            other.install(hub.address, advance=after_some)
    assert "kept" in caught.value.safe
    assert caught.value.exit_code == 4
    assert other.snapshot() == before
    assert not list(other.root.rglob("*.part"))
    there = sum(path.stat().st_size for path in Box(other.root).store.rglob("*") if path.is_file())
    assert there
    with a_hub(box, bundle) as hub:
        done = other.install(hub.address)
    whole = sum(path.stat().st_size for path in Box(other.root).store.rglob("*") if path.is_file())
    assert done.record.written < whole - there + 20_000


def asked(hub: AHub, path: bytes, *headers: bytes, method: bytes = b"GET") -> tuple[int, bytes, bytes]:
    """Return (status, head, body) of a request for `path`."""
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", *headers, b"", b""]
    head, _, body = hub.plainly(b"\r\n".join(lines)).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head.lower(), body


def test_nothing_else_of_the_box_is_reachable(box: ABox, bundle: Path) -> None:
    """Every file of the bundle by its exact name; no folder, no other spelling, no other file, no other method."""
    names = {f"/{path.relative_to(bundle)}".encode() for path in bundle.rglob("*") if path.is_file()}
    blob = max(name for name in names if b"sha256" in name)
    secret = str(box.root / "identity/tls.key").encode()
    with a_hub(box, bundle) as hub:
        for name in names:
            status, head, body = asked(hub, name)
            assert (status, body) == (200, (bundle / name.decode()[1:]).read_bytes())
            assert b"server:" not in head
            assert b"date:" not in head
        strange = [
            b"/", b"//", b"/blobs", b"/blobs/", b"/blobs/sha256/", blob + b"/", b"/" + blob, blob.upper(),
            b"/./index.json", b"/blobs/../index.json", blob.replace(b"/blobs/", b"/blobs/%2e%2e/blobs/"),
            b"/index%2Ejson", b"/index.json?x=1#", b"/index.json%00", b"/identity/tls.key", b"*", secret,
            b"/.." * 9 + secret, b"/%2e%2e" * 9 + secret, b"http://127.0.0.1/index.json", b"/" + b"x" * 5000,
            b"/blobs/sha256/" + b"0" * 64, b"/\xc3\xa9",
        ]  # fmt: skip
        for path in strange:
            status, _, body = asked(hub, path)
            if path == b"/index.json?x=1#":
                assert status == 200, "a query is no part of a name"
                continue
            assert (status, body) in ((404, b""), (400, b"Invalid HTTP request received.")), path
        for method in (b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"X"):
            assert asked(hub, b"/index.json", method=method)[0] == 405


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.one_of(st.binary(min_size=1, max_size=200), st.text(max_size=80).map(
    lambda text: f"GET /{text} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())))  # fmt: skip
def test_whatever_a_stranger_says(open_hub: AHub, said: bytes) -> None:
    """Law: no bytes bring more out of a hub than a file of the bundle by its name, or a short refusal; it goes on."""
    answer = open_hub.plainly(said + b"\r\n\r\n")
    names = {f"/{name}".encode() for name in open_hub.files}
    status = answer.split(b" ")[1] if answer else b"400"
    assert len(answer) < 500 or said.split(b" ")[1].split(b"?")[0] in names
    assert status in ((b"200",) if len(answer) >= 500 else (b"200", b"400", b"404", b"405", b"416")), answer
    found, _, body = asked(open_hub, b"/oci-layout")
    assert (found, body) == (200, b'{"imageLayoutVersion":"1.0.0"}')


@pytest.fixture
def open_hub(box: ABox, bundle: Path) -> Iterator[AHub]:
    with a_hub(box, bundle, doors=Doors(idle_s=1.0, most=200, each=200)) as hub:
        yield hub


def test_parts_of_a_file(box: ABox, bundle: Path) -> None:
    """The rest of a blob from any byte; another form of range is the whole file, as HTTP has it."""
    path = max(blobs(bundle), key=lambda one: one.stat().st_size)
    name, data = f"/blobs/sha256/{path.name}".encode(), path.read_bytes()
    with a_hub(box, bundle) as hub:
        for start in (1, len(data) // 2, len(data) - 1):
            status, head, body = asked(hub, name, b"Range: bytes=%d-" % start)
            assert (status, body) == (206, data[start:])
            assert b"content-range: bytes %d-%d/%d" % (start, len(data) - 1, len(data)) in head
        for start in (len(data), len(data) + 1, 10**15):
            assert asked(hub, name, b"Range: bytes=%d-" % start)[0] == 416
        for odd in (
            b"bytes=-5",
            b"bytes=0-5",
            b"bytes=0-1,4-5",
            b"bytes=x-",
            b"lines=1-",
            b"bytes=" + b"9" * 99 + b"-",
        ):
            assert asked(hub, name, b"Range: " + odd)[::2] == (200, data)
        assert asked(hub, name, b"Range: bytes=1-", b"Range: bytes=2-")[::2] == (200, data)


def test_connections_that_ask_for_nothing(box: ABox, other: ABox, bundle: Path) -> None:
    """Slow loris: silence, half a head, a head byte by byte. Each is closed, and a box installs meanwhile."""
    doors = Doors(most=6, each=6, idle_s=1.0)
    with a_hub(box, bundle, doors=doors) as hub, ExitStack() as stack:
        where = (hub.address.host, hub.address.port)
        links = [stack.enter_context(socket.create_connection(where, timeout=10)) for _ in range(4)]
        began = time.monotonic()
        links[1].sendall(b"GET /index.json HTTP/1.1\r\nHost")
        links[2].sendall(b"GET /index.json HTTP/1.1\r\nHost: x\r\n\r\n")
        links[2].recv(65536)
        assert other.install(hub.address).record.number == 1
        for number in range(40):
            with suppress(OSError):
                links[3].sendall(b"G" if number == 0 else b"E")
            with suppress(OSError):
                links[2].sendall(b"G")
            time.sleep(0.05)
        for link in links:
            with suppress(ConnectionError):
                while link.recv(65536):
                    pass
        assert time.monotonic() - began < 9


def test_too_many_connections(box: ABox, other: ABox, bundle: Path) -> None:
    """More than the hub has places for: they are told to wait, and once they leave the box that waited goes on."""
    doors = Doors(most=3, each=3)
    with a_hub(box, bundle, doors=doors) as hub, ExitStack() as stack:
        crowd = stack.enter_context(ExitStack())
        crowding(crowd, hub, "127.0.0.1", 3)
        assert asked(hub, b"/index.json")[0] == 503
        refused(other, hub.address, "HUB-AWAY", LinkError)
        crowding(crowd, hub, "127.0.0.1", 20)
        with pytest.raises((ConnectionError, IndexError)):
            asked(hub, b"/index.json")
        crowd.close()
        assert other.install(replace(hub.address, patience_s=20)).record.number == 1


def crowding(crowd: ExitStack, hub: AHub, source: str, count: int) -> None:
    where = (hub.address.host, hub.address.port)
    for _ in range(count):
        crowd.enter_context(socket.create_connection(where, timeout=10, source_address=(source, 0)))
    time.sleep(0.2)


@pytest.mark.parametrize("tls", [False, True])
def test_a_flood_from_one_address(tmp_path: Path, tls: bool) -> None:
    """Hundreds of connections from a stranger's address, TLS never spoken on them: another address finds its place."""
    _, box, other, bundle = admitted(tmp_path)
    with a_hub(box, bundle, tls=tls, doors=Doors(most=12, each=4)) as hub, ExitStack() as crowd:
        crowding(crowd, hub, "127.0.0.9", 300)
        address = asked_by(other, hub.address) if tls else hub.address
        assert other.install(address).record.number == 1


def test_a_box_that_takes_nothing(box: ABox, tmp_path: Path, published: Published) -> None:
    """It asks for a large file and never reads it: after a while it is cut off, and holds no place any more."""
    large = published.forge.folder / "large.bin"
    large.write_bytes(bytes(30_000_000))
    cargo = published.forge.cargo()
    bundle = published.forge.build(replace(cargo, files={**cargo.files, "models/large/w8/large.bin": large}))
    blob = max(blobs(bundle), key=lambda path: path.stat().st_size)
    doors = Doors(stuck_s=0.5)
    with a_hub(box, bundle, doors=doors) as hub:
        with socket.create_connection((hub.address.host, hub.address.port), timeout=10) as link:
            link.sendall(b"GET /blobs/sha256/%b HTTP/1.1\r\nHost: x\r\n\r\n" % blob.name.encode())
            time.sleep(2)
            taken = 0
            with suppress(ConnectionError):
                while piece := link.recv(1 << 20):
                    taken += len(piece)
        assert taken < 30_000_000
        assert doors.come("127.0.0.1")
        assert doors.enter("127.0.0.1")
        assert hub.sent() < 30_000_000


def test_a_box_that_takes_its_time(box: ABox, published: Published) -> None:
    """It reads slowly what was sent last, longer than a connection may be idle: it gets all of it."""
    large = published.forge.folder / "slowly.bin"
    large.write_bytes(bytes(1_500_000))
    cargo = published.forge.cargo()
    bundle = published.forge.build(replace(cargo, files={**cargo.files, "models/large/w8/large.bin": large}))
    blob = max(blobs(bundle), key=lambda path: path.stat().st_size)
    with a_hub(box, bundle, doors=Doors(idle_s=0.4), narrow=True) as hub, socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        link.connect((hub.address.host, hub.address.port))
        link.sendall(b"GET /blobs/sha256/%b HTTP/1.1\r\nHost: x\r\n\r\n" % blob.name.encode())
        taken = 0
        with suppress(ConnectionError):
            while piece := link.recv(20_000):
                taken += len(piece)
                time.sleep(0.01)
    assert taken > 1_500_000


def test_an_empty_file(box: ABox, published: Published) -> None:
    """A file of no bytes is a file."""
    empty = published.forge.folder / "empty.bin"
    empty.touch()
    cargo = published.forge.cargo()
    bundle = published.forge.build(replace(cargo, files={**cargo.files, "models/large/w8/empty.bin": empty}))
    with a_hub(box, bundle) as hub:
        blob = min(blobs(bundle), key=lambda path: path.stat().st_size)
        assert asked(hub, f"/blobs/sha256/{blob.name}".encode())[::2] == (200, b"")


def test_the_rate_is_kept(box: ABox, other: ABox, bundle: Path) -> None:
    """Two hundred kilobytes at a hundred a second take two seconds, however fast the network is."""
    size = sum(path.stat().st_size for path in blobs(bundle))
    began = time.monotonic()
    with a_hub(box, bundle, rate=size / 2) as hub:
        other.install(hub.address)
    assert 1.5 < time.monotonic() - began < 15


def test_the_stick_pulled_out_of_the_hub(box: ABox, other: ABox, bundle: Path) -> None:
    """The hub ends and says why; whoever was installing keeps what it has."""
    with a_hub(box, bundle) as hub:
        before = other.snapshot()
        with pytest.raises(LinkError):
            other.install(hub.address, announce=lambda *_: shutil.rmtree(bundle))
        assert other.snapshot() == before
    assert hub.application.error is not None
    assert hub.application.error.code == "MEDIUM-MISSING"


@pytest.mark.parametrize(
    "text",
    [
        "http://", "http://:8480", "http://h:99999", "http://h:x", "http://u@h/", "http://u:p@h/", "http://h/blobs",
        "http://h/?a", "http://h h/", "http://h\r\nX: 1/", "https://[::1", "http://h/../x", "http://é/", "http://h/#x",
    ],
)  # fmt: skip
def test_an_address_that_is_none(box: ABox, text: str) -> None:
    with pytest.raises(InputError, match="no hub's address"):
        place_of(text, box.root)


def test_addresses(box: ABox) -> None:
    assert place_of("http://hub", box.root) == Address("hub", 8480)
    assert place_of("HTTP://10.0.0.5:1/", box.root) == Address("10.0.0.5", 1)
    assert str(place_of("http://[fe80::1%25eth0]:9/", box.root)) == "http://[fe80::1%25eth0]:9/"
    assert str(place_of("https://h", box.root)) == "https://h:8480/"
    assert place_of("http:/x", box.root) == Path("http:/x")
    (box.root / "identity/tls.key").unlink()
    with pytest.raises(InputError, match=r"tls\.key") as caught:
        place_of("https://h", box.root)
    assert "enrol" in caught.value.advice


ROOT = """
import os, sys
from hybrid.hub.privilege import dropped
def needed():
    with open(sys.argv[1], "rb") as file:
        file.read(1)
done = dropped(needed)
print(done, os.geteuid(), os.getuid(), os.getgroups())
with open(sys.argv[2], "rb"):
    print("reads what is root's alone")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to let go of")
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_root_lets_go_where_it_can(tmp_path: Path, mode: int) -> None:
    """A stick that anybody may read is served by nobody, who reads no key; one for root alone is served by root."""
    tmp_path.chmod(0o755)
    stick, key = tmp_path / "stick", tmp_path / "tls.key"
    for path, bits in ((stick, mode), (key, 0o600)):
        path.write_bytes(b"x")
        path.chmod(bits)
    done = subprocess.run([sys.executable, "-c", ROOT, stick, key], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    if mode == 0o644 and done.stdout.startswith("False"):
        pytest.skip("this Python is readable by root alone")
    if mode == 0o644:
        assert done.stdout == "True 65534 65534 []\n"
        assert "PermissionError" in done.stderr
    else:
        assert done.stdout.splitlines()[0].startswith("False 0 0")
        assert "reads what" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--listen", ""], ["--listen", ":8480"], ["--listen", "h:x"], ["--listen", "h:70000"], ["--listen", "[]:1"],
        ["--listen", "h:"], ["--listen", "h", "--rate", "5kB"], ["--listen", "h", "--rate", "fast"],
    ],
)  # fmt: skip
def test_a_command_that_says_too_little(box: ABox, bundle: Path, words: list[str]) -> None:
    """Wrong words are said before the medium is looked at."""
    done = CliRunner().invoke(app, ["site", "hub", str(bundle), "--root", str(box.root), *words])
    assert isinstance(done.exception, InputError), done.output
    assert done.exception.exit_code == 2
    assert done.exception.advice
