"""The region: a plan compiled to Ray Serve, run on a local head nobody else can reach, and checked live.

The modules: `schema` (our own strict form of Serve's configuration), `compile` (plan and fleet to it), `emit` (as
`serve.yaml` or a KubeRay RayService), `deployments` with `admission` and `work` (what a replica does), `head` and
`keeper` (a head in namespaces of its own), `live` (what runs against what was planned), `client` (the gateway's engine
for a stage that runs here). Decisions are pure; ray is imported inside the namespaces alone.
"""
