"""Carries artefacts that nobody can alter unseen.

Rooms: `layout` (every path, once) · `medium` (the jailed reader) upon `carrier`, and `parts` of it · `oci`, `wrapper` ·
`trust` (roles, quorum, time, state) · `assembly` with `blobs`, `numbering`, `wheels`, then `packing` ·
`verification`, `contents` and `gate` · `store` · `runtime` · `release` and `install` · `delta` (updates) ·
`inspection`, `signers` and `difference` · `bill` and `provenance` ·
`seed`, `enrolment` and `admission` (first trust) · `recovery` (a lost state) ·
`receipt`, and at headquarters `shipped` and `ledger` · `document` and `nouns` · `errors` (each with a short code).
It imports nothing of ours and knows no law; what the organisation decides is passed in as a function. It never
opens a file that verification did not admit, and it never runs anything that lies on a medium.
"""
