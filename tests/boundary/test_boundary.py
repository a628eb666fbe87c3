"""Algorithm 1: the score, its direction, its inputs in every form, and the program around it."""

import doctest
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import ROOT, SCRIPTS
from hypothesis import given, settings
from hypothesis import strategies as st

from dpo_boundary import measurement
from dpo_boundary.blocks import seeded_order
from dpo_boundary.errors import BadInput
from dpo_boundary.measurement import measure_boundary
from dpo_boundary.reading import read_comparisons
from dpo_stages.core.parquet import read_table, write_table
from dpo_stages.data.schemas import COMPARISONS


def make_rows(seed=0, prompts=40, share=0.6, m=2, n=2):
    """Random comparisons with every column of the schema."""
    draw = np.random.default_rng(seed)
    return [
        {
            "prompt_id": f"p{prompt}",
            "on_index": i + 1,
            "off_index": j + 1,
            "logit": float(draw.normal()),
            "on_policy_preferred": float(draw.choice([0.0, 0.5, 1.0], p=[0.95 - share, 0.05, share])),
            "order_flip": bool(draw.random() < 0.05),
            "on_length": int(draw.integers(20, 200)),
            "off_length": int(draw.integers(20, 200)),
        }
        for prompt in range(prompts)
        for i in range(m)
        for j in range(n)
    ]


def votes(on, off, prompts=50):
    """`on` of every on + off comparisons of a prompt are won by the policy."""
    outcomes = [1.0] * on + [0.0] * off
    return {"prompt_id": np.repeat(np.arange(prompts), on + off), "on_policy_preferred": outcomes * prompts}


def test_the_score_counts_the_policys_own_wins_and_ties_as_halves():
    measured = measure_boundary({"prompt_id": ["a"] * 4, "on_policy_preferred": [1, 1, 0.5, 0]})
    assert (measured.votes_on, measured.votes_off) == (2.5, 1.5)
    assert measured.boundary_score == 2.5 / 4


@pytest.mark.parametrize(
    ("on", "off", "stage", "source"),
    [
        (1, 3, "preference injection", "off"),
        (2, 2, "preference fine-tuning", "on"),  # Algorithm 1: injection only if V_off > V_on
        (3, 1, "preference fine-tuning", "on"),
    ],
)
def test_stage_and_source_follow_algorithm_1(on, off, stage, source):
    measured = measure_boundary(votes(on, off))
    assert (measured.stage, measured.recommended_source) == (stage, source)
    assert measured.verdict == ("undecided" if on == off else "decided")


@given(m=st.integers(1, 4), n=st.integers(1, 4), prompts=st.integers(1, 12), data=st.data())
@settings(max_examples=60)
def test_any_m_and_n_against_a_loop(m, n, prompts, data):
    outcomes = st.sampled_from([0.0, 0.5, 1.0])
    grid = [[[data.draw(outcomes) for _ in range(n)] for _ in range(m)] for _ in range(prompts)]
    v_on = v_off = 0.0
    rows = []
    for prompt in range(prompts):
        for i in range(m):
            for j in range(n):
                v_on += grid[prompt][i][j]
                v_off += 1 - grid[prompt][i][j]
                outcome = grid[prompt][i][j]
                rows.append({"prompt_id": prompt, "on_index": i, "off_index": j, "on_policy_preferred": outcome})
    measured = measure_boundary(data.draw(st.permutations(rows)))
    assert (measured.votes_on, measured.votes_off, measured.comparisons) == (v_on, v_off, prompts * m * n)
    assert measured.boundary_score == pytest.approx(v_on / (v_on + v_off))
    assert measured.interval[0] <= measured.boundary_score <= measured.interval[1]
    assert measured.recommended_source == ("off" if v_off > v_on else "on")


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_swapping_the_sides_mirrors_score_and_interval(seed):
    rows = make_rows(seed)
    mirrored = [{**row, "on_policy_preferred": 1 - row["on_policy_preferred"]} for row in rows]
    one, other = measure_boundary(rows), measure_boundary(mirrored)
    assert other.boundary_score == pytest.approx(1 - one.boundary_score)
    assert other.interval == pytest.approx((1 - one.interval[1], 1 - one.interval[0]))


