"""A malicious hub, or whoever sits between: each test names its lie; nothing on the box may change, nor may it wait."""

from __future__ import annotations

import gzip
import itertools
import shutil
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.carrier import Address
from bundles.carrier.hub import Hub
from bundles.document import canonical
from bundles.errors import BundleError, GateError, LinkError, MediumError, TrustError
from tests.support.bundles import ABox, BundleForge, Published, copy_of, flip, refused
from tests.support.fuzzing import fuzzed
from tests.support.hubs import ALiar, Lie, Reply, a_liar, files_of, honest, offering

MODEL = "models/minilm/w8/model.onnx"
ZEROS = bytes(1 << 16)


def endless() -> Iterator[bytes]:
    return itertools.repeat(ZEROS)


@pytest.fixture
def model(published: Published) -> str:
    """The name of the largest file that is only copied."""
    return f"blobs/sha256/{published.verify(published.bundle).files[MODEL].digest[7:]}"


def lied_to(box: ABox, bundle: Path | dict[str, bytes], lie: Lie, code: str, kind: type[BundleError]) -> ALiar:
    """Install from a hub that tells `lie`; expect the refusal `code`, soon, and that nothing changed."""
    began = time.monotonic()
    with a_liar(bundle, lie) as liar:
        refused(box, liar.address, code, kind)
    assert time.monotonic() - began < 20
    assert not list(box.root.rglob("*.part"))
    return liar


def on(name: str, change: Lie) -> Lie:
    """Tell a lie about one file."""
    return lambda asked, start, reply: change(asked, start, reply) if asked == name else reply


def test_a_liar_that_tells_the_truth(box: ABox, bundle: Path) -> None:
    """What the lies below deviate from does install."""
    with a_liar(bundle, honest) as liar:
        assert box.install(liar.address).record.number == 1


def test_a_flipped_bit_in_any_file(published: Published, box: ABox, bundle: Path) -> None:
    """One bit of one file is other than signed, for every blob there is."""
    for number, name in enumerate(sorted(name for name in files_of(bundle) if name.startswith("blobs/"))):
        stick = copy_of(published.bundle, bundle.with_name(f"stick-{number}"))
        flip(stick / name, bit=number % 8)
        before = box.snapshot()
        with a_liar(stick, honest) as liar, pytest.raises((TrustError, MediumError)):
            box.install(liar.address)
        assert box.snapshot() == before
        assert not list(box.root.rglob("*.part"))
        shutil.rmtree(stick)


@pytest.mark.parametrize(
    ("name", "said"),
    [("offer.json", None), ("index.json", None), ("MODEL", None), ("offer.json", str(10**15)), ("MODEL", str(10**15)),
     ("offer.json", str(2**70)), ("offer.json", "-1"), ("offer.json", "1e3")],
)  # fmt: skip
def test_endless_data(box: ABox, bundle: Path, model: str, name: str, said: str | None) -> None:
    """A body that does not end, announced or not, in place of the offer, the index or a model."""
    headers = (("Content-Length", said),) if said else ()
    victim = model if name == "MODEL" else name
    liar = lied_to(box, bundle, on(victim, lambda *_: Reply(200, headers, endless())), "HUB-ANSWER", MediumError)
    assert liar.sent < 30_000_000, "what lies in the buffers of the network, no more"


def test_an_endless_head(box: ABox, bundle: Path) -> None:
    """Headers without end, in long lines and in short ones; and `100 Continue` again and again."""
    long = tuple((f"X-{number}", "x" * 60_000) for number in range(50))
    short = tuple((f"X-{number}", "x" * 1000) for number in range(90))
    many = tuple((f"X-{number}", "x") for number in range(5000))
    for headers in (long, short, many):
        lied_to(box, bundle, lambda *_, headers=headers: Reply(200, headers, ()), "HUB-ANSWER", MediumError)
    again = itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")
    lied_to(box, bundle, lambda *_: Reply(100, (), again), "HUB-ANSWER", MediumError)


