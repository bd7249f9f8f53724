"""Makes the example's small assistant: a Llama from a config, trained for half a minute on the example's replies.

It learns the form of a cautious reply to each kind of message. It is a real model that shows the whole path; it is
not one to give to patients, and its manifest says so. The replies are JSON lines:
`{"message", "label", "passages": [text], "reply"}`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.errors import InputError
from hybrid.gateway.engines.payload import prompt_of
from hybrid.models.offline import go_offline, quiet
from hybrid.models.provenance import state_build
from hybrid.models.workshop import REFERENCE, Source, Workshop, replacing

if TYPE_CHECKING:
    import torch

BEGIN, END, PAD = "<s>", "</s>", "<pad>"
VOCABULARY, CONTEXT = 4096, 512
SENTENCE = r"\n|[^.:\n]+[.:]?"
HIDDEN, LAYERS, HEADS, INNER = 128, 2, 4, 352
STEPS, BATCH, LEARNING_RATE, WARM_UP = 400, 8, 3e-3, 20
HIDDEN_SHARE = 0.5
LONGEST_SECONDS = 30.0


@dataclass(frozen=True)
class Example:
    """One prompt and the reply to learn."""

    prompt: str
    reply: str


@dataclass(frozen=True)
class Trained:
    """How the training went; `complete` is False when the time ran out, and then a re-run may differ."""

    folder: Path
    steps: int
    seconds: float
    first_loss: float
    last_loss: float
    parameters: int
    complete: bool


def read_replies(path: Path) -> list[Example]:
    """Read the replies to learn; raises InputError with the line when one is not as described above."""
    return [_example(path, number, line) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)]


def _example(path: Path, number: int, line: str) -> Example:
    try:
        found = json.loads(line)
        inputs = {
            "input": {"text": found["message"]},
            "kind": {"label": found["label"]},
            "found": {"passages": [{"text": passage} for passage in found["passages"]]},
        }
        return Example(prompt_of(inputs), str(found["reply"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}:{number}: not a reply: {error!r}",
            advice='{"message": "…", "label": "…", "passages": ["…"], "reply": "…"}',
        ) from error


def train_generator(
    replies: Path,
    model: str,
    workshop: Workshop,
    *,
    seconds: float = LONGEST_SECONDS,
    steps: int = STEPS,
    advance: Callable[[float], None] = lambda units: None,
) -> Trained:
    """Train a small Llama on `replies` and save it as the fp32 variant of `model`, a transformers folder.

    Args:
        replies: the examples, JSON lines.
        model: the model's name.
        workshop: where it goes.
        seconds: stop after this long even if steps remain.
        steps: how many steps of eight examples to take.
        advance: called with 1.0 after each step.

    Raises:
        InputError: the file is not as described, or holds nothing.
    """
    examples = read_replies(replies)
    if not examples:
        raise InputError(f"{replies}: no replies in it", advice="give it at least one line")
    go_offline()
    from hybrid.knowledge.store import digest_of

    with quiet(), replacing(workshop.variant(model, REFERENCE)) as folder:
        tokenizer = _tokenizer(examples)
        network = _network(tokenizer)
        losses, took = _learn(network, _rows(tokenizer, examples), seconds, steps, advance)
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    digest = digest_of(replies)
    workshop.write_source(Source(model, "generate", replies.name, digest, "Apache-2.0", replies.name, digest))
    state_build(model, REFERENCE, workshop)
    return Trained(
        workshop.variant(model, REFERENCE), len(losses), took, losses[0], losses[-1], network.num_parameters(),
        len(losses) == steps,
    )  # fmt: skip


def _tokenizer(examples: list[Example]) -> Any:
    """Train a byte-level BPE whose merges may cross words, so that the replies' own sentences become tokens.

    So small a model cannot be trusted to spell; with such tokens it chooses among sentences that people wrote.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SENTENCE), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[PAD, BEGIN, END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    bpe.train_from_iterator((f"{one.prompt} {one.reply}" for one in examples), trainer)
    begin = bpe.token_to_id(BEGIN)
    bpe.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, begin)])
    transformers: Any = import_module("transformers")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=BEGIN, eos_token=END, pad_token=PAD, model_max_length=CONTEXT
    )


def _network(tokenizer: Any) -> Any:
    import torch

    torch.manual_seed(0)
    transformers: Any = import_module("transformers")
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            intermediate_size=INNER,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


@dataclass(frozen=True)
class Row:
    """An example in tokens: the patient's words, the rest of the prompt, and the reply with its end."""

    message: list[int]
    rest: list[int]
    reply: list[int]


def _rows(tokenizer: Any, examples: list[Example]) -> list[Row]:
    rows = []
    for one in examples:
        message, _, rest = one.prompt.partition("\n")
        plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (f"\n{rest}", f" {one.reply}")]
        rows.append(Row(tokenizer(message)["input_ids"], plain[0], [*plain[1], tokenizer.eos_token_id]))
    return rows


def _batch(rows: list[Row], pad: int, hidden: Callable[[], bool]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tokens, mask and targets (-100 but for the reply), padded on the right.

    Some of the patient's words are hidden, so that the reply is learnt from the kind of message and the source too,
    and not from the few messages by heart.
    """
    import torch

    tokens, targets = [], []
    for row in rows:
        prompt = [pad if hidden() else token for token in row.message] + row.rest
        tokens.append((prompt + row.reply)[:CONTEXT])
        targets.append(([-100] * len(prompt) + row.reply)[:CONTEXT])
    width = max(map(len, tokens))
    return (
        torch.tensor([line + [pad] * (width - len(line)) for line in tokens]),
        torch.tensor([[1] * len(line) + [0] * (width - len(line)) for line in tokens]),
        torch.tensor([line + [-100] * (width - len(line)) for line in targets]),
    )


def _learn(
    network: Any,
    rows: list[Row],
    seconds: float,
    steps: int,
    advance: Callable[[float], None],
) -> tuple[list[float], float]:
    """Take up to `steps` steps of AdamW on one thread with a fixed seed: losses, and seconds taken."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    order, chance = torch.Generator().manual_seed(0), random.Random(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    losses: list[float] = []
    start = time.monotonic()
    try:
        while len(losses) < steps and time.monotonic() - start < seconds:
            picked = torch.randint(len(rows), (BATCH,), generator=order).tolist()
            tokens, mask, targets = _batch(
                [rows[at] for at in picked], network.config.pad_token_id, lambda: chance.random() < HIDDEN_SHARE
            )
            loss = network(input_ids=tokens, attention_mask=mask, labels=targets).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
            advance(1.0)
    finally:
        torch.set_num_threads(threads)
    return losses, time.monotonic() - start


def _rate(step: int, steps: int) -> float:
    """Return the learning rate's factor: a short warm-up, then a straight line to a tenth."""
    return min((step + 1) / WARM_UP, 1.0 - 0.9 * step / steps)
