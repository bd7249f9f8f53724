"""Check a residency report against evidence bundles, believing neither; one file, for people who install nothing else.

    python verifier.py report.json evidence/ [more bundles] [--key SITE=VKEY ...] [--plan plan.json]

Needs Python 3.11 and `cryptography`. What is derived again, in this order:
 1 files       each file of a bundle has the digest that its manifest states
 2 signatures  every checkpoint is signed with the log's key (given with --key, else the bundle's own, and said so)
 3 consistency every checkpoint extends the one before (RFC 9162 2.1.4)
 4 inclusion   every record is under the last checkpoint (RFC 9162 2.1.3); none is left out unless an erasure names it
 5 heads       the report names the same logs, sizes, roots and keys
 6 counts      each flow of the report was seen as often as it says, by records of its period
 7 breaches    a breach record, or a crossing that is not among the planned flows, is a breach; the report has them all
 8 verdict     the gaps are stated; it follows by the rule in `outcome`; the report's digest covers what it rests on
 9 plan        with --plan: the digest, and that every flow called planned stands in it with its rules
"""

import argparse
import datetime
import json
import sys
import tarfile
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FILES = ("manifest.json", "checkpoints.jsonl", "records.jsonl")
Record = dict[str, Any]
Flow = tuple[str, str, str, str, str]


class Refused(Exception):  # noqa: N818
    """Something does not hold; the message says what, and in which bundle."""


@dataclass(frozen=True)
class Head:
    """What a signed checkpoint states: the log had `size` leaves under `root` at `at` (UTC)."""

    origin: str
    size: int
    root: bytes
    at: datetime.datetime


@dataclass(frozen=True)
class Bundle:
    """A verified evidence bundle: heads in order, and each record by its index (None where it was erased)."""

    site: str
    origin: str
    key: str
    unsigned: int
    heads: list[Head]
    records: list[Record | None]


def climb(fn: int, sn: int, start: bytes, siblings: list[bytes]) -> tuple[bytes, bytes] | None:
    """Return the roots (of the old tree, of the new tree) that a proof leads to; None when its length is wrong."""
    old = new = start
    for sibling in siblings:
        if sn == 0:
            return None
        if fn % 2 or fn == sn:
            old, new = sha256(b"\x01" + sibling + old).digest(), sha256(b"\x01" + sibling + new).digest()
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            new = sha256(b"\x01" + new + sibling).digest()
        fn, sn = fn // 2, sn // 2
    return (old, new) if sn == 0 else None


def extends(old: Head, new: Head, proof: list[bytes]) -> bool:
    """Return whether the proof shows that `new` only added to `old` (RFC 9162 2.1.4.2)."""
    if old.size in (0, new.size):
        return not proof and (old.size == 0 or old.root == new.root)
    if old.size > new.size or not proof:
        return False
    path = proof if old.size & (old.size - 1) else [old.root, *proof]
    fn, sn = old.size - 1, new.size - 1
    while fn % 2:
        fn, sn = fn // 2, sn // 2
    return climb(fn, sn, path[0], path[1:]) == (old.root, new.root)


