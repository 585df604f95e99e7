"""The paper's own figures of translation (its Table 4, LLaMA-2-7B), to stand below ours; a task has its own."""

_CELLS = (("ko-en", "en"), ("en-ko", "en"), ("ko-en", "ko"), ("en-ko", "ko"))

# As printed, from 0 to 1; None where the paper prints a dash.
_BLEU: dict[str, tuple[float | None, ...]] = {
    "llama2": (0.032, 0.002, 0.033, 0.002),
    "lora": (0.052, 0.005, 0.001, 0.029),
    "continued_pretraining": (0.012, 0.004, None, None),
    "ours": (0.057, 0.111, 0.055, 0.014),
}
NAMES = {
    "llama2": "LLaMA2",
    "lora": "LLaMA2 (Ko)",
    "continued_pretraining": "LLaMA2 (beomi)",
    "ours": "Ours",
}


def bleu(paper_system: str | None, direction: str, instruction_language: str) -> float | None:
    """Return the paper's BLEU of one cell on our scale of 0-100, or None where it has none."""
    if paper_system is None or (direction, instruction_language) not in _CELLS:
        return None
    printed = _BLEU[paper_system][_CELLS.index((direction, instruction_language))]
    return None if printed is None else round(printed * 100, 1)
