"""Offers a bundle to the other boxes of a site over the local network, and to nobody else.

Rooms: `offer` (which files, to whom) · `application` (a file, or a part of it, by its name) · `doors` (how many may
come, and for how long) · `service` (listens until told to stop) · `calling` (the other end: where a hub is, and as whom
to ask it). Nobody believes a hub: whoever installs from it verifies as if from a stick (`bundles.carrier.hub`).
"""
