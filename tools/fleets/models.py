"""The models of a generated fleet: small ones for any box, generators that want an accelerator."""

from __future__ import annotations

from dataclasses import dataclass

DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant: what a replica needs, its accuracy, and (hardware, service, throughput)."""

    name: str
    needs: str
    accuracy: float
    speed: tuple[tuple[str, str, str], ...]


MODELS: dict[str, tuple[str, tuple[Variant, ...]]] = {
    "sorter": (
        "classify",
        (
            Variant("fp32", "cpus: 1, memory: 600MiB, disk: 90MB", 0.93, (("x86_64", "9ms", "105/s"),)),
            Variant(
                "w8",
                "cpus: 1, memory: 150MiB, disk: 26MB",
                0.91,
                (("x86_64", "5ms", "180/s"), ("aarch64", "8ms", "120/s")),
            ),
        ),
    ),
    "embedder": (
        "embed",
        (
            Variant(
                "w8",
                "cpus: 1, memory: 200MiB, disk: 30MB",
                0.99,
                (("x86_64", "4ms", "240/s"), ("aarch64", "6ms", "160/s")),
            ),
        ),
    ),
    "redactor": (
        "transform",
        (
            Variant(
                "w8",
                "cpus: 2, memory: 1GiB, disk: 300MB",
                0.95,
                (("x86_64", "60ms", "30/s"), ("aarch64", "90ms", "20/s")),
            ),
        ),
    ),
    "writer-small": (
        "generate",
        (
            Variant(
                "w8",
                "cpus: 4, memory: 6GiB, disk: 4GB",
                0.80,
                (("x86_64", "900ms", "2/s"), ("aarch64", "1400ms", "1/s")),
            ),
            Variant("fp16", "cpus: 1, memory: 4GiB, disk: 8GB, accelerator: 1/4", 0.82, (("l4", "250ms", "12/s"),)),
        ),
    ),
    "writer-large": (
        "generate",
        (
            Variant(
                "fp8", "cpus: 2, memory: 16GiB, disk: 20GB, accelerator: 1/2", 0.90, (("l4", "700ms", "6/s"),)
            ),
            Variant(
                "fp16", "cpus: 4, memory: 32GiB, disk: 40GB, accelerator: 8/8", 0.92, (("l4", "500ms", "9/s"),)
            ),
        ),
    ),
}  # fmt: skip


def manifest(name: str) -> str:
    """Return a Model manifest."""
    task, variants = MODELS[name]
    lines = [
        "apiVersion: hybrid/v1",
        "kind: Model",
        f"metadata: {{name: {name}}}",
        "spec:",
        f"  task: {task}",
        f'  source: {{package: generated, digest: "{DIGEST}"}}',
        "  licence: Apache-2.0",
        "  trainedOn: []",
        "  state: approved",
        "  approval: {by: Nobody (generated), on: 2026-11-20}",
        "  variants:",
    ]
    for variant in variants:
        speeds = ", ".join(
            f"{{hardware: {hardware}, service: {service}, throughput: {throughput}, measuredOn: generated}}"
            for hardware, service, throughput in variant.speed
        )
        lines += [
            f"    - name: {variant.name}",
            f'      files: {{model.onnx: "{DIGEST}"}}',
            f"      needs: {{{variant.needs}}}",
            f'      quality: {{accuracy: {variant.accuracy}, measuredOn: "{DIGEST}"}}',
            f"      speed: [{speeds}]",
        ]
    return "\n".join(lines) + "\n"
