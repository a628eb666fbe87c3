"""Which preference data should a language model train on next: responses that others wrote, or its own?

    columns       tables as arrays that are checked
    files         the same from CSV, JSON Lines and Parquet files
    comparisons   Algorithm 1's comparisons
    comparing     the same from responses of both sources and a judge
    reading       the same from files
    measurement   the boundary score and its interval; block by block where samples are dear
    result        what it recommends, as JSON and in words
    blocks        nested blocks of prompts in a seeded order
    intervals     the intervals behind it: clustered, exact, and anytime-valid
    robustness    the decision on parts of the comparisons and under other preference models
    consistency   what the policy's own likelihoods say of the comparisons
    mixtures      how many prompts of each source a score between the two suggests
    race          which of several sources wins, decided early in training; `race_columns`, `race_look`, `race_intervals` and
                  `race_result` are its comparisons, one look of it, its intervals and what it says
    cli, race_cli the commands measure-boundary and race; `command` is what they share

Needs numpy and scipy; reading Parquet needs pyarrow. What stands here is imported when it is first used.
"""

from importlib import import_module

_MODULE_OF = {
    "ArmComparisons": "race_columns",
    "BadInput": "errors",
    "BoundaryMeasurement": "result",
    "Comparisons": "comparisons",
    "Look": "robustness",
    "Race": "race_result",
    "RaceLook": "race_result",
    "as_arm_comparisons": "race_columns",
    "as_comparisons": "comparisons",
    "compare": "comparing",
    "decide_look": "race",
    "decide_race": "race",
    "look_again": "robustness",
    "measure_boundary": "measurement",
    "measure_in_blocks": "measurement",
    "read_arm_comparisons": "race_columns",
    "read_comparisons": "reading",
}
__all__ = [*_MODULE_OF]  # __init__.pyi has their types


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