def parse_key(text: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Return (name, key id, key) of a verifier key `name+id+base64` (c2sp.org/signed-note)."""
    try:
        name, identity, encoded = text.strip().split("+", 2)
        raw = b64decode(encoded, validate=True)
        public = Ed25519PublicKey.from_public_bytes(raw[1:])
    except ValueError as error:
        raise Refused(f"not a verifier key: {text[:60]!r}") from error
    if raw[:1] != b"\x01" or sha256(name.encode() + b"\n" + raw).digest()[:4].hex() != identity:
        raise Refused(f"the verifier key of {name} does not match its id")
    return name, bytes.fromhex(identity), public


def open_note(text: str, key: str) -> Head:
    """Return the head that a signed note states. Raises Refused unless `key` signed it."""
    name, identity, public = parse_key(key)
    body, _, signatures = text.partition("\n\n")
    body += "\n"
    for line in signatures.split("\n"):
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.rpartition(" ")
        if dash != "\N{EM DASH}" or signer != name or b64decode(encoded)[:4] != identity:
            continue
        try:
            public.verify(b64decode(encoded)[4:], body.encode())
        except InvalidSignature:
            raise Refused(f"a checkpoint's signature by {name} does not hold") from None
        origin, size, root, time = body.removesuffix("\n").split("\n")
        if origin != name:
            raise Refused(f"a checkpoint of {origin} signed by {name}")
        at = datetime.datetime.strptime(time + "+0000", "time %Y-%m-%dT%H:%M:%SZ%z")
        return Head(origin, int(size), b64decode(root, validate=True), at)
    raise Refused(f"a checkpoint without a signature by {name} ({identity.hex()})")


def find_bundles(path: Path) -> list[Path]:
    """Return the bundles at a path: itself, or those directly inside; one without any is returned to be refused."""
    inside = sorted(path.iterdir()) if path.is_dir() and not (path / FILES[0]).exists() else []
    return [place for place in inside if place.suffix == ".tar" or (place / FILES[0]).exists()] or [path]


def read_files(path: Path) -> dict[str, bytes]:
    """Return the three files of a bundle. Raises Refused when one is missing or absurdly large."""
    try:
        if path.is_dir():
            files = {name: (path / name).read_bytes() for name in FILES}
        else:
            with tarfile.open(path) as tar:
                inside = [entry for entry in tar if entry.name in FILES and entry.size < 1 << 30]
                files = {entry.name: opened.read() for entry in inside if (opened := tar.extractfile(entry))}
    except (OSError, tarfile.TarError) as error:
        raise Refused(f"cannot be read ({error})") from error
    return files


def open_bundle(path: Path, pins: dict[str, str]) -> Bundle:
    """Return the bundle at `path`, derived again (1 to 4), its key that of `pins` for its site; or raise Refused."""
    try:
        files = read_files(path)
        manifest = json.loads(files["manifest.json"])
        for name in FILES[1:]:
            if manifest["files"][name] != "sha256:" + sha256(files[name]).hexdigest():
                raise Refused(f"{name} is not the file that the manifest names")
        key = str(manifest["verifierKey"])
        origin = str(manifest["origin"])  # signed with every head; what records say of their site is not asked
        bundle = Bundle(origin.split("/")[0], origin, key, int(manifest["unsigned"]), [], [])
        read_heads(bundle, files["checkpoints.jsonl"])
        read_records(bundle, files["records.jsonl"])
        head = bundle.heads[-1]
        if (manifest["size"], manifest["root"]) != (head.size, b64encode(head.root).decode()):
            raise Refused("the manifest states another head than the last checkpoint")
    except (AttributeError, ValueError, KeyError, TypeError, IndexError) as error:
        raise Refused(f"not of the bundle's form ({type(error).__name__}: {error})") from error
    if pins.get(bundle.site, key).strip() != key:
        raise Refused(f"signed with another key than the one given for {bundle.site}")
    return bundle


def read_heads(bundle: Bundle, lines: bytes) -> None:
    """Verify every checkpoint's signature and that each extends the one before (2, 3)."""
    before = Head(bundle.origin, 0, sha256(b"").digest(), datetime.datetime.min.replace(tzinfo=datetime.UTC))
    for entry in map(json.loads, lines.splitlines()):
        head = open_note(entry["note"], bundle.key)
        proof = [b64decode(text) for text in entry["consistency"]]
        if not extends(before, head, proof) or head.at < before.at:
            raise Refused(f"the checkpoint of size {head.size} does not extend that of size {before.size}")
        bundle.heads.append(head)
        before = head


def read_records(bundle: Bundle, lines: bytes) -> None:
    """Verify that every record is under the last head, in its place, and that none is missing (4)."""
    head, erased, named = bundle.heads[-1], set[int](), set[int]()
    for index, entry in enumerate(map(json.loads, lines.splitlines())):
        leaf, proof = b64decode(entry["leaf"]), [b64decode(text) for text in entry["proof"]]
        roots = (
            climb(index, head.size - 1, sha256(b"\x00" + leaf).digest(), proof) if index < head.size else None
        )  # 2.1.3.2
        if entry["index"] != index or roots is None or roots[1] != head.root:
            raise Refused(f"record {index} is not in the signed log")
        record = None
        if entry["record"] is None:
            erased.add(index)
        elif sha256(entry["record"].encode()).digest() != leaf:
            raise Refused(f"record {index} is altered: it does not match its leaf")
        else:
            record = json.loads(entry["record"])
            if record["index"] != index:
                raise Refused(f"record {index} was written as record {record['index']}")
            named.update(record["erased"] if record["kind"] == "erasure" else ())
        bundle.records.append(record)
    if len(bundle.records) != head.size:
        raise Refused(f"record {len(bundle.records)} is missing: {head.size} were signed")
    if unexplained := erased - named:
        raise Refused(f"record {min(unexplained)} is gone and no erasure names it")


def key_of(workload: Any, flow: Record) -> Flow:
    """Return what tells one flow from another."""
    first, second, begin, end = (str(flow.get(name)) for name in ("fromStage", "toStage", "from", "to"))
    return str(workload), first, second, begin, end


def flow_of(record: Record) -> Flow | None:
    """Return the flow between two sites that a record is about, None when it is about none."""
    flow = record.get("flow") or {}
    return None if flow.get("from") == flow.get("to") else key_of(record.get("workload"), flow)


def side_of(record: Record) -> str:
    """Return `sent` for the intent of the flow's sender, `received` for a permit by its receiver, else nothing."""
    flow, kind = record.get("flow") or {}, record["kind"]
    if kind == "intent" and record["site"] == flow.get("from"):
        return "sent"
    permit = kind == "decision" and record.get("verdict") == "permit"
    return "received" if permit and record["site"] == flow.get("to") else ""


class Tally:
    """What the records of all sites show of one period (ISO days) under the plan of a digest (6 to 8)."""

    def __init__(self, since: str, until: str, digest: str, planned: Collection[Flow]) -> None:
        self.since, self.until, self.digest, self.planned = since, until, digest, planned
        self.seen: dict[Flow, dict[str, int]] = {}
        self.breaches: set[str] = set()
        self.days: dict[str, set[str]] = defaultdict(set)
        self.last: dict[str, str] = defaultdict(str)
        self.foreign, self.spoofed, self.erased = Counter[str](), Counter[str](), Counter[str]()

    def take(self, site: str, index: int, record: Record | None) -> bool:
        """Enter a record, None for one that was erased, perhaps in the period; return whether it is judged here."""
        if record is None:
            self.erased[site] += self.last[site] <= self.until
            return False
        day = self.last[site] = str(record["at"][:10])
        if not self.since <= day <= self.until:
            self.erased[site] *= day > self.until
            return False
        self.days[site].add(day)
        own, flow, side = record["site"] == site, flow_of(record), side_of(record)
        self.spoofed[site] += not own
        if record.get("planDigest", self.digest) != self.digest and record["kind"] != "breach":
            self.foreign[site] += 1
            return False
        if record["kind"] == "breach" or (flow and side and flow not in self.planned):
            self.breaches.add(f"{site}#{index}")
        if flow and side and own:
            counts = self.seen.setdefault(flow, {"sent": 0, "received": 0, "bytes": 0})
            counts[side] += 1
            counts["bytes"] += int(record.get("bytes", 0)) if side == "sent" else 0
        return True

    def gaps(self, names: list[str], heads: dict[str, set[str]]) -> Record:
        """Return what is not shown of the planned sites `names`; `heads` is site -> days it signed, where believed."""
        first, last = map(datetime.date.fromisoformat, (self.since, self.until))
        days = {f"{first + datetime.timedelta(days=at)}" for at in range((last - first).days + 1)}
        missing = {name: len(days - self.days[name] - heads[name]) for name in names if name in heads}
        found = {"uncovered": missing, "foreign": self.foreign, "erased": self.erased}
        counts = {gap: {site: n for site, n in sorted(sites.items()) if n} for gap, sites in found.items()}
        return {"silent": [name for name in names if name not in heads], **counts}


def tallies(bundles: list[Bundle], report: Record) -> list[Tally]:
    """Return what the records show that the report had before it, and what those show that it did not have."""
    planned = {key_of(flow["workload"], flow) for flow in report["flows"] if flow["planned"]}
    scope = report["period"]["from"], report["period"]["until"], report["plan"]["digest"], planned
    found, sizes = [Tally(*scope), Tally(*scope)], {entry["site"]: entry["size"] for entry in report["evidence"]}
    for bundle in bundles:
        for index, record in enumerate(bundle.records):
            late = index >= sizes.get(bundle.site, 0)
            if not late or (record and record["at"] <= report["made"]):
                found[late].take(bundle.site, index, record)
    return found


def outcome(report: Record) -> str:
    """Return the verdict that a report's own findings lead to: the first of these that applies (8)."""
    if report["breaches"]:
        return "breach"
    if any(entry["problem"] for entry in report["evidence"]):
        return "untrusted"
    gaps = ("silent", "uncovered", "omissions", "foreign", "erased")
    if any(report["gaps"][gap] for gap in gaps) or any(entry["unsigned"] for entry in report["evidence"]):
        return "incomplete"
    return "clean"


def verdict_digest(report: Record) -> str:
    """Return the digest over everything that the verdict rests on (8)."""
    parts = {name: report[name] for name in ("plan", "period", "evidence", "flows", "breaches", "gaps")}
    parts |= {"outcome": report["verdict"]["outcome"]}
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return "sha256:" + sha256(text.encode()).hexdigest()


def check_report(report: Record, bundles: list[Bundle]) -> Iterator[tuple[str, str]]:
    """Yield (what was checked, what is wrong with it or nothing) for 5 to 8."""
    named, sites = {entry["site"] for entry in report["evidence"]}, [bundle.site for bundle in bundles]
    odd = [site for site in sites if site not in named or sites.count(site) > 1]
    yield f"{len(sites)} bundles", f"left out of the report, or here twice: {', '.join(odd)}" if odd else ""
    for entry in report["evidence"]:
        if not entry["problem"]:
            yield f"log of {entry['site']}", head_problem(entry, bundles)
    had, later = tallies(bundles, report)
    none = {"sent": 0, "received": 0, "bytes": 0}
    wrong = [f["id"] for f in report["flows"] if f["observed"] != had.seen.get(key_of(f["workload"], f), none)]
    yield f"counts of {len(report['flows'])} flows", f"not as the evidence says: {', '.join(wrong)}" if wrong else ""
    stated, shown = {breach["id"] for breach in report["breaches"]}, had.breaches | later.breaches
    yield f"{len(stated)} breaches", "" if stated == shown else f"the evidence shows {sorted(shown) or 'none'}"
    bad = {entry["site"] for entry in report["evidence"] if entry["problem"]} | (set(sites) - named)
    old = {b.site: [f"{h.at:%FT%TZ}" for h in b.heads] for b in bundles if b.site not in bad}
    heads = {site: {at[:10] for at in times if at <= report["made"]} for site, times in old.items()}
    gaps = had.gaps([row["site"] for row in report["coverage"]["rows"]], heads)
    wrong = [f"{name} {gap or 'none'}" for name, gap in gaps.items() if gap != report["gaps"][name]]
    short = any(seen["received"] > seen["sent"] and flow[3] in heads for flow, seen in had.seen.items())
    wrong += ["omissions"] if (short or any(had.spoofed.values())) and not report["gaps"]["omissions"] else []
    yield "gaps", f"the evidence shows {', '.join(wrong)}" if wrong else ""
    said, follows = report["verdict"]["outcome"], outcome(report)
    yield f"verdict {said}", "" if said == follows else f"what the report found leads to {follows}"
    yield "verdict digest", "" if report["verdict"]["digest"] == verdict_digest(report) else "is another"


def head_problem(entry: Record, bundles: list[Bundle]) -> str:
    """Return what is wrong between a log that the report names and the bundles at hand (5)."""
    bundle = next((bundle for bundle in bundles if bundle.site == entry["site"]), None)
    if bundle is None or bundle.key != entry["verifierKey"]:
        return "no bundle of this site is at hand" if bundle is None else "another key than the report names"
    same = any((head.size, head.root) == (entry["size"], b64decode(entry["root"])) for head in bundle.heads)
    return "" if same else f"no checkpoint of size {entry['size']} with the report's root"


def check_plan(report: Record, plan: bytes) -> str:
    """Return what is wrong between the report and plan.json, nothing when they agree (9)."""
    if "sha256:" + sha256(plan).hexdigest() != report["plan"]["digest"]:
        return "not the plan that the report names"
    sites, stands = set[str](), dict[Flow, tuple[Any, ...]]()
    for load in json.loads(plan)["workloads"]:
        sites |= {load["origin"], *(stage["site"] for one in load["assignments"] for stage in one["stages"])}
        for flow in (flow for one in load["assignments"] for flow in one["flows"]):
            sites |= {flow["from"], flow["to"]}
            data = sorted({atom["data"] for atom in flow["label"]})
            stands[key_of(load["id"], flow)] = flow["verdict"], flow["rules"], flow["route"], data
    for flow in (flow for flow in report["flows"] if flow["planned"]):
        if stands.get(key_of(flow["workload"], flow)) != tuple(flow[k] for k in ("verdict", "rules", "route", "data")):
            return f"{flow['id']} does not stand so in the plan"
    left_out = sites - {row["site"] for row in report["coverage"]["rows"]}
    return f"its coverage leaves out {', '.join(sorted(left_out))}" if left_out else ""


def verify(report: Path, evidence: list[Path], pins: dict[str, str], plan: Path | None) -> Record:
    """Return {"holds", "verdict", "checks": [{"what", "wrong"}]} for a report, its evidence, and perhaps its plan."""
    checks, bundles = list[tuple[str, str]](), list[Bundle]()
    stated: Record = json.loads(report.read_bytes())
    for path in (found for place in evidence for found in find_bundles(place)):
        try:
            bundles.append(open_bundle(path, pins))
            own = "" if bundles[-1].site in pins else ", by the key that it states itself"
            checks.append((f"{path}: {len(bundles[-1].heads)} signatures, {len(bundles[-1].records)} records{own}", ""))
        except Refused as error:
            checks.append((str(path), str(error)))
    try:
        checks += check_report(stated, bundles)
        checks += [(f"plan {plan}", check_plan(stated, plan.read_bytes()))] if plan else []
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        checks.append(("report", f"not of the report's form ({type(error).__name__}: {error})"))
    verdict = stated.get("verdict", {}).get("outcome")
    shown = [{"what": what, "wrong": wrong} for what, wrong in checks]
    return {"holds": not any(wrong for _, wrong in checks), "verdict": verdict, "checks": shown}


def main() -> int:
    """Print what holds; exit 0 when everything does, 3 otherwise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("evidence", type=Path, nargs="+")
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--key", action="append", default=[], metavar="SITE=VKEY")
    given = parser.parse_args()
    done = verify(given.report, given.evidence, dict(pin.split("=", 1) for pin in given.key), given.plan)
    for check in done["checks"]:
        print(f"WRONG  {check['what']}: {check['wrong']}" if check["wrong"] else f"holds  {check['what']}")
    print(f"the report says {done['verdict']!r}, and {'all' if done['holds'] else 'NOT all'} of it holds")
    return 0 if done["holds"] else 3


if __name__ == "__main__":
    sys.exit(main())
