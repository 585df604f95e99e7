"""What systems start from: other systems, folders, and models whose matrices do or do not fit the tokenizer."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    PreTrainedModel,
)

from crosstune.errors import BadInputError, RunFolderError
from crosstune.evaluate.systems import find_system
from crosstune.models.load import load_tokenizer
from crosstune.recipe import NewRows
from crosstune.runs.files import read_json, write_json
from crosstune.runs.folder import RunFolder
from crosstune.train import stage as train_stage
from crosstune.train.start import check_start, find_start, inputs_of
from tests.models.gguf.files import SPECIAL, write_gguf
from tests.train.conftest import MakeRun, phase, scratch


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


@pytest.fixture
def foreign_model(make_run: MakeRun, tmp_path: Path) -> Path:
    """Return a model folder that knows nothing of this run."""
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)])}, root=tmp_path / "foreign")
    train_stage.run(recipe, run)
    return run.system("base") / "model"


def facts(run: RunFolder, name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(run.system(name) / "system.json")
    return found


def test_a_folder_without_training_is_pointed_at_and_counted(make_run: MakeRun, foreign_model: Path) -> None:
    recipe, run = make_run({"base": {"start": str(foreign_model), "tokenizer": "base"}})
    train_stage.run(recipe, run)
    assert facts(run, "base")["model"] == str(foreign_model)
    assert facts(run, "base")["num_parameters"] == sum(w.numel() for w in weights(foreign_model).values())
    assert not (run.system("base") / "model").exists()


def test_a_folder_may_be_relative_to_the_data_root(make_run: MakeRun, foreign_model: Path, tmp_path: Path) -> None:
    shutil.copytree(foreign_model, tmp_path / "models" / "tiny")
    recipe, run = make_run({"base": {"start": "models/tiny", "tokenizer": "base"}})
    train_stage.run(recipe, run)
    assert facts(run, "base")["model"] == str(tmp_path / "models" / "tiny")


def test_a_folder_that_is_no_model_is_refused_before_anything_else(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    recipe, run = make_run({"base": {"start": "empty", "tokenizer": "base"}})
    with pytest.raises(
        BadInputError, match=r"empty cannot be used: it is not a model folder: it needs config.json and \*.safetensors"
    ):
        train_stage.run(recipe, run)
    assert not (run.system("base") / "system.json").exists()


def test_an_untrained_model_of_another_tokenizer_is_refused(
    make_run: MakeRun, foreign_model: Path, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(foreign_model)
    model.resize_token_embeddings(90)
    model.save_pretrained(tmp_path / "smaller")
    recipe, run = make_run({"base": {"start": "smaller", "tokenizer": "base"}})
    with pytest.raises(BadInputError, match=r"has 90 embedding rows, but the tokenizer .* has 400 pieces"):
        train_stage.run(recipe, run)


def with_pieces_turned_round(folder: Path, copy: Path) -> Path:
    """Return a copy of a model folder whose tokenizer has the same pieces under other numbers, but for a few."""
    shutil.copytree(folder, copy)
    content = read_json(copy / "tokenizer.json")
    vocabulary = content["model"]["vocab"]
    ordinary = [piece for piece in vocabulary if vocabulary[piece] >= 300]
    turned = dict(zip(ordinary, [vocabulary[piece] for piece in reversed(ordinary)], strict=True))
    content["model"]["vocab"] = vocabulary | turned
    write_json(copy / "tokenizer.json", content)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("phases", [[], [phase(num_steps=1)]])
@pytest.mark.parametrize("tokenizer", ["base", "extended"])
def test_a_model_whose_own_tokenizer_numbers_pieces_otherwise_is_refused(
    make_run: MakeRun, foreign_model: Path, tmp_path: Path, tokenizer: str, phases: list[dict[str, Any]]
) -> None:
    other = with_pieces_turned_round(foreign_model, tmp_path / "other")
    recipe, run = make_run({"ours": {"start": str(other), "tokenizer": tokenizer, "phases": phases}})
    message = r"100 of 400 pieces of the tokenizer .* have other numbers in that of .*other"
    with pytest.raises(BadInputError, match=message):
        train_stage.run(recipe, run)
    with pytest.raises(BadInputError, match=message):
        check_start(recipe, "ours", load_tokenizer(str(run.tokenizer("base"))))
    assert not (run.system("ours") / "system.json").exists()


@pytest.mark.slow
def test_a_model_that_was_extended_by_other_pieces_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    systems = {"base": scratch(phases=[phase(num_steps=1)]), "ours": {"start": "base", "tokenizer": "extended"}}
    recipe, run = make_run(systems, root=tmp_path / "before")
    train_stage.run(recipe, run)
    other = tmp_path / "other"
    shutil.copytree(run.system("ours") / "model", other)
    recipe, run = make_run({"more": {"start": str(other), "tokenizer": "extended", "phases": [phase(num_steps=1)]}})
    train_stage.run(recipe, run)
    # As many pieces, the last ones for other words.
    content = read_json(other / "tokenizer.json")
    last = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)[-2:]
    swapped = dict(zip(last, [content["model"]["vocab"][piece] for piece in reversed(last)], strict=True))
    content["model"]["vocab"] |= swapped
    write_json(other / "tokenizer.json", content)
    with pytest.raises(BadInputError, match=r"2 of 420 pieces .* have other numbers"):
        train_stage.run(recipe, run)


def test_tokens_that_were_added_may_have_other_names(make_run: MakeRun, foreign_model: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed"
    shutil.copytree(foreign_model, renamed)
    tokenizer = AutoTokenizer.from_pretrained(renamed)
    tokenizer.add_tokens(["<|tool|>"], special_tokens=True)
    tokenizer.save_pretrained(renamed)
    recipe, run = make_run({"ours": {"start": str(renamed), "tokenizer": "base"}})
    train_stage.run(recipe, run)
    assert facts(run, "ours")["model"] == str(renamed)


def test_a_changed_model_folder_is_trained_from_again(
    make_run: MakeRun, foreign_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Inside its run it would be refused: it is not what training left there.
    changed = tmp_path / "changed"
    shutil.copytree(foreign_model, changed)
    systems = {"ours": {"start": str(changed), "tokenizer": "base", "phases": [phase(num_steps=1)]}}
    recipe, run = make_run(systems)
    train_stage.run(recipe, run)
    before = facts(run, "ours")["fingerprint"]
    train_stage.run(recipe, run)
    assert facts(run, "ours")["fingerprint"] == before
    model = AutoModelForCausalLM.from_pretrained(changed)
    with torch.no_grad():
        model.lm_head.weight[3] += 1
    model.save_pretrained(changed)
    assert "anew" not in capsys.readouterr().err
    train_stage.run(recipe, run)
    assert facts(run, "ours")["fingerprint"] != before
    assert "ours: is made anew" in capsys.readouterr().err


def test_a_system_is_another_when_its_mixture_or_the_seed_is(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()})
    start = find_start(recipe, run, "base")
    before = inputs_of(recipe, run, "base", start)
    assert inputs_of(recipe.model_copy(update={"seed": recipe.seed + 1}), run, "base", start) != before
    manifest = run.mixture("paper") / "manifest.json"
    write_json(manifest, {**read_json(manifest), "fingerprint": "of other rows"})
    assert inputs_of(recipe, run, "base", start) != before


def test_a_system_without_new_pieces_stays_trained_whatever_new_rows_would_start_from(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch()})
    start = find_start(recipe, run, "base")
    before = inputs_of(recipe, run, "base", start)
    noisy = recipe.systems["base"].model_copy(update={"new_rows": NewRows(noise=0.25)})
    other = recipe.model_copy(update={"systems": {"base": noisy}})
    assert inputs_of(other, run, "base", start) == before
    extended = replace(start, needs_new_rows=True)
    assert inputs_of(other, run, "base", extended) != inputs_of(recipe, run, "base", extended)


def test_a_matrix_padded_beyond_the_new_pieces_is_still_extended(
    make_run: MakeRun, foreign_model: Path, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(foreign_model)
    model.resize_token_embeddings(512, mean_resizing=False)
    padded = tmp_path / "padded"
    shutil.copytree(foreign_model, padded)
    model.save_pretrained(padded)
    recipe, run = make_run({"ours": {"start": "padded", "tokenizer": "extended", "new_rows": {"noise": 0}}})
    train_stage.run(recipe, run)
    old, new = (weights(folder)["model.embed_tokens.weight"] for folder in (padded, run.system("ours") / "model"))
    assert new.shape == old.shape and torch.equal(new[:400], old[:400])
    torch.testing.assert_close(new[400], old[[3, 4]].mean(dim=0))


def test_what_was_extended_before_is_not_extended_again(make_run: MakeRun) -> None:
    ours = {"start": "base", "tokenizer": "extended", "phases": [phase(num_steps=2)]}
    more = {"start": "ours", "tokenizer": "extended", "phases": [phase(num_steps=1, learning_rate=1e-9)]}
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)]), "ours": ours, "more": more})
    train_stage.run(recipe, run)
    ours_rows, more_rows = (
        weights(run.system(name) / "model")["model.embed_tokens.weight"] for name in ("ours", "more")
    )
    torch.testing.assert_close(more_rows, ours_rows, atol=1e-6, rtol=0)


def test_new_rows_first_then_everything_moves_old_rows_too(make_run: MakeRun) -> None:
    phases = [phase(num_steps=2, trains=["new_input_rows", "new_output_rows"]), phase(num_steps=2)]
    ours = {"start": "base", "tokenizer": "extended", "phases": phases}
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)]), "ours": ours})
    train_stage.run(recipe, run)
    base, after = weights(run.system("base") / "model"), weights(run.system("ours") / "model")
    moved = (after["lm_head.weight"][:400] != base["lm_head.weight"]).any(dim=1)
    assert moved.float().mean() > 0.9


def test_a_finished_system_whose_model_is_gone_is_trained_again(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": scratch(phases=[phase(num_steps=1)])})
    train_stage.run(recipe, run)
    shutil.rmtree(run.system("base") / "model")
    train_stage.run(recipe, run)
    assert (run.system("base") / "model").is_dir()


def test_a_system_that_is_no_longer_trained_loses_its_model(make_run: MakeRun, foreign_model: Path) -> None:
    trained = {"start": str(foreign_model), "tokenizer": "base", "phases": [phase(num_steps=1)]}
    recipe, run = make_run({"base": trained})
    train_stage.run(recipe, run)
    recipe, run = make_run({"base": {"start": str(foreign_model), "tokenizer": "base"}})
    train_stage.run(recipe, run)
    assert not (run.system("base") / "model").exists() and not (run.system("base") / "metrics.jsonl").exists()


@pytest.fixture
def gguf_file(foreign_model: Path, tmp_path: Path) -> Path:
    """Return the foreign model as a GGUF file under the data root."""
    model = AutoModelForCausalLM.from_pretrained(foreign_model)
    pieces = [*SPECIAL, *(f"piece{number}" for number in range(model.config.vocab_size - len(SPECIAL)))]
    return write_gguf(tmp_path / "tiny.gguf", model, tokenizer={"pieces": pieces})


def test_a_gguf_file_is_pointed_at_trained_from_and_named_in_all_that_came_of_it(
    make_run: MakeRun, foreign_model: Path, gguf_file: Path
) -> None:
    systems = {
        "base": {"start": gguf_file.name, "tokenizer": "base"},
        "same": {"start": "base", "tokenizer": "extended", "new_rows": {"method": "random"}},
        "adapted": {"start": gguf_file.name, "tokenizer": "base", "phases": [lora_phase()]},
    }
    recipe, run = make_run(systems)
    train_stage.run(recipe, run)
    assert facts(run, "base")["model"] == str(gguf_file) and list(facts(run, "base")["files"]) == ["tiny.gguf"]
    for name in systems:
        assert facts(run, name)["gguf"]["formats"] == {"F32": len(weights(foreign_model))}
        assert facts(run, name)["gguf"]["special_tokens"]["eos_token"] == "<|im_end|>"
    original, copied = weights(foreign_model), weights(run.system("same") / "model")
    assert all(torch.equal(copied[name][: len(original[name])], original[name]) for name in original)
    adapter = read_json(run.system("adapted") / "adapter" / "adapter_config.json")
    assert adapter["base_model_name_or_path"] == str(gguf_file.resolve())


def lora_phase() -> dict[str, Any]:
    return phase(num_steps=1, method="lora", lora={"rank": 2, "alpha": 4, "dropout": 0.0, "keep_adapter": True})


def test_a_gguf_file_that_was_changed_is_noticed(make_run: MakeRun, gguf_file: Path) -> None:
    recipe, run = make_run({"base": {"start": gguf_file.name, "tokenizer": "base"}})
    train_stage.run(recipe, run)
    before = find_system(run, "base").fingerprint
    gguf_file.write_bytes(gguf_file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RunFolderError, match=r"tiny.gguf is not what training left: tiny.gguf has other content"):
        find_system(run, "base")
    train_stage.run(recipe, run)
    assert find_system(run, "base").fingerprint != before


def test_a_gguf_file_that_is_not_there_is_asked_for_as_one(make_run: MakeRun) -> None:
    recipe, run = make_run({"base": {"start": "nowhere.gguf", "tokenizer": "base"}})
    with pytest.raises(BadInputError, match=r"'nowhere.gguf' is not a system .* nor a folder or .gguf file here"):
        train_stage.run(recipe, run)


@pytest.mark.slow
def test_a_model_that_can_be_trained_in_no_exact_way_is_refused_at_the_dry_run(
    make_run: MakeRun, tmp_path: Path
) -> None:
    config = BertConfig(vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
    BertLMHeadModel(config).save_pretrained(tmp_path / "bert")
    recipe, _ = make_run({"base": {"start": str(tmp_path / "bert"), "tokenizer": "base"}})
    with pytest.raises(BadInputError, match=r"BertLMHeadModel .* its tokens see those that follow"):
        check_start(recipe, "base")


def test_new_pieces_that_a_model_cannot_be_given_are_refused_at_the_dry_run(
    make_run: MakeRun, foreign_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgets(*_: Any, **__: Any) -> None:
        raise AttributeError("no attribute 'embeddings'")

    base = {"start": str(foreign_model), "tokenizer": "base"}
    ours = {"start": "base", "tokenizer": "extended", "phases": [phase(num_steps=1)]}
    recipe, _ = make_run({"base": base, "ours": ours})
    check_start(recipe, "base")
    monkeypatch.setattr(PreTrainedModel, "resize_token_embeddings", forgets)
    with pytest.raises(BadInputError, match=r"new pieces cannot be given.*AttributeError: no attribute 'embeddings'"):
        check_start(recipe, "base")


def test_a_license_that_is_not_the_starts_own_is_pointed_out(
    make_run: MakeRun, foreign_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(foreign_model, tmp_path / "gemma")
    (folder / "README.md").write_text("---\nlicense: gemma\n---\n", encoding="utf-8")
    recipe, _ = make_run({"base": {"start": str(folder), "tokenizer": "base"}})
    for written, is_pointed_out in (("", False), ("Gemma", False), ("apache-2.0", True)):
        report = recipe.report.model_copy(update={"model_license": written})
        check_start(recipe.model_copy(update={"report": report}), "base")
        said = " ".join(capsys.readouterr().err.split())
        assert ("README.md of gemma says that its license is gemma" in said) == is_pointed_out
