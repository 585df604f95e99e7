"""The whole pipeline through the command line, on small data made here."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from crosstune.miniature import WorldSize, write_world
from crosstune.tokenizer.folder import configuration_of, write_folder
from crosstune.tokenizer.learn_base import learn_base
from tests.command_line import crosstune
from tests.conftest import QUICK

ROOT = Path(__file__).parent.parent
LLAMA = ROOT / "recipes" / "llama2_7b_korean"


def scores(report: Path) -> dict[tuple[str, str, str], str]:
    with (report / "tables.csv").open(encoding="utf-8", newline="") as file:
        return {(row["system"], row["task"], row["metric"]): row["value"] for row in csv.DictReader(file)}


@pytest.mark.slow
@pytest.mark.xdist_group("quick_run")
def test_the_quick_miniature_goes_from_nothing_to_the_report(quick_run: tuple[Path, str]) -> None:
    run, printed = quick_run
    assert "Table 3" in printed and "Table 4" in printed and "report.html" in printed
    found = scores(run / "report")
    assert {system for system, _, _ in found} == {"llama", "lora", "continued", "ours", "bilingual"}
    assert ("ours", "translate_en_ko_ko", "bleu") in found and ("llama", "nsmc", "answered") in found
    folder = run / "systems" / "ours" / "model"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("### Instruction:\n", return_tensors="pt").input_ids
    assert model.generate(ids, max_new_tokens=3).shape[1] > ids.shape[1]

    before = (run / "report" / "tables.csv").read_bytes()
    again = crosstune("run", str(QUICK), "--quick", f"runs_root={run.parent}")
    assert again.returncode == 0 and "trained already" in again.stderr and "scored already" in again.stderr
    assert (run / "report" / "tables.csv").read_bytes() == before


@pytest.fixture(scope="module")
def llama_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the LLaMA-2 recipes read, under the names that their README gives, and a tiny model in `tiny`."""
    world, root = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("data")
    size = WorldSize(
        english_documents=200,
        korean_documents=60,
        parallel_pairs=30,
        english_instructions=20,
        korean_instructions=20,
        test_items=5,
    )
    write_world(world, size, seed=1)
    shutil.copytree(world / "parallel", root / "parallel")
    for source, name in (
        ("instructions/alpaca_data.json", "alpaca_data.json"),
        ("instructions/ko_alpaca_data.json", "ko_alpaca_data.json"),
        ("text/korean.txt", "korean.txt"),
        ("hellaswag/hellaswag_val.jsonl", "hellaswag_val.jsonl"),
        ("copa/copa-test.xml", "copa-test.xml"),
        ("nsmc/ratings_test.txt", "ratings_test.txt"),
    ):
        shutil.copyfile(world / source, root / name)
    rows = json.loads((root / "ko_alpaca_data.json").read_text(encoding="utf-8"))
    lines = [json.dumps({"id": f"alpaca_{number}", **row}, ensure_ascii=False) for number, row in enumerate(rows)]
    (root / "kullm-v2.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    roles = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    text = (world / "text/tokenizer_english.txt").read_text(encoding="utf-8").splitlines()
    (root / "tiny").mkdir()
    write_folder(root / "tiny", learn_base(text, 500, "ko"), configuration_of(roles))
    config = LlamaConfig(
        vocab_size=500,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(root / "tiny")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("lora", "staged"),
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in ("paper", "continued_pretraining", "bilingual", "seven_stages")
        ),
    ],
)
def test_the_llama_2_recipes_run_with_a_tiny_model_in_the_place_of_the_weights(
    llama_data: Path, tmp_path: Path, name: str
) -> None:
    tiny = llama_data / "tiny"
    done = crosstune(
        "--debug",
        "run",
        str(LLAMA / f"{name}.yaml"),
        f"data_root={llama_data}",
        f"runs_root={tmp_path}",
        f"systems.*.start={tiny}",
        f"tokenizer.base.path={tiny}",
        "tokenizer.base.revision=null",
        # A model that knows nothing would write up to the last token.
        "evaluate.tasks.nsmc.max_new_tokens=12",
        "evaluate.tasks.translate.max_new_tokens=12",
        # CPUs without bf16 take several times as long for it: one of the recipes is enough.
        *([] if name == "paper" else ["train.precision=float32", "evaluate.precision=float32"]),
        # The tiny model has one layer.
        *(["systems.continued.phases.3.num_top_layers=1"] if name == "staged" else []),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / f"llama2_7b_korean_{name}"
    assert len({system for system, _, _ in scores(run / "report")}) == 2
    trained = json.loads(
        (
            run
            / "systems"
            / {"paper": "ours", "bilingual": "ours", "lora": "lora"}.get(name, "continued")
            / "system.json"
        ).read_text()
    )
    if name != "lora":
        config = json.loads((run / trained["model"] / "config.json").read_text())
        # 500 + 14,336 pieces, filled up to a multiple of 128.
        assert config["vocab_size"] == 14_848
    assert trained["phases"][0]["steps"] >= 1
