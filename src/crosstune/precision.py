"""The precisions of weights and products that every processor and GPU can compute in."""

from typing import Literal

Precision = Literal["float32", "bf16"]
