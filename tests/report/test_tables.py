"""Tables of policies: their rows, what they refuse, and both files they are written to."""

import csv
import io
import itertools
import json
import re
import statistics

import numpy as np
import pyarrow as pa
import pytest

from dpo_boundary.result import recommended_source, stage_of
from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.evaluation.arms import ARMS_SCHEMA
from dpo_stages.evaluation.gains import RESAMPLES_SCHEMA, resamples_path
from dpo_stages.report import policy_rows
from dpo_stages.report.decisions import decisions, read_decisions
from dpo_stages.report.page import answers
from dpo_stages.report.paper import paper_table
from dpo_stages.report.policy_table import COLUMNS, WIDEST, table
from dpo_stages.report.records import JUDGE_COLUMNS, by_policy
from dpo_stages.report.runs import with_runs
from dpo_stages.report.tallies import tally
from dpo_stages.report.yardsticks import LC_WIN_RATE, PREFERENCE_MODEL, WIN_RATE
from dpo_stages.study.policies import Policy, combinations

JUDGE = {"model": "gpt-4-1106-preview", "version": "v", "prompt": "p", "endpoint": "openai"}
MODELS = {"llama-3-8b-instruct": "Llama-3-8B-Instruct", "zephyr-7b": "Zephyr-7B", "phi-2": "Phi-2-2.7B"}
METHODS = {"dpo": "DPO", "slic": "SLiC-HF"}


def win_rate(policy, lc, **other):
    known = {"win_rate": lc - 1, "average_length": 1000.0, "instructions": 805, "lc_kind": "published", "judge": JUDGE}
    return {"policy": policy, "lc_win_rate": lc, **known, **other}


def measured(policy, score, **other):
    verdict = {"stage": stage_of(score), "recommended_source": recommended_source(score), "confidence": 0.95}
    relative_to = {"preference_model": "pairrm", "preference_data": "ultrafeedback"}
    interval = [round(score - 0.02, 4), round(score + 0.02, 4)]
    return {"policy": policy, "boundary_score": score, "interval": interval, **verdict, **relative_to, **other}


def records_of_paper(number):
    """A table of the paper as the files that the workflow would have made, gains and Δ left out."""
    win_rates, boundaries = [], []
    for row in paper_table(number):
        history = tuple(filter(None, (row["iter_1"], row["iter_2"])))
        policy = policy_rows.named(row["model"], 0, [0], row["method"], history)
        length = float(row.get("average_length") or 1000)
        win_rates.append(
            win_rate(str(policy), float(row["lc_win_rate"]), win_rate=float(row["win_rate"]), average_length=length)
        )
        if row.get("boundary_score"):
            boundaries.append(measured(str(policy.initial), float(row["boundary_score"])))
    return win_rates, boundaries


def write(folder, records):
    paths = []
    for number, record in enumerate(records):
        path = folder / f"{record['policy'].replace('/', '_')}_{number}.json"
        path.write_text(json.dumps(record))
        paths.append(path)
    return paths


def index(records, what="win rate"):
    return by_policy([(f"{record['policy']}.json", record) for record in records], what)


def rows_of_paper(number, models=None, histories=None):
    win_rates, boundaries = records_of_paper(number)
    names = {record["policy"].split("/")[0] for record in win_rates}
    models = models or {name: label for name, label in MODELS.items() if name in names}
    method = next(name for name in METHODS if any(f"/{name}/" in record["policy"] for record in win_rates))
    histories = histories or combinations(["off", "on"], 2)
    return policy_rows.build_rows(
        models, {method: METHODS[method]}, [0], histories, index(win_rates), index(boundaries) if boundaries else None
    )


def test_combinations_are_ordered_as_in_the_paper():
    expected = ["off", "on", "off-off", "off-on", "on-off", "on-on"]
    assert ["-".join(history) for history in combinations(["off", "on"], 2)] == expected
    assert len(combinations(["off", "on", "llama"], 3)) == 3 + 9 + 27


def test_rows_hold_gains_deltas_and_the_initial_policys_boundary():
    rows = {row.policy: row for row in rows_of_paper(3)}
    assert len(rows) == 21
    row = rows["zephyr-7b/dpo/on-off"]
    assert (row.initial_policy, row.history, row.seed) == ("zephyr-7b/dpo/on", ("on", "off"), 0)
    assert row.gain == pytest.approx(8.52)
    assert row.delta == pytest.approx(8.52 / 5.46) == rows["zephyr-7b/dpo/on-on"].delta
    assert (row.boundary_score, row.stage, row.recommended_source) == (0.58, "preference fine-tuning", "on")
    sft = rows["zephyr-7b/sft"]
    assert sft.gain is sft.delta is sft.boundary_score is sft.initial_policy is None


def test_the_tidy_csv_reads_back():
    text = table("table3", rows_of_paper(3), []).csv()
    read = list(csv.DictReader(io.StringIO(text)))
    assert len(read) == 21
    by_policy = {row["policy"]: row for row in read}
    sft, row = by_policy["phi-2/sft"], by_policy["phi-2/dpo/off"]
    assert (sft["iter_1"], sft["iter_2"], sft["gain"]) == ("", "", "")
    assert (row["iter_1"], row["iter_2"], row["gain"], row["delta"]) == ("off", "", "0.16", "inf")
    assert by_policy["llama-3-8b-instruct/dpo/off-on"]["iter_2"] == "on"
    judges = {tuple(row[name] for name in JUDGE_COLUMNS) for row in read}
    assert judges == {("gpt-4-1106-preview", "v", "p", "openai")}


