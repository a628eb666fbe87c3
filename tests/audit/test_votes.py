"""Blind sheets: what is on one, that it tells nothing, and every way to fill one in wrongly."""

import csv
import io

import pytest
from small_sources import pair, prompt

from dpo_stages.audit.drawing import as_shown, draw
from dpo_stages.audit.votes import chosen_is_a, read_votes, sheet
from dpo_stages.core.errors import BadInput

ROWS = [as_shown(pair(number, chosen=' "quoted",\nline'), "hide") for number in range(60)]


def lines():
    return list(csv.DictReader(io.StringIO(sheet(ROWS, 0))))


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def truly(row, line):
    """The name of the chosen response on the sheet."""
    return "a" if line["response_a"] == row["chosen"] else "b"


def test_a_sheet_has_every_pair_in_an_order_that_tells_nothing():
    found = lines()
    assert [line["prompt_id"] for line in found] == [row["prompt_id"] for row in ROWS]
    assert all({line["response_a"], line["response_b"]} == {row["chosen"], row["rejected"]} for row, line in zip(ROWS, found, strict=True))  # fmt: skip
    assert {line["better"] for line in found} == {""} and found[3]["prompt"] == prompt(3)[0]["content"]
    first = sum(truly(row, line) == "a" for row, line in zip(ROWS, found, strict=True))
    assert 15 < first < 45
    assert [chosen_is_a(row["prompt_id"], 0) for row in ROWS] != [chosen_is_a(row["prompt_id"], 1) for row in ROWS]


def test_votes_are_read_whatever_order_case_and_line_ends_a_spreadsheet_leaves(tmp_path):
    filled = lines()
    for number, line in enumerate(filled[:30]):
        name = truly(ROWS[number], line)
        line["better"] = [name.upper(), "a" if name == "b" else "b", " Tie "][number % 3]
        line["response_a"] = line["response_a"].replace("\n", "\r\n") + " "
    answers, empty = read_votes(write(tmp_path / "votes.csv", filled[::-1][5:]), ROWS)
    assert empty == 25
    assert [answer["preferred"] for answer in answers] == [1.0, 0.0, 0.5] * 10
    assert [answer["prompt_id"] for answer in answers] == [row["prompt_id"] for row in ROWS[:30]]
    assert (answers[0]["logit"], answers[0]["order_flip"]) == (None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"better": "c"}, r"pair 3: better is 'c'; write a, b or tie"),
        ({"better": "a", "prompt_id": "1.2E+15"}, r"pair 3: the prompt_id '1.2E\+15' is of no pair that was drawn"),
        (
            {"better": "a", "response_b": "other"},
            r"pair 3: the responses to '\w+' are other ones; they were sampled anew",
        ),
        ({"prompt_id": ROWS[1]["prompt_id"]}, r"pair 3: the prompt_id '\w+' has a row already"),
        ({}, r"has no vote; write a, b or tie"),
    ],
)
def test_a_sheet_that_is_filled_in_wrongly_stops_with_a_sentence(tmp_path, change, said):
    filled = lines()
    filled[2] |= change
    with pytest.raises(BadInput, match=rf"votes\.csv.*{said}"):
        read_votes(write(tmp_path / "votes.csv", filled), ROWS)
    filled = [{key: line[key] for key in line if key != "better"} for line in lines()]
    with pytest.raises(BadInput, match="lacks the column better"):
        read_votes(write(tmp_path / "votes.csv", filled), ROWS)


def test_the_draw_is_nested_and_hangs_on_seed_and_prompt_alone():
    prompts = [row["prompt_id"] for row in ROWS]
    drawn = draw(prompts, 20, 0)
    assert draw(prompts[::-1], 30, 0)[:20] == drawn and len({*drawn}) == 20
    assert draw(prompts, 20, 1) != drawn and draw(prompts, 100, 0)[:20] == drawn
    fewer = [one for one in prompts if one != drawn[4]]
    assert draw(fewer, 20, 0)[:19] == [one for one in drawn if one != drawn[4]]
