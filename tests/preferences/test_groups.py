"""More candidates of a prompt than two: the rules of pairs, one pass of the preference model for all rules, own and off-policy together."""

import json
from itertools import combinations

import numpy as np
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.candidates import Candidate, Group, pair_of, pooled, read_candidates, read_groups
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import (
    COMPARISONS,
    OFF_POLICY_CANDIDATES,
    OFF_POLICY_GROUPS,
    PREFERENCES,
    SAMPLED_CANDIDATES,
    SAMPLED_GROUPS,
    SCORES,
)
from dpo_stages.preferences.margins import Margins
from dpo_stages.preferences.pairing import RULES, NoPair, Pairing, pick

WORDS = ["red", "blue", "green", "tree", "river", "seven", "eight", "stone", "cloud", "paper", "house", "wind"]
PROMPTS = [[{"role": "user", "content": f"question {number}"}] for number in range(6)]


def group(scores, texts=None, **about):
    """Sampled candidates and the margins between them, which are differences of `scores`."""
    texts = texts or [f"text {number}" for number in range(len(scores))]
    candidates = tuple(Candidate(text, sampled=True, **about) for text in texts)
    return Group("0123", PROMPTS[0], candidates), margins(scores)


def margins(scores):
    logits = [one - other for one, other in combinations(scores, 2)]
    return Margins.of_pairs(len(scores), logits, [False] * len(logits))


def test_a_score_is_the_mean_margin_against_the_others():
    _, between = group([3.0, 1.0, 2.0])
    assert between.scores([0, 1, 2]) == pytest.approx([1.5, -1.5, 0.0])
    assert between.scores([1, 2]) == pytest.approx([-1.0, 1.0])
    assert (between.logits == -between.logits.T).all()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("two", (1, 0)), ("best-worst", (4, 5)), ("best-below", (4, 5))],
)
def test_each_rule_takes_its_two(rule, expected):
    assert Pairing(rule, 0).choose(*group([1.0, 2.0, 1.5, 1.6, 3.0, -2.0])) == expected


def test_two_standard_deviations_below_the_mean_is_not_the_worst_of_many():
    scores = [0.0] * 20 + [10.0, -10.0, -3.5]  # mean -0.15, standard deviation 3.0: the aim is -6.2
    assert Pairing("best-below", 0).choose(*group(scores)) == (20, 22)
    assert Pairing("best-worst", 0).choose(*group(scores)) == (20, 21)


def test_a_random_other_depends_on_seed_and_prompt_alone():
    of, between = group([0.0, 1.0, 2.0, 9.0])
    drawn = [Pairing("best-random", seed).choose(of, between) for seed in range(40)]
    assert {pair[0] for pair in drawn} == {3} and {pair[1] for pair in drawn} == {0, 1, 2}
    assert drawn == [Pairing("best-random", seed).choose(of, between) for seed in range(40)]


@pytest.mark.parametrize("rule", RULES)
def test_what_cannot_be_a_pair_has_a_reason(rule):
    def reason(of, **settings):
        with pytest.raises(NoPair) as caught:
            Pairing(rule, 0, **settings).choose(*of)
        return str(caught.value)

    assert reason(group([0.0] * 3, ["same"] * 3)) == "identical responses"
    assert reason(group([0.0] * 3)) == "ties"
    assert reason(group([1.0, 2.0, 3.0], truncated=True), drop_truncated=True) == "cut responses"
    chosen, rejected = Pairing(rule, 0, drop_ties=False).choose(*group([0.0] * 3))
    assert chosen > rejected


def test_candidates_that_were_cut_take_no_part_where_they_are_dropped():
    of, between = group([1.0, 2.0, 3.0, 0.0])
    cut = [Candidate(one.text, truncated=at in (2, 3), sampled=True) for at, one in enumerate(of.candidates)]
    of = Group(of.prompt_id, of.prompt, tuple(cut))
    assert Pairing("best-worst", 0, drop_truncated=True).choose(of, between) == (1, 0)
    assert Pairing("best-worst", 0).choose(of, between) == (2, 3)


def test_a_response_that_repeats_the_chosen_one_is_not_rejected():
    assert Pairing("best-worst", 0).choose(*group([2.0, 1.0, 0.0], ["a", "b", "a"])) == (0, 1)


def test_two_of_a_data_set_are_the_best_and_the_random_other_of_its_binarised_form():
    from dpo_stages.data.adapters import adapt

    for number in range(30):
        texts = [{"text": f"answer {place}", "score": place % 4} for place in range(5)]
        record = {"prompt": f"question {number}", "responses": texts}
        [row] = adapt([record], "local", "preferences", seed=3, origin="here").rows
        candidates = tuple(Candidate(one["text"], own_score=one["score"]) for one in texts)
        of = Group(row["prompt_id"], row["prompt"], candidates)
        chosen, rejected = Pairing("two", 3).choose(of, Margins.of_scores([one["score"] for one in texts]))
        assert {of.candidates[chosen].text, of.candidates[rejected].text} == {row["response_1"], row["response_2"]}


