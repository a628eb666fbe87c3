"""What fetch_model.py says of every chat template that TRL ships, which are those of the models as published, and what training
reads of a policy's own samples behind it.

    OMP_NUM_THREADS=1 envs/run train benchmarks/templates.py

The models' tokenizers are not there: each template gets a small one in which its marks are special tokens, and words and line
breaks are tokens, split as Llama-3 and Qwen split them. Samples are what the models are tried with, once in the tokens of
their text, once drawn letter by letter and cut. "Without thinking" is with enable_thinking: false, where that changes
the verdict, and "(date)" a template that asks for the day. Prints Markdown, the table of docs/templates.md.
"""

import datetime
import html
import re
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import trl
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from dpo_stages.core.errors import BadInput  # noqa: E402
from dpo_stages.data.schemas import PREFERENCES  # noqa: E402
from dpo_stages.models.chat_tokens import end_of_turn, tokenize_prompts, vocabulary_of  # noqa: E402
from dpo_stages.models.preference_tokens import tokenize_preferences  # noqa: E402
from dpo_stages.models.templates import (  # noqa: E402
    PROBES,
    probe_template,
    says_date,
    with_arguments,
    with_date,
)

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
MARKS = (
    r"<[|｜][^|｜<>{}]{1,40}[|｜]>|<\|[a-z]+>|<[a-z]+\|>|<(?:start|end)_of_turn>|\[/?INST\]|</?s>|<end_of_utterance>"
)
# How Llama-3's and Qwen's tokenizers split text into words
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# What templates name through eos_token; elsewhere the end of turn stands in the template itself.
ENDS = {"deepseek": "<｜end▁of▁sentence｜>"}
DAY = datetime.date(2026, 1, 31)


def make_tokenizer(name: str, template: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with the template and its marks, in which words may begin with a space."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    end = next((end for start, end in ENDS.items() if name.startswith(start)), "</s>")
    special = ["<s>", end, *sorted({*re.findall(MARKS, template)} - {"<s>", end})]
    trainer = trainers.BpeTrainer(
        special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = [text for probe in PROBES for text in (probe.response, f" {probe.response}\n\n")]
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token=end,
        extra_special_tokens=special[2:],
        chat_template=template,
    )


def verdict(name: str, template: str) -> tuple[str, str]:
    """What becomes of a model with this template, and of its samples."""
    samples = "none"
    try:
        if says_date(template):
            template = with_date(template, DAY)
        tokenizer = make_tokenizer(name, template)
        end = end_of_turn(tokenizer)
        samples = "exact" if are_exact(tokenizer, end) else "altered"
        altered, system = probe_template(tokenizer, end)
    except BadInput as refusal:
        return "refused: " + str(refusal).partition("; ")[0], samples
    words = "exact" if not altered else f"exact but for {', '.join(altered)}"
    return (words if system == "rendered" else f"{words}; system turns {system}"), samples


def are_exact(tokenizer: PreTrainedTokenizerFast, end: int) -> bool:
    """Whether training reads samples in the tokens that were drawn, behind the prompts that sampling reads."""
    rows = [
        {
            **{"prompt_id": probe.name, "prompt": probe.prompt, "chosen": probe.response, "rejected": probe.response},
            **{"chosen_truncated": False, "chosen_ids": [*in_tokens(tokenizer, probe.response), end]},
            **{
                "rejected_truncated": True,
                "rejected_ids": sum((in_tokens(tokenizer, one) for one in probe.response), []),
            },
            "vocabulary": vocabulary_of(tokenizer),
        }
        for probe in PROBES
    ]
    table = pa.Table.from_pylist(rows, schema=PREFERENCES)
    read = tokenize_preferences(tokenizer, table, max_length=8192).table
    drawn = {name: [row[name] for row in rows] for name in ("chosen_ids", "rejected_ids")}
    return read.select(drawn).to_pydict() == drawn and read["prompt_ids"].to_pylist() == tokenize_prompts(
        tokenizer, table
    )


def in_tokens(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def main() -> None:
    names = defaultdict(list)
    for path in sorted(TEMPLATES.glob("*.jinja")):
        template = path.read_text(encoding="utf-8")
        found = verdict(path.stem, template)
        names[found].append(path.stem + (" (date)" if says_date(template) else ""))
        if "enable_thinking" in template:
            without = verdict(path.stem, with_arguments(template, {"enable_thinking": False}))
            if without != found:
                names[without].append(f"{path.stem} without thinking")
    print("| templates | texts | samples |\n|---|---|---|")
    for words, samples in sorted(names, key=lambda found: (found[0].startswith("refused"), *found)):
        cells = ", ".join(names[words, samples]), html.escape(words, quote=False).replace("|", "&#124;"), samples
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
