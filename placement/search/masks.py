"""Which hops are open to which flows, each distinct set once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from placement.search.verdicts import Bools, Ids, Verdicts
from sites.data import Label
from sites.site import Site


@dataclass(slots=True)
class Masks:
    """Sets of open hops, numbered as they are met.

    Attributes:
        wire: by hop, the wire that it is a direction of. prompt: by wire, whether a synchronous flow may cross it.
    """

    wire: Ids
    prompt: Bools
    _ids: dict[bytes, int] = field(default_factory=dict)
    _known: dict[tuple[str, Label, str | None, object, bool], int] = field(default_factory=dict)

    def of_flow(self, law: Verdicts, label: Label, origin: Site, *, is_async: bool) -> int:
        """Return the number of the set of hops that are open to a flow with a label from an origin."""
        key = (law.tenant, label, law.home([label], origin), law.likeness.origin(origin), is_async)
        if key not in self._known:
            opened = law.hops(label, origin)
            packed = np.packbits(opened if is_async else opened & self.prompt).tobytes()
            self._known[key] = self._ids.setdefault(packed, len(self._ids))
        return self._known[key]

    def opened(self) -> NDArray[np.uint8]:
        """Return [mask, hop], 1 where the hop is open."""
        rows = [np.unpackbits(np.frombuffer(bits, np.uint8), count=len(self.prompt)) for bits in self._ids]
        return np.array(rows, dtype=np.uint8).reshape(len(rows), len(self.prompt))[:, self.wire]
