"""Studies without Snakemake, from the paper's configuration and changes to it."""

from types import SimpleNamespace

import yaml
from conftest import ROOT

from dpo_stages.study.settings import check_settings
from dpo_stages.study.study import Study


class Wildcards(SimpleNamespace):
    """What Snakemake hands to an input function."""

    def get(self, name, default=None):
        return getattr(self, name, default)


def no_decision(initial):
    raise AssertionError(f"nobody may ask what `auto` took for {initial}")


def make_study(*overlays, decision=no_decision, workflow=""):
    """The paper's study with changes: dictionaries are merged key by key."""

    def merge(into, other):
        for key, value in other.items():
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                merge(into[key], value)
            else:
                into[key] = value

    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for overlay in overlays:
        merge(config, yaml.safe_load(overlay) if isinstance(overlay, str) else overlay)
    check_settings(config, yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text()))
    return Study(config, decision, workflow)