def test_rows_columns_and_data_frame_give_the_same():
    rows = make_rows()
    frame = pd.DataFrame(rows)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert measure_boundary(rows) == measure_boundary(frame) == measure_boundary(columns)
    assert measure_boundary(frame.sample(frac=1, random_state=1)) == measure_boundary(rows)


def test_repeating_a_prompts_vote_does_not_make_the_interval_narrower():
    """Four equal votes on a prompt are one vote: the interval must cluster by prompt."""
    draw = np.random.default_rng(3)
    single = {"prompt_id": range(300), "on_policy_preferred": (draw.random(300) < 0.6).astype(float)}
    fourfold = {name: np.repeat(np.asarray(column), 4) for name, column in single.items()}
    one, four = measure_boundary(single), measure_boundary(fourfold)
    assert four.comparisons == 4 * one.comparisons
    assert np.subtract(*four.interval) == pytest.approx(np.subtract(*one.interval), rel=0.02)


def test_example_of_the_docstring():
    assert doctest.testmod(measurement).attempted >= 4
    assert doctest.testmod(measurement).failed == 0


def test_the_python_entry_needs_no_torch_pandas_or_pyarrow(root):
    code = (
        "import sys; from dpo_boundary import measure_boundary as m;"
        "m({'prompt_id': [1, 1, 2], 'on_policy_preferred': [1, 0, 1]});"
        "print([name for name in ('torch', 'pandas', 'pyarrow', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root / "workflow_scripts", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "no comparison at all"),
        ([{}], "lack the column prompt_id"),
        ({"prompt_id": [], "on_policy_preferred": []}, "no comparison at all"),
        ({"prompt_id": [1]}, "lack the column on_policy_preferred"),
        (
            {"prompt_id": ["a", None, None], "on_policy_preferred": [1, 0, 1]},
            "prompt_id of the comparisons has 2 empty",
        ),
        ({"prompt_id": [1.0, float("nan")], "on_policy_preferred": [1, 0]}, "prompt_id of the comparisons has 1 empty"),
        ({"prompt_id": ["a", " "], "on_policy_preferred": [1, 0]}, "prompt_id of the comparisons has 1 empty"),
        (
            pd.DataFrame({"prompt_id": pd.array([1, None], "Int64"), "on_policy_preferred": [1, 0]}),
            "prompt_id of the comparisons has 1 empty",
        ),
        (
            pd.DataFrame({"prompt_id": pd.to_datetime(["2026-01-01", None]), "on_policy_preferred": [1, 0]}),
            "prompt_id of the comparisons has 1 empty",
        ),
        ({"prompt_id": [1, 1], "on_policy_preferred": [1, 0.7]}, "on_policy_preferred is 0.7 in 1 of 2"),
        ({"prompt_id": [1, 1], "on_policy_preferred": [1, None]}, "1 empty value"),
        ({"prompt_id": [1, 1], "on_policy_preferred": ["1", "won"]}, "not a number"),
        (
            {"prompt_id": [1, 1], "on_policy_preferred": [1, 10**400]},
            "on_policy_preferred of the comparisons holds what is not",
        ),
        ({"prompt_id": [1], "on_policy_preferred": [1, 0]}, "differ in length"),
        (
            {"prompt_id": [7, 7], "on_index": [1, 1], "off_index": [2, 2], "on_policy_preferred": [1, 0]},
            "candidates 1 and 2 on prompt 7 occurs 2 times",
        ),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(table, message):
    with pytest.raises(BadInput, match=message):
        measure_boundary(table)


@pytest.mark.parametrize("confidence", [0, 1, 1.5, -0.1, float("nan")])
def test_confidence_lies_between_0_and_1(confidence):
    with pytest.raises(BadInput, match="between 0 and 1"):
        measure_boundary(votes(1, 1), confidence=confidence)


def test_length_that_decides_everything_is_warned_of():
    lengths = {"on_length": [9] * 50, "off_length": [60] * 50}
    (warning,) = measure_boundary({**votes(0, 1), **lengths}).warnings
    assert "longer response wins 100.0%" in warning and "length alone could have made this decision" in warning
    assert measure_boundary({**votes(1, 1, prompts=25), **lengths}).warnings == ()  # no bias, no decision


def test_length_bias_is_measured_and_warned_of_when_it_could_have_decided():
    rows = make_rows(prompts=100)
    for number, row in enumerate(rows):  # whoever is longer wins, and the policy is longer in three of four
        row["on_length"], row["off_length"] = (30, 20) if number % 4 else (20, 30)
        row["on_policy_preferred"] = float(row["on_length"] > row["off_length"])
        row["order_flip"] = False
    measured = measure_boundary(rows)
    assert (measured.longer_preferred, measured.on_policy_longer) == (1.0, 0.75)
    assert len(measured.warnings) == 1 and "length alone" in measured.warnings[0]
    for number, row in enumerate(rows):  # lengths that have nothing to do with who wins
        row["on_length"], row["off_length"] = (30, 20) if number // 4 % 2 else (20, 30)
    assert measure_boundary(rows).warnings == ()


def test_order_flips_are_measured_and_warned_of_when_they_could_turn_the_decision():
    rows = make_rows(prompts=100, share=0.6)
    for number, row in enumerate(rows):
        row["on_policy_preferred"], row["order_flip"] = float(number % 5 > 1), number % 5 == 0
    measured = measure_boundary(rows)
    assert measured.boundary_score == 0.6 and measured.order_flip_rate == 0.2
    assert any("order of presentation" in warning for warning in measured.warnings)
    for number, row in enumerate(rows):
        row["order_flip"] = number % 20 == 0
    assert not any("order of presentation" in warning for warning in measure_boundary(rows).warnings)


def test_unfinished_responses_are_measured_and_warned_of_when_they_are_many(tmp_path):
    rows = make_rows(prompts=100)
    for number, row in enumerate(rows):
        row["on_truncated"] = number % 20 == 0
    measured = measure_boundary(rows)
    assert measured.on_policy_truncated == measured.as_json()["on_policy_truncated"] == 0.05
    assert not any("unfinished" in warning for warning in measured.warnings)
    assert "Cut at the limit of their length: 5.0% of its own responses." in measured.paragraph()
    rows[1]["on_truncated"] = True
    warned = measure_boundary(rows)
    (warning,) = [warning for warning in warned.warnings if "unfinished" in warning]
    assert (
        warning.startswith("5.2% of the on-policy responses were cut") and f"Warning: {warning}." in warned.paragraph()
    )
    path = tmp_path / "c.parquet"
    write_table(path, rows, COMPARISONS)
    assert measure_boundary(read_comparisons(path)) == warned
    pd.DataFrame(rows).to_csv(tmp_path / "c.csv", index=False)
    assert measure_boundary(read_comparisons(tmp_path / "c.csv")) == warned


def test_nobody_knows_of_unfinished_responses_where_the_column_is_empty_or_missing(tmp_path):
    path, rows = tmp_path / "c.parquet", make_rows()
    write_table(path, rows, COMPARISONS)
    measured = measure_boundary(read_comparisons(path))
    assert measured == measure_boundary(rows) and measured.on_policy_truncated is None
    assert measured == measure_boundary(read_table(path, COMPARISONS).to_pylist())
    assert "limit of their length" not in measured.paragraph()
    write_table(path, [{**rows[0], "on_truncated": True}, *rows[1:]], COMPARISONS)
    with pytest.raises(BadInput, match="column on_truncated has 159 empty values"):
        read_comparisons(path)


def test_the_order_of_prompts_is_seeded_and_nested():
    names = [f"p{number}" for number in range(100)]
    assert seeded_order(names, 0) == seeded_order(reversed(names), 0) != seeded_order(names, 1)
    inner = [name for name in seeded_order(names, 0) if name in set(names[:50])]
    assert inner == seeded_order(names[:50], 0)


def test_program_on_parquet_and_csv(tmp_path, run_script):
    rows = make_rows()
    write_table(tmp_path / "c.parquet", rows, COMPARISONS)
    pd.DataFrame(rows).to_csv(tmp_path / "c.csv", index=False)
    texts = []
    for kind in ("parquet", "csv"):
        output = tmp_path / kind / "m.json"
        done = run_script(
            "measure_boundary", "--comparisons", tmp_path / f"c.{kind}", "--output", output,
            "--policy", "zephyr-7b/sft", "--preference-model", "pairrm", "--preference-data", "ultrafeedback",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "160 rows in, 160 rows out, dropped: none" in done.stderr
        texts.append((output.read_bytes(), output.with_suffix(".md").read_bytes()))
        assert json.loads((tmp_path / kind / "m.ledger.json").read_text())["prompts"] == 40
    assert texts[0] == texts[1]
    measured = json.loads(texts[0][0])
    assert measured["policy"] == "zephyr-7b/sft" and measured["comparisons"] == 160 and measured["prompts"] == 40
    assert measured["votes_on"] + measured["votes_off"] == 160
    paragraph = texts[0][1].decode()
    assert paragraph.startswith("**zephyr-7b/sft: above 0.5 (decided), preference fine-tuning.")
    assert "pairrm" in paragraph and "ultrafeedback" in paragraph and paragraph.count("\n") == 1


def test_notes_stand_behind_the_verdict_as_paragraphs(tmp_path, run_here):
    write_table(tmp_path / "c.parquet", make_rows(), COMPARISONS)
    arguments = ["--comparisons", tmp_path / "c.parquet", "--output", tmp_path / "m.json"]
    run_here("measure_boundary", *arguments)
    measured, words = (tmp_path / "m.json").read_bytes(), (tmp_path / "m.md").read_text()
    run_here("measure_boundary", *arguments, "--notes", "One thing.", "Another.")
    assert (tmp_path / "m.json").read_bytes() == measured
    assert (tmp_path / "m.md").read_text() == f"{words}\nOne thing.\n\nAnother.\n"


def held_out(path, below):
    """What measure_preference_model.py finds of a model that is right on 61 % of 79 votes."""

    def share(estimate):
        return {"estimate": estimate, "low": estimate - 0.1, "high": estimate + 0.1, "pairs": 79}

    trivial = {"longer": share(0.78 if below else 0.55), "first": share(0.37), "ahead": 10, "behind": 24}
    found = {"preference_model": "small", "votes": ["votes.jsonl"], "accuracy": share(0.61)}
    path.write_text(json.dumps({**found, "baselines": {**trivial, "below_longer": below}}))
    return path


def test_the_verdict_says_that_its_preference_model_is_worse_than_counting_characters(tmp_path, run_here):
    write_table(tmp_path / "c.parquet", make_rows(), COMPARISONS)
    arguments = ["--comparisons", tmp_path / "c.parquet", "--output", tmp_path / "m.json"]
    run_here("measure_boundary", *arguments)
    measured, words = json.loads((tmp_path / "m.json").read_text()), (tmp_path / "m.md").read_text()
    run_here("measure_boundary", *arguments, "--held-out", held_out(tmp_path / "votes.json", "beyond noise"))
    warning = (
        "counting characters would do better than the preference model small: on 24 of 79 pairs the longer response is the better "
        "guess, on 10 the worse one, which is beyond noise (McNemar's exact test)"
    )
    found = json.loads((tmp_path / "m.json").read_text())
    assert found == {**measured, "warnings": [*measured["warnings"], warning]}
    assert (tmp_path / "m.md").read_text() == (
        f"{words}\nsmall is right on 61 % (51 to 71) of 79 held-out votes (votes.jsonl); whoever takes "
        f"the longer response is on 78 % (68 to 88), whoever takes the first one on 37 % (27 to 47). Warning: {warning}.\n"
    )
    run_here("measure_boundary", *arguments, "--held-out", held_out(tmp_path / "votes.json", None))
    assert json.loads((tmp_path / "m.json").read_text()) == measured  # which is not warned of
    assert "whoever takes the longer response is on 55 %" in (tmp_path / "m.md").read_text()


def test_the_four_columns_of_a_hand_made_table_are_enough(tmp_path):
    (tmp_path / "c.csv").write_text("prompt_id,on_index,off_index,on_policy_preferred\n1,1,1,1\n1,1,2,0.5\n2,1,1,0\n")
    measured = measure_boundary(read_comparisons(tmp_path / "c.csv"))
    assert (measured.prompts, measured.votes_on) == (2, 1.5)
    assert measured.order_flip_rate is measured.longer_preferred is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "lacks the column prompt_id"),
        (b"prompt_id,on_index,off_index\n1,1,1\n", "lacks the column on_policy_preferred"),
        (b"prompt_id,on_index,off_index,on_policy_preferred\n1,1,1\n", "line 2: on_policy_preferred is empty"),
        (b"prompt_id,on_index,off_index,on_policy_preferred\n", "no comparison at all"),
        (b"prompt_id,on_index,off_index,on_policy_preferred\n\xff,1,1,1\n", "not a CSV file in UTF-8"),
    ],
)
def test_bad_files_end_the_program_with_one_sentence_and_no_output(tmp_path, run_script, content, message):
    path = tmp_path / "c.csv"
    if content is not None:
        path.write_bytes(content)
    done = run_script("measure_boundary", "--comparisons", path, "--output", tmp_path / "out.json")
    assert done.returncode == 2
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.json").exists() and not (tmp_path / "out.md").exists()


