"""Training of a small PairRM from nothing, in the two steps in which PairRM itself came about.

First the backbone is pre-trained as DeBERTaV3 was (He et al., 2023), by detecting replaced tokens in good conversations;
replacements are tokens that the texts themselves have between the same neighbours, so that they read well and only what
is said is off. Stretches that are said again are to be detected as well: that is what policies learn to do where a ranker does
not see it. The detector reads the last layer but one and leaves the last for gathering what it found.

Then comes PairRM's loss (Jiang et al., 2023) for one pair: -log sigmoid of the preferred response's logit, averaged over
both orders of reading it.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from dpo_stages.core.libraries import quiet_libraries
from dpo_stages.core.program import ProgressReport
from dpo_stages.demo.ranker import Ranker, RankerSettings, new_ranker
from dpo_stages.preferences.pairrm.tokens import PairEncoder
from dpo_stages.preferences.votes import LabelledPair

WARMUP = 0.1
MAX_GRADIENT_NORM = 1.0
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.98)
REPLACED_SHARES = (0.2, 0.4, 0.5)  # of the replaceable tokens of a conversation
REPEATED = 0.25  # of the conversations have a stretch of the response twice
STRETCH = (4, 12)  # its tokens


def train(pairs: Sequence[LabelledPair], conversations: Sequence[tuple[str, str]], settings: RankerSettings) -> Ranker:
    """Pre-train on `conversations` (prompt and response), if there are any, then train on the labelled pairs."""
    quiet_libraries()
    ranker = new_ranker(pairs, conversations, settings)
    if conversations:
        pretrain(ranker, conversations, settings)
    rows = both_orders(ranker.encoder, pairs)
    steps = settings.epochs * math.ceil(len(rows) / settings.batch_size)
    step = optimiser(ranker, settings.learning_rate, steps, "pairs")
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.epochs):
        for batch in shuffled_batches([len(row[0]) for row in rows], settings.batch_size, generator):
            preferred_first = [rows[number][0] for number in batch]
            preferred_second = [rows[number][1] for number in batch]
            logits = ranker(preferred_first + preferred_second).view(2, -1)
            step(-nn.functional.logsigmoid(torch.stack([logits[0], -logits[1]])).mean())
    return ranker.eval()


def optimiser(module: nn.Module, peak: float, steps: int, what: str) -> Callable[[torch.Tensor], None]:
    """AdamW on `module` as a function that takes the next step down a loss and reports progress.

    The learning rate rises over the first tenth of the steps and falls along a cosine.
    """
    optimizer = torch.optim.AdamW(module.parameters(), lr=peak, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, steps))
    report = ProgressReport(f"steps on {what}", steps)

    def step(loss: torch.Tensor) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        report.advance()
        if report.done == steps:
            report.close()

    return step


def pretrain(ranker: Ranker, conversations: Sequence[tuple[str, str]], settings: RankerSettings) -> None:
    """Pre-train the backbone of `ranker`, in place, by detecting replaced tokens in the responses of `conversations`."""
    encoded = [encode_conversation(ranker, prompt, response) for prompt, response in conversations]
    alternatives = fluent_alternatives(encoded)
    detector = nn.Linear(ranker.pretrained_model.config.hidden_size, 1)
    size = 2 * settings.batch_size  # conversations are about half as long as pairs
    steps = settings.pretraining_epochs * math.ceil(len(encoded) / size)
    step = optimiser(
        nn.ModuleList([ranker.pretrained_model, detector]), settings.pretraining_learning_rate, steps, "texts"
    )
    generator, draw = torch.Generator().manual_seed(settings.seed), random.Random(settings.seed)
    for _ in range(settings.pretraining_epochs):
        for batch in shuffled_batches([len(ids) for ids, _ in encoded], size, generator):
            corrupted = [corrupt(*encoded[number], alternatives, draw) for number in batch]
            ids, labels = (
                nn.utils.rnn.pad_sequence(
                    [torch.tensor(row[part]) for row in corrupted], batch_first=True, padding_value=pad
                )
                for part, pad in ((0, 0), (1, NOT_REPLACEABLE))
            )
            lengths = [len(row[0]) for row in corrupted]
            states = ranker.hidden_states.states(ids, lengths, settings.layers - 1)
            logits = detector(states).squeeze(-1)
            seen = labels != NOT_REPLACEABLE
            step(nn.functional.binary_cross_entropy_with_logits(logits[seen], labels[seen].float()))


NOT_REPLACEABLE = -1
Alternatives = dict[tuple[int, int], list[int]]


def encode_conversation(ranker: Ranker, prompt: str, response: str) -> tuple[list[int], int]:
    """Tokens of a prompt and a response as PairRM reads them, without its instructions, and where the response starts."""
    source = ranker.tokenizer(f"USER: {prompt}").input_ids
    candidate = ranker.tokenizer(response).input_ids
    source_marker, left_marker = ranker.encoder.source_id, ranker.encoder.left_id
    ids = [source[0], source_marker, *source[1:], candidate[0], left_marker, *candidate[1:]]
    return ids[: ranker.pretrained_model.config.max_position_embeddings], len(source) + 3


def fluent_alternatives(encoded: Sequence[tuple[list[int], int]]) -> Alternatives:
    """For each pair of neighbours, the tokens that stand between them somewhere in the responses, in order."""
    between = defaultdict(set)
    for ids, start in encoded:
        for place in range(start, len(ids) - 1):
            between[ids[place - 1], ids[place + 1]].add(ids[place])
    return {neighbours: sorted(tokens) for neighbours, tokens in between.items() if len(tokens) > 1}


def corrupt(ids: list[int], start: int, alternatives: Alternatives, draw: random.Random) -> tuple[list[int], list[int]]:
    """Replace a share of the replaceable tokens from `start` on, and in some say a stretch again, behind itself or at the end.

    Labels are 1 for tokens replaced or said again, 0 for those that might have been replaced.
    """
    share = draw.choice(REPLACED_SHARES)
    corrupted, labels = list(ids), [NOT_REPLACEABLE] * len(ids)
    for place in range(start, len(ids) - 1):
        possible = alternatives.get((ids[place - 1], ids[place + 1]))
        if possible:
            labels[place] = int(draw.random() < share)
            if labels[place]:
                corrupted[place] = draw.choice([token for token in possible if token != ids[place]])
    if draw.random() < REPEATED and len(ids) - start > STRETCH[0] + 1:
        first = draw.randrange(start, len(ids) - 1 - STRETCH[0])
        end = min(first + draw.randint(*STRETCH), len(ids) - 1)
        again = end if draw.random() < 0.5 else len(ids) - 1  # the last token ends the text
        corrupted[again:again], labels[again:again] = corrupted[first:end], [1] * (end - first)
    return corrupted, labels


def learning_rate_share(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine to zero."""
    warmup = max(1.0, WARMUP * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))


def both_orders(encoder: PairEncoder, pairs: Sequence[LabelledPair]) -> list[tuple[list[int], list[int]]]:
    """Input of each pair with the preferred response on the left, and with it on the right."""
    rows = []
    for labelled, (source, first, second) in zip(pairs, encoder.encode([x.pair for x in pairs]), strict=True):
        better, worse = (first, second) if labelled.preferred == 1 else (second, first)
        rows.append((encoder.sequence(source, better, worse), encoder.sequence(source, worse, better)))
    return rows


def shuffled_batches(lengths: Sequence[int], size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Batches in random order of pairs in random company, but of like lengths, which saves padding."""
    order = torch.randperm(len(lengths), generator=generator).tolist()
    batches = []
    for start in range(0, len(order), 50 * size):
        chunk = sorted(order[start : start + 50 * size], key=lambda number: lengths[number])
        batches += [chunk[first : first + size] for first in range(0, len(chunk), size)]
    for number in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[number]
