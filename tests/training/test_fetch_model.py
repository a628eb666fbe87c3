"""Base models from a folder and from a stub of the hub: what is taken, what is refused, and with which words."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny import CHAT_TEMPLATE

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.manifests import read_manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "fedcba9876543210fedcba9876543210fedcba98"


def edit(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes})


def test_folder(base, fetch):
    folder = fetch(base)
    manifest = read_manifest(folder / "manifest.json")
    assert manifest["path"] == str(base) and manifest["revision"] is None
    assert set(manifest["files"]) == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert (folder / "model.safetensors").samefile(base / "model.safetensors")


def test_shards(base, fetch):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base, max_shard_size="20KB")
    files = read_manifest(fetch(base) / "manifest.json")["files"]
    assert "model.safetensors.index.json" in files
    assert sum(name.startswith("model-") for name in files) > 1


def test_given_template_replaces_the_models_own(base, fetch, tmp_path):
    from transformers import AutoTokenizer

    template = "{# another #}" + CHAT_TEMPLATE
    (tmp_path / "template.jinja").write_text(template)
    edit(base / "tokenizer_config.json", chat_template="{{ 'of old' }}")
    original = (base / "tokenizer_config.json").read_bytes()
    folder = fetch(base, chat_template=tmp_path / "template.jinja")
    assert AutoTokenizer.from_pretrained(folder).chat_template == template
    assert "chat_template" not in read_json(folder / "tokenizer_config.json")
    assert (base / "tokenizer_config.json").read_bytes() == original  # the link was replaced, not written through


def test_model_without_template_says_how_to_give_one(base, fetch):
    (base / "chat_template.jinja").unlink()
    with pytest.raises(BadInput, match="no chat template; fetch the model with --chat-template FILE"):
        fetch(base)


def test_end_of_the_assistants_turn_ends_generation(base, fetch, tmp_path):
    """Qwen's base models declare <|endoftext|> and have a template that ends turns with <|im_end|>."""
    (tmp_path / "template.jinja").write_text(CHAT_TEMPLATE.replace("eos_token", "'<pad>'"))
    folder = fetch(base, chat_template=tmp_path / "template.jinja")
    assert read_json(folder / "generation_config.json")["eos_token_id"] == [1, 2]
    (base / "generation_config.json").unlink()
    assert read_json(fetch(base) / "generation_config.json") == {"bos_token_id": 0, "eos_token_id": [1]}


def test_pickled_weights_are_refused(base, fetch):
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"has no model.safetensors: only weights in safetensors"):
        fetch(base)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "homemade"}, "'homemade', which this version of Transformers does not know"),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "whose network is LlamaForSequenceClassification; a causal",
        ),
        ({"model_type": "vit"}, "'vit', which Transformers does not load as a causal language model"),
        ({"quantization_config": {"quant_method": "gptq"}}, "is quantised and cannot be trained"),
        ({"vocab_size": 100}, "embeddings for 100: the tokenizer belongs to another model"),
    ],
)
def test_models_that_cannot_be_trained(base, fetch, changes, message):
    edit(base / "config.json", **changes)
    with pytest.raises(BadInput, match=message):
        fetch(base)


def test_folder_that_is_no_model(fetch, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="has no config.json"):
        fetch(tmp_path / "empty")
    with pytest.raises(BadInput, match="is neither a folder nor a model id"):
        fetch("./no/such/folder")


def test_failure_leaves_nothing(base, fetch, tmp_path):
    (base / "tokenizer.json").write_text("{")
    with pytest.raises(BadInput, match="no tokenizer that can be loaded"):
        fetch(base)
    assert list((tmp_path / "models").iterdir()) == []


class Served(list):
    """Names of files in the order in which they were asked for."""

    main = COMMIT


@pytest.fixture
def hub(base, tmp_path, monkeypatch):
    """A stub of the hub that serves `base` as our/model, our/gated as gated, and knows nothing else; what it has served.

    The branch `main` is at COMMIT until `hub.main` is set.
    """
    (base / "pytorch_model.bin").write_bytes(b"a pickle")
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = self.path.split("?")[0].strip("/").split("/")
            name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
            if name == "our/gated":
                return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            if name != "our/model":
                return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            commit = next((part for part in parts if part in (COMMIT, NEWER)), served.main)
            if "no-such-branch" in parts:
                return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            if parts[0] == "api" and "tree" in parts:
                tree = [{"type": "file", "path": n, "size": len(c), "oid": digest(c)} for n, c in files.items()]
                return self.answer(200, json.dumps(tree).encode(), {})
            if parts[0] == "api":
                siblings = [{"rfilename": name} for name in files]
                about = {"id": name, "sha": commit, "siblings": siblings, "tags": [], "private": False}
                return self.answer(200, json.dumps(about).encode(), {})
            content = files[parts[-1]]
            served.append(parts[-1])
            return self.answer(200, content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": commit})

        do_HEAD = do_GET

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    use_hub(monkeypatch, f"http://127.0.0.1:{server.server_port}", tmp_path / "hub-cache")
    yield served
    server.shutdown()
    server.server_close()


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def use_hub(monkeypatch, endpoint: str, cache: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_hub_model(hub, base, fetch):
    folder = fetch("our/model", revision="main")
    manifest = read_manifest(folder / "manifest.json")
    assert manifest["path"] == "our/model" and manifest["revision"] == COMMIT
    assert (folder / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert not {"pytorch_model.bin", "consolidated.safetensors", "training_args.bin", "README.md"} & set(hub)


def test_hub_model_without_network_comes_from_the_hubs_cache(hub, fetch, tmp_path, monkeypatch):
    first = read_manifest(fetch("our/model") / "manifest.json")
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path / "hub-cache")
    assert read_manifest(fetch("our/model") / "manifest.json") == first


def test_a_revision_that_has_moved_stops_what_stands_on_it(hub, fetch, tmp_path):
    pin = tmp_path / "pins/tiny.json"
    before = read_manifest(fetch("our/model", pin=pin) / "manifest.json")
    assert read_json(pin) == {"our/model@main": COMMIT}
    hub.main = NEWER
    with pytest.raises(BadInput, match=f"main was {COMMIT[:10]} .* is {NEWER[:10]} now; set `revision: {COMMIT}`"):
        fetch("our/model", pin=pin)
    assert read_manifest(tmp_path / "models/tiny/manifest.json") == before and read_json(pin) == {
        "our/model@main": COMMIT
    }
    assert read_manifest(fetch("our/model", revision=COMMIT, pin=pin) / "manifest.json") == before
    pin.unlink()
    assert read_manifest(fetch("our/model", pin=pin) / "manifest.json")["revision"] == NEWER
    assert read_json(pin) == {"our/model@main": NEWER}


@pytest.mark.parametrize(
    ("path", "revision", "message"),
    [
        ("our/gated", "main", "our/gated is gated: accept its terms on .*our/gated, then set HF_TOKEN"),
        ("our/unknown", "main", "our/unknown is no folder here and no model on the hub"),
        ("our/model", "no-such-branch", "our/model has no revision no-such-branch"),
    ],
)
def test_hub_refusals_are_one_sentence(hub, fetch, path, revision, message):
    with pytest.raises(BadInput, match=message) as refused:
        fetch(path, revision=revision)
    assert "\n" not in str(refused.value)


def test_no_network(fetch, tmp_path, monkeypatch):
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path / "hub-cache")
    with pytest.raises(BadInput, match="^there is no folder our/model here, the hub cannot be reached, and its local"):
        fetch("our/model")
