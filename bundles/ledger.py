"""Judges receipts at headquarters: whose they are, whether the chain is whole, and what the chain shows of the box.

A receipt is the site's own claim. What it cannot hide is its place in the chain: a box that was cloned, or whose disk
was put back, signs a second receipt under a counter that was used, and one of the two comes home.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bundles.document import canonical
from bundles.errors import BundleError
from bundles.nouns import PlanKey
from bundles.receipt import Receipt, check_signature, read_receipt
from bundles.shipped import Shipped
from bundles.store import write_durably


@dataclass(frozen=True, order=True)
class Finding:
    """What is wrong with a box's receipts, and at which counter it shows.

    `code`: SIGNATURE, KEY (not admitted, or out of its time), GAP (missing), FORK (names another receipt before it),
    CLONE (a counter used twice), BACK (a lower counter, signed later), LOG (less evidence than before, or a log
    that does not continue what the box remembers), BUNDLE (serves what was never sent).
    """

    box: str
    counter: int
    code: str
    says: str


@dataclass(frozen=True)
class Judged:
    """The receipts that are as their box signed them, and everything that is wrong.

    Attributes:
        chains: one for each receipt key, by box and key id, rising; a box that was enrolled again begins another.
    """

    chains: Mapping[tuple[str, str], tuple[Receipt, ...]]
    findings: tuple[Finding, ...]


def judge(receipts: Iterable[Receipt], keys: Iterable[PlanKey], builds: Mapping[str, Shipped] | None) -> Judged:
    """Return what `receipts` come to.

    Args:
        keys: the registry that headquarters admitted; only its receipt keys count.
        builds: nonce -> bundle that was sent; None leaves that unchecked.
    """
    known = {key.keyid: key for key in keys if key.use == "receipt"}
    good: dict[tuple[str, str], dict[str, Receipt]] = defaultdict(dict)
    findings = []
    for one in receipts:
        if problem := _unsigned(one, known.get(one.keyid)):
            findings.append(problem)
        else:
            good[one.box_id, one.keyid][one.digest] = one
    chains = {name: tuple(sorted(found.values(), key=lambda one: (one.counter, one.at)))
              for name, found in sorted(good.items())}  # fmt: skip
    for chain in chains.values():
        findings += [*_chain(chain), *_bundles(chain, builds)]
    return Judged(chains, tuple(sorted(findings)))


def _unsigned(receipt: Receipt, key: PlanKey | None) -> Finding | None:
    if key is None:
        return Finding(receipt.box_id, receipt.counter, "KEY", f"{receipt.keyid[:19]} is no key that was admitted")
    try:
        check_signature(receipt, key)
    except BundleError as error:
        return Finding(receipt.box_id, receipt.counter, "SIGNATURE", str(error))
    if not key.from_ <= receipt.at <= key.until:
        return Finding(receipt.box_id, receipt.counter, "KEY", f"signed at {receipt.at}, outside the key's time")
    return None


def _chain(chain: tuple[Receipt, ...]) -> Iterator[Finding]:
    """Hold each receipt against the one before it."""
    if chain[0].counter > 1:
        yield _finding(chain[0], "GAP", f"receipts 1 to {chain[0].counter - 1} are not here")
    if chain[0].counter == 1 and chain[0].previous is not None:
        yield _finding(chain[0], "FORK", "the first receipt names one before it")
    for first, second in pairwise(chain):
        yield from _pair(first, second)
    for one in chain:
        if one.evidence == "broken":
            yield _finding(one, "LOG", "the log at the box was cut, deleted or written anew")
    at: dict[int, set[str]] = defaultdict(set)
    for one in chain:
        at[one.counter].add(one.digest)
    for one in chain:
        if one.previous and one.counter - 1 in at and one.previous not in at[one.counter - 1]:
            yield _finding(one, "FORK", f"it names another receipt {one.counter - 1} than the one that is here")


def _pair(first: Receipt, second: Receipt) -> Iterator[Finding]:
    if first.counter == second.counter:
        yield _finding(second, "CLONE", f"two different receipts with counter {second.counter}, at {first.at} and "
                       f"{second.at}: the box was cloned, or its disk was put back")  # fmt: skip
    if second.counter > first.counter + 1:
        yield _finding(second, "GAP", f"receipts {first.counter + 1} to {second.counter - 1} are not here")
    mended = first.answered != second.answered
    if second.at < first.at and not mended:
        yield _finding(first, "BACK", f"counter {first.counter} was signed at {first.at}, after counter "
                       f"{second.counter} at {second.at}: the counter went back")  # fmt: skip
    if first.log and (second.log is None or second.log.size < first.log.size) and not mended:
        size = second.log.size if second.log else 0
        yield _finding(second, "LOG", f"{size} records of evidence, there were {first.log.size}")


def _bundles(chain: tuple[Receipt, ...], builds: Mapping[str, Shipped] | None) -> Iterator[Finding]:
    """Hold what serves against what was sent."""
    for one in chain if builds is not None else ():
        if one.serving is None:
            continue
        sent = (builds or {}).get(one.serving.nonce)
        said = (one.site, one.serving.release, one.serving.bundle_digest)
        if sent is None or (sent.site, sent.release, sent.bundle_digest) != said:
            yield _finding(one, "BUNDLE", f"release {one.serving.release} is no bundle that was built here")


def _finding(receipt: Receipt, code: str, says: str) -> Finding:
    return Finding(receipt.box_id, receipt.counter, code, says)


def kept(repository: Path) -> list[Receipt]:
    """Return the receipts that headquarters kept from earlier visits."""
    return [read_receipt(path.read_bytes(), what=str(path)) for path in sorted((repository / "receipts").glob("*/*"))]


def keep(repository: Path, judged: Judged) -> int:
    """Keep every receipt that is as its box signed it, both of two with one counter; return how many are new."""
    new = 0
    for one in (one for chain in judged.chains.values() for one in chain):
        name = f"{one.counter:08d}-{one.digest.removeprefix('sha256:')[:16]}.json"
        file = repository / "receipts" / one.box_id / name
        if not file.is_file():
            write_durably(file, canonical(one))
            new += 1
    return new


def last_of(repository: Path, box: str) -> Receipt | None:
    """Return the latest receipt that was kept of `box`: the highest counter of its newest key."""
    return max((one for one in kept(repository) if one.box_id == box), key=lambda one: (one.at, one.counter),
               default=None)  # fmt: skip
