"""Win rates: the leaderboard reproduced, rows aligned by index, other instruction sets, degenerate cases, gains."""

import csv
import dataclasses
import functools
import gzip
import hashlib
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.evaluation import difficulties, win_rate
from dpo_stages.evaluation.annotations import read_output_pairs, write_annotations
from dpo_stages.evaluation.difficulties import (
    fit_difficulties_of_set,
    read_difficulties,
    without_difficulties,
    write_difficulties,
)
from dpo_stages.evaluation.gains import gains_over_runs, paired_gain, read_evaluation, resamples_path
from dpo_stages.evaluation.judgements import Judgements, read_judgements
from dpo_stages.evaluation.length_control import fit_difficulties, resampled_lc_win_rates
from dpo_stages.evaluation.win_rate import compute_win_rate, write_win_rate
from dpo_stages.judges import alpaca_eval
from dpo_stages.judges.record import judge_record

LEADERBOARD = Path(__file__).with_name("leaderboard")
PUBLISHED = {row["model"]: row for row in csv.DictReader((LEADERBOARD / "published.csv").open())}
JUDGE = judge_record("judge", "judge-v1", "prompt", "served")


@pytest.fixture(scope="module")
def published():
    return read_difficulties()


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory, run_script):
    """`win_rate.json` of the five models, by one run of the program."""
    folder = tmp_path_factory.mktemp("leaderboard")
    outputs = [folder / f"{model}.json" for model in PUBLISHED]
    inputs = [LEADERBOARD / f"{model}.csv.gz" for model in PUBLISHED]
    done = run_script("compute_win_rate", "--annotations", *inputs, "--output", *outputs, env="alpaca-eval")
    assert done.returncode == 0, done.stderr
    return {output.stem: read_json(output) for output in outputs}


def lines_of(model: str) -> list[str]:
    return gzip.open(LEADERBOARD / f"{model}.csv.gz", "rt").read().splitlines()


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_leaderboard_is_reproduced(leaderboard, model):
    ours, theirs = leaderboard[model], PUBLISHED[model]
    assert ours["win_rate"] == pytest.approx(float(theirs["win_rate"]), abs=1e-6)
    assert ours["standard_error"] == pytest.approx(float(theirs["standard_error"]), abs=1e-6)
    assert ours["instructions"] == int(theirs["n_total"])
    assert ours["average_length"] == pytest.approx(float(theirs["avg_length"]), abs=2.1)
    # The leaderboard's phi-2 was computed with rows numbered from 0 although two are missing
    lc = ours.get("lc_by_row_position", ours["lc_win_rate"])
    assert lc == pytest.approx(float(theirs["length_controlled_winrate"]), abs=0.2)
    assert ("lc_by_row_position" in ours) == (model == "phi-2")
    low, high = ours["lc_interval"]
    assert low < ours["lc_win_rate"] < high


def test_missing_rows_are_reported_and_the_others_keep_their_difficulty(leaderboard):
    assert leaderboard["phi-2"]["missing_instructions"] == [131, 209]
    assert leaderboard["phi-2"]["lc_win_rate"] == pytest.approx(3.8936, abs=1e-3)
    assert leaderboard["gemma-7b-it"]["missing_instructions"] == []


def test_intervals_are_as_wide_as_sampling_makes_them(leaderboard):
    for model, ours in leaderboard.items():
        low, high = ours["win_rate_interval"]
        assert (high - low) / 3.92 == pytest.approx(ours["standard_error"], rel=0.1), model
        low, high = ours["lc_interval"]
        assert 0.8 < (high - low) / 3.92 / ours["standard_error"] < 2.0, model


def test_the_order_of_rows_changes_nothing(tmp_path, published):
    header, *lines = lines_of("gemma-7b-it")
    random.Random(0).shuffle(lines)
    shuffled = read_judgements(write_lines(tmp_path / "gemma-7b-it.csv", [header, *lines]))
    plain = read_judgements(LEADERBOARD / "gemma-7b-it.csv.gz")
    assert compute_win_rate(shuffled, published).figures == compute_win_rate(plain, published).figures


