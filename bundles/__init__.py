"""Carries artefacts that nobody can alter unseen.

Rooms: `layout` (every path, once) · `medium` (the jailed reader) · `oci` · `trust` (roles, quorum, time, state) ·
`assembly` and `wheels` · `verification` and `gate` · `store` · `runtime` · `release` and `install` · `inspection` ·
`bill` · `seed`, `enrolment` and `admission` (first trust) · `recovery` (a lost state) ·
`receipt`, and at headquarters `shipped` and `ledger` · `document` and `nouns` · `errors` (each with a short code).
It imports nothing of ours and knows no law; what the organisation decides is passed in as a function. It never
opens a file that verification did not admit, and it never runs anything that lies on a medium.
"""
