"""The workshop: models are exported to ONNX, quantised, evaluated against their own fp32, and approved by a person.

Lives here: everything that needs torch, transformers, optimum, onnx or scikit-learn. May import `sites`, `placement`
and `hybrid.gateway.engines`; nothing here runs at a site, and nothing here reaches the network.
"""