@pytest.mark.parametrize("by", [-1, 1, 5000])
def test_a_wrong_length(box: ABox, bundle: Path, model: str, by: int) -> None:
    """The model is announced as shorter or longer than the offer says."""

    def lie(_: str, __: int, reply: Reply) -> Reply:
        data = b"".join(reply.body) + bytes(5000)
        size = int(dict(reply.headers)["Content-Length"]) + by
        return replace(reply.having(Content_Length=str(size)), body=(data[:size],))

    lied_to(box, bundle, on(model, lie), "HUB-ANSWER", MediumError)


@pytest.mark.parametrize("by", [-1, 1, 2**40])
def test_a_wrong_length_in_the_offer(box: ABox, bundle: Path, model: str, by: int) -> None:
    """The offer itself says another size than was signed: refused before the model is asked for."""
    files = files_of(bundle)
    files["offer.json"] = offering(files, **{model: len(files[model]) + by})
    liar = lied_to(box, files, honest, "MEDIUM-SIZE", MediumError)
    assert model not in dict(liar.asked)


def test_two_lengths(box: ABox, bundle: Path, model: str) -> None:
    """Two parsers would read two different files."""
    lie = on(model, lambda _, __, reply: replace(reply, headers=(("Content-Length", "7"), *reply.headers)))
    lied_to(box, bundle, lie, "HUB-ANSWER", MediumError)


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_another_host(box: ABox, bundle: Path, model: str, status: int) -> None:
    """The hub sends the box elsewhere, into the network of the site or out of it: nobody there hears of it."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        where = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/{model}"
        away = Reply(status, (("Location", where), ("Content-Length", "0")), ())
        lied_to(box, bundle, on(model, lambda *_: away), "HUB-ANSWER", MediumError)
        elsewhere.settimeout(0.1)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


@pytest.mark.parametrize("status", [204, 206, 304, 403, 500])
def test_another_status(box: ABox, bundle: Path, model: str, status: int) -> None:
    lied_to(box, bundle, on(model, lambda _, __, reply: replace(reply, status=status)), "HUB-ANSWER", MediumError)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_bomb_by_content_encoding(box: ABox, bundle: Path, encoding: str) -> None:
    """A gigabyte of zeros in a megabyte, said to be gzip: nothing is ever unpacked, and whatever says so is refused."""
    bomb = gzip.compress(bytes(10_000_000))
    lie = on("index.json", lambda _, __, reply: replace(
        reply.having(Content_Encoding=encoding, Content_Length=str(len(bomb))), body=(bomb,)))  # fmt: skip
    lied_to(box, bundle, lie, "HUB-ANSWER", MediumError)


def test_chunks(box: ABox, bundle: Path, model: str) -> None:
    """Chunks have no length that could be held against the offer, and may be of any size."""
    for also in ((), (("Content-Length", "40000"),)):
        lie = on(
            model,
            lambda *_, also=also: Reply(
                200, (("Transfer-Encoding", "chunked"), *also), (b"ffffffff\r\n", *[ZEROS] * 9)
            ),
        )
        lied_to(box, bundle, lie, "HUB-ANSWER", MediumError)


def test_no_http_at_all(box: ABox, bundle: Path) -> None:
    """Something else listens there."""

    class Noise(Reply):
        def head(self) -> bytes:
            return b"SSH-2.0-OpenSSH_9.2\r\n"

    lied_to(box, bundle, lambda *_: Noise(200, (), ()), "HUB-ANSWER", MediumError)


def test_another_sites_bundle(published: Published, tmp_path: Path) -> None:
    """The hub of the clinic's neighbours, or one that lies about whose bundle it has: the box's own gate refuses."""
    forge = published.forge
    cargo = forge.cargo(site="clinic-vosges")
    theirs = forge.build(cargo)
    ours = forge.box()
    lied_to(ours, theirs, honest, "GATE", GateError)


def test_an_older_bundle(tmp_path: Path) -> None:
    """Rollback: last month's bundle, signed as it ever was."""
    forge = BundleForge(tmp_path)
    box, old = forge.box(), forge.build()
    forge.clock.pass_(days=30)
    box.install(forge.build(forge.cargo(table={})))
    lied_to(box, old, honest, "ROLLBACK", TrustError)


