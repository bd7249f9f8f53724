"""No library of the workshop asks a hub for anything: the switches are set before the libraries are imported."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "CUDA_VISIBLE_DEVICES": "",
}


def go_offline() -> None:
    """Set the switches for this process and those that it starts; call before torch or transformers is imported.

    A GPU that happens to be there is left alone unless the caller already chose one: exports come out the same
    everywhere.
    """
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what the exporters say about themselves while the body runs; our own errors are no warnings."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
