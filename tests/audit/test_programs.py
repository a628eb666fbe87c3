"""The programs of an audit on small tables: sheet, votes, and the audit itself with its page."""

import json

import pytest
from small_sources import answer, identifier, pair, write_source

from dpo_stages.audit.columns import ANSWERS, PAIR_LIKELIHOODS
from dpo_stages.audit.source import CANNOT_TELL
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_csv, read_json, write_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.report.audits import agreement

DRAWN = ["--pairs", 40, "--seed", 0]


@pytest.fixture
def audit(tmp_path, run_here):
    """Run the audit of two sources: all labels of the first are right, half of the second's; returns the record."""
    off = write_source(tmp_path / "off.parquet", [pair(number, 0.1 + number) for number in range(40)])
    on = write_source(tmp_path / "on.parquet", [pair(number, 0.1 + number) for number in range(10, 50)], ties=10)
    files = {}
    for name, numbers, right in (("off", range(40), 1), ("on", range(10, 50), None), ("chosen", range(10, 40), 1)):
        rows = [answer(number, number % 2 if right is None else right) for number in numbers]
        files[name] = tmp_path / f"{name}_answers.parquet"
        write_table(files[name], rows, ANSWERS)
        write_json(tmp_path / f"{name}_answers.ledger.json", {"preference_model": "judge"})
    likely = {"chosen_logp": -8.0, "chosen_tokens": 4, "rejected_logp": -1.0, "rejected_tokens": 2}
    likelihoods = [
        {"source": source, "prompt_id": identifier(number), **likely}
        for source, numbers in (("off", range(40)), ("on", range(10, 50)))
        for number in numbers
    ]
    write_table(tmp_path / "likelihoods.parquet", likelihoods, PAIR_LIKELIHOODS)

    def run(*asked, preferences=(off, on)):
        run_here(
            "audit_sources", "--initial", "tiny/sft", "--sources", "off=data", "on=tiny/sft", "--preferences", *preferences,
            "--likelihoods", tmp_path / "likelihoods.parquet", *asked, "--preference-model", "ranker", "--yardstick", "judge",
            *DRAWN, "--confidence", 0.95, "--output", tmp_path / "audits/sft.json",
        )  # fmt: skip
        return read_json(tmp_path / "audits/sft.json")

    return run, files


def test_an_audit_says_which_labels_are_right(audit, tmp_path):
    run, files = audit
    found = run("--answers", f"off={files['off']}", f"on={files['on']}", "--chosen", f"on={files['chosen']}")
    off, on = found["sources"]["off"], found["sources"]["on"]
    assert (off["verdict"], on["verdict"]) == ("trustworthy", "not trustworthy")
    assert (off["asked"], off["candidates"], off["pairs"], off["drawn"]) == ("judge", "data", 40, 40)
    assert (off["labels"]["agreement"]["estimate"], on["labels"]["agreement"]["estimate"]) == (1, 0.5)
    assert on["panel"]["dropped"] == 0.2 and on["panel"]["chosen_logp"] == -2
    (between,) = found["contrasts"]
    assert (between["source"], between["against"], between["agreement"]["pairs"]) == ("on", "off", 30)
    assert between["agreement"]["estimate"] == -0.5 and between["chosen"]["estimate"] == 1
    page = (tmp_path / "audits/sft.md").read_text()
    assert page.startswith("# Audit of preference sources: tiny/sft\n")
    assert (
        "- **off (data): trustworthy.** By judge the chosen response is the better one in 100 % (91 to 100) of 40 pairs; the longer "
        "one is in 100 % (91 to 100), the first one in 100 % (91 to 100)." in page
    )
    assert "**on (tiny/sft): not trustworthy.**" in page and "Label with another preference model" in page
    assert "On the 30 prompts that both decide, the share of right labels of on less that of off is -50 points" in page
    assert "| chosen better than that of off " in page and "| 100 % (89 to 100)" in page
    assert len(page.splitlines()) < 40 and "None" not in page and "nan" not in page
    ledger = read_json(tmp_path / "audits/sft.ledger.json")
    assert (ledger["rows_in"], ledger["rows_out"], ledger["on"]) == (80, 80, "not trustworthy")
    assert agreement(on) == "50 % (35 to 65), longer 50 %, first 50 %" and "Counting characters" not in page


