"""Validation of the configuration: one clear sentence for whatever is wrong, and the schema's defaults filled in.

Needs jsonschema, which Snakemake brings along; the Snakefile imports this module.
"""

import copy
import json
import math
import os
import re

from dpo_stages.core.errors import BadInput
from dpo_stages.study.groups import is_grouped
from dpo_stages.study.objectives import why_not
from dpo_stages.study.parameters import parameters_of
from dpo_stages.study.policies import (
    AUTO,
    BLEND,
    OF_DATA,
    OFF,
    ON,
    PICK,
    POOL,
    RECOMMENDED,
    RESERVED,
    SOURCE,
    Policy,
    data_of,
    of_data,
)
from dpo_stages.study.schema_errors import meant, sentence_of
from dpo_stages.study.shorthand import write_out
from dpo_stages.study.splits import lacking

PARAMETERS_OF_PAIRRM = 4.35e8

ANSWER_TOKENS = 1024  # of a judge's answer in words, where the configuration does not say


def check_settings(config: dict, schema: dict) -> None:
    """Validate `config` in place: fill in the schema's defaults and the home folder, then check what a schema cannot say.

    Raises:
        BadInput: one sentence with the key, what it holds and what is allowed.
    """
    write_out(config)
    _check_against_schema(config, schema)
    _expand_home(config)
    _refuse_what_is_no_number(config, [])
    _complete_yardstick(config, schema)
    _complete_models(config)
    _check_references(config)
    _check_suffixes(config)
    _check_boundary(config)
    _check_race(config)
    _check_tables(config)
    _check_analyses(config)
    _check_report(config)
    _check_audit(config)
    _check_capabilities(config)


def _check_against_schema(config: dict, schema: dict) -> None:
    from jsonschema import Draft202012Validator, validators

    check_properties, check_items = (Draft202012Validator.VALIDATORS[name] for name in ("properties", "items"))

    def complete(validator, properties, instance, subschema):
        if isinstance(instance, dict):
            for key, value in properties.items():
                if "default" in value:
                    instance.setdefault(key, copy.deepcopy(value["default"]))  # whose own defaults are filled in
                if isinstance(instance.get(key), str):
                    instance[key] = _number(instance[key], validator.evolve(schema=value))
        yield from check_properties(validator, properties, instance, subschema)

    def convert(validator, items, instance, subschema):
        if isinstance(instance, list):
            of_item = validator.evolve(schema=items)
            instance[:] = [_number(item, of_item) if isinstance(item, str) else item for item in instance]
        yield from check_items(validator, items, instance, subschema)

    validator = validators.extend(Draft202012Validator, {"properties": complete, "items": convert})
    errors = sorted(
        validator(schema).iter_errors(config), key=lambda error: [str(part) for part in error.absolute_path]
    )
    if errors:
        raise BadInput(f"configuration: {sentence_of(errors[0], config)}")


def _expand_home(section: dict | list) -> None:
    """Put the home folder in place of `~/` at the beginning of paths, as a shell would."""
    for key, value in section.items() if isinstance(section, dict) else enumerate(section):
        if isinstance(value, str) and value.startswith("~/"):
            section[key] = os.path.expanduser(value)
        elif isinstance(value, dict | list):
            _expand_home(value)


