"""Judging and win rates, side by side with alpaca-eval's own decoder, fit and standard error.

    envs/run alpaca-eval benchmarks/win_rate.py

Three comparisons: the same pairs judged through alpaca-eval's decoder and through ours, by one endpoint on loopback in
this process, quick and with a rate limit; refits of the length-controlled model, one
by one with scikit-learn and many at once; and how often an interval of nominal 95% holds the truth, with alpaca-eval's
standard error and with the bootstrap. Prints Markdown. Takes about three minutes.
"""

import logging
import os
import sys
import tempfile
import time
import warnings
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests/evaluation")]
os.environ["TQDM_DISABLE"] = "1"
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
from fake_judge import FakeJudge, make_rows  # noqa: E402

from dpo_stages.evaluation.difficulties import read_difficulties  # noqa: E402
from dpo_stages.evaluation.judgements import read_judgements  # noqa: E402
from dpo_stages.evaluation.length_control import (  # noqa: E402
    GamedBaselines,
    fit_many,
    logistic,
    resample_counts,
    resampled_lc_win_rates,
    standardised,
)
from dpo_stages.evaluation.win_rate import compute_win_rate  # noqa: E402
from dpo_stages.judges import alpaca_eval  # noqa: E402
from dpo_stages.judges.annotator import WeightedAnnotator  # noqa: E402
from dpo_stages.judges.answer_cache import AnswerCache  # noqa: E402
from dpo_stages.judges.endpoint import JudgeEndpoint, JudgeFailed  # noqa: E402

PAIRS = 200


def judged_by_ours(judge: FakeJudge, pairs: list[dict], folder: Path) -> int:
    with closing(AnswerCache(folder)) as cache:
        endpoint = JudgeEndpoint(judge.url, "fake", "key", cache)
        return len(WeightedAnnotator(endpoint, "openai-compatible").judge(pairs)[0])


def judged_by_theirs(judge: FakeJudge, pairs: list[dict], folder: Path) -> int:
    """alpaca-eval's annotator as it is, its decoder with as many threads as ours."""
    import yaml

    annotators, constants, decoder = alpaca_eval.load("annotators", "constants", "decoders.openai")
    name = alpaca_eval.PROMPT
    configuration = yaml.safe_load(
        Path(constants.EVALUATORS_CONFIG_DIR, name, "configs.yaml").read_text(encoding="utf-8")
    )
    kwargs = {"model_name": "fake", "num_procs": 8, "openai_api_keys": ["key"], "openai_api_base": judge.url}
    configuration[name]["completions_kwargs"] |= kwargs
    prompt = Path(constants.EVALUATORS_CONFIG_DIR, configuration[name]["prompt_template"])
    configuration[name]["prompt_template"] = str(prompt)
    home = folder / name
    home.mkdir(parents=True)
    (home / "configs.yaml").write_text(yaml.safe_dump(configuration))
    logging.disable(logging.CRITICAL)
    annotated = annotators.PairwiseAnnotator(annotators_config=home / "configs.yaml")(
        [{key: pair[key] for key in ("instruction", "output_1", "output_2")} for pair in pairs]
    )
    logging.disable(logging.NOTSET)
    return sum(row["preference"] is not None and 1 <= row["preference"] <= 2 for row in annotated)


def compare_decoders() -> None:
    alpaca_eval.load("annotators", "decoders.openai")  # imports are not what is compared here
    rows = make_rows(PAIRS)
    pairs = [
        {"index": row["index"], "instruction": row["instruction"], "generator_2": "policy",
         "output_1": row["reference"], "output_2": row["output"]}
        for row in rows if row["index"] != 5
    ]  # fmt: skip
    print(f"| {len(pairs)} pairs, 8 threads | decoder | rows judged | requests | seconds | of them CPU |")
    print("|---|---|---|---|---|---|")
    sieve = {
        "quick endpoint": lambda attempt, prompt: "ok",
        "one row always limited": lambda attempt, prompt: "rate limit" if "Question 7: " in prompt else "ok",
    }
    for what, behave in sieve.items():
        for decoder, function in (("alpaca-eval's", judged_by_theirs), ("ours", judged_by_ours)):
            judge = FakeJudge()
            judge.behave = behave
            with tempfile.TemporaryDirectory() as folder:
                started, cpu = time.monotonic(), time.process_time()
                try:
                    judged = str(function(judge, pairs, Path(folder)))
                except JudgeFailed as error:
                    judged = f"stops: {str(error)[:60]}…"
                seconds, cpu = time.monotonic() - started, time.process_time() - cpu
            print(f"| {what} | {decoder} | {judged} | {judge.asked} | {seconds:.1f} | {cpu:.1f} |", flush=True)
            judge.close()


