"""Decides who may sign what, and until when: bytes in, exceptions out.

Rooms: `keys` (families, ids, custodians) · `profile` (which algorithms count) · `quorum` (the rule a plain threshold
cannot say) · `roots` (what a root says beside TUF) · `reading` (a role as it stands there) · `metadata` (TUF with the
rule on top) · `expiry` (what happens once signatures ran out) · `clock` (effective time) · `state` (anti-rollback). On
a custodian's machine: `custody` (private keys, encrypted), `token` (or on PKCS#11), `ledger` (what they signed),
`changes` (what a draft would change). At headquarters: `repository`, its `staff`, `drafting`, `collecting` signatures,
`signing` (requests that travel, signatures that come back), `renewal`. No switch turns the quorum off.
"""
