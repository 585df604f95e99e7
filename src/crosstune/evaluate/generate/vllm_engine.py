"""Generation by vLLM (https://docs.vllm.ai), an extra for GPUs; our own loop is what runs without it."""

from collections.abc import Collection, Iterator, Sequence

from crosstune.errors import BadInputError
from crosstune.evaluate import ranks
from crosstune.evaluate.generate.generation import Limits, Write
from crosstune.evaluate.generate.rows import Generated
from crosstune.evaluate.systems import TrainedSystem
from crosstune.models.gguf.header import refuse_in_vllm
from crosstune.precision import Precision

# Of the GPU; the rest is for the model that scores multiple choice.
_MEMORY_SHARE = 0.7


def writer(system: TrainedSystem, precision: Precision) -> Write:
    """Load a system into vLLM, and return what continues prompts greedily with it.

    Raises:
        BadInputError: when vLLM is not installed, the system is a GGUF file, or several processes were launched: it
            spreads over GPUs by itself.
    """
    try:
        from vllm import LLM, SamplingParams
    except ImportError as error:
        raise BadInputError(
            f"evaluate.engine: vllm cannot be imported ({error}). On a machine with a GPU: pip "
            "install 'crosstune[vllm]'. Or remove the setting: `engine: transformers` gives the same answers, slower"
        ) from None
    if ranks.num_ranks() > 1:
        raise BadInputError(
            f"evaluate.engine: vllm, but {ranks.num_ranks()} processes were launched: run it with one, or set "
            "`engine: transformers`, which divides the work"
        )
    refuse_in_vllm(system.model, f"evaluate.engine: vllm, for {system.name}")
    engine = LLM(
        model=system.model,
        revision=system.revision,
        tokenizer=system.tokenizer,
        dtype="bfloat16" if precision == "bf16" else "float32",
        gpu_memory_utilization=_MEMORY_SHARE,
    )

    def write(
        prompts: Sequence[Sequence[int]], stops: Collection[int], limits: Limits
    ) -> Iterator[tuple[int, Generated]]:
        rooms = [min(limits.max_new_tokens, limits.max_positions - len(prompt)) for prompt in prompts]
        yield from ((place, Generated((), False)) for place, room in enumerate(rooms) if room <= 0)
        places = [place for place, room in enumerate(rooms) if room > 0]
        outputs = engine.generate(
            [{"prompt_token_ids": list(prompts[place])} for place in places],
            [
                SamplingParams(temperature=0.0, max_tokens=rooms[place], stop_token_ids=sorted(stops), detokenize=False)
                for place in places
            ],
            use_tqdm=False,
        )
        for place, output in zip(places, outputs, strict=True):
            tokens = tuple(output.outputs[0].token_ids)
            finished = bool(tokens) and tokens[-1] in stops
            yield place, Generated(tokens[:-1] if finished else tokens, finished)

    return write