def test_pool_takes_both_and_pick_the_off_policy_pair_where_it_beats_the_own_best():
    own = Group("0", PROMPTS[0], (Candidate("a", sampled=True), Candidate("b", sampled=True)))
    off = Group("0", PROMPTS[0], (Candidate("c"), Candidate("d")))
    alone = Group("1", PROMPTS[1], (Candidate("e"), Candidate("f")))
    both, other = pooled([own], [off, alone])
    assert [one.text for one in both.candidates] == list("abcd") and other is alone
    rule = Pairing("two", 0)
    assert Pairing("best-worst", 0).choose(both, margins([1.0, 0.0, 3.0, 2.0])) == (2, 1)
    assert pick(rule, both, margins([1.0, 0.0, 3.0, 2.0])) == (2, 3)
    assert pick(rule, both, margins([4.0, 0.0, 3.0, 2.0])) == (0, 1)
    assert pick(rule, both, margins([4.0, 0.0, 5.0, 5.0])) == (0, 1)  # the off-policy pair is a tie
    assert pick(rule, other, margins([0.0, 1.0])) == (1, 0)


# Programs


def texts_of(number):
    return [f"{WORDS[(number + place) % len(WORDS)]} {WORDS[(3 * number + place) % len(WORDS)]}" for place in range(4)]


@pytest.fixture
def files(tmp_path):
    """Own samples, four a prompt and their first two; off-policy candidates, three a prompt with scores."""
    own, two, off = [], [], []
    for number, prompt in enumerate(PROMPTS):
        texts, base = texts_of(number), {"prompt_id": prompt_id(prompt), "prompt": prompt}
        ids = [[place, 7] for place in range(4)]
        about = {"vocabulary": "v", "opens_thought": False}
        cut = [place == 2 for place in range(4)]
        own.append({**base, "responses": texts, "tokens": [2] * 4, "truncated": cut, "ids": ids, **about})
        pairwise = {f"response_{place + 1}": texts[place] for place in (0, 1)}
        for name, values in (("tokens", [2] * 4), ("truncated", cut), ("ids", ids)):
            pairwise |= {f"{name}_{place + 1}": values[place] for place in (0, 1)}
        two.append({**base, **pairwise, **about})
        off.append({**base, "responses": [f"off {text}" for text in texts[:3]], "original_scores": [1.0, 3.0, 2.0]})
    write_table(tmp_path / "own.parquet", own, SAMPLED_GROUPS)
    write_table(tmp_path / "two.parquet", two, SAMPLED_CANDIDATES)
    write_table(tmp_path / "off.parquet", off, OFF_POLICY_GROUPS)
    return tmp_path


def rows(path, schema=PREFERENCES):
    return read_table(path, schema).to_pylist()


def ledger(path):
    return json.loads(path.with_name(f"{path.stem}.ledger.json").read_text())


@pytest.fixture
def score(run_here, model_folder, files):
    def run(*names):
        output = files / f"scores_{'_'.join(names)}.parquet"
        given = [files / f"{name}.parquet" for name in names]
        run_here("score_candidates", "--candidates", *given, "--preference-model", model_folder, "--output", output)
        return output

    return run


@pytest.fixture
def pair(run_here, files):
    def run(*names, rule="two", scores=None, flags=()):
        output = files / f"pairs_{'_'.join(names)}_{rule}.parquet"
        given = ["--candidates", *(files / f"{name}.parquet" for name in names), "--pairs", rule, "--seed", "0"]
        scored = ["--scores", scores] if scores else []
        run_here("pair_candidates", *given, *scored, *flags, "--output", output)
        return output

    return run


def test_two_of_four_samples_get_the_labels_of_a_study_with_two(run_here, model_folder, files, score, pair):
    flags = ["--preference-model", model_folder, "--output", files / "labelled.parquet"]
    run_here("label_preferences", "--pairs", files / "two.parquet", *flags)
    assert rows(pair("own", scores=score("own"))) == rows(files / "labelled.parquet")
    assert rows(pair("two", scores=score("two"))) == rows(files / "labelled.parquet")


def test_a_prompt_is_scored_by_every_two_of_its_candidates(files, score, model):
    from dpo_stages.preferences.pairs import Pair

    scored = {row["prompt_id"]: row for row in rows(score("own"), SCORES)}
    for number, prompt in enumerate(PROMPTS):
        row = scored[prompt_id(prompt)]
        verdicts = model.compare([Pair(prompt, *two) for two in combinations(texts_of(number), 2)])
        assert row["logits"] == verdicts.logits.tolist() and row["order_flips"] == verdicts.order_flips.tolist()
        square = np.zeros((4, 4))
        square[np.triu_indices(4, 1)] = row["logits"]
        assert row["scores"] == pytest.approx((square - square.T).sum(axis=1) / 3, abs=1e-6)
    counted = ledger(files / "scores_own.parquet")
    assert (counted["pairs"], counted["candidates"], counted["truncated_responses"]) == (36, 24, 6)


