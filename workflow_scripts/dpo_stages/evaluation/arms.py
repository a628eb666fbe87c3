"""The columns of what compare_arms.py writes, apart from what is made of it: comparing is not done again for that."""

import pyarrow as pa

from dpo_stages.data.schemas import column

# results/arms/{initial policy}/{method}[~run].parquet, one row an instruction
ARMS_SCHEMA = pa.schema(
    [
        column("index", pa.int32(), "position of the instruction in its set"),
        column("prompt_id", pa.string(), "identifier of the prompt, see prompts.prompt_id"),
        column("off_policy", pa.string(), "name of the arm that was trained on off-policy candidates"),
        column("on_policy", pa.string(), "name of the arm that was trained on the initial policy's own samples"),
        column("logit", pa.float32(), "mean over both orders; positive: the off-policy arm's output is better"),
        column("off_policy_preferred", pa.float32(), "1, 0, or 0.5 where the preference model sees a tie"),
        column("order_flip", pa.bool_(), "the two orders disagree about the better output"),
    ]
)
