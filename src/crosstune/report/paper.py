"""The paper's own figures (its Tables 3 and 4, LLaMA-2-7B), to stand below ours."""

_TASKS = ("hellaswag", "copa_2011_test", "nsmc_generate")
_CELLS = (("ko-en", "en"), ("en-ko", "en"), ("ko-en", "ko"), ("en-ko", "ko"))

_ACCURACIES = {
    "llama2": (0.57, 0.86, 0.27),
    "lora": (0.56, 0.88, 0.28),
    "continued_pretraining": (0.49, 0.84, 0.13),
    "ours": (0.56, 0.84, 0.54),
}
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


def accuracy(paper_system: str | None, kind: str) -> float | None:
    """Return the paper's accuracy of one of its systems on a kind of task, or None where it has none."""
    if paper_system is None or kind not in _TASKS:
        return None
    return _ACCURACIES[paper_system][_TASKS.index(kind)]


def bleu(paper_system: str | None, direction: str, instruction_language: str) -> float | None:
    """Return the paper's BLEU of one cell on our scale of 0-100, or None where it has none."""
    if paper_system is None or (direction, instruction_language) not in _CELLS:
        return None
    printed = _BLEU[paper_system][_CELLS.index((direction, instruction_language))]
    return None if printed is None else round(printed * 100, 1)