def _refuse_what_is_no_number(value: object, keys: list) -> None:
    """YAML's .nan and .inf are above and below nothing, so that no limit of a schema catches them."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"configuration: {'.'.join(map(str, keys))} is {value}; give a finite number")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _refuse_what_is_no_number(item, [*keys, key])


def _number(text: str, validator) -> object:
    """The number, truth value or null that `text` spells if `validator` wants that, else `text`.

    Snakemake hands on what `--config 'section={key: 1}' 'seeds=[0, 1]'` hold as text, and YAML reads 5e-7 as text.
    """
    if validator.is_valid(text):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    wrong_type, still_wrong = (
        any(error.validator == "type" for error in validator.iter_errors(one)) for one in (text, value)
    )
    return value if validator.is_valid(value) or (wrong_type and not still_wrong) else text  # a number beyond a limit


def _complete_models(config: dict) -> None:
    """A model's label is its name, and parameters are counted, where they are not given."""
    for model in config["preference_models"].values():
        model["parameters"] = model["parameters"] or parameters_of(model["path"]) or PARAMETERS_OF_PAIRRM
    for name, model in config["models"].items():
        model["label"] = model["label"] or name
        model["parameters"] = model["parameters"] or parameters_of(model["path"])
        if model["parameters"] is None:
            raise BadInput(
                f"configuration: models.{name}.path is {model['path']!r}, which is no folder with safetensors here, and as an id on the "
                f"hub it does not say how many parameters the model has; correct the path, or give models.{name}.parameters, as 1.5e+9"
            )


def _complete_yardstick(config: dict, schema: dict) -> None:
    """Name the judge of the evaluation as the preference model that audits and races ask, where none is named.

    A judge that is no preference model of the study yet becomes one under its own name, if that is free. One that the workflow
    serves with vLLM for each job (`kind: vllm`) cannot be asked about pairs, so that there is no yardstick then.
    """
    name, models = config["evaluation"]["judge"], config["preference_models"]
    judge = config["judges"].get(name)
    if config["yardstick"] is not None or judge is None or judge["kind"] == "vllm":
        return
    if judge["kind"] == "preference_model":
        config["yardstick"] = judge["model"]
        return
    config["yardstick"] = next((model for model, settings in models.items() if settings["judge"] == name), None)
    if config["yardstick"] is None and name not in models:
        keys = schema["properties"]["preference_models"]["additionalProperties"]["properties"]
        models[name] = {key: value["default"] for key, value in keys.items() if "default" in value} | {"judge": name}
        config["yardstick"] = name


