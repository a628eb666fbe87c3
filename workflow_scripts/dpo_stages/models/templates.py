"""What is asked of a chat template, and what is written into it when a model is fetched.

A policy is sampled behind the rendered prompt, and a response that comes as text is trained as the template renders it. The
two are comparable only if the template renders prompt, response and end of turn one behind the other as they are, and the same
on every day. Many do not: docs/templates.md.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import first_line, read_json, read_text, write_json, write_text
from dpo_stages.core.hub import DATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
Turns = list[dict[str, str]]

_TODAY = re.compile(r"""strftime_now\(\s*(?P<quote>["'])(?P<format>.*?)(?P=quote)\s*\)""")
_TODAY_OTHERWISE = re.compile(r"strftime_now(?!\s+is\s+(?:not\s+)?defined)")
_AROUND = 24  # characters shown before and behind the place where two texts part


@dataclass(frozen=True)
class Probe:
    """A conversation that a template is tried with.

    Attributes:
        name: what is special about it.
        prompt: the turns before the response.
        response: what a policy may have said.
        needed: whether a model cannot be used whose template alters it.
    """

    name: str
    prompt: Turns
    response: str
    needed: bool = False


_QUESTION = [{"role": "user", "content": "Is it a cat?"}]
ANSWER = "Yes, it is."
_DIALOGUE = [*_QUESTION, {"role": "assistant", "content": "No."}, {"role": "user", "content": "A dog?"}]
SYSTEM = Probe("a system turn", [{"role": "system", "content": "Be brief."}, *_QUESTION], ANSWER, needed=True)
PROBES = (
    Probe("a plain answer", _QUESTION, ANSWER, needed=True),
    Probe("several turns", _DIALOGUE, ANSWER, needed=True),
    Probe("a thought", _QUESTION, f"<think>\nIt has whiskers.\n</think>\n\n{ANSWER}"),
    Probe("the end of a thought", _QUESTION, f"It has whiskers.\n</think>\n\n{ANSWER}"),  # which the prompt began
    Probe("a thought that was cut", _QUESTION, "<think>\nIt has whis"),
    Probe("white space at both ends", _QUESTION, f"\n {ANSWER} \n"),
)


def render(tokenizer: "PreTrainedTokenizerBase", turns: Turns, **options: bool) -> str:
    """A conversation as the chat template renders it.

    Raises:
        BadInput: the template refuses it; the message is the template's own.
    """
    import jinja2

    try:
        return tokenizer.apply_chat_template(turns, tokenize=False, **options)
    except (jinja2.TemplateError, TypeError, ValueError) as error:  # an error of Python's inside a template is its own
        raise BadInput(first_line(error)) from error


def answered(prompt: Turns, response: str) -> Turns:
    """A prompt and the assistant's response to it."""
    return [*prompt, {"role": "assistant", "content": response}]


def loses_white_space(before: str, whole: str, response: str) -> bool:
    """Whether a template takes white space from the ends of a response; else it renders the response verbatim.

    Args:
        before: the prompt as it is rendered for sampling.
        whole: prompt and response as they are rendered for training.
        response: what was said.

    Raises:
        BadInput: it does neither; the message shows where the two part.
    """
    if whole.startswith(before + response):
        return False
    if whole.startswith(before) and whole[len(before) :].lstrip().startswith(response.strip()):
        return True
    raise BadInput(_parting(before + response, whole))


def alters(tokenizer: "PreTrainedTokenizerBase", probe: Probe, end: int) -> str | None:
    """How a template renders a conversation otherwise than it would have been sampled; None if it does not.

    Args:
        tokenizer: with the template.
        probe: the conversation.
        end: token that ends the assistant's turn.
    """
    try:
        before = render(tokenizer, probe.prompt, add_generation_prompt=True)
        whole = render(tokenizer, answered(probe.prompt, probe.response))
    except BadInput as refusal:
        return f"it is refused ({refusal})"
    sampled = before + probe.response + tokenizer.convert_ids_to_tokens(end)
    if not whole.startswith(sampled):
        return _parting(sampled, whole)
    ids, prompt = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (sampled, before))
    if ids[: len(prompt)] != prompt:
        return f"the prompt ends in {before[-_AROUND:]!r}, whose last token merges with the first of the response"
    return None


def probe_template(tokenizer: "PreTrainedTokenizerBase", end: int) -> tuple[dict[str, str], str]:
    """Try a chat template with conversations of every kind.

    Args:
        tokenizer: with the template.
        end: token that ends the assistant's turn.

    Returns:
        What the template alters that a study can do without, with how, by name; and what becomes of system turns:
        "rendered", "left out", or the words with which the template refuses them.

    Raises:
        BadInput: it alters or refuses a plain answer, several turns, or the response behind a system turn.
    """
    probes = PROBES
    try:
        told = SYSTEM.prompt[0]["content"] in render(tokenizer, SYSTEM.prompt, add_generation_prompt=True)
        system = "rendered" if told else "left out"
        probes = (*PROBES, SYSTEM)
    except BadInput as refusal:
        system = f"refused: {refusal}"
    altered = {probe.name: how for probe in probes if (how := alters(tokenizer, probe, end))}
    for probe in probes:
        if probe.needed and probe.name in altered:
            raise BadInput(
                f"the chat template alters {probe.name}: {altered[probe.name]}; set chat_template_arguments where it has a "
                "variable for this (enable_thinking: false), or give another --chat-template (docs/templates.md)"
            )
    return altered, system


def own_template(folder: Path) -> str | None:
    """The chat template of the tokenizer in a folder that nobody has loaded; None if it has none."""
    if (folder / TEMPLATE).is_file():
        return read_text(folder / TEMPLATE)
    named = read_json(folder / TOKENIZER_CONFIG).get("chat_template") if (folder / TOKENIZER_CONFIG).is_file() else None
    if isinstance(named, list):  # several, by name
        named = {one["name"]: one["template"] for one in named}.get("default")
    return named


def set_template(folder: Path, template: str) -> None:
    """Make `template` the only chat template of the tokenizer in `folder`."""
    settings = read_json(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).exists() else {}
    settings.pop("chat_template", None)
    write_json(folder / TOKENIZER_CONFIG, settings)
    write_text(folder / TEMPLATE, template)


def fix_template(
    folder: Path, template: str, day: Callable[[], datetime.date], arguments: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Write what decides how a template renders into the one of the tokenizer in `folder`.

    Args:
        folder: of the tokenizer.
        template: its chat template.
        day: gives the day on which a template that asks for it is rendered.
        arguments: values of variables that the template reads.

    Returns:
        What was written, for the manifest.

    Raises:
        BadInput: the template reads no such variable, or makes its date in a way that is not understood.
    """
    fixed, written = with_arguments(template, arguments), {}
    if arguments:
        written["chat_template_arguments"] = arguments
    if says_date(template):
        date = day()
        fixed, written[DATE] = with_date(fixed, date), date.isoformat()
    if fixed != template:
        set_template(folder, fixed)
    return written


def says_date(template: str) -> bool:
    """Whether a template asks which day it is."""
    return _TODAY_OTHERWISE.search(template) is not None


def with_date(template: str, date: datetime.date) -> str:
    """A template with a date written into it in place of today's, as if it were always rendered on that day.

    Raises:
        BadInput: it asks for today in another way than `strftime_now("…")`.
    """
    dated = _TODAY.sub(lambda call: repr(date.strftime(call["format"])), template)
    if says_date(dated):
        raise BadInput(
            "the chat template makes a date of strftime_now in a way that is not understood here; give another --chat-template"
        )
    return dated


def with_arguments(template: str, arguments: Mapping[str, Any]) -> str:
    """A template with values written into it for variables that it reads, as if whoever renders it gave them.

    Args:
        template: a chat template.
        arguments: values by variable, as JSON has them.

    Raises:
        BadInput: the template reads no such variable.
    """
    for name in arguments:
        if not re.search(rf"\b{re.escape(name)}\b", template):
            raise BadInput(f"the chat template reads no variable {name}; take it out of chat_template_arguments")
    # A literal of Python is one of Jinja; Transformers drops the line break behind a statement.
    return "".join(f"{{% set {name} = {value!r} %}}\n" for name, value in arguments.items()) + template


def _parting(sampled: str, whole: str) -> str:
    place = next((n for n, (a, b) in enumerate(zip(sampled, whole, strict=False)) if a != b), len(whole))
    one, other = (text[max(0, place - _AROUND) : place + _AROUND] for text in (sampled, whole))
    return f"{one!r} as sampled, {other!r} as trained"