def test_a_frozen_bundle(tmp_path: Path) -> None:
    """Freeze: the hub goes on offering what has run out."""
    forge = BundleForge(tmp_path)
    box, old = forge.box(), forge.build()
    box.install(old)
    forge.clock.pass_(days=30)
    box.keep_time()
    forge.clock.pass_(days=30)
    box.keep_time()
    for _ in range(12):
        forge.clock.pass_(days=40)
        box.keep_time()
    lied_to(box, old, honest, "EXPIRED", TrustError)


def test_a_mix_of_two_bundles(tmp_path: Path) -> None:
    """Each file of either bundle, offered among the other's; and two bundles answered in turn under one offer."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    first = files_of(forge.build())
    forge.clock.pass_(days=1)
    second = files_of(forge.build(forge.cargo(table={"stages": ["quote"]})))
    before = box.snapshot()
    mixes = [
        first | second, {**second, "index.json": first["index.json"]}, {**first, "index.json": second["index.json"]},
        {**{name: data for name, data in second.items() if name in first}, "index.json": second["index.json"]},
    ]  # fmt: skip
    for mixed in mixes:
        with a_liar(mixed, honest) as liar, pytest.raises((TrustError, MediumError)):
            box.install(liar.address)
        assert box.snapshot() == before
    turn = itertools.cycle((first, second))

    def lie(name: str, start: int, reply: Reply) -> Reply:
        data = next(turn).get(name)
        return reply if data is None else Reply(200, (("Content-Length", str(len(data))),), (data,))

    with a_liar(first | second, lie) as liar, pytest.raises(BundleError):
        box.install(liar.address)
    assert box.snapshot() == before


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UPPER", "MEDIUM-CASE"), ("Index.json", "MEDIUM-CASE"), ("../../etc/passwd", "MEDIUM-EXTRA"),
        ("/etc/passwd", "MEDIUM-EXTRA"), ("blobs/sha256/../../x", "MEDIUM-EXTRA"), ("blobs//sha256/x", "MEDIUM-EXTRA"),
        ("blobs\\sha256\\x", "MEDIUM-EXTRA"), ("autorun.inf", "MEDIUM-EXTRA"),
        ("blobs/sha512/" + "0" * 128, "MEDIUM-EXTRA"), ("blobs/sha256/" + "0" * 64, "MEDIUM-EXTRA"),
        ("\x1b[2J", "DOCUMENT"), ("x\r\nX-Evil: 1", "DOCUMENT"), ("é", "DOCUMENT"), ("x" * 201, "DOCUMENT"),
        ("", "DOCUMENT"),
    ],
)  # fmt: skip
def test_names_that_no_bundle_has(box: ABox, bundle: Path, model: str, name: str, code: str) -> None:
    """Case games, traversal, control characters and strangers in the offer: none of them is ever asked for."""
    files = files_of(bundle)
    name = f"blobs/sha256/{model[-64:].upper()}" if name == "UPPER" else name
    sizes = {other: len(data) for other, data in files.items()} | {name: 5}
    files["offer.json"] = canonical({"apiVersion": "hybrid/v1", "kind": "BundleOffer", "files": sizes})
    liar = lied_to(box, files, honest, code, MediumError)
    assert name not in dict(liar.asked)


@pytest.mark.parametrize(
    "offer",
    [
        b"", b"[]", b"null", b'{"apiVersion":"hybrid/v1","kind":"BundleOffer","files":{"a":1,"a":2}}', b"{" * 100_000,
        b'{"apiVersion":"hybrid/v1","kind":"BundleOffer","files":{"a":-1}}', b"\xff\xfe",
        b'{"apiVersion":"hybrid/v1","kind":"BundleOffer","files":{"a":1.5}}',
        b'{"apiVersion":"hybrid/v1","kind":"BundleOffer","files":{},"run":"me"}',
    ],
)  # fmt: skip
def test_an_offer_without_a_meaning(box: ABox, bundle: Path, offer: bytes) -> None:
    lied_to(box, {**files_of(bundle), "offer.json": offer}, honest, "DOCUMENT", MediumError)


def test_an_offer_of_more_files_than_any_bundle_has(box: ABox, bundle: Path) -> None:
    files = files_of(bundle)
    files["offer.json"] = offering(files, **{f"blobs/sha256/{number:064x}": 1 for number in range(20_001)})
    lied_to(box, files, honest, "MEDIUM-COUNT", MediumError)


def test_an_empty_offer(box: ABox, bundle: Path) -> None:
    lied_to(box, {"offer.json": offering({})}, honest, "MEDIUM-MISSING", MediumError)


def test_a_file_that_is_offered_and_not_given(box: ABox, bundle: Path, model: str) -> None:
    """Withholding is all that a hub can do."""
    lied_to(
        box, bundle, on(model, lambda *_: Reply(404, (("Content-Length", "0"),), ())), "MEDIUM-MISSING", MediumError
    )


def test_hanging_after_half_a_blob(box: ABox, bundle: Path, model: str) -> None:
    """The hub stops in the middle and keeps the connection: patience ends, the box is free again."""

    def half(_: str, start: int, reply: Reply) -> Reply:
        data = b"".join(reply.body)
        return replace(reply, body=(data[: len(data) // 2],), hang=True)

    began = time.monotonic()
    lied_to(box, bundle, on(model, half), "HUB-AWAY", LinkError)
    assert time.monotonic() - began < 6


def test_a_trickle(box: ABox, bundle: Path, model: str) -> None:
    """A byte now and then, so that no single wait is long."""

    def drip(data: bytes) -> Iterator[bytes]:
        for number in range(len(data)):
            time.sleep(0.05)
            yield data[number : number + 1]

    lie = on(model, lambda _, __, reply: replace(reply, body=drip(b"".join(reply.body))))
    began = time.monotonic()
    lied_to(box, bundle, lie, "HUB-AWAY", LinkError)
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("name", ["offer.json", "MODEL"])
def test_hanging_before_the_first_byte(box: ABox, bundle: Path, model: str, name: str) -> None:
    class Silent(Reply):
        def head(self) -> bytes:
            return b""

    victim = model if name == "MODEL" else name
    lied_to(box, bundle, on(victim, lambda *_: Silent(200, (), (), hang=True)), "HUB-AWAY", LinkError)


def test_cut_again_and_again(box: ABox, bundle: Path, model: str) -> None:
    """Ten bytes, then the hub hangs up, each time: progress that slow is given up, too."""
    lie = on(model, lambda _, __, reply: replace(reply, body=(b"".join(reply.body)[:10],), close=True))
    liar = lied_to(box, bundle, lie, "HUB-AWAY", LinkError)
    starts = [start for name, start in liar.asked if name == model]
    assert len(starts) > 3
    assert starts == sorted(starts)


def test_busy_for_ever(box: ABox, bundle: Path, model: str) -> None:
    lie = on(model, lambda *_: Reply(503, (("Content-Length", "0"), ("Retry-After", "86400")), (), close=True))
    lied_to(box, bundle, lie, "HUB-AWAY", LinkError)


def taken_up(box: ABox, bundle: Path, model: str, second: Lie, code: str, kind: type[BundleError]) -> None:
    """The model is cut after half; `second` says what is answered when the rest is asked for."""

    def lie(name: str, start: int, reply: Reply) -> Reply:
        if start:
            return second(name, start, reply)
        data = b"".join(reply.body)
        return replace(reply, body=(data[: len(data) // 2],), close=True)

    lied_to(box, bundle, on(model, lie), code, kind)


def test_other_bytes_where_a_transfer_is_taken_up(box: ABox, bundle: Path, model: str) -> None:
    """The first half honest, the rest another's: the digest is that of both, and not the signed one."""

    def other(_: str, __: int, reply: Reply) -> Reply:
        return replace(reply, body=(b"".join(reply.body)[::-1],))

    taken_up(box, bundle, model, other, "BLOB", TrustError)


