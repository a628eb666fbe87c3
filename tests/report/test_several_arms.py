"""Arms of several data sets: Δ, decisions, tallies, the figure, the page, and that one data set looks as ever."""

import csv
import json
import re

import pytest
from test_boundary_figure import draw
from test_report import report  # noqa: F401 - a fixture
from test_table8 import MODELS, record
from test_tables import index, measured, student, win_rate, write

from dpo_stages.report import decisions, gainless, page, partings, tallies
from dpo_stages.report.policy_rows import build_rows
from dpo_stages.report.policy_table import COLUMNS, table
from dpo_stages.report.runs import with_runs
from dpo_stages.report.tables import consistency
from dpo_stages.report.yardsticks import LC_WIN_RATE, PREFERENCE_MODEL

SCORES = {"off": 0.7, "off.old": 0.45, "off.new": 0.2}
GAINS = {"on": 2.0, "off": 1.0, "off.old": 1.5, "off.new": 6.0, "on.old": 0.5, "mix50.old": 3.0}
RUNS = ("", "~2")


def rows(*sources, runs=RUNS, seeds=("m",), **options):
    """Rows of these sources; a source gains as GAINS says, 0.2 more in the first run and 0.2 less in the second."""
    records, scores, spread = [], [], 0.2 * (len(runs) > 1)
    for model in seeds:
        records.append(win_rate(f"{model}/sft", 10.0))
        for run, more in zip(runs, (spread, -spread), strict=False):
            records += [win_rate(f"{model}/dpo/{source}{run}", 10 + GAINS[source] + more) for source in sources]
        for source, score in SCORES.items():
            name = source.partition(".")[2]
            verdict = "undecided" if source == "off.old" else "decided"
            asked = measured(f"{model}/sft{f'+{name}' if name else ''}", score, verdict=verdict)
            scores.append({**asked, "preference_data": name or "main"})
    built = build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [*range(len(seeds))], [(source,) for source in sources], index(records), index(scores),
        replicates=len(runs), **options,
    )  # fmt: skip
    return with_runs(built, student(records))


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def by_source(found):
    return {one.off_source: one for one in found}


@pytest.mark.parametrize("own", [(), ("on.old",)])
def test_each_off_policy_arm_has_a_decision_by_its_own_score_against_its_own_prompts_samples(own):
    asked = []

    def verdict(off, on):
        asked.append((off, on))
        return 60.0, (50.0, 70.0)

    made = rows("on", *own, *SCORES, runs=("",), verdict=verdict)
    found = by_source(decisions.decisions(made))
    on = {"off": "on", "off.old": (*own, "on")[0], "off.new": "on"}
    assert {off: one.on_source for off, one in found.items()} == on
    assert {off: one.boundary_score for off, one in found.items()} == SCORES
    for off, one in found.items():
        assert one.compared(LC_WIN_RATE) == pytest.approx(GAINS[off] - GAINS[on[off]]) == one.off.difference
        assert one.off.delta == pytest.approx(GAINS[off] / GAINS[on[off]])
    assert {*asked} == {(f"m/dpo/{off}", f"m/dpo/{on}") for off, on in on.items()}
    assert [found[off].right(LC_WIN_RATE) for off in SCORES] == [True, bool(own), True]
    assert found["off.old"].asked == "m/sft+old" and found["off"].asked == "m/sft"


def test_other_sources_of_a_data_set_have_its_comparison():
    made = {
        row.history[-1]: row for row in rows("on", "off", "off.old", "mix50.old", "on.old", runs=("",)) if row.history
    }
    assert made["mix50.old"].delta == made["on.old"].delta == made["off.old"].delta == pytest.approx(3.0)
    assert made["on"].delta == made["off"].delta == pytest.approx(0.5)


def test_runs_hold_the_arms_of_each_data_set_against_each_other():
    made = rows("on", "on.old", *SCORES)
    asked = []
    with_runs(made, lambda figure, contrasts: [asked.append(one) or (0.0, 1.0) for one in contrasts])
    pairs = {run for contrast in asked for (run,) in contrast if run[1] and run[1] != "m/sft"}
    expected = {"off": "on", "off.old": "on.old", "off.new": "on"}
    assert pairs == {(f"m/dpo/{off}{run}", f"m/dpo/{on}{run}") for off, on in expected.items() for run in RUNS}


