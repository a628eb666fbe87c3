"""Print docs/configuration.md: every setting of rules/config.schema.yaml. `make docs/configuration.md` writes it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

SCHEMA = Path(__file__).resolve().parent.parent / "rules/config.schema.yaml"
HEAD = """# All settings

Made from [rules/config.schema.yaml](../rules/config.schema.yaml) by `make docs/configuration.md`; do not edit. NAME stands for names of your
own. *needed*: there is no default, but [config.yaml](../config.yaml), or a preset ([own.md](own.md)), may have the value.
Unknown keys stop a run, with the name that may have been meant.
"""
TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "section",
}
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}


def whole(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A setting's schema with what it refers to; what it says itself goes before that."""
    if "$ref" not in schema:
        return dict(schema)
    return {**definitions[schema["$ref"].rpartition("/")[2]], **schema}


def is_map(schema: Mapping[str, Any]) -> bool:
    """Whether a section's names are the user's, and each has a plain value."""
    values = schema.get("additionalProperties")
    return isinstance(values, Mapping) and "properties" not in values


def kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What values a setting takes, in words."""
    schema = whole(schema, definitions)
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value) if value is None else value}`" for value in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(kind(one, definitions) for one in schema["oneOf"])
    types = schema.get("type", "object")
    words = []
    for name in [types] if isinstance(types, str) else types:
        if name == "array":
            words.append(f"list: {kind(schema['items'], definitions)}")
        elif name == "object" and is_map(schema):
            words.append(f"{kind(schema['additionalProperties'], definitions)}, by name")
        elif name in ("integer", "number"):
            limits = [words.format(schema[key]) for key, words in LIMITS.items() if key in schema]
            words.append(" ".join([TYPES[name], *([", ".join(limits)] if limits else [])]))
        else:
            words.append(TYPES.get(name, f"`{name}`"))
    return " or ".join(words)


def settings(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Dotted names of the settings below a section, with their schemas and whether they are needed; sections before what is in them."""
    for name, value in schema.get("properties", {}).items():
        found = whole(value, definitions)
        yield f"{prefix}{name}", found, name in schema.get("required", ())
        yield from settings(found, definitions, f"{prefix}{name}.")
        items = whole(found.get("items", {}), definitions)
        yield from settings(items, definitions, f"{prefix}{name}[].")
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping) and not is_map(schema):
        yield from settings(whole(more, definitions), definitions, f"{prefix}NAME.")


def page(schema: Mapping[str, Any]) -> str:
    """The page: settings without others below them first, then a table for each section."""
    definitions = schema["$defs"]
    tables: dict[str, list[str]] = {"": []}
    about: dict[str, str] = {}
    for name, found, needed in settings(schema, definitions):
        section, below = name.partition(".")[::2]
        meaning = found.get("description", "").replace("|", r"\|").replace("<", "&lt;")
        if not below and found.get("type") == "object" and not is_map(found):
            tables[section], about[section] = [], meaning
            continue
        default = (
            "*needed*"
            if needed
            else f"`{json.dumps(found['default'], ensure_ascii=False)}`"
            if "default" in found
            else ""
        )
        tables[section if section in tables else ""].append(
            f"| `{name}` | {kind(found, definitions)} | {default} | {meaning} |"
        )
    parts = [HEAD]
    for section, rows in tables.items():
        parts += [f"## {section}\n"] if section else []
        parts += [f"{about[section][0].upper()}{about[section][1:]}.\n"] if section else []
        if rows:
            parts.append("\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))), end="")
