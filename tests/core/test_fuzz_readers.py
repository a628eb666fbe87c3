"""What a user may hand in, with any content: it is read, or one sentence names it. test_files.py does so with files as such."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpo_boundary import errors
from dpo_boundary.race_columns import read_arm_comparisons
from dpo_boundary.reading import read_comparisons
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data import schemas
from dpo_stages.data.adapters import ADAPTERS, adapt
from dpo_stages.data.shards import Shard
from dpo_stages.evaluation.annotations import read_annotations
from dpo_stages.preferences.pair_tables import read_pairs

SCHEMAS = {
    "preferences": schemas.OFF_POLICY_CANDIDATES,
    "chat": schemas.CHAT,
    "instructions": schemas.INSTRUCTIONS,
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
texts = st.sampled_from(["a", "b", "", " \n", "\ud800", "<|source|>", "é"]) | st.text(max_size=8)


def mostly(usual):
    """What is expected in a place, and sometimes anything."""
    return st.integers(0, 9).flatmap(lambda dice: usual if dice else anything)


conversations = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=3).map(
    lambda turns: [{"role": role, "content": content} for role, content in turns]
)
turns = (
    conversations
    | conversations
    | mostly(
        st.lists(
            mostly(
                st.fixed_dictionaries(
                    {"role": mostly(st.sampled_from(["user", "assistant", "system"])), "content": mostly(texts)}
                )
            ),
            max_size=4,
        )
    )
)
responses = mostly(
    st.lists(mostly(st.fixed_dictionaries({"text": mostly(texts), "score": mostly(st.floats())})), max_size=4)
)
FIELDS = {
    ("local", "preferences"): {
        "prompt": texts | turns,
        "chosen": texts | turns,
        "rejected": texts | turns,
        "responses": responses,
    },
    ("local", "chat"): {"messages": turns, "prompt": texts | turns, "response": mostly(texts)},
    ("local", "instructions"): {"instruction": mostly(texts), "output": mostly(texts), "subset": mostly(texts)},
    ("ultrafeedback_binarized", "preferences"): {
        "chosen": turns,
        "rejected": turns,
        "score_chosen": mostly(st.floats()),
        "score_rejected": mostly(st.floats()),
    },
    ("ultrachat_200k", "chat"): {"messages": turns},
    ("alpaca_eval", "instructions"): {"instruction": mostly(texts), "output": mostly(texts), "dataset": mostly(texts)},
}

dialogues = st.lists(st.tuples(st.sampled_from(["Human", "Assistant"]), texts), max_size=4).map(
    lambda turns: "".join(f"\n\n{speaker}: {text}" for speaker, text in turns)
)
answers = mostly(
    st.lists(mostly(st.fixed_dictionaries({"answer": mostly(texts), "rank": mostly(st.integers(1, 3))})), max_size=4)
)
FIELDS |= {("auto", kind): fields for (adapter, kind), fields in FIELDS.items() if adapter == "local"}
FIELDS["auto", "preferences"] |= {  # of files here as well: the two are one
    "prompt": texts | turns | dialogues,
    "chosen": texts | turns | dialogues,
    "rejected": texts | turns | dialogues,
    "question": mostly(texts),
    "system": mostly(texts),
    "answers": answers,
    "scores": mostly(st.lists(mostly(st.floats()), max_size=4)),
    "response": mostly(texts),
    "score": mostly(st.floats() | st.sampled_from(["1", "1e999", "x"])),
}


def records(adapter, kind):
    """Records with the columns that an adapter reads, some of which may be missing."""
    fields = FIELDS[adapter, kind]
    whole, part = st.fixed_dictionaries(fields), st.fixed_dictionaries({}, optional=fields)
    return st.lists(whole, min_size=1, max_size=1) | st.lists(whole | part, min_size=2, max_size=3)


many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def read_or_refused(path, read, *arguments):
    """What the reader gives; None where it refuses in one sentence that names the file."""
    try:
        return read(path, *arguments)
    except (BadInput, errors.BadInput) as error:
        assert str(path) in str(error) and len(str(error).splitlines()) == 1, error
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize(("adapter", "kind"), ADAPTERS)
@given(st.data(), st.integers(0, 3))
@many
def test_records_of_any_content_become_rows_or_a_sentence(folder, adapter, kind, data, seed):
    some = data.draw(records(adapter, kind))
    adapted = read_or_refused("data.jsonl", lambda origin: adapt(some, adapter, kind, seed, origin))
    if kind == "preferences":
        groups = read_or_refused("data.jsonl", lambda origin: adapt(some, adapter, kind, seed, origin, responses="all"))
        assert (groups and len(groups.rows)) == (adapted and len(adapted.rows))
    if adapted:
        assert adapted.records == len(some) == len(adapted.rows) + sum(adapted.dropped.values())
        write_table(folder / "rows.parquet", adapted.rows, SCHEMAS[kind])
        assert read_table(folder / "rows.parquet", SCHEMAS[kind]).to_pylist() == adapted.rows


cells = st.sampled_from(["p1", "p2", "0", "1", "0.5", "true", "nan", "-1", "1e999", "", '"', "\x00", "\r"])
votes = st.lists(st.lists(cells, min_size=3, max_size=5), max_size=6)


@given(votes, st.permutations(["prompt_id", "on_index", "off_index", "on_policy_preferred"]), st.text(max_size=3))
@many
def test_any_csv_is_comparisons_or_a_sentence(folder, rows, header, end):
    path = folder / "votes.csv"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + end, encoding="utf-8", errors="replace")
    comparisons = read_or_refused(path, read_comparisons)
    assert comparisons is None or set(comparisons.preferred.tolist()) <= {0.0, 0.5, 1.0}


@given(votes, st.permutations(["prompt_id", "arm_1", "arm_2", "arm_1_preferred", "run", "share"]), st.text(max_size=3))
@many
def test_any_csv_is_comparisons_of_arms_or_a_sentence(folder, rows, header, end):
    path = folder / "look.csv"
    rows = [row + row[:1] for row in rows]
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + end, encoding="utf-8", errors="replace")
    comparisons = read_or_refused(path, lambda path: read_arm_comparisons([path]))
    assert comparisons is None or all(0 <= value <= 1 for value in comparisons.preferred)


pairs = st.fixed_dictionaries({}, optional={name: mostly(texts) for name in ("prompt", "response_1", "response_2")})


@given(st.lists(pairs, max_size=4))
@many
def test_any_rows_are_pairs_to_label_or_a_sentence(folder, rows):
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_or_refused(path, read_pairs, Shard(1, 1))
    if table:
        assert len(table) == len(rows) and len(table.pairs) <= len(rows)
        for pair in table.pairs:
            f"{pair.prompt}{pair.response_1}{pair.response_2}".encode()  # no half a character


judged = st.fixed_dictionaries(
    {},
    optional={
        "index": mostly(st.integers(-1, 4)),
        **{name: mostly(texts) for name in ("instruction", "output_1", "output_2", "generator_2")},
        "preference": mostly(st.floats(0.9, 2.1) | st.just(float("nan"))),
        "judge": anything,
    },
)


@given(mostly(st.lists(mostly(judged), max_size=4)))
@many
def test_any_json_is_annotations_or_a_sentence(folder, rows):
    path = folder / "annotations.json"
    path.write_text(json.dumps(rows))
    read = read_or_refused(path, read_annotations)
    assert read is None or all(row["preference"] is None or 1 <= row["preference"] <= 2 for row in read)