def test_markdown_has_the_papers_cells():
    rows = rows_of_paper(3)
    text = table("table3", rows, COLUMNS[1:]).markdown()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert cells[0] == ["Iter-1", "Iter-2", "LC Win Rate", "Win Rate", "BS (initial)", "Δ(×)"]
    assert ["–", "–", "24.59", "24.47", "–", "–"] in cells
    assert ["PC_off", "–", "27.73 (+3.14)", "22.85", "0.62 (0.60–0.64)", "0.33"] in cells
    assert ["PC_off", "PC_off", "27.83 (+0.10)", "24.38", "0.66 (0.64–0.68)", "<0.01"] in cells
    assert ["PC_off", "PC_on", "4.92 (-1.05)", "3.46", "–", "–"] in cells
    assert re.search(r"\| all +\| 8 of 9 ", text) and "gpt-4-1106-preview" in text
    assert text.index("Llama-3-8B-Instruct") < text.index("Zephyr-7B") < text.index("Phi-2-2.7B")


def test_the_columns_of_tables_1_and_2():
    lines = table("table1", rows_of_paper(1), ["delta", "average_length"]).markdown()
    assert "Avg. Len" in lines and "BS (initial)" not in lines and "| 1605" in lines
    histories = [("off",), ("llama",), ("on",), ("off", "off"), ("off", "llama"), ("off", "on")]
    rows = rows_of_paper(2, {"zephyr-7b": "Zephyr-7B"}, histories)
    two = table("table2", rows, []).markdown()
    assert "| Iter-1   | Iter-2   | LC Win Rate    | Win Rate |" in two
    assert "| PC_off   | PC_llama | 29.32 (+8.55)  | 37.03    |" in two


def test_models_stand_side_by_side_where_that_is_narrow_enough():
    models = {"zephyr-7b": "Zephyr-7B", "phi-2": "Phi-2-2.7B"}
    narrow = table("table3", rows_of_paper(3, models), COLUMNS[1:]).markdown()
    assert "**Zephyr-7B**" not in narrow
    first, _, second, *_ = [line for line in narrow.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in first.split("|")][3::4][:2] == ["Zephyr-7B", "Phi-2-2.7B"]
    assert second.count("LC Win Rate") == 2 and len(first) == len(second) <= WIDEST


def test_several_methods_make_several_parts():
    win_rates = [record for number in (3, 5) for record in records_of_paper(number)[0]]
    unique = {record["policy"]: record for record in win_rates}
    rows = policy_rows.build_rows(MODELS, METHODS, [0], combinations(["off", "on"], 2), index(unique.values()), None)
    assert len(rows) == 42 and len({row.policy for row in rows}) == 3 + 36
    text = table("table9", rows, COLUMNS[1:]).markdown()
    assert text.index("## DPO") < text.index("27.73 (+3.14)") < text.index("## SLiC-HF") < text.index("28.88 (+4.29)")


def seeded_records():
    """Three seeds of one model; the off-policy arm gains 1, 2 and 3 points, the on-policy arm 2 each."""
    win_rates, boundaries = [], []
    for seed, model in enumerate(("m", "m@1", "m@2")):
        win_rates += [win_rate(f"{model}/sft", 10.0), win_rate(f"{model}/dpo/on", 12.0)]
        win_rates.append(win_rate(f"{model}/dpo/off", 11.0 + seed))
        boundaries.append(measured(f"{model}/sft", 0.4 + 0.05 * seed))
    return win_rates, boundaries


def student(win_rates):
    """Intervals by Student's t over runs alone, which can be worked out by hand."""
    records = {record["policy"]: record for record in win_rates}

    def intervals(figure, contrasts):
        for runs in contrasts:
            values = [
                statistics.fmean(records[one][figure] - (records[other][figure] if other else 0) for one, other in run)
                for run in runs
            ]
            mean, half = statistics.fmean(values), 4.3027 * statistics.stdev(values) / len(values) ** 0.5
            yield mean - half, mean + half

    return lambda figure, contrasts: list(intervals(figure, contrasts))


def both(interval):
    """Paired intervals that are the same on both win rates."""
    return lambda policy, other: dict.fromkeys(("lc_gain_interval", "win_rate_gain_interval"), interval(policy, other))


