"""A model in a staged release tries what a model has no business with, while its golden checks run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundles.layout import Box
from bundles.release import Release, open_release
from hybrid.carry.golden import ENVIRONMENT, check, confined
from tests.support.bundles import ABox, BundleForge

ATTACK = """
import json, os, socket, sys
def outcome(act):
    try:
        act()
    except OSError:
        return "refused"
    return "done"
key, blob = sys.argv[1:]
interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(json.dumps({
    "key": outcome(lambda: open(key)), "key through another process": outcome(lambda: open("/proc/1/root" + key)),
    "write": outcome(lambda: open(os.path.dirname(blob) + "/x", "w")), "change": outcome(lambda: os.chmod(blob, 0o777)),
    "send": outcome(lambda: udp.sendto(b"x", ("192.0.2.1", 9))), "read": outcome(lambda: open(blob)),
    "powers": int(open("/proc/self/status").read().split("CapEff:")[1].split()[0], 16), "user": os.getuid(),
}))
"""


def attempt(release: Release, key: Path) -> dict[str, object]:
    """Run the attack where golden checks run, and return what it came to."""
    prefix = confined(release) or []
    if "setpriv" not in prefix:
        pytest.skip("this kernel gives no mount namespace")
    blob = str(release.files["models/minilm/w8/model.onnx"])
    done = subprocess.run([*prefix, sys.executable, "-I", "-c", ATTACK, str(key), blob], env=ENVIRONMENT, cwd="/",
                          capture_output=True, text=True, check=True)  # fmt: skip
    return dict(json.loads(done.stdout))


def test_a_model_that_looks_for_keys_and_a_way_out(box: ABox, bundle: Path) -> None:
    """Code of a staged release reads the box's keys, writes to its store and sends: only its own files open."""
    box.install(bundle)
    key = Box(box.root).identity / "log.key"
    before, kept = box.snapshot(), key.read_bytes()
    found = attempt(open_release(box.root), key)
    assert found.pop("user") in (0, 65534)
    assert found == {
        "key": "refused", "key through another process": "refused", "write": "refused", "change": "refused",
        "send": "refused", "read": "done", "powers": 0,
    }  # fmt: skip
    assert (box.snapshot(), key.read_bytes()) == (before, kept)


def test_where_nothing_confines_a_check_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A box without unshare: the staged release is not run with network and keys to see whether it is honest."""
    forge = BundleForge(tmp_path)
    box, cargo = forge.box(), forge.cargo()
    (tmp_path / "golden.json").write_text("{}")
    golden = {"models/minilm/w8/golden.json": tmp_path / "golden.json"}
    box.install(forge.build(forge.cargo(files=cargo.files | golden)))
    monkeypatch.setitem(ENVIRONMENT, "PATH", "/nonexistent")
    assert ["unshare" in line for line in check(open_release(box.root))] == [True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_with_root_the_checks_are_nobodys(box: ABox, bundle: Path) -> None:
    """Where its files can be reached by everybody, the staged release runs as nobody, not as the one who installs."""
    box.root.parent.chmod(0o755)
    box.install(bundle)
    assert attempt(open_release(box.root), Box(box.root).identity / "log.key")["user"] == 65534
