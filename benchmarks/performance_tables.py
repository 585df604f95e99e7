"""Take the benchmarks' tables into docs/performance.md and docs/evaluation_speed.md, from their JSON.

python benchmarks/performance_tables.py
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MODELS = ("m", "s", "miniature", "smollm2")
NAMES = {
    "crosstune": "crosstune",
    "trainer": "HF Trainer, our process settings",
    "trl": "TRL SFTTrainer, our process settings",
    "trainer_as_is": "HF Trainer, its defaults",
    "trl_as_is": "TRL SFTTrainer, its defaults",
    "crosstune_bf16": "crosstune, `train.precision: bf16`",
    "trainer_bf16": "HF Trainer, `bf16=True`, our process settings",
    "trl_bf16": "TRL SFTTrainer, `bf16=True`, our process settings",
    "trainer_bf16_as_is": "HF Trainer, `bf16=True`",
    "trl_bf16_as_is": "TRL SFTTrainer, `bf16=True`",
}
SCORED = ("multiple_choice_28m", "multiple_choice_49m", "multiple_choice_smollm2", "generation_28m")
UNITS = {"requests_per_s": "requests/s", "new_tokens_per_s": "new tokens/s"}
PEERS = {"trainer": "HF Trainer", "trl": "TRL"}
GPU_NAMES = {
    "crosstune": "crosstune",
    "crosstune_fp8": "crosstune, `train.precision: fp8`",
    "crosstune_float32_weights": "crosstune, weights in float32",
    "crosstune_fp8_float32_weights": "crosstune, weights in float32, `train.precision: fp8`",
    "crosstune_8bit_moments": "crosstune, weights in float32",
    "crosstune_grouped_kernels": "crosstune, `train.flex_attention: false`",
    "trl": "TRL SFTTrainer, padded",
    "trl_padding_free": "TRL SFTTrainer without padding, SDPA",
    "trl_varlen": "TRL SFTTrainer without padding, FlashAttention-2",
    "trl_varlen_liger": "TRL SFTTrainer without padding, FlashAttention-2, Liger's kernels",
    "trainer": "HF Trainer, padded",
}


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    return content


def training_table(name: str) -> str:
    content = read(f"{name}.json")
    rates = [row["matrix_gflops"] for row in content["results"]]
    lines = [
        f"Model {content['model']}; this core multiplies matrices at {max(rates):.0f} GFLOP/s; "
        f"commit {content['commit']}; {content['hardware']['processor']}; torch {content['versions']['torch']}.",
        "",
        "| trainer | tokens per CPU second | crosstune is faster by | useful share of the matrix rate | peak MB |",
        "|---|---|---|---|---|",
    ]
    in_bf16 = content["results"][0]["settings"]["bf16"]
    for row in content["results"]:
        name = "crosstune, float32" if in_bf16 and row["variant"] == "crosstune" else NAMES[row["variant"]]
        lines.append(
            f"| {name} | {row['tokens_per_cpu_second']:,.0f} | "
            f"{row['crosstune_is_faster']:.2f} × | "
            f"{row['share_of_matrix_rate']:.0%} | {row['peak_mb']:,} |"
        )
    return "\n".join(lines)


def gpu_table(name: str) -> str:
    content = read(f"{name}.json")
    rows = [row for row in content["results"] if "left_out" not in row]
    rates = [row["matrix_tflops"] for row in rows]
    lines = [
        f"{rows[0]['device']}, which multiplied matrices at {min(rates):.0f} to {max(rates):.0f} TFLOP/s before each "
        f"variant; commit {content['commit']}; torch {content['versions']['torch']}, transformers "
        f"{content['versions']['transformers']}.",
        "",
        "| trainer | tokens/s | crosstune is faster by | useful share of the matrix rate "
        "| three epochs of 301,924 such rows, hours | peak GB | layers computed |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        moments = ", `adamw_8bit`" if row["settings"].get("optimizer") == "adamw_8bit" else ""
        ratio = f"{row['crosstune_is_faster']:.2f} ×" if "crosstune_is_faster" in row else ""
        lines.append(
            f"| {GPU_NAMES[row['variant']]}{moments} | {row['tokens_per_second']:,.0f} | {ratio} | "
            f"{row['share_of_matrix_rate']:.0%} | {row['hours_for_the_paper']:.2f} | {row['peak_gb']:.0f} | "
            f"{'twice' if row['checkpointing'] else 'once'} |"
        )
    return "\n".join(lines)


SUMMARY_HEAD = ("work of one core", "crosstune", "of this core's rate", "faster than peers", "than with their defaults")


def summary_rows() -> list[tuple[str, ...]]:
    """Return the cells of the table of ratios: a kind of work in each row."""
    rows = []
    for name, ending in (*((f"training_{model}", "") for model in MODELS), ("training_smollm2_bf16", "_bf16")):
        content = read(f"{name}.json")
        by_name = {row["variant"]: row for row in content["results"]}

        def beside(ending: str, by_name: dict[str, Any] = by_name) -> str:
            rows = {peer: by_name[name + ending] for name, peer in PEERS.items() if name + ending in by_name}
            return ", ".join(f"{peer} {row['crosstune_is_faster']:.2f} ×" for peer, row in rows.items())

        ours = by_name["crosstune" + ending]
        rate, share = f"{ours['tokens_per_cpu_second']:,.0f} tokens/s", f"{ours['share_of_matrix_rate']:.0%}"
        work = f"training, {content['model']}{', bf16' if ending else ''}"
        rows.append((work, rate, share, beside(ending), beside(ending + "_as_is")))
    kinds = (
        ("multiple_choice_28m", "scoring four endings, 28M", "requests_per_s", "requests/s", "lm-evaluation-harness"),
        ("generation_28m", "translating, 28M", "new_tokens_per_s", "new tokens/s", "`generate`"),
    )
    for name, work, rate, unit, peer in kinds:
        _, equal, ours = read(f"{name}.json")["sides"]
        faster = [f"{peer} {side['ratio']:.2f} ×" for side in (equal, ours)]
        rows.append((work, f"{ours[rate]:,.0f} {unit}", "", *faster))
    data, pieces = read("data_stage.json"), read("tokenizer.json")
    first = next(row for row in read("input_pipeline.json")["sizes"] if row["rows"] == 1_000_000)
    for work, seconds in (
        (f"data stage, {data['rows']:,} rows with every check", data["seconds"]),
        (f"the same on {data['cores']} cores", data["seconds_on_all_cores"]),
        (f"learning 14,336 pieces from {pieces['megabytes']:.0f} MB", pieces["learn_seconds"]),
        (f"the same on {pieces['hardware']['cores']} cores", pieces["learn_seconds_on_all_cores"]),
        ("1,000,000 rows to the first step", first["cpu_seconds_to_first_step"]),
    ):
        rows.append((work, f"{seconds:g} s", "", "", ""))
    return rows


def summary_table() -> str:
    lines = ["| " + " | ".join(SUMMARY_HEAD) + " |", "|---|---:|---:|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in summary_rows())])


def in_columns() -> list[str]:
    """Return the table of ratios for a terminal."""
    rows = [SUMMARY_HEAD, *summary_rows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def profile_table() -> str:
    profiles = [read(f"profile_{model}.json") for model in MODELS]
    lines = ["| share of a step's time | " + " | ".join(found["model"] for found in profiles) + " |"]
    lines.append("|---" * (1 + len(profiles)) + "|")
    for kind in profiles[0]["shares"]:
        lines.append(f"| {kind} | " + " | ".join(f"{found['shares'].get(kind, 0):.0%}" for found in profiles) + " |")
    return "\n".join(lines)


def input_table() -> str:
    content = read("input_pipeline.json")
    lines = [
        f"One process on {content['hardware']['processor']}; commit {content['commit']}.",
        "",
        "| rows | tokens | CPU seconds to the first step | bytes a token | layout of a batch, ms | again, ms |",
        "|---|---|---|---|---|---|",
    ]
    for row in content["sizes"]:
        lines.append(
            f"| {row['rows']:,} | {row['tokens']:,} | {row['cpu_seconds_to_first_step']:.2f} | "
            f"{row['bytes_a_token']:.2f} | {row['milliseconds_a_step']:.2f} | {row['milliseconds_a_step_again']:.2f} |"
        )
    return "\n".join(lines)


def sides_table(name: str) -> str:
    """Return what was compared on the same work: the peer at its best, ours with its kernels, ours."""
    content = read(f"{name}.json")
    rate, unit = next((key, unit) for key, unit in UNITS.items() if key in content["sides"][0])
    lines = [
        f"{content['shape']}, {content['hardware']['processor']}, one thread; commit {content['commit']}.",
        "",
        f"| | {unit} | ratio |",
        "|---|---:|---:|",
    ]
    return "\n".join(
        [*lines, *(f"| {row['side']} | {row[rate]:,.1f} | {row['ratio']:.2f} |" for row in content["sides"])]
    )


def write_pages() -> None:
    trainings = [*(f"training_{model}" for model in MODELS), *(f"training_{model}_bf16" for model in MODELS)]
    tables = {name: training_table(name) for name in trainings}
    tables |= {"summary": summary_table(), "profile": profile_table(), "input_pipeline": input_table()}
    tables |= {name: gpu_table(name) for name in ("gpu_train", "gpu_train_first")}
    write_tables(ROOT / "docs" / "performance.md", tables)
    write_tables(ROOT / "docs" / "evaluation_speed.md", {name: sides_table(name) for name in SCORED})


def write_tables(page: Path, tables: dict[str, str]) -> None:
    """Put each table between the two lines of a page that name it."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        if len(re.findall(pattern, text, flags=re.DOTALL)) != 1:
            sys.exit(f"{page} needs one pair of the lines {begin} and {end}, between which the table is put")
        whole = f"{begin}\n{table}\n{end}"
        text = re.sub(pattern, lambda _, whole=whole: whole, text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages()