def test_seeds_are_rows_of_the_csv_and_means_with_intervals_in_markdown():
    win_rates, boundaries = seeded_records()
    rows = policy_rows.build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [7, 1, 2], [("off",), ("on",)], index(win_rates), index(boundaries),
        both(lambda policy, other: (-1.0, 1.0)),
    )  # fmt: skip
    rows = with_runs(rows, student(win_rates))
    assert [row.seed for row in rows] == [7, 7, 7, 1, 1, 1, 2, 2, 2]
    assert rows[4].policy == "m@1/dpo/off" and rows[4].gain == 2.0
    counted = tally(decisions(rows), LC_WIN_RATE)
    # recommended: off, off, on; better: on, none, off
    assert (counted.right, counted.judged) == (0, 2)
    assert [row.runs for row in rows] == [3] * 9 and rows[0].interval("runs_gain") is None
    assert rows[1].interval("runs_difference") == rows[5].interval("runs_difference")
    assert (counted.separated, counted.separated_right) == (0, 0)
    text = table("table3", rows, COLUMNS[1:]).markdown()
    # Student's t with 2 degrees of freedom: 4.303 x 1 / sqrt(3) = 2.48
    assert "12.00 ± 2.48 (+2.00 ± 2.48 n.s.)" in text and "Means of 3 seeds" in text
    assert "12.00 ± 0.00 (+2.00 ± 0.00)" in text and "0.45 ± 0.12" in text and "1.00" in text
    assert "Percent of" in text and "they are no independent cases" in text
    assert "| 11.00 ± 2.48 |" in text  # the plain win rate's own interval


def replicated_records(seeds=("m",)):
    """Three replicates of two arms, all from one SFT policy under each seed; off gains 1, 2 and 3 points, on 2 each."""
    win_rates, boundaries = [], []
    for number, model in enumerate(seeds):
        win_rates.append(win_rate(f"{model}/sft", 10.0))
        boundaries.append(measured(f"{model}/sft", 0.4 + 0.2 * number))
        for run, suffix in enumerate(("", "~2", "~3")):
            length = 1000.0 + 30 * run + 300 * number
            win_rates.append(win_rate(f"{model}/dpo/off{suffix}", 11.0 + run, average_length=length))
            win_rates.append(win_rate(f"{model}/dpo/on{suffix}", 12.0))
    return win_rates, boundaries


def test_replicates_are_rows_that_gain_over_the_same_initial_policy():
    win_rates, boundaries = replicated_records()
    asked = []

    def interval(policy, other):
        asked.append((policy, other))
        return (-1.0, 1.0)

    rows = policy_rows.build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [0], [("off",), ("on",)], index(win_rates), index(boundaries), both(interval),
        replicates=3,
    )  # fmt: skip
    assert [row.policy for row in rows] == [
        "m/sft",
        *(f"m/dpo/{arm}{run}" for run in ("", "~2", "~3") for arm in ("off", "on")),
    ]
    assert [(row.replicate, row.gain, row.difference) for row in rows if row.history == ("off",)] == [
        (1, 1.0, -1.0), (2, 2.0, 0.0), (3, 3.0, 1.0),
    ]  # fmt: skip
    assert {row.initial_policy for row in rows[1:]} == {"m/sft"} and {row.boundary_score for row in rows[1:]} == {0.4}
    assert ("m/dpo/off~3", "m/sft") in asked and ("m/dpo/off~3", "m/dpo/on~3") in asked
    rows = with_runs(rows, student(win_rates))
    assert [row.runs for row in rows] == [1, *[3] * 6]
    # 4.303 x 1 / sqrt(3) on either side: the arms of one replicate are compared with each other
    assert rows[1].interval("runs_difference") == pytest.approx((-2.484, 2.484), abs=0.001)
    read = list(csv.DictReader(io.StringIO(table("table3", rows, []).csv())))
    assert [row["replicate"] for row in read] == ["1", "1", "1", "2", "2", "3", "3"]
    [one] = decisions(rows)  # a mean over the replicates: gains of 2 and 2
    assert (len(one.off_rows), one.gain("off", LC_WIN_RATE), one.right(LC_WIN_RATE)) == (3, 2.0, None)


def test_a_table_of_replicates_says_how_many_runs_there_are_and_what_they_share():
    win_rates, boundaries = replicated_records()
    build = [{"m": "M"}, {"dpo": "DPO"}, [0], [("off",), ("on",)], index(win_rates), index(boundaries)]
    rows = with_runs(policy_rows.build_rows(*build, replicates=3), student(win_rates))
    text = table("table3", rows, COLUMNS).markdown()
    assert "12.00 ± 2.48 (+2.00 ± 2.48 n.s.)" in text and "| 10.00 " in text
    assert "0.40 (0.38–0.42)" in text  # measured once: no mean
    assert "1030 ± 75" in text  # 4.303 x 30 / sqrt(3)
    assert "Means of 3 runs (1 seed, 3 replicates) ± half of the 95 % interval" in text
    assert "Replicates share the initial policy" in text and "boundary scores over seeds" not in text


