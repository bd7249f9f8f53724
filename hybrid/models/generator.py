"""Loads any local transformers folder as a generator and answers prompts greedily, never asking a hub.

The same code serves the example's tiny assistant and a real model on a region's GPU. Weights are read from
safetensors only, and no code that comes with a model is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hybrid.errors import InputError
from hybrid.models.offline import go_offline, quiet


@dataclass(frozen=True)
class Generator:
    """An open causal language model with its tokenizer; one call at a time per thread."""

    model: Any
    tokenizer: Any

    def generate(self, prompt: str, max_new_tokens: int = 160) -> tuple[str, int]:
        """Answer `prompt` greedily: the text, and how many tokens were generated.

        A model with a chat template gets the prompt as the user's message. A prompt longer than the context loses
        its beginning, never its end.
        """
        text, tokens = self.generate_tokens(prompt, max_new_tokens)
        return text, len(tokens)

    def generate_tokens(self, prompt: str, max_new_tokens: int) -> tuple[str, list[int]]:
        """Answer as `generate` does, and return the tokens themselves."""
        import torch

        ids = self._prompt_ids(prompt, max_new_tokens)
        given = torch.tensor([ids], device=self.model.device)
        with torch.inference_mode():
            made = self.model.generate(
                given, attention_mask=torch.ones_like(given), max_new_tokens=max_new_tokens, do_sample=False,
                num_beams=1, pad_token_id=self._pad(),
            )  # fmt: skip
        tokens: list[int] = made[0, len(ids) :].tolist()
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip(), tokens

    def _prompt_ids(self, prompt: str, max_new_tokens: int) -> list[int]:
        if getattr(self.tokenizer, "chat_template", None):
            turn = [{"role": "user", "content": prompt}]
            ids = self.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
        else:
            ids = self.tokenizer(prompt)["input_ids"]
        context = getattr(self.model.config, "max_position_embeddings", None) or 2048
        return [int(token) for token in ids][-max(1, context - max_new_tokens) :]

    def _pad(self) -> int | None:
        pad: int | None = self.tokenizer.pad_token_id
        end: int | None = self.tokenizer.eos_token_id
        return end if pad is None else pad


def load_generator(directory: Path, *, device: str = "cpu", dtype: str = "auto") -> Generator:
    """Open the transformers folder `directory`.

    Args:
        directory: config.json, *.safetensors and tokenizer files.
        device: `cpu`, `cuda` or `cuda:0`.
        dtype: `auto` takes the weights' own, but float32 on a CPU, where half precision is slow.

    Raises:
        InputError: the folder is missing, or is no causal language model that transformers can load.
    """
    if not (directory / "config.json").is_file():
        raise InputError(f"{directory}: no transformers folder (no config.json)", advice="name a local model folder")
    go_offline()
    with quiet():
        transformers: Any = import_module("transformers")

        wanted = "float32" if dtype == "auto" and device == "cpu" else dtype
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(directory), local_files_only=True, trust_remote_code=False
            )
            model = transformers.AutoModelForCausalLM.from_pretrained(
                str(directory), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=wanted
            )
        except (OSError, ValueError, KeyError) as error:
            first = str(error).strip().splitlines()[0]
            raise InputError(f"{directory}: transformers cannot load it: {first}", advice="check its files") from error
    return Generator(model.to(device).eval(), tokenizer)
