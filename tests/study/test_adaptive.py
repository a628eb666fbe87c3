"""Sources that act on the measurement: decisions, mixtures, and the trace of what a history chose and took."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_boundary.mixtures import blended_share, on_policy_prompts
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import PREFERENCES

MEASURED = {
    "policy": "m/sft", "boundary_score": 0.4, "interval": [0.3, 0.5], "verdict": "undecided", "recommended_source": "off",
    "prompts": 50, "comparisons": 200, "preference_data": "data", "warnings": [],
}  # fmt: skip


def preferences(prompts, word):
    return [
        {
            "prompt_id": prompt, "prompt": [{"role": "user", "content": prompt}], "chosen": f"{word} {prompt}",
            "rejected": "", "logit": 1.0, "chosen_first": True, "order_flip": False, "original_agrees": None,
            "chosen_truncated": word == "on" or None, "rejected_truncated": None,
            "chosen_ids": [7, 1] if word == "on" else None, "rejected_ids": None, "vocabulary": None,
        }
        for prompt in prompts
    ]  # fmt: skip


def test_the_blend_is_smooth_symmetric_and_lies_between_the_score_and_the_switch():
    scores = [number / 100 for number in range(101)]
    shares = [blended_share(score) for score in scores]
    assert (shares[0], shares[50], shares[100]) == (0, 0.5, 1)
    assert shares == sorted(shares)
    assert max(after - before for before, after in zip(shares, shares[1:], strict=False)) < 0.021
    for score, share in zip(scores, shares, strict=True):
        assert share == pytest.approx(1 - blended_share(1 - score))
        assert min(score, score >= 0.5) <= share <= max(score, score >= 0.5)
    assert blended_share(0.23) == pytest.approx(0.23**2 / (0.23**2 + 0.77**2))
    with pytest.raises(ValueError, match="no boundary score"):
        blended_share(1.1)


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.floats(0, 1), st.floats(0, 1), st.integers(0, 3))
def test_a_mixture_keeps_every_prompt_once_and_comes_as_near_to_its_share_as_it_can(on, off, share, other, seed):
    on, off = ({f"p{number}" for number in numbers} for numbers in (on, off))
    chosen = on_policy_prompts(on, off, share, seed)
    assert on - off <= chosen <= on
    wanted = round(share * len(on | off))
    assert len(chosen) == min(max(wanted, len(on - off)), len(on))
    small, large = sorted([share, other])
    assert on_policy_prompts(on, off, small, seed) <= on_policy_prompts(on, off, large, seed)


def test_the_seed_decides_which_prompts_are_on_policy():
    prompts = [f"p{number}" for number in range(100)]
    first, again, other = (on_policy_prompts(prompts, prompts, 0.5, seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.fixture
def sources(tmp_path):
    """Preferences of two sources: 40 prompts of both, 5 of each alone."""
    for name, first in (("on", 0), ("off", 5)):
        rows = preferences([f"p{number:02d}" for number in range(first, first + 45)], name)
        write_table(tmp_path / f"{name}.parquet", rows, PREFERENCES)
    return ["--on-policy", tmp_path / "on.parquet", "--off-policy", tmp_path / "off.parquet"]


def test_mixed_preferences_are_rows_of_their_sources_and_no_prompt_stands_there_twice(tmp_path, sources, run_here):
    output = tmp_path / "mix30.parquet"
    run_here("mix_preferences", *sources, "--percent", 30, "--seed", 0, "--output", output)
    rows = read_table(output, PREFERENCES).to_pylist()
    assert len({row["prompt_id"] for row in rows}) == len(rows) == 50
    assert sum(row["chosen"].startswith("on ") for row in rows) == 15
    assert all(row["chosen"].split()[1] == row["prompt_id"] for row in rows)
    assert all((row["chosen_truncated"] is True) == row["chosen"].startswith("on ") for row in rows)
    assert all((row["chosen_ids"] == [7, 1]) == row["chosen"].startswith("on ") for row in rows)
    ledger = read_json(tmp_path / "mix30.ledger.json")
    assert (ledger["rows_in"], ledger["rows_out"], sum(ledger["dropped"].values())) == (90, 50, 40)
    assert (ledger["on_policy_share"], ledger["on_policy_prompts"], ledger["off_policy_prompts"]) == (0.3, 15, 35)


def test_the_blend_follows_the_boundary_score(tmp_path, sources, run_here):
    write_json(tmp_path / "boundary.json", MEASURED)
    output = tmp_path / "blend.parquet"
    run_here("mix_preferences", *sources, "--boundary", tmp_path / "boundary.json", "--seed", 0, "--output", output)
    ledger = read_json(tmp_path / "blend.ledger.json")
    assert ledger["wanted_share"] == blended_share(0.4)
    assert ledger["on_policy_prompts"] == round(blended_share(0.4) * 50)


def test_a_mixture_of_nonsense_is_refused(tmp_path, sources, run_here):
    output = tmp_path / "mix.parquet"
    with pytest.raises(BadInput, match="--percent is 101"):
        run_here("mix_preferences", *sources, "--percent", 101, "--seed", 0, "--output", output)
    write_json(tmp_path / "boundary.json", {"boundary_score": 7})
    with pytest.raises(BadInput, match="is no boundary measurement"):
        run_here("mix_preferences", *sources, "--boundary", tmp_path / "boundary.json", "--seed", 0, "--output", output)
    assert not output.exists()


@pytest.mark.parametrize(
    ("verdict", "flags", "source", "decided_by"),
    [
        ("decided", ["--undecided", "mix50"], "off", "boundary score"),
        ("undecided", ["--undecided", "mix50"], "mix50", "the rule for undecided scores"),
        ("undecided", ["--undecided", "recommended"], "off", "boundary score"),
        ("undecided", ["--undecided", "mix50", "--by-hand", "blend"], "blend", "hand"),
        ("decided", ["--undecided", "mix50", "--by-hand", "on"], "on", "hand"),
    ],
)
def test_a_decision_follows_a_decided_score_a_rule_or_a_hand_and_says_which(
    tmp_path, run_here, verdict, flags, source, decided_by
):
    write_json(tmp_path / "boundary.json", {**MEASURED, "verdict": verdict})
    output = tmp_path / "decision.json"
    run_here("make_decision", "--boundary", tmp_path / "boundary.json", *flags, "--output", output)
    decision = read_json(output)
    assert (decision["source"], decision["decided_by"]) == (source, decided_by)
    assert (decision["recommended_source"], decision["boundary_score"], decision["verdict"]) == ("off", 0.4, verdict)


def test_a_decision_needs_a_measurement(tmp_path, run_here):
    write_json(tmp_path / "boundary.json", {"boundary_score": 0.4})
    with pytest.raises(BadInput, match="is no boundary measurement"):
        run_here(
            "make_decision",
            "--boundary",
            tmp_path / "boundary.json",
            "--undecided",
            "on",
            "--output",
            tmp_path / "d.json",
        )


def step(tmp_path, source, **files):
    """An iteration; `data` has 100 pairs and the initial policy's samples 80."""
    origins = {"data": (100, False, False), "m/sft": (80, True, True)}
    for origin, (rows, _, _) in origins.items():
        name = origin.replace("/", "_")
        write_json(tmp_path / f"{name}.ledger.json", {"rows_in": rows, "rows_out": rows - 7})
    taken = {"off": ["data"], "on": ["m/sft"]}.get(source, list(origins))
    return {
        "policy": f"m/dpo/{source}", "initial_policy": "m/sft", "named_source": source, "source": source,
        "candidates": 2, "decision": None, "boundary": None, "other_boundaries": [], "race": None, "mixture": None,
        "preferences": [
            {
                "origin": origin, "file": str(tmp_path / f"{origin.replace('/', '_')}.parquet"),
                "sampled": origins[origin][1], "own": origins[origin][2],
            }
            for origin in taken
        ],
        **files,
    }  # fmt: skip