def test_another_range_where_a_transfer_is_taken_up(published: Published, box: ABox, bundle: Path, model: str) -> None:
    """The rest is asked for, and the whole comes, or a rest from elsewhere, or of another whole."""
    whole = len(files_of(bundle)[model])
    for said in (f"bytes 0-{whole - 1}/{whole}", f"bytes {whole // 2}-{whole - 1}/*", "bytes", "items 1-2/3"):
        taken_up(box, bundle, model, lambda *a, said=said: a[2].having(Content_Range=said), "HUB-ANSWER", MediumError)
    data = files_of(bundle)[model]
    again = Reply(200, (("Content-Length", str(whole)),), (data,))
    taken_up(box, bundle, model, lambda *_: again, "HUB-ANSWER", MediumError)


def test_documents_changed_after_they_were_verified(published: Published, box: ABox, bundle: Path) -> None:
    """The hub turns everything but models into rubbish once it was verified: what is kept is what was verified."""
    verified = published.verify(bundle)
    seen = []

    def lie(name: str, _: int, reply: Reply) -> Reply:
        known = f"sha256:{name[-64:]}" in verified.blobs
        return reply if known or not seen else Reply(200, (("Content-Length", "2"),), (b"{}",))

    with a_liar(bundle, lie) as liar:
        done = box.install(liar.address, announce=lambda *_: seen.append(1))
    assert done.record.bundle_digest == verified.digest
    for name, data in verified.metadata.items():
        assert (box.root / "trust" / "metadata" / name).read_bytes() == data


