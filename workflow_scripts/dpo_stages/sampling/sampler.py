"""Sample responses of a policy with vLLM; what sample_candidates.py and generate_evaluation_outputs.py share.

Every response is a request of its own with a seed of its own, so a sample depends on the policy, the prompt, the flags
and that seed, and not on what else is sampled, in which order or on how many machines. On CPU cores, with one thread,
this holds to the last bit. On GPUs vLLM's kernels round differently as the batch around a request changes: the seeds
are the same, and a near tie between two tokens may still fall differently from run to run.

Prompts are rendered by the tokenizer's own chat template (`chat_tokens.tokenize_prompts`) and passed on as token ids,
so vLLM neither renders nor tokenises anything again. A response ends with the token that ends the assistant's turn in
that template, or any end of sequence that the tokenizer or the checkpoint's generation_config.json names.
"""

from array import array
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json
from dpo_stages.core.libraries import importing_libraries, quiet_libraries, without_hub
from dpo_stages.core.parquet import read_table
from dpo_stages.core.program import ProgressReport
from dpo_stages.data.thoughts import opens_thought
from dpo_stages.models.architectures import heads_too_odd_for_cpu
from dpo_stages.models.chat_tokens import end_of_turn, load_tokenizer, vocabulary_of
from dpo_stages.models.merging import whole_policy
from dpo_stages.sampling.decoding import GPU_MEMORY_UTILIZATION, Decoding
from dpo_stages.sampling.engine import gpus_for, on_cpu, prepare_environment

if TYPE_CHECKING:
    import pyarrow as pa
    from vllm import LLMEngine

REQUESTS_IN_ENGINE = 4096  # several batches; the others wait outside, where they cost nothing
TOKENS_OF_A_BEGINNING = 16  # more than any tokenizer needs for the beginning of a thought and white space
CPU_BATCH = 256  # requests at a time on CPU cores: throughput is flat from 128 to 512
CPU_BLOCK = 128  # tokens in a block of the CPU's key-value cache
CPU_BATCHED_TOKENS = 4096  # prompt tokens in one forward pass on CPU cores
CPU_CACHE_LIMIT = 4 * 2**30  # bytes; requests that do not fit wait for others to end


@dataclass(frozen=True)
class Request:
    """A response that is wanted: what it goes on from, its seed, and how many tokens there is room for."""

    prompt: list[int]
    seed: int
    max_tokens: int


@dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
        text: without special tokens.
        ids: the policy's tokens as they were drawn, the one that ended it included.
        truncated: whether it was cut at the length of the request, and so has no end.
    """

    text: str
    ids: array
    truncated: bool


def read_prompts(path: Path, schema: "pa.Schema") -> "pa.Table":
    """Read a table with `prompt_id` and `prompt`, and make sure that it can be sampled from.

    Raises:
        BadInput: the file is not such a table, a prompt occurs twice, or one has no turns or a turn without text.
    """
    import pyarrow.compute as pc

    table = read_table(path, schema)
    if not table.num_rows:
        raise BadInput(f"{path} has no rows: there is nothing to sample")
    counted = pc.value_counts(table["prompt_id"].combine_chunks())
    repeated = counted.filter(pc.greater(counted.field("counts"), 1))
    if len(repeated):
        example = repeated.field("values")[0]
        raise BadInput(f"{path}: the prompt {example} occurs more than once; prepare_dataset.py keeps the first")
    turns = pc.list_flatten(table["prompt"])
    texts = [turns, pc.struct_field(turns, "role"), pc.struct_field(turns, "content")]
    if pc.min(pc.list_value_length(table["prompt"])).as_py() < 1 or any(text.null_count for text in texts):
        raise BadInput(f"{path}: column prompt has a prompt without turns, or a turn without role or content")
    return table


class Sampler:
    """A policy ready to be asked for responses. The engine starts with the first call of `sample`.

    Args:
        folder: the checkpoint with its tokenizer.
        decoding: how tokens are drawn.
        gpu_memory_utilization: share of each GPU's memory that the engine takes; changes no result.

    Attributes:
        tokenizer: the checkpoint's.
        context: longest prompt and response together, in tokens.
        lasting: the engine stays for further calls of `sample`, with a cache for any of them.

    Raises:
        BadInput: the checkpoint has no tokenizer, no chat template or no end of turn, or heads that CPU cores do not take.
    """

    def __init__(
        self, folder: Path, decoding: Decoding, gpu_memory_utilization: float = GPU_MEMORY_UTILIZATION
    ) -> None:
        self.folder, self.decoding, self.gpu_memory_utilization = folder, decoding, gpu_memory_utilization
        self.lasting, self.engine = False, None
        prepare_environment()
        without_hub()
        with importing_libraries():
            from transformers import AutoConfig
        quiet_libraries()
        self.tokenizer = load_tokenizer(folder)
        try:
            self.config = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{folder} has no model configuration that can be read; is it a whole checkpoint?"
            ) from error
        if on_cpu() and (reason := heads_too_odd_for_cpu(self.config.to_dict())):
            raise BadInput(f"{folder} {reason}")
        self.context = min(decoding.max_length, getattr(self.config, "max_position_embeddings", decoding.max_length))
        self.ends = self._ends()

    def _ends(self) -> set[int]:
        """Tokens that end a response."""
        ends = {end_of_turn(self.tokenizer), self.tokenizer.eos_token_id}
        generation_config = self.folder / "generation_config.json"
        if generation_config.exists():
            named = read_json(generation_config).get("eos_token_id")
            ends.update(named if isinstance(named, list) else [named])
        return ends - {None}

    @cached_property
    def vocabulary(self) -> str:
        """Whose tokens the responses are made of."""
        return vocabulary_of(self.tokenizer)

    def room(self, prompt: list[int]) -> int:
        """Longest response to a prompt, in tokens; 0 if the prompt fills the context."""
        return max(0, min(self.decoding.max_new_tokens, self.context - len(prompt)))

    def opens_thought(self, prompt: list[int]) -> bool:
        """Whether a response to a prompt goes on with a thought that the chat template has begun."""
        return opens_thought(self.tokenizer.decode(prompt[-TOKENS_OF_A_BEGINNING:]))

    def sample(self, requests: list[Request]) -> list[Response]:
        """Sample one response a request, in the order of the requests."""
        if not requests:
            return []  # a shard may be empty
        if self.engine is None:
            self.engine = self._start_engine(requests)
        engine = self.engine
        from vllm import SamplingParams
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind

        decoder = {name: getattr(self.decoding, name) for name in ("temperature", "top_p", "top_k")}
        decoder |= {"stop_token_ids": sorted(self.ends), "detokenize": False}
        responses: list[Response | None] = [None] * len(requests)
        waiting = deque(enumerate(requests))
        report = ProgressReport("sampling", len(requests))
        while waiting or engine.has_unfinished_requests():
            while waiting and engine.get_num_unfinished_requests() < REQUESTS_IN_ENGINE:
                number, request = waiting.popleft()
                parameters = SamplingParams(
                    **decoder,
                    seed=request.seed,
                    max_tokens=request.max_tokens,
                    output_kind=RequestOutputKind.FINAL_ONLY,
                )
                engine.add_request(str(number), tokens_input(request.prompt), parameters)
            for output in engine.step():
                [completion] = output.outputs
                responses[int(output.request_id)] = self._response(completion.token_ids, completion.finish_reason)
                report.advance()
        report.close()
        return responses

    def _response(self, tokens: list[int], finish_reason: str | None) -> Response:
        if finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended a request with {finish_reason!r}; its log above says why")
        truncated = finish_reason == "length"
        text = self.tokenizer.decode(
            tokens if truncated else tokens[:-1],  # the end, which need not be one of the tokenizer's special tokens
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return Response(text, array("i", tokens), truncated)

    def _start_engine(self, requests: list[Request]) -> "LLMEngine":
        with importing_libraries():
            from vllm import EngineArgs, LLMEngine
            from vllm.usage.usage_lib import UsageContext

        # Again, because starting imports more, and apart, because it collects garbage itself, among what is not exempt yet.
        with importing_libraries(), whole_policy(self.folder) as whole:
            engine = EngineArgs(
                model=str(whole),
                skip_tokenizer_init=True,
                dtype=self.decoding.dtype,
                max_model_len=self.context,
                generation_config="vllm",  # nothing but our flags decides how a token is drawn
                disable_log_stats=True,
                use_tqdm_on_load=False,
                **(self._cpu_settings(requests) if on_cpu() else self._gpu_settings()),
            )
            return LLMEngine.from_engine_args(engine, usage_context=UsageContext.LLM_CLASS)

    def _cpu_settings(self, requests: list[Request]) -> dict[str, object]:
        longest, at_a_time = self.context, CPU_BATCH
        if not self.lasting:
            longest = max(len(request.prompt) + request.max_tokens for request in requests)
            at_a_time = min(CPU_BATCH, len(requests))
        wanted = self._cache_bytes(at_a_time * (longest + CPU_BLOCK))
        return {
            "enforce_eager": True,  # compiling takes longer than sampling
            "enable_chunked_prefill": False,  # the CPU engine dies of it when requests have seeds
            "enable_prefix_caching": False,  # a prompt that is half cached is rounded differently
            "max_num_seqs": CPU_BATCH,
            "max_num_batched_tokens": max(CPU_BATCHED_TOKENS, self.context),
            # Filling the cache with zeros takes time, so no more than is needed; vLLM insists on one full context.
            "kv_cache_memory_bytes": max(self._cache_bytes(self.context + CPU_BLOCK), min(wanted, CPU_CACHE_LIMIT)),
        }

    def _cache_bytes(self, tokens: int) -> int:
        """Bytes of the key-value cache of so many tokens, each layer's keys and values counted in four bytes."""
        config = self.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return 2 * config.num_hidden_layers * heads * size * 4 * tokens

    def _gpu_settings(self) -> dict[str, object]:
        gpus = gpus_for(self.config.num_attention_heads)
        return {"tensor_parallel_size": gpus, "gpu_memory_utilization": self.gpu_memory_utilization}


def counts(responses: list[Response]) -> dict[str, object]:
    """What a reader of the summary line should know of the responses; all are kept."""
    return {
        "truncated": sum(response.truncated for response in responses),
        "empty": sum(not response.text.strip() for response in responses),
        "mean_tokens": sum(len(response.ids) for response in responses) / max(1, len(responses)),
    }
