"""Any text goes in: what the library would stop at is made harmless the same way every time, and costs no other row."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rankers import HOSTILE_WORDS as HOSTILE
from rankers import NASTY, adversarial_pairs

from dpo_stages.core.errors import BadInput
from dpo_stages.preferences.pairrm.tokens import MARKERS, conversation
from dpo_stages.preferences.pairs import Pair


def ask(prompt, first, second):
    return Pair([{"role": "user", "content": prompt}], first, second)


def has_control_text(pair) -> bool:
    texts = (pair.response_1, pair.response_2, *(turn["content"] for turn in pair.prompt))
    return any(token in text for text in texts for token in ("[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]"))


def test_the_library_stops_at_its_own_markers(blender):
    """What this is for: one such text, and none of the pairs of the call gets a label."""
    both = [[conversation(ask("q", "a", text).prompt, text)] for text in ("fine", "a <|candidate|> b")]
    with pytest.raises((AssertionError, RuntimeError, ValueError, IndexError)):
        blender.compare_conversations(*both, return_logits=True)


def test_markers_in_texts_are_neutralised_and_counted_and_cost_no_other_row(model):
    plain = adversarial_pairs(30, seed=2)
    hostile = [ask("Which?", text, "fine") for text in HOSTILE] + [ask(text, "one", "two") for text in HOSTILE]
    alone = model.compare(plain).logits
    assert model.encoder.control_texts == (own := sum(has_control_text(pair) for pair in plain)) > 0
    mixed = [pair for both in zip(plain, hostile * 3, strict=False) for pair in both]
    verdicts = model.compare(mixed)
    assert verdicts.counts["control_texts"] == 2 * own + 30
    assert np.abs(verdicts.logits[::2] - alone).max() <= 1e-5
    again = model.compare(hostile).logits
    assert np.abs(again - verdicts.logits[1:24:2]).max() <= 1e-5
    assert np.isfinite(verdicts.orders).all()


def test_neutral_text_has_no_marker_whatever_surrounds_it(model):
    for text in (*HOSTILE, *(f"{a}{b}" for a in MARKERS for b in ("", "x", MARKERS[0]))):
        assert not model.encoder._has_marker(next(model.encoder._ids([model.encoder.neutral(text)])))
    for text in NASTY:
        assert model.encoder.neutral(text) == text


@pytest.mark.parametrize("control", ["<|im_end|>", "</s>", "<|eot_id|>", "<end_of_turn>", "[/INST]"])
def test_a_policys_control_token_is_ordinary_text(model, control):
    """All its letters are read, as tokens that hold letters."""
    first, second = (model.encoder.encode([ask("Which?", text, "fine")])[0][1] for text in (f"a {control}", "a"))
    letters = "".join(model.encoder.tokenizer.id_to_token(number) for number in first[len(second) - 1 : -1])
    assert letters == f"▁{control}" and model.encoder.control_texts == 0


def test_long_and_odd_texts(model):
    long = "word " * 20_000  # 100,000 characters
    pairs = [
        ask(long, "a murrow", "a tarsel"),
        ask("Hm?", long, "short"),
        ask("Hm?", "", ""),
        ask("Hm?", "", "x"),
        ask("", "nul\x00inside", "😀 عربى"),
        ask("Hm?", long + "the end", long + "another end"),
    ]
    verdicts = model.compare(pairs)
    assert np.isfinite(verdicts.orders).all()
    assert verdicts.counts["truncated_sources"] == 1 and verdicts.counts["truncated_candidates"] == 2
    assert verdicts.logits[2] == 0
    assert verdicts.logits[5] == 0  # both lose their ends, in which alone they differ


# By hand


@pytest.fixture
def label(run_here, model_folder, tmp_path):
    """Label a file of pairs; the rows that come out, and the ledger."""

    def run(pairs, *flags):
        run_here(
            "label_preferences", "--pairs", pairs, "--preference-model", model_folder, "--output",
            tmp_path / "out.parquet", *flags,
        )  # fmt: skip
        return pq.read_table(tmp_path / "out.parquet").to_pylist(), json.loads(
            (tmp_path / "out.ledger.json").read_text()
        )

    return run


ROWS = [
    {"prompt": "Who digs?", "response_1": "the murrow", "response_2": "a tarsel can dig"},
    {"prompt": "Who swims?", "response_1": "same", "response_2": "same"},
    {"prompt": None, "response_1": "lost", "response_2": "too"},
    {"prompt": "Who eats <|source|>?", "response_1": "nul\x00", "response_2": "\ud83d"},
    {"prompt": "Who?", "response_1": "", "response_2": "honey and moss"},
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_pairs_of_ones_own_come_back_in_their_order(label, model, tmp_path, suffix):
    file = tmp_path / f"in.{suffix}"
    if suffix == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        whole = [
            {**row, "response_2": "\ufffd" if row["response_2"] == "\ud83d" else row["response_2"]} for row in ROWS
        ]
        pq.write_table(pa.Table.from_pylist(whole), file)
    rows, ledger = label(file)
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in ROWS]
    assert [row["response_1"] for row in rows] == [row["response_1"] for row in ROWS]
    logits = [row["logit"] for row in rows]
    assert logits[1] == 0 and logits[2] is None and rows[1]["chosen_first"] is None and rows[2]["order_flip"] is None
    for number in (0, 3, 4):
        row = rows[number]
        alone = model.compare([ask(row["prompt"], row["response_1"], row["response_2"])])
        assert row["logit"] == pytest.approx(float(alone.logits[0]), abs=1e-5)
        assert row["chosen_first"] == (alone.logits[0] > 0) and row["order_flip"] == bool(alone.order_flips[0])
    assert (ledger["rows_in"], ledger["rows_out"], ledger["pairs"]) == (5, 5, 4)
    assert (ledger["rows_without_text"], ledger["control_texts"], ledger["ties"]) == (1, 1, 1)
    assert {
        "pairs_per_second",
        "order_flip_rate",
        "longer_preferred",
        "truncated_sources",
        "truncated_candidates",
    } < set(ledger)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a", "response_1": "b"}\n', "row 1: lacks response_2"),
        ('{"prompt": "a", "response_1": 3, "response_2": "c"}\n', "response_1 should be text"),
        ("not json\n", "line 1: not valid JSON"),
        ("", "is empty"),
    ],
)
def test_a_wrong_file_is_one_sentence(label, tmp_path, text, message):
    (tmp_path / "in.jsonl").write_text(text)
    with pytest.raises(BadInput, match=message):
        label(tmp_path / "in.jsonl")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nowhere", "no manifest.json, no folder and no id on the hub"),
        ("{folder}", "has no config.json"),
        (
            "someone/nothing",
            "there is no folder someone/nothing here, the hub cannot be reached, and its local cache lacks",
        ),
    ],
)
def test_a_wrong_model_is_one_sentence(run_here, tmp_path, monkeypatch, model, message):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / "in.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    flags = ["--pairs", tmp_path / "in.jsonl", "--output", tmp_path / "out.parquet"]
    with pytest.raises(BadInput, match=message):
        run_here("label_preferences", *flags, "--preference-model", model.format(folder=tmp_path))
    assert not (tmp_path / "out.parquet").exists()
