"""The columns of every Parquet table, each with what it means.

A conversation is a list of turns `{"role": "system" | "user" | "assistant", "content": str}`; a prompt is a conversation
that ends with the user's turn. A response is the text of one assistant turn, without special tokens.
"""

import pyarrow as pa

CONVERSATION = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))
TOKEN_IDS = pa.list_(pa.int32())


def column(name: str, kind: pa.DataType, meaning: str, nullable: bool = False) -> pa.Field:
    """A column of a table, with what it means."""
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


PROMPT_ID = column("prompt_id", pa.string(), "hash of the prompt's messages, see prompts.prompt_id; unique in a table")
PROMPT = column("prompt", CONVERSATION, "conversation that ends with the user's turn")
RESPONSE_1 = column("response_1", pa.string(), "first candidate")
RESPONSE_2 = column("response_2", pa.string(), "second candidate")
OPENS_THOUGHT = "the prompt, as it is rendered, ends with the beginning of a thought, which the responses go on with"
ORIGINAL_PREFERENCE = column(
    "original_preference", pa.int8(), "the data set's own label: 1 or 2 is the preferred response", True
)

# results/datasets/{dataset}/{split}.parquet of a chat data set (for SFT)
CHAT = pa.schema([PROMPT_ID, column("messages", CONVERSATION, "whole conversation, ending with an assistant turn")])

# results/datasets/{dataset}/{split}.parquet of an instruction set (for evaluation)
INSTRUCTIONS = pa.schema(
    [
        PROMPT_ID,
        PROMPT,
        column("index", pa.int32(), "position in the published set; AlpacaEval's difficulties belong to it"),
        column("instruction", pa.string(), "the text that the judge sees"),
        column("reference", pa.string(), "the baseline's response"),
        column("subset", pa.string(), "where the instruction comes from"),
    ]
)

# results/datasets/{dataset}/{split}.parquet of a preference data set: off-policy candidates
OFF_POLICY_CANDIDATES = pa.schema(
    [
        PROMPT_ID,
        PROMPT,
        RESPONSE_1,
        RESPONSE_2,
        ORIGINAL_PREFERENCE,
    ]
)

# results/candidates/{policy}/{split}.parquet: sampled candidates
SAMPLED_CANDIDATES = pa.schema(
    [
        PROMPT_ID,
        PROMPT,
        RESPONSE_1,
        RESPONSE_2,
        column("tokens_1", pa.int32(), "length of response_1 in the policy's tokens, end of sequence included"),
        column("tokens_2", pa.int32(), "length of response_2"),
        column("truncated_1", pa.bool_(), "response_1 was cut at max_new_tokens"),
        column("truncated_2", pa.bool_(), "response_2 was cut at max_new_tokens"),
        column("ids_1", TOKEN_IDS, "response_1 as the tokens that were sampled, its end included unless it was cut"),
        column("ids_2", TOKEN_IDS, "the same of response_2"),
        column("vocabulary", pa.string(), "whose tokens they are, see chat_tokens.vocabulary_of"),
        column("opens_thought", pa.bool_(), OPENS_THOUGHT),
    ]
)

# Groups: the same tables where a prompt may have more candidates than two
RESPONSES = column("responses", pa.list_(pa.string()), "the candidates of the prompt, in the order of their numbers")
ORIGINAL_SCORES = column(
    "original_scores",
    pa.list_(pa.float64()),
    "the data set's own score of each candidate, higher is better (1 and 0: chosen and rejected); null where it has none",
    True,
)
OFF_POLICY_GROUPS = pa.schema([PROMPT_ID, PROMPT, RESPONSES, ORIGINAL_SCORES])
SAMPLED_GROUPS = pa.schema(
    [
        PROMPT_ID,
        PROMPT,
        RESPONSES,
        column("tokens", pa.list_(pa.int32()), "length of each in the policy's tokens, end of sequence included"),
        column("truncated", pa.list_(pa.bool_()), "which were cut at max_new_tokens"),
        column("ids", pa.list_(TOKEN_IDS), "each as the tokens that were sampled, its end included unless it was cut"),
        column("vocabulary", pa.string(), "whose tokens they are, see chat_tokens.vocabulary_of"),
        column("opens_thought", pa.bool_(), OPENS_THOUGHT),
    ]
)

# What sampling reads of a table, whatever else it has
PROMPTS = pa.schema([PROMPT_ID, PROMPT])

# Candidates of any source, as candidates.read_candidates reads them: what a source does not know is null
CANDIDATES = pa.schema(
    [
        PROMPT_ID,
        PROMPT,
        RESPONSE_1,
        RESPONSE_2,
        column("truncated_1", pa.bool_(), "response_1 was cut at max_new_tokens; null for data sets", True),
        column("truncated_2", pa.bool_(), "response_2 was cut at max_new_tokens; null for data sets", True),
        column("ids_1", TOKEN_IDS, "response_1 as the tokens that were sampled; null for data sets", True),
        column("ids_2", TOKEN_IDS, "the same of response_2", True),
        column("vocabulary", pa.string(), "whose tokens they are; null for data sets", True),
        column("opens_thought", pa.bool_(), f"{OPENS_THOUGHT}; null for data sets", True),
        ORIGINAL_PREFERENCE,
    ]
)