def test_a_subset_is_aligned_by_index(tmp_path, published):
    """The package itself, given each row's own difficulty, says the same; by row position it says something else."""
    header, *lines = lines_of("FuseChat-Llama-3.2-1B-Instruct")
    judgements = read_judgements(write_lines(tmp_path / "some.csv", [header, *lines[1::2]]))
    figures = compute_win_rate(judgements, published).figures
    assert (figures["instructions"], len(figures["missing_instructions"])) == (402, 403)
    (glm,) = alpaca_eval.load("metrics.glm_winrate")
    featurized = {}
    download, featurize = glm.hf_hub_download, glm._get_featurized_data

    def keep(*arguments, **options):
        found = featurize(*arguments, **options)
        featurized.setdefault("test", found[1])  # of the first call; the second is that by row position
        return found

    glm._get_featurized_data = keep
    try:
        compute_win_rate(judgements, published)
    finally:
        glm.hf_hub_download, glm._get_featurized_data = download, featurize
    difficulty = {int(row["index"]): float(row["instruction_difficulty"]) for row in csv_rows(difficulties.PUBLISHED)}
    expected = [difficulty[index] for index in judgements.index.tolist()]
    assert featurized["test"]["instruction_difficulty"].tolist() == pytest.approx(expected)
    assert abs(figures["lc_by_row_position"] - figures["lc_win_rate"]) > 0.05


# What alpaca-eval's own command writes


def library_rows(monkeypatch, tmp_path, size=40):
    """Rows of alpaca-eval's own annotations.json for a set of instructions that stands in for AlpacaEval's."""
    generator = random.Random(0)
    rows, known = [], ["index,length,instruction_sha256"]
    for index in range(size):
        instruction, reference = f"What is {index}?", "a" * generator.randrange(50, 150)
        known.append(f"{index},{len(reference)},{hashlib.sha256(instruction.encode()).hexdigest()[:16]}")
        rows.append(
            {
                "instruction": instruction, "output_1": reference, "generator_1": "gpt4_1106_preview",
                "output_2": "b" * generator.randrange(50, 150), "generator_2": "some-model", "dataset": "d",
                "annotator": "weighted_alpaca_eval_gpt4_turbo", "preference": 1 + generator.random(),
            }
        )  # fmt: skip
    monkeypatch.setattr(
        "dpo_stages.evaluation.judgements.REFERENCE_LENGTHS", write_lines(tmp_path / "references.csv", known)
    )
    return rows


def test_annotations_of_alpaca_evals_own_command_get_their_index_by_the_instruction(monkeypatch, tmp_path, published):
    rows = library_rows(monkeypatch, tmp_path)
    kept = rows[:5] + rows[6:]
    random.Random(1).shuffle(kept)
    write_json(tmp_path / "annotations.json", kept)
    judged = read_judgements(tmp_path / "annotations.json")
    assert judged.index.tolist() == [index for index in range(40) if index != 5]
    assert judged.preference.tolist() == [rows[index]["preference"] - 1 for index in judged.index]
    assert judged.judge == judge_record(
        "gpt-4-1106-preview", "gpt-4-1106-preview", "weighted_alpaca_eval_gpt4_turbo", "openai"
    )
    figures = compute_win_rate(judged, published).figures
    assert (figures["policy"], figures["lc_kind"], figures["instructions"]) == ("some-model", "published", 39)
    assert figures["missing_instructions"] == [5, *range(40, 805)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows, rows[3]], r"1 row \(index 3\) more than once"),
        (lambda rows: [{**rows[0], "instruction": "Else?"}, *rows[1:]], "row 1: no index, and the instruction is none"),
        (lambda rows: [{**rows[0], "preference": 0.5}, *rows[1:]], r"no preference in \[1, 2\] in 1 row \(index 0\)"),
        (lambda rows: [{**rows[0], "preference": False}, *rows[1:]], r"no preference in \[1, 2\] in 1 row"),
        (lambda rows: [{**rows[0], "output_2": None}, *rows[1:]], "row 1: output_2 should be text"),
        (lambda rows: [{**rows[0], "generator_2": "x"}, *rows[1:]], "several policies"),
        (lambda rows: [*rows[1:], {"instruction": "What is 0?"}], "row 40: lacks output_1"),
    ],
)
def test_annotations_of_alpaca_evals_own_command_that_are_not_whole_are_refused(monkeypatch, tmp_path, change, message):
    write_json(tmp_path / "annotations.json", change(library_rows(monkeypatch, tmp_path)))
    with pytest.raises(BadInput, match=message):
        read_judgements(tmp_path / "annotations.json")


