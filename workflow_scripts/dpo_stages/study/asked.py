"""A preference model that jobs ask: the study's own, a witness, a yardstick. Standard library only."""

from dataclasses import dataclass

from dpo_stages.study import paths
from dpo_stages.study.program_inputs import JUDGES, NETWORKS
from dpo_stages.study.study import Study


@dataclass(frozen=True)
class Asked:
    """How the jobs that ask a preference model run.

    Attributes:
        name: of the preference model.
        judge: the judge that it stands for; None for a network.
        env: the environment of its jobs.
        manifest: the file that stands for it.
        files: those whose change means another judge.
        without: modules that programs import for models of the other kind, see `program_inputs`.
    """

    name: str
    judge: str | None
    env: str
    manifest: str
    files: list[str]
    without: tuple[str, ...]

    @classmethod
    def of(cls, study: Study, name: str) -> "Asked":
        """That of a preference model of the study."""
        judge = study.config["preference_models"][name]["judge"]
        env = "alpaca-eval" if judge else "pairrm"
        files = study.identified_by(judge) if judge else []
        return cls(name, judge, env, paths.preference_model(name), files, NETWORKS if judge else JUDGES)

    def cache(self, kind: str, path: str) -> str:
        """The flag of the folder that keeps a judge's answers to one job; nothing for a network."""
        return f" --cache results/judge_cache/{kind}/{path}" if self.judge else ""