# results/scores/{dataset or policy}/{split}.parquet, and of own and off-policy candidates together
# results/scores/{initial policy}/pooled.parquet: every two candidates of a prompt compared with each other
SCORES = pa.schema(
    [
        PROMPT_ID,
        column("scores", pa.list_(pa.float32()), "of each candidate: mean logit against the others; higher is better"),
        column(
            "logits",
            pa.list_(pa.float32()),
            "of candidates 1 and 2, 1 and 3, …, 2 and 3, …: mean over both orders; positive: the earlier one is better",
        ),
        column("order_flips", pa.list_(pa.bool_()), "of the same: the two orders disagree about the better one"),
    ]
)

# results/preferences/{dataset or policy}/{split}.parquet
PREFERENCES = pa.schema(
    [
        PROMPT_ID,
        PROMPT,
        column(
            "chosen",
            pa.string(),
            "the preferred response: the preference model's, or where `labels` says so the data set's",
        ),
        column("rejected", pa.string(), "the other one"),
        column(
            "logit",
            pa.float32(),
            "mean over both orders; positive: response_1 of the candidates is better; null of a data set's own label",
            True,
        ),
        column("chosen_first", pa.bool_(), "response_1 of the candidates was chosen"),
        column(
            "order_flip", pa.bool_(), "the two orders disagree about the better response; null as the logit is", True
        ),
        column("original_agrees", pa.bool_(), "the data set's own label says the same; null where it has none", True),
        column("chosen_truncated", pa.bool_(), "chosen was cut at max_new_tokens; null where nobody knows", True),
        column("rejected_truncated", pa.bool_(), "rejected was cut at max_new_tokens; null where nobody knows", True),
        column("chosen_ids", TOKEN_IDS, "chosen as the tokens that were sampled; null where nobody knows", True),
        column("rejected_ids", TOKEN_IDS, "the same of rejected", True),
        column("vocabulary", pa.string(), "whose tokens they are; null where nobody knows", True),
        column("opens_thought", pa.bool_(), f"{OPENS_THOUGHT}; null where nobody knows", True),
    ]
)

# results/reference_logps/{initial policy}/{source}.parquet, rows aligned with the preferences by prompt_id
REFERENCE_LOGPS = pa.schema(
    [
        PROMPT_ID,
        column(
            "ref_chosen_logps", pa.float32(), "log-probability of the chosen response, summed over its tokens, in nats"
        ),
        column("ref_rejected_logps", pa.float32(), "the same of the rejected response"),
    ]
)

# results/comparisons/{policy}/{split}.parquet: Algorithm 1's comparisons, m x n a prompt
COMPARISONS = pa.schema(
    [
        column("prompt_id", pa.string(), "hash of the prompt's messages; one prompt has several rows"),
        column("on_index", pa.int8(), "1 or 2: the on-policy candidate"),
        column("off_index", pa.int8(), "1 or 2: the off-policy candidate"),
        column("logit", pa.float32(), "mean over both orders; positive: the on-policy candidate is better"),
        column("on_policy_preferred", pa.float32(), "1, 0, or 0.5 where the preference model sees a tie"),
        column("order_flip", pa.bool_(), "the two orders disagree about the better response"),
        column("on_length", pa.int32(), "length of what was shown of the on-policy candidate, in characters"),
        column("off_length", pa.int32(), "the same of the off-policy candidate"),
        column(
            "on_truncated",
            pa.bool_(),
            "the on-policy candidate was cut at max_new_tokens; null where nobody knows",
            True,
        ),
    ]
)

# results/races/looks/{policy}/{share}.parquet: the arms of a race after a share of an epoch, each with each, order by order
RACE_LOOK = pa.schema(
    [
        column("prompt_id", pa.string(), "hash of the prompt's messages"),
        column("run", pa.int8(), "order of the pairs in which both arms were trained; 1 is that of the policy itself"),
        column("share", pa.float64(), "of an epoch that both have trained for"),
        column("arm_1", pa.string(), "candidate source of one arm"),
        column("arm_2", pa.string(), "candidate source of the other"),
        column(
            "arm_1_preferred",
            pa.float64(),
            "mean probability, over two responses and both orders of presentation, that the one of arm_1 is better",
        ),
        column("order_flips", pa.int8(), "of the two comparisons, in how many the orders of presentation disagree"),
        column("length_1", pa.float64(), "mean length of what was shown of arm_1's responses, in characters"),
        column("truncated_1", pa.int8(), "how many of them were cut at max_new_tokens"),
        column("length_2", pa.float64(), "mean length of what was shown of arm_2's responses"),
        column("truncated_2", pa.int8(), "how many of them were cut"),
    ]
)

# results/likelihoods/{policy}/{split}.parquet: the policy's own two candidates of a prompt and the two off-policy ones
LIKELIHOODS = pa.schema(
    [
        column("prompt_id", pa.string(), "hash of the prompt's messages; one prompt has a row for each candidate"),
        column("on_policy", pa.bool_(), "the policy's own sample; else a candidate of the preference data"),
        column("index", pa.int8(), "1 or 2: which of the two candidates, as in the comparisons"),
        column("logp", pa.float32(), "log pi(y|x) under the policy, summed over the response's tokens, in nats"),
        column("tokens", pa.int32(), "length of the response in the policy's tokens, as far as it was read"),
    ]
)