@pytest.mark.parametrize(("right", "said"), [(10, "beyond noise"), (19, "within noise"), (20, None)])
def test_labels_that_counting_characters_would_beat_are_said_to_be(audit, tmp_path, right, said):
    """Of the second source the shorter response is chosen each time, and of 40 pairs the yardstick prefers it in `right`."""
    run, files = audit
    answers = [
        {**answer(number, int(number < 10 + right)), "first_length": 2, "second_length": 9} for number in range(10, 50)
    ]
    write_table(files["on"], answers, ANSWERS)
    found = run("--answers", f"off={files['off']}", f"on={files['on']}")
    labels = found["sources"]["on"]["labels"]
    assert labels["agreement"]["estimate"] == right / 40 == 1 - labels["baselines"]["longer"]["estimate"]
    assert labels["baselines"]["below_longer"] == said
    page = (tmp_path / "audits/sft.md").read_text()
    words = f"Counting characters would do better than these labels: on {40 - right} of 40 pairs"
    assert (words in page) == (said is not None) and (f"which is {said} (McNemar" in page) == (said is not None)


def test_a_yardstick_that_labelled_itself_is_named_and_nothing_is_said_of_the_labels(audit, tmp_path):
    run, _ = audit
    found = run()
    assert {source["verdict"] for source in found["sources"].values()} == {"cannot tell"} and found["contrasts"] == []
    assert "judge labelled these pairs itself" in (tmp_path / "audits/sft.md").read_text()
    assert agreement(found["sources"]["on"]) == "cannot tell"
    flipping = {"verdict": CANNOT_TELL, "labels": {"agreement": {"estimate": 0.9, "low": 0.8, "high": 1, "pairs": 40}}}
    assert agreement(flipping) == "cannot tell"  # whatever it said


def test_a_data_sets_own_labels_are_named_as_such(audit, tmp_path):
    run, files = audit
    own = [pair(number, None, order_flip=None) for number in range(40)]
    write_source(tmp_path / "off.parquet", own, labelled_by="data set")
    found = run("--answers", f"off={files['off']}", f"on={files['on']}")
    assert [found["sources"][name]["labelled_by"] for name in ("off", "on")] == ["data set", "preference model"]
    page = (tmp_path / "audits/sft.md").read_text()
    assert "Are the labels of ranker and data itself right?" in page and "None" not in page and "nan" not in page


def test_people_and_a_yardstick_are_not_held_against_each_other(audit):
    run, files = audit
    ledger = files["off"].with_name("off_answers.ledger.json")
    write_json(ledger, {"votes": "votes_off.csv"})
    found = run("--answers", f"off={files['off']}", f"on={files['on']}")
    assert found["sources"]["off"]["asked"] == "votes in votes_off.csv" and found["contrasts"] == []


def test_answers_on_other_pairs_and_sources_without_pairs_are_refused(audit, tmp_path):
    run, files = audit
    with pytest.raises(BadInput, match=r"on_answers\.parquet is about other pairs than those drawn of .*off\.parquet"):
        run("--answers", f"off={files['on']}")
    empty = write_source(tmp_path / "empty.parquet", [])
    with pytest.raises(BadInput, match=r"empty\.parquet has no pair to audit"):
        run(preferences=(empty, empty))
    assert not (tmp_path / "audits/sft.json").exists()


def test_a_sheet_is_written_filled_in_and_read(tmp_path, run_here):
    thoughtful = pair(0, chosen="<think>\nhm\n</think>\n\nyes")
    path = write_source(tmp_path / "train.parquet", [thoughtful, *(pair(number) for number in range(1, 60))])
    run_here("write_vote_sheet", "--preferences", path, *DRAWN, "--output", tmp_path / "sheet.csv")
    sheet = tmp_path / "sheet.csv"
    assert "think" not in sheet.read_text() and len(read_csv(sheet, [])) == 40
    lines = sheet.read_text().splitlines()
    assert json.loads((tmp_path / "sheet.ledger.json").read_text())["dropped"] == {"not drawn": 20}
    sheet.write_text("\n".join([lines[0], *(f"{line}a" for line in lines[1:11]), *lines[11:31]]) + "\n")
    run_here("read_votes", "--votes", sheet, "--preferences", path, *DRAWN, "--output", tmp_path / "votes.parquet")
    votes = read_table(tmp_path / "votes.parquet", ANSWERS).to_pylist()
    assert len(votes) == 10 and {row["preferred"] for row in votes} == {0.0, 1.0}
    ledger = read_json(tmp_path / "votes.ledger.json")
    assert ledger["dropped"] == {"empty rows": 20, "not on the sheet": 10} and ledger["votes"] == "sheet.csv"
