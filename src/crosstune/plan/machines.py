"""The machines that training is planned for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line reads the names of the GPUs, and must not wait for pydantic
    from crosstune.recipe import Train

# Recomputing the forward pass makes four of three passes.
_RECOMPUTATION = 4 / 3
# Processors with AVX512-BF16 or AMX gain 1.9 times and more.
_LEAST_GAIN = 1.2


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU by its data sheet: memory in GB, dense tensor-core bf16 and plain float32 rates in TFLOP/s.

    Attributes:
        is_processor: whether it is none, but a processor, whose memory is the machine's.
    """

    name: str
    memory_gb: float
    bf16_tflops: float
    float32_tflops: float
    is_processor: bool = False

    @property
    def gain_of_bf16(self) -> float:
        """How many times as fast as in float32 it multiplies matrices in bfloat16."""
        return self.bf16_tflops / self.float32_tflops

    @property
    def is_faster_in_bf16(self) -> bool:
        """Whether training gains by bfloat16: processors without its instructions lose half of their speed or more."""
        return self.gain_of_bf16 > _LEAST_GAIN

    def tflops(self, precision: str) -> float:
        """Return the rate in a precision of ``train.precision`` or ``evaluate.precision``."""
        return self.float32_tflops if precision == "float32" else self.bf16_tflops


GPUS = {
    "a100-40gb": Gpu("A100 40 GB", 40, 312, 19.5),
    "a100-80gb": Gpu("A100 80 GB", 80, 312, 19.5),
    "h100": Gpu("H100 SXM", 80, 989, 67),
    "h200": Gpu("H200 SXM", 141, 989, 67),
    "b200": Gpu("B200", 180, 2250, 75),
    "l40s": Gpu("L40S", 48, 362, 91.6),
    "a6000": Gpu("RTX A6000", 48, 155, 38.7),
    "mi300x": Gpu("MI300X", 192, 1307, 163),
    "rtx5090": Gpu("RTX 5090", 32, 210, 105),
    "rtx4090": Gpu("RTX 4090", 24, 165, 82.6),
    "rtx3090": Gpu("RTX 3090", 24, 71, 35.6),
    "l4": Gpu("L4", 24, 121, 30.3),
    "a10": Gpu("A10", 24, 125, 31.2),
    # It multiplies float16 by tensor cores, and bf16 not: products are as fast as in float32.
    "t4": Gpu("T4", 16, 8.1, 8.1),
    # An assumption of sixteen cores with AVX-512, of 100 GFLOP/s each in float32.
    "cpu": Gpu("CPU of 16 cores", 64, 3.4, 1.6, is_processor=True),
}
# A card of 24, of 48 and of 80 GB.
CARDS = ("rtx4090", "l40s", "h100")
# Models whose shapes are known, by their names on the command line.
MODELS = ("llama-2-7b", "llama-3.1-8b", "qwen3-8b", "gemma-3-4b")


@dataclass(frozen=True)
class Machine:
    """What a run is planned for.

    Attributes:
        mfu: share of the peak rate that useful operations reach: an assumption, to be replaced by a measurement.
        is_here: whether it is the one that plans: it measures what it reaches in each phase.
    """

    gpu: Gpu
    num_gpus: int
    mfu: float
    is_here: bool = False


def hours_of(useful_flops: float, settings: "Train", machine: Machine) -> float:
    """Return the hours that a machine takes for some useful operations, at the assumed share of its peak."""
    peak = machine.gpu.tflops(settings.precision)
    done = useful_flops * (_RECOMPUTATION if settings.gradient_checkpointing else 1)
    return done / (machine.mfu * peak * 1e12 * machine.num_gpus) / 3600
