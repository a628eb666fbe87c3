"""How likely candidates are under a policy, whoever wrote them: log pi(y|x), with the arithmetic of training."""

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dpo_stages.data.schemas import LIKELIHOODS
from dpo_stages.models.chat_tokens import NO_ROOM
from dpo_stages.models.preference_tokens import NO_TOKEN, tokenize_preferences
from dpo_stages.training.logps import response_logps

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def candidate_likelihoods(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    on_policy: pa.Table,
    off_policy: pa.Table,
    max_length: int,
    dtype: str,
    prefix_sharing: bool = False,
) -> tuple[pa.Table, dict[str, int], dict[str, int]]:
    """Compute log pi(y|x) of both on-policy and both off-policy candidates of every prompt that the two tables share.

    Args:
        model: the policy, of `load_policy`.
        tokenizer: the policy's.
        on_policy: `schemas.CANDIDATES`, the policy's own samples.
        off_policy: `schemas.CANDIDATES`, of another origin.
        max_length: longest prompt and response together, in tokens; the end of a longer response is cut.
        dtype, prefix_sharing: of `response_logps`; a prompt is computed once for the two candidates of one origin.

    Returns:
        `schemas.LIKELIHOODS`, four rows a prompt; the number of prompts left out, by reason; and what became of the pairs
        of candidates of both tables, as `TokenizedPairs` counts it.
    """
    pairs = {True: on_policy, False: off_policy}
    shared = pc.filter(on_policy["prompt_id"], pc.is_in(on_policy["prompt_id"], off_policy["prompt_id"]))
    tokens = {
        origin: tokenize_preferences(tokenizer, _as_preferences(_of_prompts(table, shared)), max_length)
        for origin, table in pairs.items()
    }
    fitting = [tokens[origin].table["prompt_id"] for origin in (True, False)]
    kept = pc.filter(fitting[0], pc.is_in(fitting[0], fitting[1]))
    columns: dict[str, list] = {name: [] for name in LIKELIHOODS.names}
    for origin, tokenized in tokens.items():
        table = _of_prompts(tokenized.table, kept)
        logps = response_logps(model, table, tokenizer.pad_token_id, dtype, prefix_sharing)
        for index, name in ((1, "chosen"), (2, "rejected")):
            columns["prompt_id"] += table["prompt_id"].to_pylist()
            columns["on_policy"] += [origin] * table.num_rows
            columns["index"] += [index] * table.num_rows
            columns["logp"] += logps[name]
            columns["tokens"] += pc.list_value_length(table[f"{name}_ids"]).to_pylist()
    dropped = {
        "prompts without off-policy candidates": on_policy.num_rows - len(shared),
        "prompts without on-policy candidates": off_policy.num_rows - len(shared),
    }
    dropped[NO_TOKEN] = max(tokenized.dropped[NO_TOKEN] for tokenized in tokens.values())
    dropped[NO_ROOM] = len(shared) - len(kept) - dropped[NO_TOKEN]
    ours, theirs = (tokenized.counts() for tokenized in tokens.values())
    return pa.table(columns, schema=LIKELIHOODS), dropped, {name: ours[name] + theirs[name] for name in ours}


def _of_prompts(table: pa.Table, prompt_ids: pa.ChunkedArray) -> pa.Table:
    return table.filter(pc.is_in(table["prompt_id"], prompt_ids))


def _as_preferences(candidates: pa.Table) -> pa.Table:
    """The two candidates in the places of chosen and rejected, which is what the tokenisation of training reads."""
    names = {"prompt_id": "prompt_id", "prompt": "prompt", "response_1": "chosen", "response_2": "rejected"}
    names |= {"truncated_1": "chosen_truncated", "truncated_2": "rejected_truncated"}
    names |= {"ids_1": "chosen_ids", "ids_2": "rejected_ids", "vocabulary": "vocabulary"}
    return candidates.select(list(names)).rename_columns(list(names.values()))
