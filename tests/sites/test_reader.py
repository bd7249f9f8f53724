"""The reader: each kind of wrong input is refused with its line, its column and what to do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from placement.pipeline import Pipeline
from sites.document import MAX_DEPTH, MAX_NODES, Unreadable, read
from sites.errors import SitesError
from sites.fleet import Finding, ManifestError, read_fleet
from sites.policy import Policy
from sites.site import Site

SITE = """\
apiVersion: hybrid/v1
kind: Site
metadata: {name: clinic}
spec:
  location: FR-69
  parties:
    operator: {name: Clinique, country: FR, controlledBy: []}
  hardware:
    - {name: box, count: 1, arch: x86_64, cpus: 8, memory: 32GiB, disk: 500GiB, price: 0.11 EUR/h}
  connectivity: {mode: connected}
"""
POLICY = """\
apiVersion: hybrid/v1
kind: Policy
metadata: {name: org}
spec:
  packs: [eu-gdpr]
  rules:
    - {id: allow, effect: permit, data: all, activities: all, source: Board}
"""
PIPELINE = """\
apiVersion: hybrid/v1
kind: Pipeline
metadata: {name: mail}
spec:
  origins: {}
  rate: 1/s
  input: {size: 2KiB}
  stages:
    - {name: triage, task: classify, models: [triage], output: 200B}
