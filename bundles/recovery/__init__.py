"""Mends a box whose anti-rollback state is lost, by an order that answers the box's own challenge.

Rooms: `order` (the challenge and the order, as they travel) · `drafting` (headquarters: draft, collect signatures,
seal) · `obeying` (the box: challenge, check, rebuild the state). An order is signed by the recovery custodians alone,
per key family; who signs bundles cannot wind a box back.
"""
