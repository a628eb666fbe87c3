"""Prompts of the measurement that training sees, too: listed, and an error where they are more than allowed."""

import argparse

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PROMPTS
from dpo_stages.data.shards import Shard
from dpo_stages.data.shared_prompts import add_shared_prompts_flags, check_shared_prompts

WHOLE = Shard(1, 1)


def rows(*texts):
    return [{"prompt_id": f"id {text}", "prompt": [{"role": "user", "content": text}]} for text in texts]


def parsed(*flags):
    parser = argparse.ArgumentParser()
    add_shared_prompts_flags(parser)
    return parser.parse_args(list(map(str, flags)))


@pytest.fixture
def check(tmp_path):
    """Check the prompts of the evaluation against those of training; returns the ledger's figure."""

    def check(held_out, trained_on, *flags, shard=WHOLE):
        for name, texts in (("held_out", held_out), ("trained_on", trained_on)):
            write_table(tmp_path / f"{name}.parquet", rows(*texts), PROMPTS)
        given = parsed("--trained-on", tmp_path / "trained_on.parquet", *flags)
        path = tmp_path / "held_out.parquet"
        return check_shared_prompts(read_table(path, PROMPTS), path, shard, given.trained_on, given.shared_prompts)

    return check


def test_none_shared(check):
    assert check(["a", "b"], ["c", "ab"]) == {"shared_with_training": 0}


def test_case_and_white_space_make_no_other_prompt(check, capsys):
    assert check(["What  is\nIT?", "b"], ["what is it? "], "--shared-prompts", "0.5") == {"shared_with_training": 1}
    assert "id What  is\nIT? what is it?" in capsys.readouterr().err


def test_more_than_allowed_stops_with_their_number_their_names_and_what_to_do(check):
    with pytest.raises(BadInput) as caught:
        check(["a", "b", "c"], ["b", "c"], "--shared-prompts", "0.5")
    message = str(caught.value)
    assert "\n" not in message and message.startswith("2 of the 3 prompts of")
    for part in ("held_out.parquet", "trained_on.parquet", "id b, id c", "raise shared_prompts above 0.5"):
        assert part in message


def test_a_shard_counts_its_own_and_the_whole_set_decides(check):
    held_out, flags = ["a", "b", "c", "d"], ("--shared-prompts", "0.25")
    assert [check(held_out, ["d"], *flags, shard=Shard(number, 2))["shared_with_training"] for number in (1, 2)] == [
        0,
        1,
    ]
    with pytest.raises(BadInput, match="2 of the 4 prompts"):
        check(held_out, ["c", "d"], *flags, shard=Shard(1, 2))


def test_without_training_prompts_nothing_is_checked(tmp_path):
    given = parsed()
    assert check_shared_prompts(None, tmp_path, WHOLE, given.trained_on, given.shared_prompts) == {}
    with pytest.raises(BadInput, match="--shared-prompts is 2.0; it is a share"):
        check_shared_prompts(None, tmp_path, WHOLE, None, parsed("--shared-prompts", "2").shared_prompts)