def _check_references(config: dict) -> None:
    """Every name that points into another section exists there, with the right kind."""
    for name, model in config["models"].items():
        if model["sft"] is not None:
            _expect_dataset(config, f"models.{name}.sft", model["sft"], "chat", "train")
        made_here = name in config.get("demo_world", {"models": {}})["models"]
        if (model["path"] is None) != made_here:
            raise BadInput(
                f"configuration: models.{name}.path is {model['path']!r}; give a hub id or a folder, "
                "or null for a model of demo_world.models"
            )
    if "demo_world" in config:
        for name in config["demo_world"]["ranker_samples"]["models"]:
            if name not in config["models"]:
                raise BadInput(
                    f"configuration: demo_world.ranker_samples.models names {name!r}, which is none of models; "
                    f"there are {', '.join(config['models'])}"
                )
    for name, dataset in config["datasets"].items():
        if (dataset["adapter"] == "local") != (dataset["path"] is None):
            raise BadInput(
                f"configuration: datasets.{name}.path is {dataset['path']!r}; it names the hub's data set, "
                "and stays away with the adapter local, whose splits name files"
            )
        if dataset["columns"] and dataset["adapter"] not in ("local", "auto"):
            raise BadInput(
                f"configuration: datasets.{name}.columns is for the adapters local and auto; {dataset['adapter']} knows its columns"
            )
    for split in ("train", config["boundary"]["split"]):
        _expect_data(config, split)
    _expect(config["preference_models"], "preference_model", config["preference_model"])
    evaluation = config["evaluation"]
    _expect_dataset(config, "evaluation.instructions", evaluation["instructions"], "instructions", "evaluation")
    _expect(config["judges"], "evaluation.judge", evaluation["judge"])
    if evaluation["fit_difficulty_over"] is not None:
        _expect(config["tables"], "evaluation.fit_difficulty_over", evaluation["fit_difficulty_over"])
        for split in ("verbose", "concise"):
            _expect_dataset(config, "evaluation.instructions", evaluation["instructions"], "instructions", split)
    judges = {
        f"judges.{name}.model": judge["model"]
        for name, judge in config["judges"].items()
        if judge["kind"] == "preference_model"
    }
    witness = config["evaluation"]["length_witness"]
    if witness is not None:
        _expect(config["preference_models"], "evaluation.length_witness", witness)
    if config["yardstick"] is not None:
        _expect(config["preference_models"], "yardstick", config["yardstick"])
    labelling = {
        "preference_model": config["preference_model"],
        "evaluation.length_witness": witness,
        "yardstick": config["yardstick"],
    }
    for key, name in {**labelling, **judges}.items():
        if config["preference_models"].get(name, {}).get("engine") == "rank":
            raise BadInput(
                f"configuration: {key} is {name}, whose engine rank compares the candidates of two sources and labels no "
                "pairs; name it under boundary.second_opinions"
            )
    for name, model in config["preference_models"].items():
        _check_preference_model(config, f"preference_models.{name}", model)
    for name, judge in config["judges"].items():
        _complete_answers(name, judge)
        if judge["kind"] == "preference_model":
            _expect(config["preference_models"], f"judges.{name}.model", judge["model"])
            if config["preference_models"][judge["model"]]["judge"] is not None:
                raise BadInput(
                    f"configuration: judges.{name}.model names {judge['model']}, a judge itself; name that judge instead"
                )
        if judge["kind"] == "vllm":
            _expect(config["models"], f"judges.{name}.model", judge["model"])
        needed = {"endpoint": "base_url", "served": "command"}.get(judge["kind"])
        if needed and judge[needed] is None:
            raise BadInput(f"configuration: judges.{name} is of kind {judge['kind']} and lacks the key {needed}")
    for where, section in {
        "sft": config["sft"],
        **{f"methods.{name}": m for name, m in config["methods"].items()},
    }.items():
        if section["keep"] == "adapter" and section["lora"] is None:
            raise BadInput(
                f"configuration: {where}.keep is adapter, which only LoRA has; train with `lora: {{}}`, or leave keep out"
            )
    for name, method in config["methods"].items():
        keys = ("loss", "delta", "sft_weight", "label_smoothing", "use_weighting")
        if reason := why_not(**{key: method[key] for key in keys}):
            raise BadInput(f"configuration: methods.{name}: {reason}")
    for name, value in config["sources"].items():
        if re.fullmatch(RESERVED, name):
            raise BadInput(f"configuration: sources.{name} is built in; choose another name")
        check_policy(config, value, f"sources.{name}")
        _refuse_cycle(config, name)


def _complete_answers(name: str, judge: dict) -> None:
    """Answers in words have a limit, and only what is asked with a prompt answers at all."""
    in_words = judge["answers"] == "words"
    if judge["answer_tokens"] is not None and not in_words:
        raise BadInput(
            f"configuration: judges.{name}.answer_tokens belongs to answers in words; leave it out, or set answers: words"
        )
    if judge["kind"] == "preference_model" and (in_words or judge["prompt"] is not None):
        raise BadInput(
            f"configuration: judges.{name} is a preference model, which gets no prompt and answers no words; leave answers and "
            "prompt out"
        )
    if in_words and judge["answer_tokens"] is None:
        judge["answer_tokens"] = ANSWER_TOKENS


def _check_preference_model(config: dict, where: str, model: dict) -> None:
    """A preference model is one of three things, and its settings belong to what it is."""
    if sum(model[key] is not None for key in ("path", "training", "judge")) != 1:
        name = where.removeprefix("preference_models.")
        needed = f"{where} needs exactly one of path, training and judge"
        raise BadInput(f"configuration: {'; '.join([needed, *meant(name, config['preference_models'])])}")
    own_engine = model["engine"] in ("llm-blender", "rank")
    if own_engine != (model["batch_size"] is not None):
        raise BadInput(
            f"configuration: {where}: engine llm-blender and batch_size belong together, its labels depend on it"
            " (the same with the engine rank)"
        )
    if own_engine and model["precision"] != "float32":
        raise BadInput(f"configuration: {where}.precision is the engine batched's; llm-blender chooses its own")
    if model["engine"] == "rank" and model["held_out"] is not None:
        raise BadInput(f"configuration: {where}.held_out: the engine rank compares no pair alone; leave held_out away")
    shards = config["resources"]["shards"]
    if own_engine and max(shards["labelling"], shards["comparison"]) > 1:
        raise BadInput(
            f"configuration: {where}.engine is {model['engine']}, whose labels depend on what shares a batch; "
            "set resources.shards.labelling and comparison to 1"
        )
    if model["judge"] is not None:
        _expect(config["judges"], f"{where}.judge", model["judge"])
        kind = config["judges"][model["judge"]]["kind"]
        if kind not in ("endpoint", "served"):
            raise BadInput(
                f"configuration: {where}.judge names {model['judge']} of kind {kind}; take an endpoint or served"
            )
        if own_engine or model["precision"] != "float32":
            raise BadInput(
                f"configuration: {where} is a judge; engine and precision belong to rankers and reward models"
            )