@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
@pytest.mark.parametrize(
    ("draws", "without"), [((), ()), ((0, 7), ()), ((), (3,)), ((1, 39), (0, 20)), ((), range(2, 40))]
)
def test_draws_and_rows_without_a_preference_count_as_in_alpaca_eval(monkeypatch, tmp_path, published, draws, without):
    """The package's own figures of the same file, its draws written as 0 and its rows without a preference as null."""
    rows = library_rows(monkeypatch, tmp_path)
    for values, indices in ((0, draws), (None, without)):
        for index in indices:
            rows[index]["preference"] = values
    write_json(tmp_path / "annotations.json", rows)
    judged = read_judgements(tmp_path / "annotations.json")
    result = compute_win_rate(judged, published)
    figures = result.figures

    import pandas as pd

    (glm,) = alpaca_eval.load("metrics.glm_winrate")
    monkeypatch.setattr(glm, "hf_hub_download", lambda **_: difficulties.PUBLISHED)
    theirs = glm.get_length_controlled_winrate(
        pd.DataFrame(read_json(tmp_path / "annotations.json")), save_weights_dir=None
    )
    names = {"win_rate": "win_rate", "standard_error": "standard_error", "draws": "n_draws", "wins": "n_wins"}
    names |= {"lc_win_rate": "length_controlled_winrate", "losses": "n_wins_base", "instructions": "n_total"}
    assert {name: figures[name] for name in names} == pytest.approx({name: theirs[names[name]] for name in names})
    assert (figures["draws"], figures["instructions"]) == (len(draws), 40 - len(without))
    assert figures["missing_instructions"] == [*without, *range(40, 805)]
    # The resamples are fits of the same rows: the sample itself as a resample has the package's figure
    rows = (judged.index, judged.preference, judged.difference, published.gamed, figures["model"]["C"])
    (same,) = resampled_lc_win_rates(*rows, np.ones((1, 40), dtype=int))
    assert same == pytest.approx(figures["lc_win_rate"], abs=0.2)
    assert np.isfinite([*result.lc_resamples, *result.win_rate_resamples]).all()


def test_a_draw_of_published_numbers_may_be_written_as_zero(tmp_path):
    lines = lines_of("gemma-7b-it")
    read = [
        read_judgements(write_lines(tmp_path / "some.csv", [*lines[:-1], f"804,100,100,{draw}"]))
        for draw in ("0", "0.0", "1.5")
    ]
    assert [judged.preference[-1] for judged in read] == [0.5] * 3


def csv_rows(path) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines, lines[5]], r"1 row \(index 4\) more than once"),
        (lambda lines: ["index,len_1,len_2", *lines[1:]], "lacks the column preference"),
        (lambda lines: [*lines[:-1], "804,100,100,"], r"no preference in \[1, 2\] in 1 row \(index 804\)"),
        (lambda lines: [*lines[:-1], "804,100,100,2.5"], r"no preference in \[1, 2\] in 1 row \(index 804\)"),
        (lambda lines: [*lines[:-1], "805,100,100,1.5"], r"1 row \(index 805\), which .* does not know"),
        (lambda lines: [*lines[:-1], "804,1e2,x,1.5"], "line 806"),
        (lambda lines: [*lines[:-1], "804.5,100,100,1.5"], "line 806: '804.5' is not a whole number"),
        (lambda lines: [*lines[:-1], "804,100"], "line 806"),
        (lambda lines: [*lines[:-1], "804,1e30,100,1.5"], "line 806: '1e30' is not a whole number"),
        (lambda lines: [*lines[:-1], "804,100,100,1.5,7"], "line 806: more values than columns"),
        (lambda lines: lines[:1], "has no rows"),
        (lambda lines: lines[:2], "has fewer than two judged rows; a win rate needs at least two"),
        (
            lambda lines: [lines[0], *(line.replace(",", ",9", 1) for line in lines[1:])],
            "not judged against AlpacaEval's reference",
        ),
    ],
)
def test_rows_that_cannot_be_right_are_refused(tmp_path, published, change, message):
    lines = lines_of("gemma-7b-it")
    path = write_lines(tmp_path / "changed.csv", change(lines))
    with pytest.raises(BadInput, match=message):
        compute_win_rate(read_judgements(path), published)