def test_delta_and_score_stand_in_the_line_of_each_off_policy_arm():
    lines = {line[0]: line[-2:] for line in cells(table("gains", rows("on", "on.old", *SCORES), COLUMNS).markdown())}
    assert lines["PC_on"] == lines["PC_on.old"] == ["–", "–"]
    assert lines["PC_off"] == ["0.70 (0.68–0.72)", "0.50"]
    assert lines["PC_off.old"] == ["0.45 (0.43–0.47)", "3.00"] and lines["PC_off.new"] == ["0.20 (0.18–0.22)", "3.00"]
    lines = {line[0]: line[-2:] for line in cells(table("gains", rows("on", "off", "on.old"), COLUMNS).markdown())}
    assert lines["PC_off"][1] == "0.50" and lines["PC_on.old"] == ["0.45 (0.43–0.47)", "–"]  # a score without its arm


def test_one_data_set_keeps_them_in_the_first_line_and_says_nothing_of_others():
    text = table("gains", rows("on", "off"), COLUMNS).markdown()
    lines = {line[0]: line[-2:] for line in cells(text)}
    assert lines["PC_on"] == ["0.70 (0.68–0.72)", "0.50"] and lines["PC_off"] == ["–", "–"]
    assert not re.search(r"NAME|pairs of arms|off against on|Arms|hold together", text)


def test_words_and_grids_tell_data_sets_apart():
    text = table("gains", rows("on", *SCORES), COLUMNS).markdown()
    compared = [line for line in cells(text) if line[0] == "M" and "against" in line[2]]
    assert [line[2:5] for line in compared] == [
        ["off against on", "0.70", "on"],
        ["off.old against on", "0.45", "off (undecided)"],
        ["off.new against on", "0.20", "off"],
    ]
    assert "samples for the prompts of NAME (on.NAME) where the table has it" in text
    assert "3 pairs of arms of 1 model, which share arms on own samples or descend from each other" in text
    assert "Of the pairs of arms that runs tell apart, the boundary score picked the better arm for 2 of 3 by" in text
    assert ["all", "2 of 3, 2 of 3*", "2 of 3, 2 of 3*"] in cells(text)  # of the win rate and the LC win rate


def test_data_sets_are_a_group_where_each_has_several_decisions():
    found = decisions.decisions(rows("on", "off", "off.old", seeds=("m", "m@1")))
    assert [line[0] for line in tallies.grid(found).rows] == ["all", "off", "off.old"]
    assert len(decisions.pooled(found)) == 2
    assert tallies.tally(found, LC_WIN_RATE).judged == 4


def test_an_arm_of_another_data_set_alone_is_told_apart_too():
    made = rows("on", "off.old")
    (one,) = decisions.decisions(made)
    assert one.pair == "off.old against on" and tallies.grid([one]) is None
    assert ["–" if source == "on" else "0.75" for source in ("on", "off.old")] == [
        line[-1] for line in cells(table("gains", made, COLUMNS).markdown()) if line[0] in ("PC_on", "PC_off.old")
    ]


def test_gainless_and_partings_count_pairs_of_arms(monkeypatch):
    monkeypatch.setitem(GAINS, "on", -1.0)
    monkeypatch.setitem(GAINS, "off", -2.0)
    found = decisions.decisions(rows("on", *SCORES, runs=("",)))
    assert (
        gainless.sentence(found)
        == "Neither arm shows a gain (no interval of a gain lies above zero): M (off against on)."
    )
    assert gainless.count(found) == "For 1 of 3 pairs of arms neither arm shows a gain over no training."
    rows_apart = rows("on", *SCORES, runs=("",), verdict=lambda off, on: (40.0, (30.0, 50.0)))
    apart = decisions.decisions(rows_apart)
    assert [one.better(PREFERENCE_MODEL) for one in apart] == ["on"] * 3
    assert partings.sentence(apart).startswith("Where the yardsticks part, of 3 pairs of arms: for 2 they disagree")


def test_the_decisions_csv_names_both_sources():
    lines = decisions.decisions_table(decisions.decisions(rows("on", "on.old", *SCORES)), "j").rows
    assert [(line["off_source"], line["on_source"], line["boundary_score"], line["lc_better"]) for line in lines] == [
        ("off", "on", 0.7, "on"), ("off.old", "on.old", 0.45, "off"), ("off.new", "on", 0.2, "off"),
    ]  # fmt: skip
    (one,) = decisions.decisions_table(decisions.decisions(rows("on", "off")), "j").rows
    assert (one["off_source"], one["on_source"]) == ("off", "on")


