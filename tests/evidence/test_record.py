"""A record's bytes are RFC 8785, whatever it may hold, and no field is a door for text."""

from __future__ import annotations

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import InputError
from hybrid.evidence import record

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
keys = st.text('abcXYZ09._-"\\', min_size=1, max_size=6)
atoms = st.dictionaries(keys, words | st.lists(words, max_size=2), max_size=3)
records = st.fixed_dictionaries(
    {"kind": st.sampled_from(sorted(record.KINDS)), "site": words},
    optional={
        "ms": st.floats(0, 2.0**53, exclude_max=True) | st.integers(0, 2**53 - 1),
        "cost": st.sampled_from([0.0, 1e-7, 1e-5, 1e-4, 0.1, 1.0, 1e15, 123456789.125]),
        "label": st.lists(atoms, max_size=2),
        "rules": st.lists(words, max_size=3),
        "by": st.lists(words, max_size=2),
        "counts": st.dictionaries(keys, st.integers(0, 99), max_size=3),
    },
)


@given(records)
def test_the_bytes_are_those_of_rfc_8785(entry: dict[str, object]) -> None:
    try:
        record.check(entry)
    except InputError:
        return
    assert record.canonical(entry) == rfc8785.dumps(entry)  # type: ignore[arg-type]
    assert b"\n" not in record.canonical(entry)
