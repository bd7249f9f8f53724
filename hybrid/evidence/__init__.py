"""Evidence: what each site did, written so that nobody can rewrite it unseen, and the report that shows it.

Rooms: `merkle` and `note` (pure), `record` (what a record may say), `segments` (where records lie), `log` (the
writer), `commitment` (bodies), `audit` and `export` (reading a log), `reconciliation` and `report` (showing it),
`verifier` (one file, for people who install nothing of ours). It may import `sites` and `placement`; it never holds
text, a subject, a user or a document's title.
"""
