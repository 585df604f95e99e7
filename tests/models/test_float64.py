"""Sums in float64 never ask a device for numbers that it does not have."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import crosstune
from crosstune.models.float64 import in_float64


@dataclass
class _TensorOf:
    """A tensor of a device that this machine lacks; it refuses float64 as MPS does."""

    kind: str
    dtype: torch.dtype = torch.float32

    @property
    def device(self) -> Any:
        return SimpleNamespace(type=self.kind)

    def to(self, *wanted: Any) -> "_TensorOf":
        (one,) = wanted
        if isinstance(one, torch.dtype):
            if one == torch.float64 and self.kind == "mps":
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support it")
            return _TensorOf(self.kind, one)
        return _TensorOf(one, self.dtype)


@pytest.mark.parametrize(("kind", "where"), [("mps", "cpu"), ("xpu", "cpu"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_sums_are_float64_on_their_device_or_on_the_cpu(kind: str, where: str) -> None:
    found: Any = in_float64(cast(Tensor, _TensorOf(kind)))
    assert (found.kind, found.dtype) == (where, torch.float64)


def test_no_other_code_makes_float64_tensors() -> None:
    package = Path(crosstune.__file__).parent
    asking = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"torch\.(float64|double)\b|\.double\(\)", path.read_text(encoding="utf-8"))
    ]
    assert asking == ["models/float64.py"]