def _check_suffixes(config: dict) -> None:
    """What has a suffix is preference data or a preference model, and no two have the same."""
    owners: dict[str, str] = {}
    for section in ("datasets", "preference_models"):
        for name, entry in config[section].items():
            where, suffix = f"{section}.{name}.suffix", entry["suffix"]
            if suffix is None:
                continue
            if section == "datasets" and entry["kind"] != "preferences":
                raise BadInput(
                    f"configuration: {where} is {suffix}, but the data set is of kind {entry['kind']}; only preference data "
                    "and preference models have one"
                )
            if suffix in owners:
                raise BadInput(
                    f"configuration: {owners[suffix]} and {where} are both {suffix}, so that results of one would be taken "
                    "for the other's; choose another for one of them"
                )
            owners[suffix] = where


def _refuse_cycle(config: dict, first: str) -> None:
    """A source is the samples of a policy; that policy must not have been trained on the source itself."""
    waiting, trail = [first], []
    while waiting:
        name = waiting.pop()
        trail.append(name)
        for used in Policy.parse(config["sources"][name]).history:
            if used == first:
                raise BadInput(
                    f"configuration: sources.{first} is cyclic: its policy {config['sources'][trail[0]]} "
                    f"was trained on {' -> '.join([*reversed(trail)])} itself; name a policy that was not"
                )
            if used in config["sources"] and used not in trail:
                waiting.append(used)


def _check_boundary(config: dict) -> None:
    """Decisions by hand are about fixed policies, and a second opinion is another preference model's."""
    for name, source in config["boundary"]["decisions"].items():
        check_policy(config, name, f"boundary.decisions.{name}")
        check_source(config, source, f"boundary.decisions.{name}", decided=True)
    if (undecided := config["boundary"]["undecided"]) != RECOMMENDED:
        check_source(config, undecided, "boundary.undecided", decided=True)
    for number, name in enumerate(config["boundary"]["second_opinions"]):
        where = f"boundary.second_opinions.{number}"
        _expect(config["preference_models"], where, name)
        if name == config["preference_model"]:
            raise BadInput(f"configuration: {where} is {name}, which measures already; name another preference model")
        if is_grouped(config) and config["preference_models"][name]["engine"] == "rank":
            raise BadInput(
                f"configuration: {where} is {name}, whose engine rank compares two candidates with two; take it out, or sample "
                "two candidates (sampling.candidates) and make pairs of two (pairs)"
            )


def _check_race(config: dict) -> None:
    """The arms of a race are known, its looks rise, and something can be asked where a decision hangs on it."""
    race, methods = config["race"], config["methods"]
    race["method"] = race["method"] or next(iter(methods))
    _expect(methods, "race.method", race["method"])
    race["sources"] = race["sources"] or [OFF, ON, *(of_data(OFF, name) for name in config["other_data"])]
    for source in race["sources"]:
        check_source(config, source, "race.sources", decided=True)
    for table in race["tables"]:
        _expect(config["tables"], "race.tables", table)
    epochs = methods[race["method"]]["epochs"]
    if race["shares"] != sorted(race["shares"]) or race["shares"][-1] >= epochs:
        raise BadInput(
            f"configuration: race.shares is {race['shares']}; give rising shares of an epoch, all below the {epochs:g} that "
            f"methods.{race['method']} trains for"
        )
    if config["decide_by"] == "race" or race["tables"]:
        if config["yardstick"] is None:
            asks = "decide_by is race" if config["decide_by"] == "race" else "race.tables asks for races"
            raise BadInput(
                f"configuration: {asks}, but the judge {config['evaluation']['judge']} cannot be asked about pairs; "
                "name one of preference_models as yardstick"
            )
        _expect_data(config, "test")


