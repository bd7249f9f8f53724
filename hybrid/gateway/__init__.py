"""The gateway: in front of every stage it checks each request against the signed table, runs the chain, and logs.

Lives here: `table` (the decision table) and `compilation` (plan to table), `credentials`, `passport` with `ladder`
(what a receiver checks), `chain` (runs a pipeline's graph), `transport` and `tls` (hops between sites), `protocols`
(OpenAI, Open Inference, hop), `limits`, `metrics`, `egress`, `service` (the composition root), `engines`.
It may import `sites`, `placement`, `bundles` and `hybrid.evidence`. It never decides what the signed table did not.
"""
