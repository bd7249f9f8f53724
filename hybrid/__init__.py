"""The hand: everything that touches the world.

Rooms: `models` (the workshop), `carry` (what joins a plan to a bundle), `gateway` (answers requests by the policy),
`cluster` (Ray Serve), `knowledge` (the retrieval store), `evidence` (log and report), `delivery` (SSH), `cli` (one
door per command). It may import `sites`, `placement` and `bundles`; none of them may import it.
"""

__version__ = "0.1.0"
