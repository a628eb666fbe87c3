"""Base models from a folder and from a stub of the hub: what is taken, what is refused, and with which words."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny import CHAT_TEMPLATE, as_flags, write_model

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.manifests import read_manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "fedcba9876543210fedcba9876543210fedcba98"


@pytest.fixture
def base(tmp_path) -> Path:
    """Folder of a model, as somebody else has left it: with things in it that nobody here needs."""
    folder = write_model(tmp_path / "base").parent
    (folder / "manifest.json").unlink()
    (folder / "README.md").write_text("a model")
    (folder / "consolidated.safetensors").write_bytes(b"the same weights in another format")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


@pytest.fixture
def fetch(run_here, tmp_path):
    output = tmp_path / "models/tiny/manifest.json"

    def run(path: object, **flags: object) -> Path:
        run_here("fetch_model", *as_flags(path=path, output=output, **flags))
        return output.parent

    return run


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


TURNS = "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}ANSWER{{ eos_token }}{% endfor %}ASKED"
ASKED = "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"


def template_of(answer: str, asked: str = ASKED) -> str:
    """A template with `answer` in place of what a turn says, and `asked` behind all turns."""
    return TURNS.replace("ANSWER", answer).replace("ASKED", asked)


def plain(change: str) -> str:
    """What a turn says, and of the assistant's a change of it."""
    return "{{ CHANGE if m['role'] == 'assistant' else m['content'] }}".replace("CHANGE", change)


@pytest.mark.parametrize(
    ("template", "altered", "system"),
    [
        (template_of("{{ m['content'] }}"), [], "rendered"),
        (template_of(plain("m['content'] | trim")), ["white space at both ends"], "rendered"),
        (template_of(plain("m['content'].split('</think>')[-1]")), ["a thought", "the end of a thought"], "rendered"),
        (
            template_of(plain("m['content'] if '</think>' in m['content'] else m['content'].replace('<think>', '')")),
            ["a thought that was cut"],
            "rendered",
        ),
        (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
            + template_of("{{ m['content'] }}"),
            [],
            "refused: no system turns",
        ),
        (template_of("{{ m['content'] if m['role'] != 'system' }}"), [], "left out"),
    ],
)
def test_what_a_template_alters_is_in_the_ledger_and_a_warning(
    base, fetch, tmp_path, capsys, template, altered, system
):
    (tmp_path / "template.jinja").write_text(template)
    ledger = read_json(fetch(base, chat_template=tmp_path / "template.jinja") / "manifest.ledger.json")
    assert (ledger["altered_by_the_chat_template"], ledger["system_turns"]) == (altered, system)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == len(altered) + (system != "rendered")
    for name, warning in zip(altered, warnings, strict=False):
        assert warning.startswith(f"warning: the chat template alters {name}: ") and " as trained" in warning


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            template_of(plain("'<think></think>' + m['content']")),
            "alters a plain answer: .*<think></think>Yes.* as trained",
        ),
        (template_of(plain("' ' + m['content']")), "alters a plain answer"),
        (template_of(plain("m['content'] + ' '")), "alters a plain answer"),
        (template_of("{{ m['content'] }}", ASKED.replace("|>'", "|><think>'")), "alters a plain answer"),
        (template_of("{{ m['content'] if loop.index < 3 }}"), "alters several turns"),
        (
            "{% if messages | length > 3 %}{{ raise_exception('too long') }}{% endif %}"
            + template_of("{{ m['content'] }}"),
            r"alters several turns: it is refused \(too long\)",
        ),
        (template_of("{{ m['content'] if messages[0]['role'] == 'user' or loop.first }}"), "alters a system turn"),
        ("{{ messages['content'] + 1 }}", "cannot render the conversation of a test"),
    ],
)
def test_template_that_alters_what_every_study_has_is_refused(base, fetch, tmp_path, template, words):
    (tmp_path / "template.jinja").write_text(template)
    with pytest.raises(BadInput, match=rf"(?s)^{base}: the chat template {words}"):
        fetch(base, chat_template=tmp_path / "template.jinja")


def test_prompt_whose_last_token_merges_with_the_response_is_refused(base, fetch, tmp_path):
    """The policy would be sampled from a space, and trained on a word that begins with one."""
    spaced = template_of("{{ ': ' + m['content'] }}", ASKED.replace("|>'", "|>: '"))
    (tmp_path / "template.jinja").write_text(spaced)
    fetch(base, chat_template=tmp_path / "template.jinja")  # this tokenizer knows no word ` Yes`
    tokenizer = read_json(base / "tokenizer.json")
    tokenizer["model"]["vocab"]["ĠY"] = len(tokenizer["model"]["vocab"])
    tokenizer["model"]["merges"].append(["Ġ", "Y"])
    write_json(base / "tokenizer.json", tokenizer)
    edit(base / "config.json", vocab_size=500)
    with pytest.raises(BadInput, match="alters a plain answer: the prompt ends in .*: ', whose last token merges with"):
        fetch(base, chat_template=tmp_path / "template.jinja")


def rendered(folder: Path) -> str:
    from dpo_stages.models.chat_tokens import load_tokenizer
    from dpo_stages.models.templates import render

    return render(load_tokenizer(folder), [{"role": "user", "content": "a cat"}], add_generation_prompt=True)


THINKING = template_of("{{ m['content'] }}", ASKED + "{% if thinking %}<think>{% endif %}")


