"""What dpo_stages/judges/alpaca_eval.py relies on inside alpaca-eval; a failure says in one sentence what has changed."""

import ast
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dpo_stages.judges import alpaca_eval

ROW = {"instruction": "Why?", "output_1": "Therefore.", "output_2": "Because."}
SIZE = 20


def changed(what: str) -> None:
    pytest.fail(f"alpaca-eval {alpaca_eval.version()}: {what}; see dpo_stages/judges/alpaca_eval.py", pytrace=False)


@pytest.fixture(scope="module")
def modules():
    names = ("annotators", "constants", "completion_parsers", "metrics.glm_winrate", "utils")
    try:
        return dict(zip(names, alpaca_eval.load(*names), strict=True))
    except (ImportError, AttributeError) as error:
        return changed(f"the package no longer imports without its __init__ and the library datasets ({error})")


@pytest.fixture
def glm(modules):
    return modules["metrics.glm_winrate"]


def test_the_package_is_imported_without_its_command_line(modules):
    if "alpaca_eval.main" in sys.modules:
        changed("its modules import its command line, which reads API keys from .env files")
    if hasattr(sys.modules["datasets"], "__file__"):
        changed("the library datasets is imported before the stand-in for it is there")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("annotators", "PairwiseAnnotator"),
        ("constants", "EVALUATORS_CONFIG_DIR"),
        ("metrics.glm_winrate", "get_winrate"),
        ("metrics.glm_winrate", "get_length_controlled_winrate"),
        ("metrics.glm_winrate", "hf_hub_download"),
        ("metrics.glm_winrate", "fit_LogisticRegressionCV"),
    ],
)
def test_names_exist(modules, module, name):
    if not hasattr(modules[module], name):
        changed(f"the module {module} has no {name}")


@pytest.mark.parametrize(
    ("module", "function", "parameters"),
    [
        ("annotators.base", "BaseAnnotatorJSON.__init__", {"caching_path"}),
        ("annotators", "PairwiseAnnotator.__call__", {"chunksize"}),
        ("annotators.base", "BaseAnnotator.__init__", {"annotators_config"}),
        ("annotators.base", "SingleAnnotator.__init__", {"fn_completions", "completion_key"}),
        ("metrics.glm_winrate", "get_length_controlled_winrate", {"annotations", "save_weights_dir"}),
        ("metrics.glm_winrate", "get_winrate", {"annotations"}),
    ],
)
def test_parameters_exist(module, function, parameters):
    (found,) = alpaca_eval.load(module)
    for name in function.split("."):
        found = getattr(found, name, None) or changed(f"the module {module} has no {function}")
    if missing := parameters - set(inspect.signature(found).parameters):
        changed(f"{function} takes no {', '.join(sorted(missing))}")


def test_the_annotators_configuration_is_the_one_of_the_paper(modules):
    path = Path(modules["constants"].EVALUATORS_CONFIG_DIR) / alpaca_eval.PROMPT / "configs.yaml"
    if not path.is_file():
        changed(f"there is no annotator {alpaca_eval.PROMPT}")
    expected = {
        "prompt_template": "alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
        "fn_completions": "openai_completions",
        "completions_kwargs": {
            "model_name": "gpt-4-1106-preview",
            "max_tokens": 1,
            "temperature": 1,
            "logprobs": True,
            "top_logprobs": 5,
        },
        "fn_completion_parser": "logprob_parser",
        "completion_parser_kwargs": {
            "numerator_token": "m",
            "denominator_tokens": ["m", "M"],
            "is_binarize": False,
        },
        "completion_key": "completions_all",
        "batch_size": 1,
    }
    shipped = yaml.safe_load(path.read_text())[alpaca_eval.PROMPT]
    for key in sorted(expected.keys() | shipped.keys()):
        if expected.get(key) != shipped.get(key):
            changed(f"the annotator's {key} is {shipped.get(key)!r}, no longer {expected.get(key)!r}")


def test_the_annotator_asks_our_decoder_and_parses_what_it_answers():
    asked = []

    def complete(prompts):
        asked.extend(prompts)
        top = [{"token": "m", "logprob": np.log(0.75)}, {"token": "M", "logprob": np.log(0.25)}]
        return [{"logprobs": {"content": [{"top_logprobs": top}]}}]

    try:
        (preference,) = alpaca_eval.make_annotator(complete)([ROW])
    except Exception as error:  # whatever the package makes of it
        changed(f"the annotator does not work with another decoder ({type(error).__name__}: {error})")
    if len(asked) != 1 or not all(text in asked[0] for text in ROW.values()):
        changed(f"the decoder was called with {len(asked)} prompts for one row, or without its texts")
    first_is_m = asked[0].index(ROW["output_1"]) < asked[0].index(ROW["output_2"])
    if preference != pytest.approx(1.25 if first_is_m else 1.75):
        changed(f"P(m) = 0.75 became the preference {preference}")


