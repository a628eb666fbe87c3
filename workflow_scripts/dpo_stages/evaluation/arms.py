"""The columns of what compare_arms.py writes, apart from what is made of it: comparing is not done again for that."""

import pyarrow as pa


def _column(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, nullable=False, metadata={"meaning": meaning})


# results/arms/{initial policy}/{method}[~run].parquet, one row an instruction
ARMS_SCHEMA = pa.schema(
    [
        _column("index", pa.int32(), "position of the instruction in its set"),
        _column("prompt_id", pa.string(), "identifier of the prompt, see prompts.prompt_id"),
        _column("off_policy", pa.string(), "name of the arm that was trained on off-policy candidates"),
        _column("on_policy", pa.string(), "name of the arm that was trained on the initial policy's own samples"),
        _column("logit", pa.float32(), "mean over both orders; positive: the off-policy arm's output is better"),
        _column("off_policy_preferred", pa.float32(), "1, 0, or 0.5 where the preference model sees a tie"),
        _column("order_flip", pa.bool_(), "the two orders disagree about the better output"),
    ]
)
