"""The gateway: in front of every stage it checks each request against the signed table, runs the chain, and logs.

The pure ones: `table` (what may happen), `compilation` (plan to table), `flows` and `decision` (what it says of a hop,
of a request), `passport`, `ladder` (what a receiver checks, rung by rung), `registry`, `egress` (a packet filter).
Around them: `credentials` and `limits`, `front` (callers) and `protocols`, `chain` with `run` (a pipeline's graph at
one site), `transport` and `tls` (hops), `journal` (evidence), `service` (opens and listens), `engines`, `regional`.
It may import `sites`, `placement`, `bundles` and `hybrid.evidence`. It never decides what the signed table did not.
"""