def test_every_rule_is_made_of_the_same_scores(score, pair):
    scores = score("own")
    made = {rule: rows(pair("own", rule=rule, scores=scores)) for rule in RULES}
    best = {row["prompt_id"]: row["scores"] for row in rows(scores, SCORES)}
    for row in made["best-worst"]:
        number = int(row["prompt"][0]["content"][-1])
        of = best[row["prompt_id"]]
        assert row["chosen"] == texts_of(number)[int(np.argmax(of))]
        assert row["rejected"] == texts_of(number)[int(np.argmin(of))]
        assert row["chosen_ids"] == [int(np.argmax(of)), 7]
    assert {row["chosen"] for row in made["best-random"]} == {row["chosen"] for row in made["best-worst"]}
    counted = ledger(pair("own", rule="best-worst", scores=scores))
    assert counted["compared_pairs"] == 36 and counted["samples"] == 24 and counted["pairs"] == 6
    assert counted["overruled_by_score"] == sum((row["logit"] > 0) != row["chosen_first"] for row in made["best-worst"])


def test_a_data_set_may_keep_its_own_labels_of_more_than_two(files, score, pair):
    own = rows(pair("off", rule="best-worst", flags=["--labels", "dataset"]))
    assert [row["chosen"] for row in own] == [f"off {texts_of(number)[1]}" for number in range(6)]
    assert [row["rejected"] for row in own] == [f"off {texts_of(number)[0]}" for number in range(6)]
    assert all(row["logit"] is None and row["original_agrees"] for row in own)
    counted = ledger(files / "pairs_off_best-worst.parquet")
    assert counted["labelled_by"] == "data set" and "order_flip_rate" not in counted
    agreed = pair("off", rule="best-worst", scores=score("off"), flags=["--labels", "agree"])
    kept, counted = rows(agreed), ledger(agreed)
    assert all(row["original_agrees"] for row in kept)
    assert len(kept) + sum(counted["dropped"].values()) == 6 and counted["labelled_by"] == "both"


def test_own_and_off_policy_candidates_together(files, score, pair):
    scores = score("own", "off")
    assert all(len(row["scores"]) == 7 for row in rows(scores, SCORES))
    pool = pair("own", "off", rule="best-worst", scores=scores)
    counted = ledger(pool)
    assert counted["own_pairs"] + counted["off_policy_pairs"] + counted["mixed_pairs"] == counted["rows_out"]
    for row in rows(pool):
        assert (row["chosen_ids"] is None) == row["chosen"].startswith("off")
    picked = rows(pair("own", "off", scores=scores, flags=["--pick"]))
    assert all(row["chosen"].startswith("off") == row["rejected"].startswith("off") for row in picked)


def test_scores_of_other_candidates_are_refused(files, score, pair):
    with pytest.raises(
        BadInput, match="scores_own.parquet has no scores of the candidates of .*; score these candidates again"
    ):
        pair("off", scores=score("own"))
    with pytest.raises(BadInput, match="give --scores, or --labels dataset"):
        pair("own")
    with pytest.raises(BadInput, match="chooses between two files"):
        pair("own", scores=score("own"), flags=["--pick"])


def test_a_boundary_compares_every_own_candidate_with_every_other(run_here, model_folder, files, model):
    flags = ["--preference-model", model_folder, "--output", files / "compared.parquet"]
    run_here("compare_candidates", "--on-policy", files / "own.parquet", "--off-policy", files / "off.parquet", *flags)
    compared = rows(files / "compared.parquet", COMPARISONS)
    assert len(compared) == 6 * 4 * 3
    assert {(row["on_index"], row["off_index"]) for row in compared} == {
        (on, off) for on in range(1, 5) for off in range(1, 4)
    }
    assert [row["on_truncated"] for row in compared[:12]] == [on == 3 for on in range(1, 5) for _ in range(3)]


def test_groups_are_read_as_two_where_two_are_wanted(files):
    pairs = read_candidates(files / "own.parquet").to_pylist()
    assert [(row["response_1"], row["response_2"]) for row in pairs] == [
        tuple(texts_of(number)[:2]) for number in range(6)
    ]
    assert pairs == read_candidates(files / "two.parquet").to_pylist()
    assert read_candidates(files / "off.parquet")["original_preference"].to_pylist() == [2] * 6
    base = {"prompt_id": prompt_id(PROMPTS[0]), "prompt": PROMPTS[0]}
    two = [{**base, "response_1": "a", "response_2": "b", "original_preference": 2}]
    write_table(files / "labelled.parquet", two, OFF_POLICY_CANDIDATES)
    [of] = read_groups(files / "labelled.parquet")
    assert [one.own_score for one in of.candidates] == [0.0, 1.0] and not of.candidates[0].sampled
    assert pair_of(of, 0, 1)["original_preference"] == 2


def test_a_group_with_lists_of_different_lengths_is_refused(files):
    broken = [{"prompt_id": "1", "prompt": PROMPTS[0], "responses": ["a", "b"], "original_scores": [1.0]}]
    write_table(files / "broken.parquet", broken, OFF_POLICY_GROUPS)
    with pytest.raises(BadInput, match="broken.parquet: the prompt 1 needs two responses or more"):
        read_groups(files / "broken.parquet")
