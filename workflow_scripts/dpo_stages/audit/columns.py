"""The columns of what an audit asks, apart from what is made of it: asking is not done again for that."""

import pyarrow as pa

from dpo_stages.data.schemas import PROMPT_ID, column

# results/audits/{pairs,chosen,votes}/….parquet: two responses to a prompt. Of a source's pairs the first is the chosen one,
# between two sources it is that of the source that the file is named after first.
ANSWERS = pa.schema(
    [
        PROMPT_ID,
        column("preferred", pa.float32(), "1: the first response is better, 0: the second is, 0.5: a tie"),
        column("logit", pa.float32(), "mean over both orders; positive: the first is better; null for votes", True),
        column("order_flip", pa.bool_(), "the two orders disagree about the better response; null for votes", True),
        column("first_length", pa.int32(), "of what was shown of the first response, in characters"),
        column("second_length", pa.int32(), "the same of the second response"),
    ]
)

# results/audits/likelihoods/{initial policy}.parquet: the drawn pairs of every source under that policy
PAIR_LIKELIHOODS = pa.schema(
    [
        column("source", pa.string(), "name of the source"),
        column("prompt_id", pa.string(), "hash of the prompt's messages; unique in a source"),
        column("chosen_logp", pa.float32(), "log-probability of the chosen response, summed over its tokens, in nats"),
        column("chosen_tokens", pa.int32(), "its length in the policy's tokens, as far as it was read"),
        column("rejected_logp", pa.float32(), "the same of the rejected response"),
        column("rejected_tokens", pa.int32(), "its length"),
    ]
)