def test_replicates_of_several_seeds_are_averaged_in_each():
    win_rates, boundaries = replicated_records(("m", "m@1"))
    build = [{"m": "M"}, {"dpo": "DPO"}, [0, 1], [("off",), ("on",)], index(win_rates), index(boundaries)]
    rows = policy_rows.build_rows(*build, replicates=3)
    assert [(row.seed, row.replicate) for row in rows if row.history == ("on",)] == [
        (s, r) for s in (0, 1) for r in (1, 2, 3)
    ]
    asked = []

    def intervals(figure, contrasts):
        asked.extend(contrasts)
        return student(win_rates)(figure, contrasts)

    rows = with_runs(rows, intervals)
    assert {row.runs for row in rows} == {2} and all(row.interval("runs_gain") for row in rows if row.history)
    gained = tuple(
        tuple((f"{model}/dpo/off{run}", f"{model}/sft") for run in ("", "~2", "~3")) for model in ("m", "m@1")
    )
    assert gained in asked
    text = table("table3", rows, COLUMNS).markdown()
    assert "Means of 6 runs (2 seeds, 3 replicates)" in text and "Replicates share" not in text
    # Means of a seed's three replicates, 1030 and 1330, with Student's t of one degree of freedom; scores 0.4 and 0.6
    assert "1180 ± 1906" in text and "0.50 ± 1.27" in text


def test_replicates_of_auto_are_those_of_the_policy_that_it_chose_once():
    win_rates, _ = replicated_records()
    costs = {"samples_drawn": 4, "labels_made": 2, "file": "t"}
    traces = {
        f"m/dpo/auto{run}": {"policy": f"m/dpo/auto{run}", "resolved_policy": f"m/dpo/off{run}", **costs}
        for run in ("", "~2", "~3")
    }
    rows = policy_rows.build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [0], [("auto",)], index(win_rates), None, traces=traces, replicates=3
    )
    assert [(row.policy, row.resolved_policy, row.gain) for row in rows[2:]] == [
        ("m/dpo/auto~2", "m/dpo/off~2", 2.0), ("m/dpo/auto~3", "m/dpo/off~3", 3.0),
    ]  # fmt: skip
    text = table("adaptive", rows, COLUMNS).markdown()
    assert "| off " in text and "off (" not in text


def test_intervals_of_gains_and_differences_are_shown_where_they_were_measured():
    win_rates, boundaries = seeded_records()
    measured_intervals = {
        ("m/dpo/off", "m/sft"): (0.25, 1.75),
        ("m/dpo/on", "m/sft"): (-1.0, 3.0),
        ("m/dpo/off", "m/dpo/on"): (-2.0, -0.5),
    }
    rows = policy_rows.build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [0], [("off",), ("on",)], index(win_rates), index(boundaries),
        both(lambda policy, other: measured_intervals[policy, other]),
    )  # fmt: skip
    assert (rows[1].gain_low, rows[1].gain_high) == (0.25, 1.75)
    assert (rows[2].difference, rows[2].difference_low, rows[2].difference_high) == (-1.0, -2.0, -0.5)
    counted = tally(decisions(rows), LC_WIN_RATE)
    assert (counted.judged, counted.right, counted.separated) == (1, 0, None)
    text = table("table3", rows, COLUMNS[1:]).markdown()
    assert "(+2.00; -1.00 to +3.00)" in text and "11.00 (+1.00; +0.25 to +1.75)" in text
    # One run tells nothing from the noise of training, whatever its intervals leave out.
    assert "n.s." not in text and "not that training once more gives another policy" in text
    assert (
        "With one run an arm, no arm is told from the other beyond the noise of training, so nothing here says" in text
    )
    assert "on -1.00 (-2.00 to -0.50)" in text


@pytest.mark.parametrize(("scores", "right"), [((0.6, 0.6, 0.6), 0), ((0.4, 0.4, 0.6), 1)])
def test_what_several_runs_tell_apart_is_counted_once_by_the_mean_score(scores, right):
    win_rates, boundaries = [], []
    for model, score, off in zip(("m", "m@1", "m@2"), scores, (20.0, 21.0, 22.0), strict=True):
        win_rates += [
            win_rate(f"{model}/sft", 10.0),
            win_rate(f"{model}/dpo/on", 12.0),
            win_rate(f"{model}/dpo/off", off),
        ]
        boundaries.append(measured(f"{model}/sft", score))
    rows = policy_rows.build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [0, 1, 2], [("off",), ("on",)], index(win_rates), index(boundaries)
    )
    counted = tally(decisions(with_runs(rows, student(win_rates))), LC_WIN_RATE)
    assert (counted.judged, counted.separated, counted.separated_right) == (3, 1, right)
    assert counted.words() == f"for {right} of 1 that runs tell apart"


def test_histories_that_came_to_the_same_policies_are_one_set_of_runs():
    win_rates, _ = seeded_records()
    traces = {
        f"{model}/dpo/auto": {"policy": f"{model}/dpo/auto", "resolved_policy": f"{model}/dpo/off"}
        | {"samples_drawn": 1, "labels_made": 1, "file": "t"}
        for model in ("m", "m@1", "m@2")
    }
    rows = policy_rows.build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [0, 1, 2], [("off",), ("on",), ("auto",)], index(win_rates), None, traces=traces
    )
    asked = []

    def intervals(figure, contrasts):
        asked.append((figure, len(contrasts)))
        return [(-1.0, number) for number, _ in enumerate(contrasts)]

    found = {row.history: row.interval("runs_gain") for row in with_runs(rows, intervals)}
    # levels of sft, off, on; gains of off, on; the one difference
    assert asked == [(figure, number) for figure in ("lc_win_rate", "win_rate") for number in (3, 2, 1)]
    assert found["auto",] == found["off",] == (-1.0, 0.0)


