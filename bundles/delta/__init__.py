"""Carries a changed model as what differs from the one a site has, tensor by tensor, matched by name.

Rooms: `nouns` (what is signed about a delta) · `tensors` (where the tensors of a file lie) · `frames` (the bytes of
one frame) · `encoding` (at headquarters, which reads models) · `decoding` (at the site, which reads only ranges of
bytes) · `choice` (what a bundle carries as a delta, in full, or not at all) · `source` (where an install takes a blob
from). A delta decides nothing: its result is hashed in full like any other blob.
"""