def test_arguments_are_written_into_the_template(base, fetch, tmp_path, run_here):
    (tmp_path / "template.jinja").write_text("{% set thinking = thinking | default(true) %}" + THINKING)
    with pytest.raises(BadInput, match="alters a plain answer"):
        fetch(base, chat_template=tmp_path / "template.jinja")
    folder = fetch(base, chat_template=tmp_path / "template.jinja", chat_template_arguments='{"thinking": false}')
    assert rendered(folder) == "<|user|>a cat</s><|assistant|>"
    assert read_manifest(folder / "manifest.json")["chat_template_arguments"] == {"thinking": False}
    adopted = tmp_path / "policies/tiny/sft/manifest.json"
    run_here("adopt_policy", *as_flags(model=folder / "manifest.json", policy="tiny/sft", output=adopted))
    assert rendered(adopted.parent) == rendered(folder)
    assert read_manifest(adopted)["model"]["chat_template_arguments"] == {"thinking": False}


@pytest.mark.parametrize(
    "value",
    [True, None, 3, -1.5, "", 'it\'s "so" %} {{ x }} \\ \n \u00e9 \u2028 \U0001f600', ["a", {"b": [None, False]}], {}],
)
def test_any_value_can_be_an_argument(base, fetch, tmp_path, value):
    (tmp_path / "template.jinja").write_text(
        "  {% if true %}\n{{ given | tojson }}\n{% endif %}" + template_of("{{ m['content'] }}")
    )
    flags = {"chat_template": tmp_path / "template.jinja", "chat_template_arguments": json.dumps({"given": value})}
    assert rendered(fetch(base, **flags)) == f"{json.dumps(value, ensure_ascii=False)}\n<|user|>a cat</s><|assistant|>"


@pytest.mark.parametrize("arguments", ['{"thinkin": false}', "[]", "{"])
def test_arguments_that_the_template_cannot_take_are_refused(base, fetch, tmp_path, capsys, arguments):
    (tmp_path / "template.jinja").write_text(THINKING)
    with pytest.raises((BadInput, SystemExit)) as refused:
        fetch(base, chat_template=tmp_path / "template.jinja", chat_template_arguments=arguments)
    said = str(refused.value) + capsys.readouterr().err
    assert "reads no variable thinkin" in said or "argument --chat-template-arguments: invalid" in said


def on(monkeypatch, day: str) -> None:
    """Let programs, and Transformers' templates, believe that it is another day."""
    import datetime

    from transformers.utils import chat_template_utils

    class Date(datetime.date):
        @classmethod
        def today(cls):
            return cls.fromisoformat(day)

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromisoformat(day)

    monkeypatch.setattr(datetime, "date", Date)
    monkeypatch.setattr(chat_template_utils, "datetime", Datetime)


DATED = (
    "{% if date_string is not defined %}{% if strftime_now is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
    '{% endif %}{% endif %}<|system|>{{ date_string }}, a {{ strftime_now( "%A" ) }}{{ eos_token }}'
) + template_of("{{ m['content'] }}")


def test_template_that_says_the_date_says_that_of_the_first_fetch(base, fetch, tmp_path, monkeypatch):
    (tmp_path / "template.jinja").write_text(DATED)
    flags = {"chat_template": tmp_path / "template.jinja", "pin": tmp_path / "pins/tiny.json"}
    on(monkeypatch, "2026-11-25")
    folder = fetch(base, **flags)
    first, manifest = rendered(folder), (folder / "manifest.json").read_bytes()
    assert first == "<|system|>25 Nov 2026, a Wednesday</s><|user|>a cat</s><|assistant|>"
    on(monkeypatch, "2027-01-02")
    assert rendered(folder) == first
    assert (fetch(base, **flags) / "manifest.json").read_bytes() == manifest
    assert json.loads(manifest)["date"] == "2026-11-25"
    assert "2 Jan 2027, a Saturday" in rendered(fetch(base, chat_template=flags["chat_template"]))
    assert "3 Feb 2025, a Monday" in rendered(fetch(base, **flags, date="2025-02-03"))
    assert read_json(flags["pin"]) == {"date": "2026-11-25"}
    given = fetch(base, **flags, chat_template_arguments='{"date_string": "Monday"}')
    assert "<|system|>Monday, a Wednesday" in rendered(given)


def test_template_that_hides_its_use_of_the_date_is_refused(base, fetch, tmp_path):
    (tmp_path / "template.jinja").write_text("{% set format = '%Y' %}{{ strftime_now(format) }}" + template_of(""))
    with pytest.raises(BadInput, match="makes a date of strftime_now in a way that is not understood here"):
        fetch(base, chat_template=tmp_path / "template.jinja")


def test_template_without_date_and_arguments_keeps_its_bytes(base, fetch, tmp_path):
    folder = fetch(base, pin=tmp_path / "pins/tiny.json", date="2026-01-01")
    assert (folder / "chat_template.jinja").samefile(base / "chat_template.jinja")
    assert set(read_json(folder / "manifest.json")) == {"path", "revision", "files"}
    assert not (tmp_path / "pins").exists()


def test_pickled_weights_are_refused(base, fetch):
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"has no model.safetensors: only weights in safetensors"):
        fetch(base)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "homemade"}, "'homemade', which this version of Transformers does not know"),
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
    with pytest.raises(BadInput, match="the hub cannot be reached, and its local cache lacks our/model at main"):
        fetch("our/model")
