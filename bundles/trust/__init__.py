"""Decides who may sign what, and until when: bytes in, exceptions out.

Rooms: `keys` (families, ids, custodians) · `quorum` (the rule a plain threshold cannot say) · `metadata` (TUF with
that rule on top) · `clock` (effective time) · `state` (anti-rollback) · `custody` (a custodian's private keys) ·
`repository` (headquarters' metadata and what is being signed) · `signing` (requests that travel, signatures that
come back). No switch turns the quorum off.
"""