def test_nothing_is_downloaded_or_written_into_the_package(leaderboard):
    (glm,) = alpaca_eval.load("metrics.glm_winrate")
    assert not Path(glm.__file__).with_name("weights").exists()
    assert not list(Path(glm.__file__).parent.parent.rglob("annotations_seed*.json"))


# Other instruction sets


def judgements(policy, preference, length, reference, judge=JUDGE, index=None) -> Judgements:
    index = np.arange(len(preference)) if index is None else index
    return Judgements(policy, judge, index, np.array(preference, float), np.array(reference), np.array(length), policy)


def small_study(size=40, policies=4, seed=0, index=None):
    """A study of policies that differ in strength and length, with its gamed baselines."""
    generator = np.random.default_rng(seed)
    easy, reference = generator.normal(0, 1, size), generator.integers(80, 300, size)

    def make(name, strength, factor):
        length = np.maximum(1, reference * factor + generator.normal(0, 30, size)).astype(int)
        difference = (reference - length) / np.std(reference - length, ddof=1)
        preference = 1 / (1 + np.exp(-(strength + easy - np.tanh(difference))))
        return judgements(name, preference, length, reference, index=index)

    made = [make(f"tiny/{number}", 0.6 * number - 1, 0.7 + 0.3 * number) for number in range(policies)]
    return made, make("verbose", 0.0, 1.7), make("concise", 0.0, 0.5)


@pytest.fixture(scope="module")
def study():
    policies, verbose, concise = small_study()
    return policies, verbose, concise, fit_difficulties_of_set(policies, verbose, concise)


def test_fitted_difficulties_are_named_as_such_and_kept_in_a_file(study, tmp_path):
    policies, _, _, difficulties = study
    write_difficulties(tmp_path / "difficulty.csv", difficulties)
    again = read_difficulties(tmp_path / "difficulty.csv")
    assert (again.kind, again.judge, again.policies) == ("fitted", JUDGE, 4)
    assert again.gamed.difficulty.tolist() == difficulties.gamed.difficulty.tolist()
    figures = compute_win_rate(policies[0], again).figures
    assert (figures["lc_kind"], figures["judge"], figures["difficulties_fitted_over"]) == ("fitted", JUDGE, 4)
    write_difficulties(tmp_path / "again.csv", again)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "difficulty.csv").read_bytes()


def test_the_numbering_of_instructions_does_not_matter(study):
    """A set that is a part of a larger one has gaps in its index."""
    policies, _, _, difficulties = study
    index = np.sort(np.random.default_rng(3).choice(1000, 40, replace=False))
    others, verbose, concise = small_study(index=index)
    elsewhere = fit_difficulties_of_set(others, verbose, concise)
    for here, there in zip(policies, others, strict=True):
        ours, theirs = compute_win_rate(here, difficulties).figures, compute_win_rate(there, elsewhere).figures
        assert theirs["lc_win_rate"] == ours["lc_win_rate"] and theirs["lc_interval"] == ours["lc_interval"]


@pytest.mark.parametrize(
    ("model", "prompt", "kind"),
    [
        ("gpt-4-1106-preview", alpaca_eval.PROMPT, "published"),
        ("gpt-4-1106-preview", f"{alpaca_eval.PROMPT}, in words and both orders", "published for another judge"),
        ("other", alpaca_eval.PROMPT, "published for another judge"),
    ],
)
def test_published_difficulties_under_another_judge_are_named_as_such(published, model, prompt, kind):
    known = read_judgements(LEADERBOARD / "gemma-7b-it.csv.gz")
    judged = dataclasses.replace(known, judge=judge_record(model, model, prompt, "openai"))
    figures = compute_win_rate(judged, published).figures
    assert (figures["lc_kind"], figures["lc_description"]) == (kind, win_rate.LC_KINDS[kind])
    assert figures["lc_win_rate"] == pytest.approx(10.4261, abs=1e-3)