def compare_fits() -> None:
    """Refits for one model of the leaderboard: 805 instructions and 1610 rows of the gamed baselines."""
    from sklearn.linear_model import LogisticRegression

    difficulties = read_difficulties()
    judgements = read_judgements(ROOT / "tests/evaluation/leaderboard/FuseChat-Llama-3.2-1B-Instruct.csv.gz")
    strength = compute_win_rate(judgements, difficulties).figures["model"]["C"]
    gamed, counts = difficulties.gamed, resample_counts(len(judgements.index), 1000, 0)
    started = time.monotonic()
    many = resampled_lc_win_rates(
        judgements.index, judgements.preference, judgements.difference, gamed, strength, counts
    )
    ours = time.monotonic() - started
    started, one_by_one, size = time.monotonic(), [], len(judgements.index)
    difficulty = gamed.difficulty[:size]
    for drawn in counts[:20]:
        length = np.tanh(standardised(judgements.difference, drawn[None].astype(float))[0])
        features = np.column_stack([
            np.concatenate([length, np.tanh(gamed.length_term)]),
            np.concatenate([difficulty] * 3),
            np.repeat([1.0, 0.0], [size, 2 * size]),
        ])  # fmt: skip
        target = np.concatenate([judgements.preference, gamed.preference])
        weight = np.concatenate([drawn, drawn * 0.1, drawn * 0.1])
        model = LogisticRegression(penalty="l1", solver="liblinear", C=strength, fit_intercept=False, random_state=123)
        model.fit(
            np.concatenate([features, features]),
            np.repeat([1, 0], len(target)),
            sample_weight=np.concatenate([weight * target, weight * (1 - target)]),
        )
        wins = logistic(model.coef_[0, 1] * difficulty + model.coef_[0, 2])
        one_by_one.append(100 * (drawn * wins).sum() / drawn.sum())
    theirs = (time.monotonic() - started) * 50
    apart = np.abs(many[:20] - one_by_one).max()
    print("\n| 1,000 refits, 805 instructions | seconds | 21 policies |")
    print("|---|---|---|")
    print(f"| scikit-learn, one by one (from 20) | {theirs:.1f} | {21 * theirs:.0f} |")
    print(f"| all at once | {ours:.1f} | {21 * ours:.0f} |")
    print(f"\nLargest difference of a length-controlled win rate between the two: {apart:.4f} points.")


def compare_intervals(studies: int = 300, instructions: int = 160) -> None:
    """Studies drawn from one population, whose length-controlled win rate is known from a fit to 200,000 rows."""

    def draw(generator: np.random.Generator, size: int) -> tuple:
        gamma = generator.normal(0, 1.5, size)
        difference = generator.normal(60, 120, size)
        noise = generator.normal(0, 1, (3, size))
        gamed_length = np.stack([generator.normal(-0.7, 1, size), generator.normal(1.4, 1, size)])
        preference = logistic(-0.5 + gamma - 1.2 * np.tanh(difference / 120) + noise[0])
        gamed = logistic(gamma - 1.2 * np.tanh(gamed_length) + noise[1:])
        return gamma, difference, preference, GamedBaselines(
            np.tile(np.arange(size), 2), np.repeat([0, 1], size), gamed.ravel(), gamed_length.ravel(), np.tile(gamma, 2)
        )  # fmt: skip

    def fit(gamma, difference, preference, gamed):
        size = len(gamma)
        length = np.concatenate([np.tanh(standardised(difference)), np.tanh(gamed.length_term)])[None]
        weight = np.repeat([1.0, 0.1], [size, 2 * size])[None]
        target = np.concatenate([preference, gamed.preference])
        own = np.repeat([1.0, 0.0], [size, 2 * size])
        found = fit_many(length, np.concatenate([gamma] * 3), own, target, weight, 100.0)[0]
        return 100 * logistic(found[1] * gamma + found[2])

    truth = fit(*draw(np.random.default_rng(1), 200_000)).mean()
    held = {"alpaca-eval's standard error, ± 1.96": [], "bootstrap with refits": []}
    widths = {name: [] for name in held}
    counts = resample_counts(instructions, 400, 0)
    for seed in range(studies):
        gamma, difference, preference, gamed = draw(np.random.default_rng(100 + seed), instructions)
        predicted = fit(gamma, difference, preference, gamed)
        error = predicted.std(ddof=1) / np.sqrt(instructions)
        resampled = resampled_lc_win_rates(np.arange(instructions), preference, difference, gamed, 100.0, counts)
        intervals = (predicted.mean() + np.array([-1.96, 1.96]) * error, np.percentile(resampled, [2.5, 97.5]))
        for name, (low, high) in zip(held, intervals, strict=True):
            held[name].append(low <= truth <= high)
            widths[name].append(high - low)
    print(f"\n| {studies} studies of {instructions} instructions | holds the truth | mean width |")
    print("|---|---|---|")
    for name in held:
        print(f"| {name} | {100 * np.mean(held[name]):.1f}% | {np.mean(widths[name]):.1f} |")


if __name__ == "__main__":
    compare_decoders()
    compare_fits()
    compare_intervals()