def test_tables_with_other_arms_beside_keep_their_own_comparison(tmp_path):
    """Of off.old against on and against on.old each has the figures of its own table."""
    for name, sources in (("one", ("on", "off.old")), ("other", ("on", "on.old", "off.old")), ("last", ("off",))):
        table(name, rows(*sources), []).write(tmp_path / f"{name}.csv")
    found = decisions.read_decisions([tmp_path / f"{name}.csv" for name in ("one", "other")])
    assert [(one.pair, one.compared(LC_WIN_RATE)) for one in found] == [
        ("off.old against on", pytest.approx(-0.5)), ("off.old against on.old", pytest.approx(1.0)),
    ]  # fmt: skip
    for one in found:
        low, high = one.interval(LC_WIN_RATE)
        assert (low + high) / 2 == pytest.approx(one.compared(LC_WIN_RATE))
    apart = decisions.read_decisions([tmp_path / "one.csv", tmp_path / "last.csv"])
    assert [one.pair for one in apart] == ["off.old against on", "off against on"]  # whose arms stand in two tables
    assert apart[1].compared(LC_WIN_RATE) == pytest.approx(-1.0) and apart[1].interval(LC_WIN_RATE) is None


def test_the_figure_names_the_source_beside_each_point():
    for sources, names in (
        (("on", *SCORES), ["SFT: off", "SFT: off.old (undecided)", "SFT: off.new"]),
        (("on", "off"), ["SFT"]),
    ):
        figure = draw(decisions.decisions(rows(*sources)))
        assert [text.get_text() for text in figure.axes[0].texts[2:]] == names
        legend = [text.get_text() for one in figure.legends for text in one.get_texts()][-1]
        assert legend.endswith(", and the off-policy source") == (len(sources) > 2)
        drawn = {line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 1}
        assert drawn == {SCORES[source] for source in sources if source != "on"}


def test_a_card_has_every_data_set_of_its_policy_with_its_own_labels_audit_and_warnings():
    found = decisions.decisions(rows("on", "on.old", *SCORES))
    labels = [
        {"candidates": name, "work": "labels", "accuracy": right, "accuracy_low": "0.5", "accuracy_high": "0.9",
         "longer": "0.5", "first": "0.5", "below_longer": ""}
        for name, right in (("m/sft", "0.61"), ("m/sft+old", "0.72"))
    ]  # fmt: skip
    audited = {"m/sft": {"off": "a"}, "m/sft+new": {"off": "b"}}
    (answer,) = page.answers(found, [], labels, audited, {"m/sft+old": ["cut"]})
    (card,) = answer["cards"]
    assert [point["arms"] for point in card] == ["off against on", "off.old against on.old", "off.new against on"]
    assert [point["score"] for point in card] == ["0.70", "0.45", "0.20"]
    assert [point["labels_right"][:4] for point in card] == [
        "61 %",
        "72 %",
        "61 %",
    ]  # of the own pairs of its on-policy arm
    assert [point["audit"] for point in card] == [{"off": "a"}, {}, {"off": "b"}]
    assert [point["warnings"] for point in card] == [[], ["Cut."], []]
    assert [(point["off_gain"], point["delta"]) for point in card][1:] == [("+1.50", "3.00"), ("+6.00", "3.00")]
    (one,) = page.answers(decisions.decisions(rows("on", "off")), [])
    assert [point["arms"] for (point,) in one["cards"]] == [""]


