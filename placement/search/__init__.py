"""Plans for fleets too large to prove: compiled kernels over structures of arrays, stopped by work, never by a clock.

`layout` says what the arrays mean; `compilation` makes them from a problem; `ways` answers for routes; the kernels
choose; `decoding` turns what they chose back into choices. May import what `placement` has below the engine; numba is
imported here and in `placement.bound` alone, so that a small plan never waits for a compiler.
"""