@pytest.mark.parametrize(("cut", "counted"), [((), None), ((2, 3), 2)])
def test_responses_that_were_cut_are_counted(make_evaluation, tmp_path, cut, counted):
    outputs, instructions, _ = make_evaluation()
    if cut:
        write_json(outputs, [{**row, "truncated": row["index"] in cut} for row in read_json(outputs)])
    pairs = read_output_pairs(outputs, instructions)
    write_annotations(tmp_path / "annotations.json", pairs, [1.5] * len(pairs), JUDGE)
    judged = read_judgements(tmp_path / "annotations.json")
    assert judged.truncated == counted
    assert compute_win_rate(judged, without_difficulties(judged)).figures["truncated"] == counted


def test_results_of_two_judges_never_meet(study, tmp_path):
    policies, verbose, concise, difficulties = study
    other = judge_record("judge", "judge-v2", "prompt", "served")
    stranger = judgements("tiny/9", policies[0].preference, policies[0].length, policies[0].reference_length, other)
    with pytest.raises(BadInput, match="results of two judges"):
        fit_difficulties_of_set([*policies, stranger], verbose, concise)
    with pytest.raises(BadInput, match="fit them for this judge"):
        compute_win_rate(stranger, difficulties)
    write_win_rate(tmp_path / "a.json", compute_win_rate(policies[0], difficulties))
    write_win_rate(tmp_path / "b.json", compute_win_rate(policies[1], difficulties))
    write_json(tmp_path / "b.json", {**read_json(tmp_path / "b.json"), "judge": other})
    with pytest.raises(BadInput, match="different judges"):
        paired_gain(tmp_path / "b.json", tmp_path / "a.json")


def test_policies_that_do_not_belong_together_are_refused(study):
    policies, verbose, concise, _ = study
    first = policies[0]
    with pytest.raises(BadInput, match="given more than once"):
        fit_difficulties_of_set([*policies, first], verbose, concise)
    shorter = judgements("tiny/9", first.preference[:-1], first.length[:-1], first.reference_length[:-1])
    with pytest.raises(BadInput, match=r"do not have the same rows: 1 row \(index 39\)"):
        fit_difficulties_of_set([*policies, shorter], verbose, concise)
    elsewhere = judgements("tiny/9", first.preference, first.length, first.reference_length + 1)
    with pytest.raises(BadInput, match="same reference"):
        fit_difficulties_of_set([*policies, elsewhere], verbose, concise)
    flat = judgements("verbose", first.preference, first.reference_length + 5, first.reference_length)
    with pytest.raises(BadInput, match="must differ by different lengths"):
        fit_difficulties_of_set(policies, flat, concise)


# Degenerate cases


@pytest.mark.parametrize(("size", "value"), [(size, value) for size in (8, 40) for value in (0.0, 0.5, 1.0)])
def test_all_wins_losses_and_ties(size, value):
    policies, verbose, concise = small_study(size)
    same = judgements("tiny/same", np.full(size, value), policies[1].length, policies[1].reference_length)
    figures = compute_win_rate(same, fit_difficulties_of_set([*policies, same], verbose, concise)).figures
    assert figures["win_rate"] == 100 * value
    assert figures["lc_win_rate"] == pytest.approx(100 * value, abs=3)
    if (size, value) == (40, 0.5):
        assert figures["win_rate_interval"] == [50, 50]
        assert figures["lc_interval"] == pytest.approx([50, 50], abs=15)
        return
    for name in ("win_rate_interval", "lc_interval"):  # too few are won, or lost, for a bootstrap alone
        low, high = figures[name]
        assert low - 3 <= 100 * value <= high + 3 and high - low > (8 if size == 40 else 30)


def test_eight_prompts_have_wide_intervals():
    wide, narrow = (small_study(size) for size in (8, 160))
    widths = []
    for policies, verbose, concise in (wide, narrow):
        low, high = compute_win_rate(policies[1], fit_difficulties_of_set(policies, verbose, concise)).figures[
            "lc_interval"
        ]
        assert 0 <= low < high <= 100
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_equal_lengths_have_nothing_to_control_for(study):
    policies, _, _, difficulties = study
    first = policies[0]
    equal = judgements("tiny/equal", first.preference, first.reference_length, first.reference_length)
    figures = compute_win_rate(equal, difficulties).figures
    assert figures["lc_win_rate"] == figures["win_rate"] and figures["lc_interval"] == figures["win_rate_interval"]
    assert figures["model"]["C"] is None


