"""A model that follows instructions already becomes the policy of iteration 0 as it is."""

import pytest

from dpo_stages.core.manifests import read_manifest, write_manifest


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "models/tiny"
    (folder / "nested").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "nested/template.jinja").write_text("{{ messages }}")
    write_manifest(folder, {"path": "our/model", "revision": "0123"})
    return folder / "manifest.json"


def test_the_policy_shares_the_models_files(tmp_path, run_script, model):
    output = tmp_path / "policies/tiny/sft/manifest.json"
    result = run_script("adopt_policy", "--model", model, "--policy", "tiny@1/sft", "--output", output)
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(output)
    assert manifest["policy"] == "tiny@1/sft"
    assert manifest["model"] == {"path": "our/model", "revision": "0123"}
    assert manifest["files"] == read_manifest(model)["files"]
    for name in manifest["files"]:
        assert (output.parent / name).samefile(model.parent / name)
    first = output.read_bytes()
    run_script("adopt_policy", "--model", model, "--policy", "tiny@1/sft", "--output", output)
    assert output.read_bytes() == first


def test_a_replicate_of_what_auto_chose_is_named_as_it_was_asked_for(tmp_path, run_script, model):
    output = tmp_path / "policies/tiny/dpo/auto~2/manifest.json"
    result = run_script("adopt_policy", "--model", model, "--policy", "tiny/dpo/auto~2", "--output", output)
    assert result.returncode == 0, result.stderr
    assert read_manifest(output)["policy"] == "tiny/dpo/auto~2"


@pytest.mark.parametrize(
    ("policy", "output", "message"),
    [
        ("tiny/dpo/off", "manifest.json", "is named MODEL/sft"),
        ("tiny/dpo/off~2", "manifest.json", "is named MODEL/sft"),
        ("tiny", "manifest.json", "is not the name of a policy"),
        ("tiny/sft", "policy.json", "must end in manifest.json"),
    ],
)
def test_names_that_do_not_fit(tmp_path, run_script, model, policy, output, message):
    result = run_script("adopt_policy", "--model", model, "--policy", policy, "--output", tmp_path / "p" / output)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_model_that_changed_is_refused(tmp_path, run_script, model):
    (model.parent / "model.safetensors").write_bytes(b"other weights")
    result = run_script(
        "adopt_policy", "--model", model, "--policy", "tiny/sft", "--output", tmp_path / "p/manifest.json"
    )
    assert result.returncode == 2
    assert "is not the file that" in result.stderr
    assert not (tmp_path / "p").exists()


def test_the_model_is_not_adopted_over_itself(run_script, model):
    result = run_script("adopt_policy", "--model", model, "--policy", "tiny/sft", "--output", model)
    assert result.returncode == 2
    assert read_manifest(model)["path"] == "our/model"