def replicated(seeds, replicates):
    """Rows of both arms in every seed and replicate, and of the SFT policies; win rates are 10 × seed + replicate."""
    names = {"model": "m", "model_label": "M", "method": "dpo", "method_label": "DPO"}
    for seed in seeds:
        plain = f"m@{seed}" if seed else "m"
        known = {**names, "seed": seed, "lc_win_rate": 0.0, "win_rate": 0.0}
        sft = f"{plain}/sft"
        yield policy_rows.Row(**known, history=(), policy=sft, resolved_policy=sft)
        for source, replicate in itertools.product(("off", "on"), replicates):
            policy = f"{plain}/dpo/{source}"
            known |= {
                "policy": policy,
                "resolved_policy": policy,
                "initial_policy": sft,
                **dict.fromkeys(("gain", "win_rate_gain", "difference", "win_rate_difference"), 1.0),
            }
            yield policy_rows.Row(**known, history=(source,), replicate=replicate, verdict=55.0)


@pytest.mark.parametrize(
    ("seeds", "replicates", "runs", "pairs"), [((0,), (1, 2, 3), 3, 1), ((0, 1), (1, 2, 3), 2, 3), ((0, 1), (1,), 2, 1)]
)
def test_a_run_is_a_seed_whose_replicates_are_averaged_or_with_one_seed_a_replicate(seeds, replicates, runs, pairs):
    asked = {}

    def intervals(figure, contrasts):
        asked.setdefault(figure, []).extend(contrasts)
        return [(-1.0, 1.0)] * len(contrasts)

    rows = with_runs(list(replicated(seeds, replicates)), intervals)
    for contrast in (one for contrasts in asked.values() for one in contrasts if one[0][0][0] != "m/sft"):
        assert len(contrast) == runs and {len(run) for run in contrast} == {pairs}
    assert asked["verdict"] == [tuple(((f"{m}/dpo/off", f"{m}/dpo/on"),) * pairs for m in ("m", "m@1")[: len(seeds)])
                                if len(seeds) > 1 else ((("m/dpo/off", "m/dpo/on"),),) * runs]  # fmt: skip
    sft, arm = rows[0], rows[1]
    assert arm.runs == runs and arm.interval("runs_verdict") == (-1.0, 1.0) == arm.interval("runs_win_rate_gain")
    assert sft.interval("runs_lc") == ((-1.0, 1.0) if len(seeds) > 1 else None)  # replicates do not train it again


def test_one_run_asks_for_no_interval():
    assert with_runs(rows := list(replicated((0,), (1,))), None) == rows


def arms_of_seeds(verdicts):
    """What the preference model says of the arms of each seed, as the table's program gives it."""
    return lambda off, on: (verdicts[off.split("/")[0]], (20.0, 80.0))


def test_a_table_shows_every_yardstick_and_where_they_part():
    win_rates, boundaries = seeded_records()
    for record in win_rates:
        record["win_rate"] = {"sft": 10.0, "off": 14.0, "on": 12.0}[record["policy"].split("/")[-1]]
    verdicts = {"m": 30.0, "m@1": 31.0, "m@2": 32.0}
    rows = policy_rows.build_rows(
        {"m": "M"}, {"dpo": "DPO"}, [0, 1, 2], [("off",), ("on",)], index(win_rates), index(boundaries),
        both(lambda policy, other: (1.0, 3.0)), verdict=arms_of_seeds(verdicts), lc_valid=False,
    )  # fmt: skip
    assert [row.verdict for row in rows[1:3]] == [30.0, 30.0] and rows[0].verdict is None
    assert (rows[1].win_rate_gain, rows[1].win_rate_difference, rows[1].interval("win_rate_gain")) == (
        4.0,
        2.0,
        (1.0, 3.0),
    )
    of = student(win_rates)
    rows = with_runs(rows, lambda figure, ask: [(29.0, 33.0)] * len(ask) if figure == "verdict" else of(figure, ask))
    (off_against_on, *_) = decisions(rows)
    assert off_against_on.separated(PREFERENCE_MODEL) and off_against_on.separated(WIN_RATE)
    text = table("table3", rows, COLUMNS[1:], ["The references differ.", "The judge labels too."]).markdown()
    assert "| Win Rate " in text and "LC Win Rate (not valid)" in text
    assert text.index("| Win Rate ") < text.index("LC Win Rate (not valid)")
    assert "14.00 ± 0.00 (+4.00 ± 0.00)" in text and "gains and Δ are those of the plain win rate" in text
    assert "The references differ. The judge labels too." in text
    assert "on 31.0 (29.0 to 33.0)*" in text and "off +2.00 (+2.00 to +2.00)*" in text
    assert (
        "for 1 the preference model and the judge, by the win rate that leads, tell the arms apart and disagree" in text
    )
    assert "| 2.00" in text  # Δ of the plain win rate: 4 over 2