def test_an_output_that_is_no_json_file_is_refused(tmp_path, run_script):
    write_table(tmp_path / "c.parquet", make_rows(), COMPARISONS)
    for output in (tmp_path, tmp_path / "m.md"):
        done = run_script("measure_boundary", "--comparisons", tmp_path / "c.parquet", "--output", output)
        assert done.returncode == 2 and "end it in .json" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["c.parquet"]


def test_a_broken_parquet_file_is_named(tmp_path):
    path = tmp_path / "c.parquet"
    write_table(path, make_rows(), COMPARISONS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match="not a whole Parquet file"):
        read_comparisons(path)
    write_table(path, make_rows(), pa.schema([field for field in COMPARISONS if field.name != "on_index"]))
    with pytest.raises(BadInput, match="lacks the column on_index"):
        read_comparisons(path)


def test_help_is_quick_and_explains_itself(run_script):
    done = run_script("measure_boundary", "--help")
    assert done.returncode == 0 and "preference injection" in done.stdout


def test_the_readmes_example_runs_without_the_workflows_libraries():
    """Ten lines of Python for people who have comparisons already, and ten for those who have not: what they print is what the
    README's words mean.
    """
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 2 and all(len(example.strip().splitlines()) <= 10 for example in examples)
    example = "\n".join(examples) + (
        "print(votes['on_policy_preferred'])\n"
        "import sys\nprint([name for name in ('torch', 'pyarrow', 'pandas', 'snakemake') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", example], text=True, capture_output=True, cwd=SCRIPTS, check=True)
    first, paragraph, *_, preferred, loaded = done.stdout.strip().splitlines()
    assert first.startswith("0.15 (") and first.endswith("off undecided")
    assert paragraph.startswith(
        "**my-model: below 0.5 (undecided), preference injection. Recommended next, relative to the preference model: off-policy "
        "candidates, with no certainty.**"
    )
    assert (preferred, loaded) == ("[0.0, 0.0]", "[]")