"""


def a_fleet(folder: Path, **files: str) -> Path:
    for name, text in {"site": SITE, "policy": POLICY, **files}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def findings(folder: Path) -> tuple[Finding, ...]:
    with pytest.raises(ManifestError) as caught:
        read_fleet(folder)
    return caught.value.findings


def test_honest_fleet_is_read_with_its_digests(tmp_path: Path) -> None:
    fleet = read_fleet(a_fleet(tmp_path))
    assert [site.name for site in fleet.of(Site)] == ["clinic"]
    assert [policy.name for policy in fleet.of(Policy)] == ["org"]
    assert set(fleet.packs) == {"eu-gdpr", "org-default"}
    assert set(fleet.digests) == {"site.yaml", "policy.yaml", "pack:eu-gdpr", "pack:org-default"}


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message", "hint"),
    [
        ("location:", "locaton:", 5, 3, "spec: unknown key 'locaton'", "did you mean 'location'?"),
        ("FR-69", "FR-NC", 5, 13, "spec.location: 'FR-NC' has a country code of its own: write NC", ""),
        (
            "FR-69",
            "FR-69\n  activities: {process: FR}",
            6,
            25,
            "spec.activities.process: process happens where the machines stand",
            "",
        ),
        ("FR-69", "UK", 5, 13, "spec.location: 'UK' is neither", ""),
        ("country: FR", "contry: FR", 7, 32, "spec.parties.operator: unknown key 'contry'", "did you mean 'country'?"),
        ("country: FR", "country: fr", 7, 41, "spec.parties.operator.country: 'fr' is no ISO 3166-1", ""),
        (", price: 0.11 EUR/h", "", 9, 7, "spec.hardware[0]: missing key 'price'", "never guessed"),
        ("0.11 EUR/h", "0.11 EUR", 9, 88, "spec.hardware[0].price: expected a price with its currency", ""),
        ("32GiB", "32 gigs", 9, 60, "spec.hardware[0].memory: expected a quantity such as", ""),
        ("32GiB", "32", 9, 60, "spec.hardware[0].memory: expected a quantity such as", ""),
        ("cpus: 8", "cpus: eight", 9, 49, "spec.hardware[0].cpus: expected a whole number, found 'eight'", ""),
        ("x86_64", "x86-64", 9, 35, "spec.hardware[0].arch: expected 'x86_64' or 'aarch64'", "did you mean 'x86_64'?"),
        ("name: clinic", "name: Clinic", 3, 18, "metadata.name: expected a name of lower-case", ""),
        ("name: clinic", "name: 12", 3, 18, "metadata.name: expected text, found 12", 'quotes: "12"'),
        ("kind: Site", "kind: Siet", 2, 7, "unknown kind 'Siet'", "did you mean 'Site'?"),
        ("hybrid/v1", "hybrid/v9", 1, 13, "unknown apiVersion 'hybrid/v9'", "hybrid/v1"),
        ("kind: Site\n", "", 1, 1, "missing key 'kind'", "Site"),
        ("connectivity: {mode: connected}", "connectivity: {mode: connected", 11, 1, "not YAML", "bracket"),
        ("  location: FR-69", "\tlocation: FR-69", 5, 1, "not YAML", "spaces"),
        ("location: FR-69", "location: FR-69\n  location: DE", 6, 3, "duplicate key 'location'", "one of the two"),
        ("location: FR-69", "location: &here FR-69", 5, 13, "anchors are not read", "write the value out"),
        ("location: FR-69", "location: *here", 5, 13, "aliases are not read", "write the value out"),
        ("location: FR-69", "location: !!str FR-69", 5, 13, "tags are not read", "quotes"),
        ("location: FR-69", "location: FR\x07-69", 5, 15, "a character that YAML does not allow", "control"),
        ("location: FR-69", "? [a]\n  : FR-69", 5, 5, "a key is plain text", ""),
        ("cpus: 8", "cpus: 99999999999999999999", 9, 49, "a number that is too long", "quotes"),
        ("32GiB", "0GiB", 9, 60, "spec.hardware[0].memory: expected more than 0 bytes: give what there is", ""),
        ("cpus: 8", "cpus: 0", 9, 49, "spec.hardware[0].cpus: expected more than 0, found 0", ""),
        (
            "name: Clinique",
            f"name: {'x' * 254}",
            7,
            22,
            "operator.name: expected at most 253 characters, found 254",
            "",
        ),
        ("FR-69", "F" * 10_000, 5, 13, f"spec.location: '{'F' * 47}… (10002 characters) is neither", ""),
        ("name: clinic", f"name: {'n' * 10_000}", 3, 18, "(at most 63), found 'nnn", ""),
        ("cpus: 8", "cpus: .inf", 9, 49, "a number that is too long or not finite", "quotes"),
    ],
)
def test_wrong_input_is_named_where_it_stands(
    tmp_path: Path, old: str, new: str, line: int, column: int, message: str, hint: str
) -> None:
    assert old in SITE
    (found,) = findings(a_fleet(tmp_path, site=SITE.replace(old, new, 1)))
    assert (found.file, found.line, found.column) == ("site.yaml", line, column)
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message"),
    [
        ("[eu-gdpr]", "[eu-gdrp]", 5, 11, "no pack 'eu-gdrp'"),
        ("packs: [eu-gdpr]", "packs: [eu-gdpr]\n  noPack: [{country: US, by: ' ', reason: r, until: 2027-01-01}]",
         6, 30, "spec.noPack[0].by: expected a person or a named board"),
        ("name: org", "name: eu-gdpr", 3, 18, "policy 'eu-gdpr' takes the name of a pack"),
        ("name: org", "name: invariant", 3, 18, "policy 'invariant' takes the name of a layer"),
        ("data: all", "data: [user.helth]", 7, 42, "'user.helth' is no data class"),
        ("  packs: [eu-gdpr]", "  packs: [eu-gdpr]\n  adopt: [eu-gdpr/mars]", 6, 11, "no rule 'eu-gdpr/mars' to adopt"),
        (
            "  packs: [eu-gdpr]",
            "  packs: [eu-gdpr]\n  waivers: [{rule: allow, reason: r, by: b, until: 2027-01-01}]",
            6, 20, "'allow' is no requirement or prohibition",
        ),
        ("source: Board}", "source: Board}\n    - {id: allow, effect: require, data: all, activities: all, source: B}",
         8, 12, "rule id 'allow' is used twice"),
        ("packs: [eu-gdpr]", "packs: [eu-gdpr]\n  noPack: [{country: US, reason: r, by: b, until: 2027-13-01}]", 6, 51,
         "spec.noPack[0].until: month must be in 1..12"),
        ("packs: [eu-gdpr]", "packs: [eu-gdpr]\n  noPack: [{country: US, reason: r, by: b, until: 20270101}]", 6, 51,
         "spec.noPack[0].until: expected a valid date"),
    ],
)  # fmt: skip
def test_wrong_policy_is_named_where_it_stands(
    tmp_path: Path, old: str, new: str, line: int, column: int, message: str
) -> None:
    (found,) = findings(a_fleet(tmp_path, policy=POLICY.replace(old, new, 1)))
    assert (found.file, found.line, found.column) == ("policy.yaml", line, column)
    assert message in found.message


@pytest.mark.parametrize("word", ["clinic", "Site", "FR-69", "x86_64", "32GiB", "Clinique", "box"])
def test_a_word_of_ten_thousand_letters_is_not_told_to_the_end(tmp_path: Path, word: str) -> None:
    """Somebody pastes a file into a field: the answer stays readable, and names the place."""
    found = findings(a_fleet(tmp_path, site=SITE.replace(word, "x" * 10_000, 1)))
    assert {one.file for one in found} == {"site.yaml"}
    assert all(len(str(one)) < 1_000 for one in found)


@pytest.mark.parametrize("text", ["", "# taken out for now\n", "---\n"])
def test_a_file_that_was_emptied_is_named_before_what_follows_from_it(tmp_path: Path, text: str) -> None:
    wrong = POLICY.replace("name: org", "name: other").replace("[eu-gdpr]", "[nowhere]")
    first, *others = findings(a_fleet(tmp_path, policy=wrong, zone=text))
    assert (first.file, first.line, first.message) == ("zone.yaml", 1, "the file holds no manifest")
    assert "remove the file" in first.hint
    assert [found.file for found in others] == ["policy.yaml"]


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        ("share: 0", "spec.stages[0].share: expected more than 0, found 0", "leave the stage out"),
        ("share: 1.5", "spec.stages[0].share: expected at most 1, found 1.5", "leave the stage out"),
        ("share: half", "spec.stages[0].share: expected a number, found 'half'", "leave the stage out"),
        ("sites: []", "spec.stages[0].sites: expected labels such as {role: clinic} or a list of sites", ""),
        ("sites: {sites: []}", "spec.stages[0].sites: expected labels such as {role: clinic} or a list of sites", ""),
        ("sites: [3]", "spec.stages[0].sites[0]: expected text, found 3", 'quotes: "3"'),
        ("async: maybe", "spec.stages[0].async: expected true or false, found 'maybe'", ""),
        ("after: triage", "spec.stages[0].after: expected a list, found 'triage'", ""),
    ],
)
def test_a_wrong_stage_is_named_in_words_of_manifests(tmp_path: Path, wrong: str, message: str, hint: str) -> None:
    pipeline = PIPELINE.replace("task: classify", f"task: classify, {wrong}")
    with pytest.raises(ManifestError) as caught:
        read_fleet(a_fleet(tmp_path, pipeline=pipeline), {"Site": Site, "Policy": Policy, "Pipeline": Pipeline})
    (found,) = caught.value.findings
    assert (found.file, found.line) == ("pipeline.yaml", 9)
    assert message in found.message
    assert hint in found.hint


def test_everything_wrong_is_said_at_once_in_order(tmp_path: Path) -> None:
    wrong = SITE.replace("location:", "locaton:").replace("32GiB", "much").replace("mode: connected", "mode: on")
    found = findings(a_fleet(tmp_path, site=wrong, other="a: [1\n", policy=POLICY.replace("permit", "allow")))
    assert [(f.file, f.line) for f in found] == [
        ("other.yaml", 2), ("policy.yaml", 7), ("site.yaml", 5), ("site.yaml", 9), ("site.yaml", 10),
    ]  # fmt: skip


def test_finding_shows_the_line_and_a_caret_below_it(tmp_path: Path) -> None:
    (found,) = findings(a_fleet(tmp_path, site=SITE.replace("FR-69", "FR-XX")))
    shown = str(found).splitlines()
    assert shown[1].index("FR-XX") == shown[2].index("^")


def test_names_tenants_and_currencies_agree_across_files(tmp_path: Path) -> None:
    twin = SITE.replace("EUR", "USD")
    found = findings(a_fleet(tmp_path, twin=twin, second=POLICY.replace("name: org", "name: other")))
    assert [(f.file, f.line, f.message) for f in found] == [
        ("second.yaml", 3, "tenant 'default' already has a policy in policy.yaml:1"),
        ("twin.yaml", 3, "Site 'clinic' is already in site.yaml:1"),
        ("twin.yaml", 9, "a price in USD, where site.yaml has EUR"),
    ]


def test_fleet_s_own_pack_may_not_take_a_shipped_name(tmp_path: Path) -> None:
    pack = """\