def _check_tables(config: dict) -> None:
    for name, table in config["tables"].items():
        for key, section in (("models", "models"), ("methods", "methods")):
            for value in table[key]:
                _expect(config[section], f"tables.{name}.{key}", value)
        if bool(table["sources"]) == bool(table["histories"]):
            raise BadInput(f"configuration: tables.{name} needs exactly one of sources and histories")
        for source in table["sources"]:
            check_source(config, source, f"tables.{name}.sources")
        for history in table["histories"]:
            for source in history.split("-"):
                check_source(config, source, f"tables.{name}.histories")
        if "second_opinions" in table["columns"] and not config["boundary"]["second_opinions"]:
            raise BadInput(
                f"configuration: tables.{name}.columns has second_opinions, and nobody is asked; name preference models in "
                "boundary.second_opinions"
            )
    fitting = config["evaluation"]["fit_difficulty_over"]
    if fitting is not None and any(
        AUTO in re.split("[- ]", " ".join(config["tables"][fitting][key])) for key in ("sources", "histories")
    ):
        raise BadInput(
            f"configuration: evaluation.fit_difficulty_over names {fitting}, whose policies {AUTO} decides about only "
            "while the study runs; name a table without it"
        )


def _check_analyses(config: dict) -> None:
    for name, analysis in config["analyses"].items():
        if analysis is None:
            continue
        for model in analysis["models"]:
            _expect(config["models"], f"analyses.{name}.models", model)
        _expect(config["methods"], f"analyses.{name}.method", analysis["method"])
        for source in analysis.get("sources", []):
            check_source(config, source, f"analyses.{name}.sources", decided=True)


def _check_report(config: dict) -> None:
    """Table 10 and the quality of candidates take policies that the study has."""
    if config["responses"] is not None:
        table, model = config["responses"]["table"], config["responses"]["model"]
        _expect(config["tables"], "responses.table", table)
        if model not in config["tables"][table]["models"]:
            known = ", ".join(config["tables"][table]["models"])
            raise BadInput(f"configuration: responses.model names '{model}', which is not in {table}; it has {known}")
    for number, pair in enumerate(config["quality"]["pairs"]):
        for key, name in pair.items():
            where = f"quality.pairs.{number}.{key}"
            if name in config["datasets"]:
                _expect_dataset(config, where, name, "preferences", "train")
            else:
                check_policy(config, name, where)


def _check_audit(config: dict) -> None:
    """Audits are about sources that have pairs of their own, and votes about those that the workflow can tell."""
    audit, known = config["audit"], ", ".join([OFF, ON, *config["sources"]])
    for source in audit["sources"]:
        if source not in (OFF, ON, *config["sources"]):
            raise BadInput(f"configuration: audit.sources names '{source}'; pairs of their own have {known}")
    for name in audit["votes"]:
        where = f"audit.votes.{name}"
        if name == ON:
            raise BadInput(f"configuration: {where} does not say whose samples; name the policy, as in zephyr-7b/sft")
        others = {of_data(OFF, data): data for data in config["other_data"]}
        if name not in (OFF, *others, *config["sources"]):
            asked = [f"+{data}" for data in others.values() if name.endswith(f"+{data}")]
            check_policy(config, name.removesuffix("".join(asked)), where)
    for table in audit["tables"]:
        _expect(config["tables"], "audit.tables", table)