def test_outputs_that_were_cut_are_counted_for_every_policy():
    win_rates, _ = seeded_records()
    for record, cut in zip(win_rates, (3, 2, 0), strict=False):
        record["truncated"] = cut
    rows = policy_rows.build_rows({"m": "M"}, {"dpo": "DPO"}, [0], [("off",), ("on",)], index(win_rates), None)
    assert [row.truncated for row in rows] == [3, 0, 2]
    assert "5 outputs, at most 3 of a policy, were cut" in table("table1", rows, []).markdown()


def compared(number, preferred):
    """What the preference model says of the arms' outputs for one instruction."""
    return {
        "index": number, "prompt_id": str(number), "off_policy": "m/dpo/off", "on_policy": "m/dpo/on",
        "logit": preferred - 0.5, "off_policy_preferred": preferred, "order_flip": False,
    }  # fmt: skip


def test_the_program_takes_intervals_from_the_resamples_beside_the_win_rates(tmp_path, run_script):
    draw = np.random.default_rng(0)
    paths = []
    for record in seeded_records()[0][:3]:
        folder = tmp_path / record["policy"].replace("/", "_")
        folder.mkdir()
        record |= {"difficulties_fitted_over": None, "resampled_from": "x", "confidence": 0.95}
        paths.append(folder / "win_rate.json")
        paths[-1].write_text(json.dumps(record))
        values = record["lc_win_rate"] + draw.normal(0, 0.3, 400)
        write_table(resamples_path(paths[-1]), pa.table({"lc_win_rate": values, "win_rate": values}), RESAMPLES_SCHEMA)
    arguments = [
        "--table", "table1", "--models", "m=M", "--methods", "dpo=DPO", "--histories", "off", "on",
        "--win-rates", *paths, "--csv", tmp_path / "t.csv",
    ]  # fmt: skip
    done = run_script("make_table", *arguments)
    assert done.returncode == 0, done.stderr
    rows = {row["policy"]: row for row in csv.DictReader((tmp_path / "t.csv").open())}
    off = rows["m/dpo/off"]
    assert 0 < float(off["gain_low"]) < 1 < float(off["gain_high"]) < 2
    assert float(off["difference_low"]) < -1 < float(off["difference_high"])
    assert float(off["win_rate_gain_low"]) < float(off["win_rate_gain"]) == 1 and off["verdict"] == ""
    arms, control = tmp_path / "arms.parquet", tmp_path / "length_control.json"
    write_table(arms, [compared(number, 1.0 if number < 3 else 0.0) for number in range(10)], ARMS_SCHEMA)
    control.write_text(json.dumps({"valid": False, "sentence": "The verbose references are better."}))
    done = run_script("make_table", *arguments, "--arms", arms, "--length-control", control)
    assert done.returncode == 0, done.stderr
    rows = {row["policy"]: row for row in csv.DictReader((tmp_path / "t.csv").open())}
    assert (rows["m/dpo/on"]["verdict"], rows["m/dpo/on"]["lc_valid"]) == ("30.0", "False")
    assert float(rows["m/dpo/off"]["verdict_low"]) < 30 < float(rows["m/dpo/off"]["verdict_high"])
    assert "The verbose references are better." in (tmp_path / "t.md").read_text()
    for flag, content, message in (
        ("--length-control", '{"valid": "no"}', "does not say whether length control is valid"),
        ("--length-control", "[]", "does not say whether length control is valid"),
    ):
        control.write_text(content)
        done = run_script("make_table", *arguments, flag, control)
        assert done.returncode == 2 and message in done.stderr
    write_table(arms, [{**compared(1, 1.0), "on_policy": "m/dpo/off-on"}], ARMS_SCHEMA)
    done = run_script("make_table", *arguments, "--arms", arms)
    assert done.returncode == 2 and "the comparison of m/dpo/off with m/dpo/on is missing" in done.stderr
    resamples_path(paths[0]).unlink()
    done = run_script("make_table", *arguments)
    assert done.returncode == 2 and "win_rate_resamples.parquet does not exist" in done.stderr


def plain(record):
    """A win rate without length control, as compute_win_rate.py --plain writes it."""
    return {**record, "lc_win_rate": None, "lc_interval": None, "lc_kind": "none"}


def test_plain_win_rates_lead_alone_where_there_is_no_length_control():
    win_rates, boundaries = seeded_records()
    plain_ones = [plain(record) for record in win_rates]
    arguments = {"m": "M"}, {"dpo": "DPO"}, [0, 1, 2], [("off",), ("on",)]
    paired = lambda policy, other: {"lc_gain_interval": None, "win_rate_gain_interval": (-1.0, 1.0)}  # noqa: E731
    rows = policy_rows.build_rows(*arguments, index(plain_ones), index(boundaries), paired, lc_valid=False)
    rows = with_runs(rows, student(plain_ones))
    off = next(row for row in rows if row.policy == "m/dpo/off")
    nothing = (
        "lc_win_rate",
        "lc_low",
        "gain",
        "gain_low",
        "difference",
        "runs_lc_low",
        "runs_gain_low",
        "runs_difference_low",
    )
    assert [getattr(off, name) for name in nothing] == [None] * len(nothing)
    assert (off.win_rate_gain, off.win_rate_difference, off.delta) == (1.0, -1.0, 0.5)
    assert off.runs_win_rate_difference_low is not None
    text = table("table3", rows, COLUMNS, ["Win rates are plain ones."]).markdown()
    assert "Win Rate" in text and "LC" not in text and "ength-controlled" not in text and "not valid" not in text
    assert "Win rates are plain ones." in text and "None" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("| PC_off")]
    assert "11.00 ± 2.48 (+2.00 ± 2.48" in line


