"""The prompts on which races are run: a seeded order of each data set's, and the data sets in turn."""

import pytest

from dpo_boundary.blocks import seeded_order
from dpo_stages.core.ledgers import ledger
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PROMPTS


@pytest.fixture
def draw(tmp_path, run_here):
    def drawn(number, *sets):
        files = [tmp_path / f"{place}.parquet" for place in range(len(sets))]
        for file, ids in zip(files, sets, strict=True):
            rows = [{"prompt_id": name, "prompt": [{"role": "user", "content": name}]} for name in ids]
            write_table(file, rows, PROMPTS)
        output = tmp_path / "race.parquet"
        run_here("draw_race_prompts", "--prompts", *files, "--number", number, "--seed", 1, "--output", output)
        return read_table(output, PROMPTS)["prompt_id"].to_pylist(), ledger(output)

    return drawn


def names(letter, number):
    return [f"{letter}{place}" for place in range(number)]


def test_more_prompts_are_the_same_ones_and_others(draw):
    few, _ = draw(3, names("a", 10))
    more, counted = draw(7, names("a", 10))
    assert more[:3] == few == seeded_order(names("a", 10), 1)[:3]
    assert counted["rows_out"] == 7 and counted["dropped"] == {"not drawn": 3}
    assert len(draw(20, names("a", 10))[0]) == 10


def test_data_sets_take_turns_and_a_prompt_that_two_have_stands_once(draw):
    drawn, counted = draw(6, names("a", 10), names("b", 10), [*names("c", 1), *names("a", 10)])
    assert [name[0] for name in drawn] == ["a", "b", "c", "a", "b", "a"]
    assert counted["rows_in"] == 21 and len({*drawn}) == 6
    alone, _ = draw(6, names("a", 10))
    assert [name for name in drawn if name[0] == "a"] == alone[:3]
