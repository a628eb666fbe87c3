"""What a schema finds wrong with a configuration, as one sentence: the key, what it holds, what is allowed or meant."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from dpo_stages.study.policies import OFF, ON


def sentence_of(error: Any, config: Mapping[str, Any]) -> str:
    """What is wrong in one sentence.

    Args:
        error: of jsonschema.
        config: what was validated.
    """
    key = ".".join(str(part) for part in error.absolute_path) or "the configuration"
    found, meaning = error.instance, error.schema.get("description")
    about = f" ({meaning})" if meaning else ""
    if error.validator == "additionalProperties":
        allowed = list(error.schema["properties"])
        unknown = next(name for name in found if name not in allowed)
        where = ".".join([*(str(part) for part in error.absolute_path), str(unknown)])
        hint = " ".join([*meant(str(unknown), allowed), "allowed here:"])
        return f"the key {where} is unknown; {hint} {', '.join(allowed)}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in found)
        of_missing = error.schema["properties"].get(missing, {}).get("description")
        lacking = f"{key} lacks the key {missing}" + (f" ({of_missing})" if of_missing else "")
        return "; ".join([lacking, *_misspelt(list(error.absolute_path), config)])
    if error.validator == "type":
        return f"{key} is {_type(found, error.validator_value)}{about}"
    if error.validator == "enum" and isinstance(found, bool):
        return f"{key} is {_in_yaml(found)}"
    if error.validator == "enum":
        return f"{key} is {found!r}; allowed are {', '.join(str(value) for value in error.validator_value)}"
    if error.validator == "pattern":
        return f"{key}: {found!r} is not allowed{about}"
    if error.validator == "not":
        return f"{key}: the name {found!r} is reserved; choose another"
    return f"{key}: {error.message}"


def meant(name: str, there: Iterable[str]) -> list[str]:
    """The question whether another name was meant, which is nearly the same; none where there is no such name."""
    close = difflib.get_close_matches(name, [other for other in there if other != name], n=1)
    return [f"did you mean {one}?" for one in close]


def _misspelt(path: list, config: Mapping[str, Any]) -> list[str]:
    """An entry that lacks what every entry has may be another one, misspelt."""
    section: Any = config
    for part in path[:-1]:
        section = section[part]
    return meant(str(path[-1]), section) if path and isinstance(section, Mapping) else []


def _type(found: Any, expected: str | list[str]) -> str:
    """What stands there, and what should."""
    types = [expected] if isinstance(expected, str) else expected
    if not isinstance(found, bool):
        return f"{found!r}; expected is {' or '.join(types)}"
    if not {"string", "array"}.isdisjoint(types):
        return _in_yaml(found)
    if "object" in types:
        return f"{str(found).lower()}; write {{}} for what it is by default" + (
            ", or null for none" if "null" in types else ""
        )
    return f"{str(found).lower()}; expected is {' or '.join(types)}"


def _in_yaml(found: bool) -> str:
    word = ON if found else OFF
    return f'{str(found).lower()}; YAML reads a bare {word} so: write "{word}" with quotes'
