"""A bundle goes through OCI tools and a registry and comes back the same; whoever flips a bit on the way is refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundles.errors import MediumError, TrustError
from tests.support.bundles import ABox, Published, blobs, copy_of, flip, refused

POLICY = {"default": [{"type": "insecureAcceptAnything"}]}  # whose bundle it is, TUF decides, not the registry


def tags_of(bundle: Path) -> list[str]:
    index = json.loads((bundle / "index.json").read_bytes())
    return [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]]


def skopeo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "policy.json").write_text(json.dumps(POLICY))
    command = ["skopeo", "--policy", str(folder / "policy.json"), "--tmpdir", str(folder), "copy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def a_registry(folder: Path) -> Iterator[str]:
    """Run Debian's own registry on loopback, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    storage = {"filesystem": {"rootdirectory": str(folder / "registry")}}
    (folder / "registry.yml").write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": address}}))
    server = subprocess.Popen(["docker-registry", "serve", str(folder / "registry.yml")], stderr=subprocess.DEVNULL)
    try:
        host, port = address.split(":")
        for _ in range(100):
            with socket.socket() as knock:
                if knock.connect_ex((host, int(port))) == 0:
                    break
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.debian("skopeo", "docker-registry")
@pytest.mark.slow
def test_to_a_registry_and_back(published: Published, box: ABox, tmp_path: Path) -> None:
    """Every tag to a registry, every tag into a new layout: the same blobs, the same digest, and it installs."""
    back = tmp_path / "back"
    with a_registry(tmp_path) as address:
        for tag in tags_of(published.bundle):
            far = f"docker://{address}/clinics/jura:{tag}"
            sent = skopeo(tmp_path, "--dest-tls-verify=false", f"oci:{published.bundle}:{tag}", far)
            assert sent.returncode == 0, sent.stderr
            came = skopeo(tmp_path, "--src-tls-verify=false", far, f"oci:{back}:{tag}")
            assert came.returncode == 0, came.stderr
    assert [file.name for file in blobs(back)] == [file.name for file in blobs(published.bundle)]
    assert published.verify(back).digest == published.verify(published.bundle).digest
    assert box.install(back).record.number == 1


@pytest.mark.debian("skopeo")
def test_a_tag_left_behind(published: Published, box: ABox, tmp_path: Path) -> None:
    """Whoever copies all tags but one has no bundle, and is told that something is missing."""
    back = tmp_path / "back"
    for tag in tags_of(published.bundle):
        if not tag.startswith("models"):
            assert skopeo(tmp_path, f"oci:{published.bundle}:{tag}", f"oci:{back}:{tag}").returncode == 0
    assert "MISSING" in refused(box, back, "MEDIUM-MISSING", MediumError).code


@pytest.mark.debian("skopeo")
def test_a_mirror_that_flips_a_bit(published: Published, box: ABox, tmp_path: Path) -> None:
    """Malicious mirror: one bit of the model. OCI tools refuse to copy it, and so does a box that is handed it."""
    bent = copy_of(published.bundle, tmp_path / "bent")
    largest = max(blobs(bent), key=lambda file: file.stat().st_size)
    flip(largest)
    tag = next(tag for tag in tags_of(bent) if tag.startswith("models"))
    copied = skopeo(tmp_path, f"oci:{bent}:{tag}", f"oci:{tmp_path / 'copy'}:{tag}")
    assert copied.returncode != 0
    assert "igest did not match" in copied.stderr
    refused(box, bent, "BLOB", TrustError)


@pytest.mark.debian("skopeo")
def test_a_mirror_that_serves_another_bundle_under_the_tag(published: Published, box: ABox, tmp_path: Path) -> None:
    """Tags are names that a mirror gives: with the TUF artifact under another's tag, nothing is found to believe."""
    bent = copy_of(published.bundle, tmp_path / "bent")
    text = (bent / "index.json").read_text()
    (bent / "index.json").write_text(text.replace('name":"tuf"', 'name":"x"').replace('name":"bundle"', 'name":"tuf"'))
    with pytest.raises((MediumError, TrustError)):
        box.install(bent)
    shutil.rmtree(bent)