def test_the_program_takes_win_rates_without_length_control(tmp_path, run_here):
    draw, paths = np.random.default_rng(0), []
    for record in seeded_records()[0][:3]:
        folder = tmp_path / record["policy"].replace("/", "_")
        folder.mkdir()
        record |= {"difficulties_fitted_over": None, "resampled_from": "x", "confidence": 0.95}
        paths.append(folder / "win_rate.json")
        paths[-1].write_text(json.dumps(plain(record)))
        resamples = {"lc_win_rate": [None] * 400, "win_rate": record["win_rate"] + draw.normal(0, 0.3, 400)}
        write_table(resamples_path(paths[-1]), pa.table(resamples, RESAMPLES_SCHEMA), RESAMPLES_SCHEMA)
    boundary = write(tmp_path, [measured("m/sft", 0.4)])
    run_here(
        "make_table", "--table", "table1", "--models", "m=M", "--methods", "dpo=DPO", "--histories", "off", "on", "--win-rates",
        *paths, "--boundaries", *boundary, "--decisions", tmp_path / "d.csv", "--csv", tmp_path / "t.csv",
    )  # fmt: skip
    (off,) = [row for row in csv.DictReader((tmp_path / "t.csv").open()) if row["policy"] == "m/dpo/off"]
    assert (off["lc_win_rate"], off["gain"], off["lc_kind"], off["lc_valid"]) == ("", "", "none", "False")
    assert 0 < float(off["win_rate_gain_low"]) < 1 < float(off["win_rate_gain_high"]) < 2
    (decision,) = csv.DictReader((tmp_path / "d.csv").open())
    assert (decision["leading"], decision["lc_better"], decision["win_rate_better"]) == ("win_rate", "", "on")
    read = read_decisions([tmp_path / "t.csv"])
    (answer,) = answers(read, [])
    assert [one["by"] for one in answer["points"][0]["better"]] == ["win rate"]
    assert (answer["points"][0]["off_gain"], answer["points"][0]["delta"]) == ("+1.00", "0.50")


def test_missing_results_are_named():
    win_rates, boundaries = records_of_paper(3)
    histories = combinations(["off", "on"], 2)
    for left_out, message in (
        ("zephyr-7b/dpo/off", "the win rate of zephyr-7b/dpo/off is missing"),
        ("phi-2/sft", "the win rate of phi-2/sft is missing"),
    ):
        kept = index(record for record in win_rates if record["policy"] != left_out)
        with pytest.raises(BadInput, match=message):
            policy_rows.build_rows(MODELS, {"dpo": "DPO"}, [0], histories, kept, index(boundaries))
    kept = index(record for record in boundaries if record["policy"] != "phi-2/dpo/on")
    with pytest.raises(BadInput, match="the boundary score of phi-2/dpo/on is missing"):
        policy_rows.build_rows(MODELS, {"dpo": "DPO"}, [0], histories, index(win_rates), kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"judge": {**JUDGE, "model": "other"}}, "win rates with another judge"),
        ({"judge": {**JUDGE, "version": "later"}}, "win rates with another judge"),
        ({"judge": {**JUDGE, "prompt": "q"}}, "win rates with another judge"),
        ({"judge": {**JUDGE, "endpoint": "served"}}, "win rates with another judge"),
        ({"judge": None}, "win rates with another judge"),
        ({"lc_kind": "fitted"}, "win rates with another lc kind"),
        ({"lc_win_rate": None}, "lc_win_rate is None"),
        ({"lc_win_rate": float("nan")}, "lc_win_rate is nan"),
        ({"policy": "m/dpo/"}, "not the name of a policy"),
        ({"policy": None}, "no 'policy'"),
        ({"policy": "m/sft"}, "both the win rate of m/sft"),
    ],
)
def test_results_that_do_not_belong_together_are_refused(change, message):
    win_rates, _ = seeded_records()
    win_rates[1].update(change)
    with pytest.raises(BadInput, match=message):
        policy_rows.build_rows({"m": "M"}, {"dpo": "DPO"}, [0], [("off",), ("on",)], index_any(win_rates), None)


def index_any(records):
    return by_policy([(f"{number}.json", record) for number, record in enumerate(records)], "win rate")