def traced(tmp_path, run_here, *steps, split="test"):
    arguments = ["--policy", "m/dpo/auto", "--steps", json.dumps(steps), "--split", split]
    run_here("trace_policy", *arguments, "--output", tmp_path / "trace.json")
    return read_json(tmp_path / "trace.json")


def costs(trace):
    return trace["samples_drawn"], trace["labels_made"]


def test_a_trace_counts_what_a_history_needs_and_nothing_twice(tmp_path, run_here):
    off, on = step(tmp_path, "off"), step(tmp_path, "on")
    assert costs(traced(tmp_path, run_here, off)) == (0, 100)
    assert costs(traced(tmp_path, run_here, off, off)) == (0, 100)  # the same labels serve both iterations
    assert costs(traced(tmp_path, run_here, off, on)) == (160, 180)
    write_json(
        tmp_path / "mix.ledger.json", {"on_policy_share": 0.3, "on_policy_prompts": 30, "off_policy_prompts": 70}
    )
    mixed = step(tmp_path, "mix30", mixture=str(tmp_path / "mix.parquet"))
    assert costs(traced(tmp_path, run_here, mixed)) == (60, 100)
    for one, made in ((off, 0), (mixed, 30)):  # a data set's own labels are made by nobody
        write_json(tmp_path / "data.ledger.json", {"rows_in": 100, "rows_out": 93, "labelled_by": "data set"})
        assert traced(tmp_path, run_here, one)["labels_made"] == made