def _check_capabilities(config: dict) -> None:
    """Tables that show what policies can do are there, and so are tasks to ask."""
    for table in config["capabilities"]["tables"]:
        _expect(config["tables"], "capabilities.tables", table)
    if config["capabilities"]["tables"] and not config["capabilities"]["tasks"]:
        raise BadInput(
            "configuration: capabilities.tables names tables, but capabilities.tasks no task; name one, such as gsm8k"
        )


def check_source(config: dict, source: str, where: str, decided: bool = False) -> None:
    """Make sure that `source`, found at the key `where`, names a candidate source of this study.

    Args:
        config: the whole configuration.
        source: its name.
        where: the key, for the message.
        decided: whether it must be one that is known before the study runs, which `auto` is not.

    Raises:
        BadInput: it does not; the message lists the sources there are.
    """
    of_others = [of_data(one, name) for name in config["other_data"] for one in (OFF, ON)]
    built_in = [*([] if decided else [AUTO]), BLEND, POOL, PICK, "mix1 to mix99"]
    known = ", ".join([OFF, ON, *of_others, *config["sources"], *built_in])
    if not re.fullmatch(SOURCE, source):
        raise BadInput(
            f"configuration: {where}: '{source}' is no name of a candidate source (no dashes); known are {known}"
        )
    if decided and source == AUTO:
        raise BadInput(
            f"configuration: {where}: {AUTO} is decided only while the study runs; name a fixed source, known are {known}"
        )
    base, data = data_of(source)
    of_a_data_set = re.fullmatch(OF_DATA, base) and data in (None, *config["other_data"])
    if source != AUTO and source not in config["sources"] and not of_a_data_set:
        raise BadInput(f"configuration: {where}: the candidate source '{source}' is unknown; known are {known}")


def check_policy(config: dict, name: str, where: str) -> None:
    """Make sure that `name` is a policy in its first run, and that its model, method and sources are configured.

    Raises:
        BadInput: it does not; the message lists what there is.
    """
    try:
        policy = Policy.parse(name)
    except BadInput as error:
        raise BadInput(f"configuration: {where}: {error}") from error
    if policy.suffixes:
        raise BadInput(
            f"configuration: {where} names '{name}' with a suffix; leave it out, what is meant is the policy of this study's "
            "preference_data and preference_model"
        )
    if policy.replicate is not None:
        raise BadInput(
            f"configuration: {where} names '{name}', a replicate, which is evaluated and nothing else; leave "
            f"~{policy.replicate} out"
        )
    if policy.asked is not None:
        raise BadInput(
            f"configuration: {where} names '{name}', what {policy.itself} says to the prompts of {policy.asked}; leave +{policy.asked} out"
        )
    _expect(config["models"], where, policy.model)
    if policy.method is not None:
        _expect(config["methods"], where, policy.method)
    for source in policy.history:
        check_source(config, source, where, decided=True)


def _expect(section: dict, where: str, name: str) -> None:
    if name not in section:
        hint = " ".join([*meant(name, section), "known are"])
        raise BadInput(f"configuration: {where} names '{name}', which is not there; {hint} {', '.join(section)}")


def _expect_data(config: dict, split: str) -> None:
    """The data sets of off-policy candidates have this split, and the names of the others fit into those of policies."""
    _expect_dataset(config, "preference_data", config["preference_data"], "preferences", split)
    for number, name in enumerate(config["other_data"]):
        _expect_dataset(config, f"other_data.{number}", name, "preferences", split)
        if name == config["preference_data"]:
            raise BadInput(f"configuration: other_data.{number} is {name}, the preference_data; name it once")


def _expect_dataset(config: dict, where: str, name: str, kind: str, split: str) -> None:
    _expect(config["datasets"], where, name)
    dataset = config["datasets"][name]
    if dataset["kind"] != kind:
        raise BadInput(f"configuration: {where} names '{name}', a data set of kind {dataset['kind']}; {kind} is needed")
    if split not in dataset["splits"]:
        raise BadInput(f"configuration: {where} names '{name}', which has {lacking(config, name, split)}")