def test_policies_with_suffixes_share_the_win_rates_of_the_sft_policy_without():
    """An SFT policy is evaluated once; its boundary score and what is trained of it hang on data and preference model."""
    own, others = "zephyr-7b+hh+judge", "zephyr-7b+other"
    trained = [(f"{name}@1/dpo/{source}", lc) for name in (own, others) for source, lc in (("off", 12.0), ("on", 9.0))]
    win_rates = index([win_rate("zephyr-7b@1/sft", 10.0), *(win_rate(name, lc) for name, lc in trained)])
    boundaries = index([measured(f"{own}@1/sft", 0.4), measured(f"{others}@1/sft", 0.7)])
    asked = []

    def interval(policy, other):
        asked.append((policy, other))
        return -1.0, 1.0

    models, methods, histories = {"zephyr-7b": "Zephyr (hh, judge)"}, {"dpo": "DPO"}, [("off",), ("on",)]
    sft, off, on = policy_rows.build_rows(
        models, methods, [0, 1], histories, win_rates | index([win_rate("zephyr-7b/sft", 1.0), *(
            win_rate(f"{own}/dpo/{source}", 1.0) for source in ("off", "on"))]),
        boundaries | index([measured(f"{own}/sft", 0.5)]), both(interval), suffixes=("hh", "judge"),
    )[3:]  # fmt: skip
    assert (sft.policy, off.policy, on.policy) == ("zephyr-7b@1/sft", f"{own}@1/dpo/off", f"{own}@1/dpo/on")
    assert (sft.model, off.model_label, off.initial_policy) == ("zephyr-7b", "Zephyr (hh, judge)", f"{own}@1/sft")
    assert (off.gain, on.gain, off.boundary_score) == (2.0, -1.0, 0.4)
    assert (f"{own}@1/dpo/off", "zephyr-7b@1/sft") in asked
    (decision,) = decisions([sft, off, on])
    assert (decision.initial_policy, decision.right(LC_WIN_RATE)) == (f"{own}@1/sft", True)


def test_boundary_scores_under_two_preference_models_never_meet():
    win_rates, boundaries = seeded_records()
    boundaries[1]["preference_model"] = "another"
    with pytest.raises(BadInput, match="another preference model"):
        policy_rows.build_rows({"m": "M"}, {"dpo": "DPO"}, [0, 1], [("off",)], index(win_rates), index(boundaries))


def test_gains_never_take_a_policys_name_apart_differently_than_the_grammar():
    for history in combinations(["off", "on", "mix50"], 3):
        policy = policy_rows.named("zephyr-7b", 3, [0, 3], "dpo", history)
        assert policy == Policy.parse(f"zephyr-7b@3/dpo/{'-'.join(history)}")
    assert str(policy_rows.named("m", 5, [5, 6], "dpo", ())) == "m/sft"


def test_program(tmp_path, run_script):
    win_rates, boundaries = records_of_paper(3)
    (tmp_path / "b").mkdir()
    outputs = {name: tmp_path / "out" / name for name in ("t.csv", "t.md", "d.csv")}
    arguments = [
        "--table", "table3", "--models", *(f"{name}={label}" for name, label in MODELS.items()), "--methods", "dpo=DPO",
        "--histories", "off", "on", "off-off", "off-on", "on-off", "on-on",
        "--win-rates", *write(tmp_path, [*win_rates, win_rate("other/sft", 5.0)]),
        "--boundaries", *write(tmp_path / "b", boundaries),
        "--csv", outputs["t.csv"], "--decisions", outputs["d.csv"],
    ]  # fmt: skip
    done = run_script("make_table", *arguments)
    assert done.returncode == 0, done.stderr
    assert (
        "22 rows in, 21 rows out, dropped: 1 not of this table, better arm picked for none, as one run tells no arm apart"
        in done.stderr
    )
    assert len(outputs["t.csv"].read_text().splitlines()) == 22
    decisions = list(csv.DictReader(outputs["d.csv"].open()))
    wrong = [row["initial_policy"] for row in decisions if row["lc_right"] == "False"]
    assert len(decisions) == 9 and wrong == ["zephyr-7b/dpo/on"]
    judge = "gpt-4-1106-preview (version v, prompt p, openai)"
    assert {row["judge"] for row in decisions} == {judge} and judge in outputs["t.md"].read_text()
    before = {name: path.read_bytes() for name, path in outputs.items()}
    run_script("make_table", *arguments)
    assert before == {name: path.read_bytes() for name, path in outputs.items()}


def test_program_refuses_with_one_sentence_and_writes_nothing(tmp_path, run_script):
    win_rates, _ = records_of_paper(3)
    win_rates[3]["judge"] = {**JUDGE, "model": "another-judge"}
    out = [tmp_path / "t.csv", tmp_path / "t.md"]
    for paths in (write(tmp_path, win_rates), [tmp_path / "gone.json"]):
        done = run_script(
            "make_table", "--table", "table1", "--models", "phi-2=Phi-2", "--methods", "dpo", "--histories", "off", "on",
            "--win-rates", *paths, "--csv", out[0],
        )  # fmt: skip
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
        assert not any(path.exists() for path in out)


@pytest.mark.parametrize(
    "wrong",
    [[], ["--histories"], ["--histories", "off", "--columns", "seed"], ["--histories", "off", "--decisions", "d"]],
)
def test_arguments_that_do_not_go_together(tmp_path, run_script, wrong):
    rest = ["--table", "t", "--models", "m", "--methods", "dpo", "--win-rates", "w", "--csv", "c"]
    done = run_script("make_table", *rest, *wrong, cwd=tmp_path)
    assert done.returncode == 2 and "usage" in done.stderr and not list(itertools.islice(tmp_path.iterdir(), 1))
