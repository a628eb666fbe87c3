"""Table 9 is what the judge really gets."""

import csv

from test_judging import judge

from dpo_stages.evaluation.annotations import read_output_pairs


def shown(run_script, folder, *arguments, env="alpaca-eval"):
    out, text = folder / "t.csv", folder / "t.md"
    done = run_script("make_table9", *arguments, "--csv", out, env=env)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(out.open(newline=""))), text.read_text()


def test_table_9_is_what_the_endpoint_is_sent(make_evaluation, fake_judge, tmp_path, run_script):
    rows, text = shown(run_script, tmp_path, "--kind", "endpoint", "--model", "fake")
    outputs, instructions, _ = make_evaluation(12)
    pairs = read_output_pairs(outputs, instructions)
    judge(pairs, fake_judge, tmp_path / "cache")
    expected = set()
    for pair in pairs:
        for first, second in ((pair["output_1"], pair["output_2"]), (pair["output_2"], pair["output_1"])):
            filled = rows[1]["content"]
            for name, value in (("instruction", pair["instruction"]), ("output_1", first), ("output_2", second)):
                filled = filled.replace(f"{{{name}}}", value)
            expected.add(filled)
    assert fake_judge.bodies
    for body in fake_judge.bodies:
        assert [message["role"] for message in body["messages"]] == [row["role"] for row in rows] == ["system", "user"]
        assert body["messages"][0]["content"] == rows[0]["content"]
        assert body["messages"][1]["content"] in expected
        for key in ("max_tokens", "logprobs", "top_logprobs"):
            assert f"{key} {str(body[key]).lower()}" in text
    assert "alpaca_eval_gpt4_turbo_fn" in text  # whose prompt the paper prints
    assert "make_partial_leaderboard" not in rows[1]["content"]
