"""What a yardstick says of an audit's pairs: which pairs, which response is which, and two sources' chosen responses."""

import json

import pytest

from dpo_stages.audit.columns import ANSWERS
from dpo_stages.audit.drawing import draw
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import PREFERENCES
from dpo_stages.preferences.pairs import Pair


def rows_of(numbers, chosen):
    unknown = dict.fromkeys(field.name for field in PREFERENCES if field.nullable)
    for number in numbers:
        prompt = [{"role": "user", "content": f"Who digs in place {number}?"}]
        said = {"prompt_id": prompt_id(prompt), "prompt": prompt, "chosen": f"{chosen} {number}", "rejected": "honey"}
        yield {**unknown, **said, "logit": 1.0, "chosen_first": True, "order_flip": False}


@pytest.fixture
def ask(run_here, model_folder, tmp_path):
    """Write sources and ask about the first, or about the first against the second; answers and ledger."""

    def run(*sources, pairs=8):
        files = [tmp_path / f"{number}.parquet" for number in range(len(sources))]
        for file, rows in zip(files, sources, strict=True):
            write_table(file, [*rows], PREFERENCES)
        run_here(
            "ask_yardstick", "--preferences", files[0], *(["--against", files[1]] if len(files) > 1 else []),
            "--pairs", pairs, "--seed", 3, "--preference-model", model_folder, "--output", tmp_path / "answers.parquet",
        )  # fmt: skip
        ledger = json.loads((tmp_path / "answers.ledger.json").read_text())
        return read_table(tmp_path / "answers.parquet", ANSWERS).to_pylist(), ledger

    return run


def test_the_drawn_pairs_are_asked_and_the_chosen_response_is_the_first(ask, model):
    rows = {row["prompt_id"]: row for row in rows_of(range(20), "a murrow in moss")}
    answers, ledger = ask(rows.values())
    assert [answer["prompt_id"] for answer in answers] == draw(rows, 8, 3)
    asked = [rows[answer["prompt_id"]] for answer in answers]
    expected = model.compare([Pair(row["prompt"], row["chosen"], row["rejected"]) for row in asked])
    assert [answer["logit"] for answer in answers] == pytest.approx(expected.logits.tolist())
    assert [answer["preferred"] for answer in answers] == [float(logit > 0) for logit in expected.logits]
    assert [answer["order_flip"] for answer in answers] == expected.order_flips.tolist()
    assert (answers[0]["first_length"], answers[0]["second_length"]) == (len(asked[0]["chosen"]), len("honey"))
    assert (ledger["rows_in"], ledger["rows_out"], ledger["dropped"]) == (20, 8, {"not drawn": 12})
    more, _ = ask(rows.values(), pairs=12)
    assert [answer["prompt_id"] for answer in more[:8]] == [answer["prompt_id"] for answer in answers]


def test_chosen_responses_of_two_sources_are_compared_on_the_prompts_that_both_draw(ask):
    own, other = [*rows_of(range(12), "a murrow")], [*rows_of(range(6, 18), "tarsel")]
    answers, ledger = ask(own, other, pairs=12)
    assert {answer["prompt_id"] for answer in answers} == {row["prompt_id"] for row in own[6:]}
    assert ledger["dropped"] == {"not drawn": 0, "not drawn of the other source": 6}
    turned, _ = ask(other, own, pairs=12)
    logits = {answer["prompt_id"]: answer["logit"] for answer in turned}
    assert all(answer["logit"] == pytest.approx(-logits[answer["prompt_id"]], abs=1e-6) for answer in answers)
    equal, _ = ask(own, [{**row, "rejected": "x"} for row in own])
    assert {answer["preferred"] for answer in equal} == {0.5}


def test_sources_without_a_common_prompt_are_refused(ask, tmp_path):
    with pytest.raises(BadInput, match=r"0\.parquet and .*1\.parquet share no drawn prompt"):
        ask(rows_of(range(4), "a"), rows_of(range(4, 8), "b"))
    assert not (tmp_path / "answers.parquet").exists()