def test_a_constant_difference_of_lengths_is_an_error(study):
    policies, _, _, difficulties = study
    first = policies[0]
    longer = judgements("tiny/longer", first.preference, first.reference_length + 7, first.reference_length)
    with pytest.raises(BadInput, match="differs from the reference by -7 characters"):
        compute_win_rate(longer, difficulties)


def test_empty_responses_are_counted_as_they_are(study):
    policies, _, _, difficulties = study
    first = policies[0]
    silent = judgements("tiny/silent", np.zeros(40), np.zeros(40, int), first.reference_length)
    figures = compute_win_rate(silent, difficulties).figures
    assert (figures["average_length"], figures["win_rate"], figures["losses"]) == (0.0, 0.0, 40)
    assert figures["lc_win_rate"] < 1


# Gains


@pytest.fixture(scope="module")
def evaluated(study, tmp_path_factory):
    policies, _, _, difficulties = study
    folder = tmp_path_factory.mktemp("evaluated")
    paths = [folder / str(number) / "win_rate.json" for number in range(len(policies))]
    for policy, path in zip(policies, paths, strict=True):
        write_win_rate(path, compute_win_rate(policy, difficulties))
    return paths


def test_a_gain_has_a_paired_interval(evaluated):
    found = paired_gain(evaluated[2], evaluated[0])
    after, before = read_json(evaluated[2]), read_json(evaluated[0])
    assert found["lc_gain"] == after["lc_win_rate"] - before["lc_win_rate"]
    low, high = found["lc_gain_interval"]
    assert low < found["lc_gain"] < high
    # Both policies find the same instructions hard, so pairing narrows the interval
    unpaired = np.hypot(*(np.ptp(figures["lc_interval"]) for figures in (after, before)))
    assert high - low < 0.8 * unpaired
    assert low > 0 and (found["policy"], found["initial"]) == ("tiny/2", "tiny/0")


def test_a_policy_gains_nothing_over_itself(evaluated):
    found = paired_gain(evaluated[1], evaluated[1])
    assert (found["lc_gain"], found["lc_gain_interval"]) == (0.0, [0.0, 0.0])


def test_gains_over_runs_are_of_the_mean_and_wider_than_those_of_one_run(evaluated):
    """Three policies stand for three runs of one arm; they differ by much more than instructions make them."""
    runs = [[(path, None)] for path in evaluated[:3]]
    again = [[(path, evaluated[0])] for path in evaluated[:3]]
    (low, high), (gained_low, gained_high) = gains_over_runs([runs, again])
    levels = [read_json(path)["lc_win_rate"] for path in evaluated[:3]]
    assert (low + high) / 2 == pytest.approx(np.mean(levels))
    assert (gained_low + gained_high) / 2 == pytest.approx(np.mean(levels) - levels[0])
    assert high - low > 2 * np.ptp(read_json(evaluated[1])["lc_interval"])
    ((plain_low, plain_high),) = gains_over_runs([runs], "win_rate")
    plain = np.mean([read_json(path)["win_rate"] for path in evaluated[:3]])
    assert (plain_low + plain_high) / 2 == pytest.approx(plain) != pytest.approx(np.mean(levels))


def test_what_is_averaged_within_a_run_is_one_figure_of_it(evaluated):
    """Replicates of a seed: the run is their mean."""
    pairs = [(path, None) for path in evaluated[:4]]
    levels = [read_json(path)["lc_win_rate"] for path in evaluated[:4]]
    ((low, high),) = gains_over_runs([[pairs[:2], pairs[2:]]])
    assert (low + high) / 2 == pytest.approx(np.mean(levels))


def test_each_file_is_read_once_for_whoever_reads_for_all(evaluated):
    read = []

    def reading(path):
        read.append(path)
        return read_evaluation(path)

    once = functools.cache(reading)
    paired_gain(evaluated[1], evaluated[0], once)
    gains_over_runs([[[(evaluated[1], evaluated[0])], [(evaluated[2], evaluated[0])]]], "lc_win_rate", once)
    assert sorted(map(str, read)) == sorted(map(str, evaluated[:3]))


