"""AdamW with moments in one byte each: torchao's, compiled on GPUs and plain on CPUs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchao.optim import AdamW8bit


class EightBitAdamW(AdamW8bit):  # type: ignore[misc]
    """Keeps both moments in blocks of 256 bytes with a scale (Dettmers et al. 2022, https://arxiv.org/abs/2110.02861).

    torchao compiles the step of every shape of weight. On a CPU that takes minutes and a C++ compiler, for a step that
    is over in a moment on the models that CPUs train; so it runs as written there, to the same result but for rounding.

    Groups of weights with ``in_float32`` keep theirs in float32.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Any:
        """Do one step; ``closure`` is torch's, and not used here."""
        self._begin_in_float32()
        is_on_cpu = all(weight.device.type == "cpu" for group in self.param_groups for weight in group["params"])
        with torch.compiler.set_stance("force_eager" if is_on_cpu else "default"):
            return super().step(closure)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a checkpoint's moments in the type that they were saved in: torch would have them in the weight's."""
        super().load_state_dict(state_dict)
        weights = [weight for group in self.param_groups for weight in group["params"]]
        saved = [place for group in state_dict["param_groups"] for place in group["params"]]
        for weight, place in zip(weights, saved, strict=True):
            for name, value in state_dict["state"].get(place, {}).items():
                if isinstance(value, Tensor) and value.dtype == torch.float32 and name != "step":
                    kept = self.state[weight][name]
                    if kept.dtype != torch.float32:
                        self.state[weight][name] = value.to(weight.device, copy=True)

    def _begin_in_float32(self) -> None:
        """Give weights moments in float32 where torchao, which finds none, would make some in bytes."""
        for group in self.param_groups:
            for weight in group["params"] if group.get("in_float32") else ():
                if weight.grad is not None and not self.state[weight]:
                    moments = {
                        name: torch.zeros_like(weight, dtype=torch.float32) for name in ("exp_avg", "exp_avg_sq")
                    }
                    self.state[weight] = {"step": torch.tensor(0.0), **moments}
