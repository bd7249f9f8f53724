"""The engines of the edge: the stages of a release, in process on onnxruntime.

Lives here: sessions, text models, decoders, the stages, golden checks, and `engines_for`. May import
`hybrid.knowledge` and numpy, onnxruntime, tokenizers; never transformers or torch, and never the network.
"""

from hybrid.gateway.engines.opening import Engine, Files, Wanted, engines_for, file_of
from hybrid.gateway.engines.payload import PayloadError, prompt_of

__all__ = ["Engine", "Files", "PayloadError", "Wanted", "engines_for", "file_of", "prompt_of"]