def test_a_trace_counts_all_candidates_and_every_comparison_of_them(tmp_path, run_here):
    on = {**step(tmp_path, "on"), "candidates": 4}
    write_json(tmp_path / "boundary.json", MEASURED)
    write_json(tmp_path / "m_sft.ledger.json", {"rows_in": 80, "rows_out": 70, "samples": 320, "compared_pairs": 480})
    assert costs(traced(tmp_path, run_here, on)) == (320, 480)
    pooled = {**step(tmp_path, "on"), "source": "pool"}
    shares = {"rows_in": 80, "samples": 320, "compared_pairs": 1200, "on_policy_share": 0.4}
    write_json(tmp_path / "m_sft.ledger.json", shares)
    assert traced(tmp_path, run_here, pooled)["steps"][0]["on_policy_share"] == 0.4
    write_json(tmp_path / "m_sft.ledger.json", {"rows_in": 80, "rows_out": 70, "samples": 320, "compared_pairs": 480})
    measured = {**on, "boundary": str(tmp_path / "boundary.json")}
    assert costs(traced(tmp_path, run_here, measured)) == (320 + 4 * 50, 480 + 200)
    write_json(
        tmp_path / "mix.ledger.json", {"on_policy_share": 0.25, "on_policy_prompts": 20, "off_policy_prompts": 60}
    )
    mixed = {**step(tmp_path, "mix25", mixture=str(tmp_path / "mix.parquet")), "candidates": 4}
    write_json(tmp_path / "m_sft.ledger.json", {"rows_in": 80, "rows_out": 70, "samples": 320, "compared_pairs": 480})
    assert costs(traced(tmp_path, run_here, mixed)) == (80, 120 + 60)


def test_a_trace_tells_decisions_and_counts_their_measurements(tmp_path, run_here):
    for name, value in (("boundary", MEASURED), ("decision", {"source": "on", "decided_by": "hand"})):
        write_json(tmp_path / f"{name}.json", value)
    files = {name: str(tmp_path / f"{name}.json") for name in ("boundary", "decision")}
    chosen = {**step(tmp_path, "on", **files), "named_source": "auto"}
    trace = traced(tmp_path, run_here, chosen)
    assert trace["policy"] == "m/dpo/auto" and trace["resolved_policy"] == "m/dpo/on"
    assert trace["steps"][0]["decided_by"] == "hand" and trace["steps"][0]["recommended_source"] == "off"
    assert costs(trace) == (2 * 80 + 2 * 50, 80 + 200)
    # measured on the prompts that are trained on: the measurement's samples are among those
    assert costs(traced(tmp_path, run_here, chosen, split="train")) == (2 * 80, 80 + 200)


def test_a_trace_has_what_could_have_turned_the_scores(tmp_path, run_here):
    scores = {
        "boundary": {**MEASURED, "warnings": ["length alone could have made it"]},
        "old": {**MEASURED, "preference_data": "old", "warnings": ["half of them were cut"]},
    }
    for name, score in scores.items():
        write_json(tmp_path / f"{name}.json", score)
    chosen = step(tmp_path, "on", boundary=str(tmp_path / "boundary.json"))
    assert traced(tmp_path, run_here, chosen)["steps"][0]["warnings"] == ["length alone could have made it"]
    among = {**chosen, "other_boundaries": [str(tmp_path / "old.json")]}
    assert traced(tmp_path, run_here, among)["steps"][0]["warnings"] == [
        "against data: length alone could have made it", "against old: half of them were cut"
    ]  # fmt: skip


def test_a_trace_without_ledgers_says_what_to_do(tmp_path, run_here):
    lost = step(tmp_path, "off")
    (tmp_path / "data.ledger.json").unlink()
    with pytest.raises(BadInput, match="is written beside"):
        traced(tmp_path, run_here, lost)
