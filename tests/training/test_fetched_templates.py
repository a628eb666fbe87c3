"""Chat templates when a model is fetched: what is refused, what is a warning, and what is written into them."""

import json
from pathlib import Path

import pytest
from tiny import as_flags

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.core.manifests import read_manifest

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
    write_json(base / "config.json", {**read_json(base / "config.json"), "vocab_size": 500})
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