def test_an_honest_hub_exchanged_for_a_lying_one(box: ABox, bundle: Path, model: str) -> None:
    """What listens at the address changes between verification and copying."""
    stick = copy_of(bundle, bundle.with_name("bent"))
    flip(stick / model)
    verified: list[int] = []

    def lie(name: str, start: int, reply: Reply) -> Reply:
        return replace(reply, body=((stick / name).read_bytes()[start:],)) if verified and name == model else reply

    before = box.snapshot()
    with a_liar(bundle, lie) as liar, pytest.raises(TrustError, match="other bytes than were signed"):
        box.install(liar.address, announce=lambda *_: verified.append(1))
    assert box.snapshot() == before


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n"
WORDS = [
    b"HTTP/1.1 200 X\r\n", b"HTTP/1.0 200 X\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"\r\n", b"Range: x", b"\x00", b"{}",
    b"Content-Length: 5\r\n", b"Content-Length: 9999999999\r\n", b"Transfer-Encoding: chunked\r\n", b" folded\r\n",
    b"Connection: close\r\n", b"A: b\r\n",
]  # fmt: skip
HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=200).map(lambda body: HEAD + body),
    st.tuples(st.integers(0, len(HEAD)), st.binary(min_size=1, max_size=20)).map(
        lambda bend: HEAD[: bend[0]] + bend[1] + HEAD[bend[0] :] + bytes(64)
    ),
    st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join),
)


@pytest.mark.fuzz
@fuzzed(150)
@given(said=HOSTILE)
def test_whatever_a_hub_says(loud: tuple[Address, list[bytes]], said: bytes) -> None:
    """Law: any bytes at all are an offer, or refused by a code, soon; nothing else comes out of them."""
    address, words = loud
    words[:] = [said]
    began = time.monotonic()
    hub = Hub(address)
    with closing(hub), suppress(BundleError):
        for entry in hub.entries():
            assert entry.name.isprintable()
    assert time.monotonic() - began < 5


@pytest.fixture
def loud() -> Iterator[tuple[Address, list[bytes]]]:
    """Something that says given bytes to whoever connects, and hangs up."""
    words: list[bytes] = []

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.recv(4096)
                self.request.sendall(words[0])

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_address[1], patience_s=0.3), words
        finally:
            server.shutdown()
            thread.join()