@pytest.mark.parametrize("sources", [("on", *SCORES), ("on", "off")])
def test_the_page_has_a_part_of_the_card_for_each_data_set(sources, tmp_path, report, run_here):  # noqa: F811
    """With the other inputs of the page of test_report.py."""
    given, boundaries = report.parent, []
    table("gains", rows(*sources), []).write(tmp_path / "gains.csv")
    for source, score in SCORES.items():
        data = source.partition(".")[2]
        one = measured(f"m/sft{f'+{data}' if data else ''}", score, verdict="decided", preference_data=data or "main")
        boundaries.append({**one, "warnings": [f"{source} is cut"]})
    run_here(
        "make_report", "--study", "{}", "--policy-tables", tmp_path / "gains.csv", "--tables", tmp_path / "gains.json", "--labels",
        given / "labels.csv", "--boundaries", *write(tmp_path, boundaries), "--rules", given / "rules.svg", "--cost", given / "cost.csv",
        "--locks", given / "train.lock.txt", "--judgements", given / "a/annotations.json", "--output", tmp_path / "report.html",
    )  # fmt: skip
    text = (tmp_path / "report.html").read_text()
    several = len(sources) > 2
    assert text.count('<article class="card">') == 1 and text.count("<h4>off") == (3 if several else 0)
    assert (
        'Recommended: <span class="off">off-policy data new</span>' in text
        and "First to last: new and old, then own" in text
    )
    assert ("below, those that were trained on." if several else "below, the preference data alone.") in text
    assert [f"Warning: {source[0].upper()}{source[1:]} is cut." in text for source in SCORES] == [
        True,
        several,
        several,
    ]
    assert ("<td>SFT policy: off.old against on</td>" if several else "<td>SFT policy</td>") in text
    assert ("with each data set" in text) == several


def test_seeds_and_methods_have_cards_of_their_own():
    found = decisions.decisions(rows("on", "off", "off.old", seeds=("m", "m@1")))
    (answer,) = page.answers(found, [])
    assert [[(point["seed"], point["arms"]) for point in card] for card in answer["cards"]] == [
        [(seed, "off against on"), (seed, "off.old against on")] for seed in (None, 1)
    ]


def test_table_8_has_a_line_for_each_data_set():
    records = {
        name: record(name, likelier, preference_data=data, prompts=prompts)
        for name, likelier, data, prompts in (
            ("phi-2/sft", 0.9, "main", 2000), ("phi-2/sft+old", 0.8, "old", 100), ("phi-2@1/sft", 0.7, "main", 2000), ("phi-2@1/sft+old", 0.6, "old", 100),
        )
    }  # fmt: skip
    text = consistency.table(consistency.build_rows(MODELS, records), "boundary").markdown()
    lines = cells(text)
    assert lines[0] == ["Iter-1", "Data set", "Win Rate", "Interval"]
    assert [(line[1], line[2][:5]) for line in lines[3:5]] == [("main", "80.00"), ("old", "70.00")]  # over seeds
    assert next(line for line in lines if line[0] == "phi-2/sft+old")[-2:] == ["PC_on.old", "PC_on.old"]
    assert "2000 prompts of main, 100 prompts of old." in text and "of 4 initial policies and data sets" in text


@pytest.mark.parametrize("below", [None, "within noise"])
def test_the_program_says_that_length_alone_is_right_more_often(below, tmp_path, run_here):
    share = {"estimate": 0.6, "low": 0.5, "high": 0.7, "pairs": 90}
    baselines = {"longer": {**share, "estimate": 0.7}, "first": share, "ahead": 5, "behind": 14, "below_longer": below}
    voted = {"preference_model": "ranker", "votes": ["votes.jsonl"], "accuracy": share, "baselines": baselines}
    (tmp_path / "held_out.json").write_text(json.dumps(voted))
    files = write(tmp_path, [win_rate("m/sft", 10.0), win_rate("m/dpo/off.old", 12.0), win_rate("m/dpo/on", 11.0)])
    (tmp_path / "b").mkdir()
    scores = write(tmp_path / "b", [measured("m/sft", 0.4), measured("m/sft+old", 0.3)])
    run_here(
        "make_table", "--table", "gains", "--models", "m=M", "--methods", "dpo=DPO", "--histories", "on", "off.old", "--win-rates",
        *files, "--boundaries", *scores, "--held-out", tmp_path / "held_out.json", "--decisions", tmp_path / "d.csv", "--csv",
        tmp_path / "t.csv",
    )  # fmt: skip
    said = "ranker is right on 60 % (50 to 70) of 90 held-out votes (votes.jsonl); whoever takes the longer response is on 70 %"
    assert (said in (tmp_path / "t.md").read_text()) == bool(below)
    (line,) = csv.DictReader((tmp_path / "d.csv").open())
    assert (line["off_source"], line["boundary_score"], line["win_rate_better"]) == ("off.old", "0.3", "off")
