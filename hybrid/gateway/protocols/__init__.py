"""How callers speak to the gateway: OpenAI's API, the Open Inference Protocol, the dry run, and hops between sites.

Each protocol is a list of Starlette routes made for a `Front` (or a `Receiving`); none decides anything.
"""
