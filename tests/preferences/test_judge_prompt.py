"""Table 9 for a preference model as judge: the sequence that it reads, with places for what is filled in."""

import csv

from dpo_stages.preferences.pairrm.tokens import MARKERS, candidate_text, source_text


def test_table_9_is_the_sequence_of_the_preference_model(tmp_path, run_script):
    out, text = tmp_path / "t.csv", tmp_path / "t.md"
    arguments = ["--kind", "preference_model", "--model", "pairrm", "--csv", out]
    done = run_script("make_table9", *arguments, env="pairrm")
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(out.open(newline=""))
    filled = row["content"].replace("{instruction}", "Why?").replace("{output_1}", "A.").replace("{output_2}", "B.")
    prompt = [{"role": "user", "content": "Why?"}]
    parts = (source_text(prompt), candidate_text(prompt, "A."), candidate_text(prompt, "B."))
    assert filled == "\n".join(marker + part for marker, part in zip(MARKERS, parts, strict=False))
    assert "both orders" in text.read_text()
