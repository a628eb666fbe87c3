"""How long one GPU takes, from the sizes of models and texts. Standard library only. N is a model's number of parameters."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Speeds:
    """How fast one GPU is, and how long texts are: `resources.speeds` of the configuration.

    Attributes:
        prompt_tokens: mean length of a prompt.
        response_tokens: mean length of a response.
        training: useful floating-point operations a second.
        scoring: the same for forward passes alone.
        sampling: tokens sampled a second, times N.
        labelling: pairs a second that a preference model compares, in both orders, times N.
        judging: judgements a second that a judge's endpoint gives.
        startup: seconds until a model is loaded and ready, whatever its size.
        loading: bytes a second that a checkpoint is read with.
    """

    prompt_tokens: float
    response_tokens: float
    training: float
    scoring: float
    sampling: float
    labelling: float
    judging: float
    startup: float
    loading: float

    def ready(self, parameters: float) -> float:
        """Seconds until a model in bfloat16 is loaded."""
        return self.startup + 2 * parameters / self.loading

    def tokens(self, responses: float, prompts: float) -> float:
        """Tokens of that many responses and prompts."""
        return responses * self.response_tokens + prompts * self.prompt_tokens

    def train(self, parameters: float, tokens: float, gpus: int, lora: bool = False) -> float:
        """Seconds of training on `tokens`.

        A token costs 2N operations forward, 4N backward and 2N again where activations are recomputed. Of the backward pass, one
        half is for the gradients of weights, which nobody needs of frozen ones: beside LoRA it is 6N instead of 8N.
        """
        return self.ready(parameters) + (6 if lora else 8) * parameters * tokens / (self.training * max(1, gpus))

    def score(self, parameters: float, tokens: float) -> float:
        """Seconds of computing the log-probabilities of `tokens`."""
        return self.ready(parameters) + 2 * parameters * tokens / self.scoring

    def sample(self, parameters: float, responses: float) -> float:
        """Seconds of sampling `responses`."""
        return self.ready(parameters) + responses * self.response_tokens * parameters / self.sampling

    def compare(self, parameters: float, pairs: float) -> float:
        """Seconds of comparing `pairs` with a preference model."""
        return self.ready(parameters) + pairs * parameters / self.labelling

    def judge(self, pairs: float) -> float:
        """Seconds of asking a judge's endpoint about `pairs`."""
        return self.startup + pairs / self.judging