def test_rows_without_a_preference_keep_nobody_from_difficulties_win_rates_and_gains(study, tmp_path):
    """Neither those of a policy nor those of a gamed baseline; what all others are found to be hardly changes."""
    policies, verbose, concise, whole = study

    def without(judgements, *indices):
        preference = judgements.preference.copy()
        preference[list(indices)] = np.nan
        return dataclasses.replace(judgements, preference=preference)

    holed = [without(policies[0], 3, 17), *policies[1:]]
    fitted = fit_difficulties_of_set(holed, without(verbose, 5), without(concise, 6))
    write_difficulties(tmp_path / "difficulty.csv", fitted)
    again = read_difficulties(tmp_path / "difficulty.csv")
    assert np.isnan(again.gamed.preference).sum() == 2
    complete = [compute_win_rate(policy, whole).figures for policy in policies]
    paths = [tmp_path / str(number) / "win_rate.json" for number in range(len(holed))]
    for policy, path, expected in zip(holed, paths, complete, strict=True):
        write_win_rate(path, compute_win_rate(policy, again))
        found = read_json(path)
        assert found["lc_win_rate"] == pytest.approx(expected["lc_win_rate"], abs=4)
        assert found["lc_interval"] == pytest.approx(expected["lc_interval"], abs=6)
        assert found["missing_instructions"] == ([3, 17] if policy is holed[0] else [])
    found = paired_gain(paths[2], paths[0])
    assert found["lc_gain_interval"][0] > 0 and found["initial"] == "tiny/0"


def test_an_instruction_that_nobody_judged_has_no_difficulty_and_changes_no_other(study):
    policies, verbose, concise, _ = study
    rows = [np.stack([getattr(one, key) for one in policies]) for key in ("preference", "difference")]
    gamed = [np.stack([getattr(one, key) for one in (verbose, concise)]) for key in ("preference", "difference")]
    preference, length, gamed_preference, gamed_length = rows[0], rows[1] / 100, gamed[0], gamed[1] / 100
    apart = fit_difficulties(preference[:, 1:], length[:, 1:], gamed_preference[:, 1:], gamed_length[:, 1:])
    preference, gamed_preference = preference.copy(), gamed_preference.copy()
    preference[:, 0] = gamed_preference[:, 0] = np.nan
    found = fit_difficulties(preference, length, gamed_preference, gamed_length)
    assert found == pytest.approx([0.0, *apart], abs=1e-6)


def test_gains_need_the_same_instructions_and_whole_files(evaluated, tmp_path):
    other = tmp_path / "win_rate.json"
    shutil.copy(evaluated[0], other)
    with pytest.raises(BadInput, match="win_rate_resamples.parquet does not exist"):
        paired_gain(evaluated[1], other)
    shutil.copy(resamples_path(evaluated[0]), resamples_path(other))
    assert paired_gain(evaluated[1], other) == paired_gain(evaluated[1], evaluated[0])
    for key, value, message in (
        ("resampled_from", "elsewhere", "different instructions"),
        ("lc_kind", "published", "different kinds"),
        ("difficulties_fitted_over", 3, "different fits"),
    ):
        write_json(other, {**read_json(evaluated[0]), key: value})
        with pytest.raises(BadInput, match=message):
            paired_gain(evaluated[1], other)
    write_json(other, {"policy": "x"})
    with pytest.raises(BadInput, match="is not a win rate"):
        paired_gain(evaluated[1], other)


# The programs, from annotations to a gain


