"""Evidence: what each site did, written so that nobody can rewrite it unseen, and the report that shows it.

Rooms: `merkle` and `note` (pure), `record` (what a record may say), `segments` and `recovery` (where records lie, and
what a crash leaves), `log` (the writer), `commitment` (bodies), `head` (what root remembers of a log), `audit`,
`export` and `sources` (reading), `reconciliation`, `ground`, `receipts` and `report` (the report as data), `picture`
and `page` (the report as HTML), `verifier` (one file, for people who install nothing of ours). It may import `sites`,
`placement` and `bundles`; it never holds text, a subject, a user or a document's title.
"""