apiVersion: hybrid/v1
kind: Pack
metadata: {name: eu-gdpr}
spec: {scope: {data: all, countries: all}, jurisdiction: [FR], rules: []}
"""
    (tmp_path / "packs").mkdir()
    a_fleet(tmp_path, **{"packs/eu-gdpr": pack})
    (found,) = findings(tmp_path)
    assert (found.file, found.line) == ("packs/eu-gdpr.yaml", 3)
    a_fleet(tmp_path, **{"packs/eu-gdpr": pack.replace("eu-gdpr", "mars")})
    (found,) = findings(tmp_path)
    assert "name the file packs/mars.yaml" in found.hint


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("metadata: {name: clinic, labels: {password: hunter22}}", "hunter22"),
        ("metadata: {name: clinic, labels: {api_key: abcd1234}}", "abcd1234"),
        ("metadata: {name: clinic, labels: {x: ghp_" + "a1" * 18 + "}}", "a1a1"),
        ("metadata: {name: clinic} # AKIA" + "Q" * 16, "QQQQ"),
        ("metadata: {name: clinic} # -----BEGIN OPENSSH PRIVATE KEY-----", "OPENSSH"),
    ],
)
def test_literal_secret_is_refused_and_not_shown(tmp_path: Path, line: str, secret: str) -> None:
    found = findings(a_fleet(tmp_path, site=SITE.replace("metadata: {name: clinic}", line)))
    assert any("a literal secret" in f.message and f.line == 3 for f in found)
    assert secret not in "\n".join(map(str, found))


def test_yaml_1_2_words_are_what_they_look_like() -> None:
    (document,) = read("a: no\nb: 12:30\nc: true\nd: 0o17\ne: 1e3\nf: 2027-05-31\ng: ~\nh: 'null'\ni: 010\nj: yes\n")
    assert document.value == {
        "a": "no", "b": "12:30", "c": True, "d": 15, "e": 1000.0, "f": "2027-05-31", "g": None, "h": "null",
        "i": 10, "j": "yes",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        ("[" * 200_000, f"nested deeper than {MAX_DEPTH}"),
        ("a: " + "{b: " * 50_000, f"nested deeper than {MAX_DEPTH}"),
        ("- " * 100_000, f"nested deeper than {MAX_DEPTH}"),
        ("[" + "1," * (MAX_NODES + 1) + "]", f"more than {MAX_NODES} values"),
        ("a: &a [x]\nb: &b [*a,*a]\n", "anchors are not read"),
        ("x" * 2_000_000, "the file is over"),
        ("? " * 100_000, "a key is plain text"),
        ("'" + "\n" * 500_000, "not YAML"),
    ],
)
def test_bomb_is_refused_quickly(bomb: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(Unreadable, match=message):
        read(bomb)
    assert time.process_time() - began < 2


def test_what_is_no_plain_utf_8_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: é\n".encode("latin-1"))
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "pipe.yaml").symlink_to("/dev/zero")
    (tmp_path / "huge.yaml").write_bytes(b"#" * 1_100_000)
    said = {(f.file, f.message) for f in findings(tmp_path)}
    assert said == {
        ("latin.yaml", "the file is not UTF-8"),
        ("pipe.yaml", "not a regular file"),
        ("huge.yaml", "the file is over 1048576 bytes"),
    }


def test_no_directory_and_one_without_a_manifest_are_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "empty-file").mkdir()
    (tmp_path / "empty-file" / "site.yaml").write_text("", encoding="utf-8")
    for folder in (tmp_path / "empty-file", tmp_path / "missing"):
        with pytest.raises(SitesError) as caught:
            read_fleet(folder)
        assert caught.value.exit_code == 2
        assert "hybrid init" in caught.value.advice


def test_fault_across_manifests_is_found_in_its_file(tmp_path: Path) -> None:
    fleet = read_fleet(a_fleet(tmp_path))
    (site,) = fleet.of(Site)
    found = fleet.finding(site, ("spec", "parties", "operator", "name"), "who is this?")
    assert (found.file, found.line, found.column) == ("site.yaml", 7, 22)
    (tmp_path / "site.yaml").unlink()
    assert fleet.finding(site, ("spec",), "gone").line == 1