def test_the_programs_go_from_annotations_to_a_gain(make_evaluation, fake_judge, tmp_path, run_script):
    names = ("tiny/sft", "tiny/dpo/on", "verbose", "concise")
    outputs = [
        make_evaluation(30, generator=name, suffix=suffix)[0]
        for name, suffix in zip(names, ("", " Right.", " And so on." * 3, "."), strict=True)
    ]
    for number, path in enumerate(outputs):
        rows = read_json(path)
        for row in rows:  # lengths must differ by different numbers of characters
            row["output"] += " Well." * ((row["index"] * (number + 1)) % 5)
        write_json(path, rows)
    annotations = [tmp_path / f"annotations_{number}.json" for number in range(4)]
    judged = run_script(
        "judge_outputs",
        *("--outputs", *outputs, "--instructions", tmp_path / "evaluation.parquet", "--judge-model", "fake"),
        *("--base-url", fake_judge.url, "--api-key-variable", "none", "--cache", tmp_path / "cache"),
        *("--cents-per-million-tokens", 0),
        *("--output", *annotations),
        env="alpaca-eval",
    )
    assert judged.returncode == 0, judged.stderr
    difficulty = tmp_path / "difficulty.csv"
    fitted = run_script(
        "fit_instruction_difficulty",
        *("--annotations", *annotations[:2], "--verbose", annotations[2], "--concise", annotations[3]),
        *("--output", difficulty),
        env="alpaca-eval",
    )
    assert fitted.returncode == 0 and "policies 2, instructions 30" in fitted.stderr, fitted.stderr
    win_rates = [tmp_path / str(number) / "win_rate.json" for number in range(2)]
    arguments = ["--annotations", *annotations[:2], "--gamed-baselines", difficulty, "--output", *win_rates]
    computed = run_script("compute_win_rate", *arguments, env="alpaca-eval")
    assert computed.returncode == 0, computed.stderr
    first = [path.read_bytes() for path in win_rates]
    assert run_script("compute_win_rate", *arguments, env="alpaca-eval").returncode == 0
    assert [path.read_bytes() for path in win_rates] == first
    found = paired_gain(win_rates[1], win_rates[0])
    assert (found["policy"], found["initial"]) == ("tiny/dpo/on", "tiny/sft")
    default = run_script(
        "compute_win_rate", "--annotations", annotations[0], "--output", tmp_path / "x.json", env="alpaca-eval"
    )
    assert default.returncode == 2 and "not judged against AlpacaEval's reference" in default.stderr
    assert not (tmp_path / "x.json").exists()


def test_the_plain_win_rate_needs_no_difficulties(study, tmp_path, published):
    """It is that beside the length-controlled one; of responses all as much longer than the reference, too."""
    policies, *_, difficulties = study
    both, alone = (compute_win_rate(policies[0], which).figures for which in (difficulties, None))
    same = ("win_rate", "standard_error", "win_rate_interval", "instructions", "wins", "losses", "resampled_from")
    assert {name: alone[name] for name in same} == {name: both[name] for name in same}
    controlled = ("lc_win_rate", "lc_interval", "difficulties_fitted_over", "model")
    assert [alone[name] for name in controlled] == [None] * 4 and alone["lc_kind"] == "none"
    longer = judgements("longer", [0.2, 0.9, np.nan], [11, 21, 31], [10, 20, 30])
    figures = compute_win_rate(longer, None).figures
    assert figures["win_rate"] == pytest.approx(55) and figures["missing_instructions"] == [2]
    paths = [tmp_path / str(number) / "win_rate.json" for number in (0, 1)]
    for policy, path in zip(policies, paths, strict=False):
        write_win_rate(path, compute_win_rate(policy, None))
    gained = paired_gain(*paths)
    assert gained["lc_gain"] is gained["lc_gain_interval"] is None
    low, high = gained["win_rate_gain_interval"]
    assert low < gained["win_rate_gain"] < high
    with pytest.raises(BadInput, match="fewer than two judged rows"):
        compute_win_rate(judgements("one", [0.2], [11], [10]), None)


def test_without_difficulties_length_alone_is_controlled_for():
    """The fit is that of logit P = phi tanh(d / sd(d)) + theta: gamed rows of zeros say nothing."""
    generator = np.random.default_rng(0)
    size, phi, theta = 2000, 1.5, 0.4
    length = generator.integers(50, 400, size)
    difference = (200 - length).astype(float)
    preference = 1 / (1 + np.exp(-(phi * np.tanh(difference / difference.std(ddof=1)) + theta)))
    judgements = Judgements("p", None, np.arange(size), preference, np.full(size, 200), length, "somewhere")
    result = win_rate.compute_win_rate(judgements, without_difficulties(judgements))
    figures = result.figures
    assert figures["lc_kind"] == "length alone" and figures["missing_instructions"] == []
    assert figures["model"]["difficulty"] == 0
    assert figures["model"]["length"] == pytest.approx(phi, abs=0.05)
    assert figures["lc_win_rate"] == pytest.approx(100 / (1 + np.exp(-theta)), abs=0.5)
    assert figures["win_rate"] == pytest.approx(100 * preference.mean())
    low, high = figures["lc_interval"]
    assert low < figures["lc_win_rate"] < high