def annotations():
    """The higher the index, the easier the instruction."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "index": np.arange(SIZE),
            "preference": 1 + np.linspace(0.05, 0.95, SIZE),
            "output_1": [range(100)] * SIZE,
            "output_2": [range(length) for length in generator.integers(50, 200, SIZE).tolist()],
            "generator_1": "reference",
            "generator_2": "policy",
            "annotator": "judge",
        }
    )


def gamed(difficulty=0.0):
    header = "model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline\n"
    return header + "".join(
        f"{model},0.4,{index},{0.1 * index - 1},{difficulty * (index - SIZE / 2)},False\n"
        for model in ("verbose", "concise")
        for index in range(SIZE)
    )


class Called(Exception):
    """The replaced function was called."""


@pytest.mark.parametrize("name", ["hf_hub_download", "fit_LogisticRegressionCV"])
def test_what_is_replaced_is_what_is_called(glm, monkeypatch, tmp_path, name):
    def called(*arguments, **options):
        raise Called

    (tmp_path / "gamed.csv").write_text(gamed())
    monkeypatch.setattr(glm, "hf_hub_download", lambda **_: tmp_path / "gamed.csv")
    monkeypatch.setattr(glm, name, called)
    try:
        glm.get_length_controlled_winrate(annotations(), save_weights_dir=None)
        changed(f"get_length_controlled_winrate no longer calls {name}")
    except Called:
        pass
    except Exception as error:  # whatever the package makes of it
        changed(f"get_length_controlled_winrate failed before it called {name} ({type(error).__name__}: {error})")


def test_the_fit_stands_on_what_is_given_in_place_of_the_download(glm):
    rows = annotations()
    lengths = np.array([len(output) for output in rows["output_2"]])
    arguments = (np.arange(SIZE), rows["preference"].to_numpy() - 1, lengths, np.full(SIZE, 100))
    before = glm.hf_hub_download, glm.fit_LogisticRegressionCV
    fits = [alpaca_eval.win_rates(*arguments, gamed(difficulty)) for difficulty in (0.0, 0.3)]
    for metrics, coefficients, strength in fits:
        if missing := {"win_rate", "standard_error", "n_wins", "n_draws", "n_wins_base"} - metrics.keys():
            changed(f"get_length_controlled_winrate no longer gives {', '.join(sorted(missing))}")
        if len(coefficients) != 3 or not strength > 0:
            changed(f"the fit has {len(coefficients)} coefficients and the strength {strength}")
    if fits[0][1][1] != 0 or fits[1][1][1] == 0:
        changed("the fit does not stand on the difficulties that it is given, or its coefficients changed places")
    if (glm.hf_hub_download, glm.fit_LogisticRegressionCV) != before:
        changed("the replaced functions were not put back")


# The stand-in for the package datasets, and the package's own __init__ that is left out

PACKAGE = Path(importlib.util.find_spec("alpaca_eval").origin).parent
SOURCES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}


def read_while_importing(node: ast.AST) -> Iterator[str]:
    """Names that a module takes from the package datasets outside the bodies of its functions."""
    if isinstance(node, ast.FunctionDef):
        parts = [node.args, *node.decorator_list]
    else:
        parts = ast.iter_child_nodes(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "datasets":
            yield node.attr
    for part in parts:
        yield from read_while_importing(part)


def test_nothing_of_datasets_is_used_but_a_type():
    used = {name for source in SOURCES.values() for name in read_while_importing(source)}
    assert used == {"Dataset"}, f"importing alpaca-eval uses {sorted(used)} of datasets, where it was the name Dataset"


def test_nothing_is_taken_from_the_package_that_is_left_out():
    taken = {
        alias.name
        for source in SOURCES.values()
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.module == "alpaca_eval"
        for alias in node.names
    }
    own = sorted(name for name in taken if not (PACKAGE / f"{name}.py").is_file())
    assert not own, f"modules of alpaca-eval import {own} from the package's own __init__, which is left out"
