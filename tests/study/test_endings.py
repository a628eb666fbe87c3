"""What is said of the files that a run was asked for."""

from dpo_stages.study.endings import last_words


def test_a_policy_is_said_to_be_loaded_by_two_lines_that_are_python():
    where, first, second = last_words(["results/policies/mine/dpo/auto/manifest.json", "results/plan.csv"])
    assert where.startswith("results/policies/mine/dpo/auto/ is the policy")
    compile(f"{first.strip()}\n{second.strip()}", "words", "exec")
    assert 'from_pretrained("results/policies/mine/dpo/auto")' in second


def test_a_policys_card_is_read_and_stands_for_the_policy():
    where, _, second, read = last_words(["results/policies/mine/dpo/auto/README.md"])
    assert where.startswith("results/policies/mine/dpo/auto/ is the policy") and "mine/dpo/auto" in second
    assert read == "To read: results/policies/mine/dpo/auto/README.md"
    assert len([*last_words([f"results/policies/mine/sft/{name}" for name in ("README.md", "manifest.json")])]) == 4


def test_pages_are_named_and_nothing_is_said_of_other_files():
    assert [*last_words(["results/report.html", "results/boundary/mine/sft.md"])] == [
        "To read: results/boundary/mine/sft.md, results/report.html"
    ]
    assert not [*last_words(["results/plan.csv"])]


def test_a_policy_of_which_an_adapter_is_kept_is_made_whole_by_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    policy = tmp_path / "results/policies/mine/dpo/off"
    (policy / "adapter").mkdir(parents=True)
    where, line = last_words(["results/policies/mine/dpo/off/manifest.json"])
    assert where.startswith("results/policies/mine/dpo/off/adapter/ is what is kept of the policy")
    assert line == "    envs/run train workflow_scripts/merge_policy.py results/policies/mine/dpo/off/manifest.json"
    (policy / "model.safetensors").touch()
    assert len([*last_words(["results/policies/mine/dpo/off/manifest.json"])]) == 3
