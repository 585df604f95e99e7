"""Loading models: a folder that is none says so."""

import ctypes
import os
import sys
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import LlamaConfig, LlamaForCausalLM, PhiConfig

from crosstune.errors import BadInputError
from crosstune.models.load import load_model, load_tokenizer
from crosstune.models.process import prepare_libraries
from crosstune.tokenizer import given
from tests import warm
from tests.learnt_tokenizers import sentencepiece_style


def said(folder: Path, program: str) -> int:
    """Return the number that a program prints in a process in which no product was computed yet."""
    path = folder / "program.py"
    path.write_text(program, encoding="utf-8")
    done = warm.run(str(path))
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


def test_a_folder_that_is_no_model_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInputError, match=r"it is not a model folder.*found: notes.txt"):
        load_model(str(tmp_path))
    with pytest.raises(BadInputError, match=r"is not a tokenizer folder.*found: notes.txt"):
        load_tokenizer(str(tmp_path))


def test_a_missing_folder_says_what_to_give() -> None:
    with pytest.raises(BadInputError, match=r"A folder needs config\.json and"):
        load_model("nobody/no-such-model")


def test_a_model_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    config = LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=16)
    model = LlamaForCausalLM(config)
    config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(BadInputError, match=r"its weights are in pytorch_model.bin, a format that can run code"):
        load_model(str(tmp_path))


def test_a_tokenizer_is_read_again_when_a_file_has_changed_and_each_caller_has_his_own(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    def write(piece: str) -> None:
        pieces = Tokenizer(models.BPE(vocab={piece: 0, "</s>": 1}, merges=[]))
        PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="</s>").save_pretrained(tmp_path)

    write("a")
    one, other = load_tokenizer(str(tmp_path)), load_tokenizer(str(tmp_path))
    one.chat_template = "{{ messages }}"
    assert other.chat_template is None and load_tokenizer(str(tmp_path)).chat_template is None
    write("b")
    assert one.get_vocab() == {"a": 0, "</s>": 1} and load_tokenizer(str(tmp_path)).get_vocab() == {"b": 0, "</s>": 1}
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(BadInputError):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_without_eos_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))).save_pretrained(tmp_path)
    with pytest.raises(BadInputError, match="no EOS token"):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_that_ends_every_text_is_refused(tmp_path: Path) -> None:
    # Behind "Question: ... </s>" the first token of each answer would not be scored.
    tokenizer = sentencepiece_style(["the cat sleeps"], 280)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        "<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(BadInputError, match=r"ends every text with '</s>'.*add_eos_token to false"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(BadInputError, match="ends every text with '</s>'"):
        given.load(tmp_path, "tokenizer.base.path")


def test_a_folder_of_weights_alone_has_no_tokenizer(tmp_path: Path) -> None:
    # For this architecture transformers makes a tokenizer without a piece.
    PhiConfig(vocab_size=50, hidden_size=8, num_attention_heads=2, intermediate_size=16).save_pretrained(tmp_path)
    with pytest.raises(BadInputError, match=r"holds no tokenizer: none of merges.txt, .*tokenizer.json.* is there"):
        load_tokenizer(str(tmp_path))


@pytest.mark.skipif(not sys.platform.startswith("linux") or torch.cuda.is_available(), reason="glibc on a CPU only")
def test_freed_tensors_are_taken_again_without_new_pages(tmp_path: Path) -> None:
    script = """
import resource, torch
from crosstune.models.process import prepare_libraries
torch.empty(3 * 2**22).fill_(1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
{}
for _ in range(20):
    torch.empty(3 * 2**22).fill_(1.0)  # 48 MiB: 12,288 pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    # The heap grows for the first two or three of the twenty.
    assert said(tmp_path, script.format("prepare_libraries()")) < 0.5 * said(tmp_path, script.format(""))


@pytest.mark.skipif(not sys.platform.startswith("linux") or torch.cuda.is_available(), reason="glibc on a CPU only")
def test_the_largest_tensors_go_back_to_the_kernel(tmp_path: Path) -> None:
    script = """
import torch
from crosstune.models.process import prepare_libraries
prepare_libraries()

def resident():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024

before = resident()
kept = []
for step in range(6):
    tensor = torch.ones((280 + 10 * step) * 2**18)  # MiB of float32, each a little larger than the one before
    kept.append(torch.ones(2**12))  # what makes a hole of the tensor's place
    del tensor
print(resident() - before)
"""
    assert said(tmp_path, script) < 100


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="counts what glibc's malloc handed out")
def test_few_products_stay_compiled(tmp_path: Path) -> None:
    program = """
import ctypes, torch
from crosstune.models.process import prepare_libraries
{prepare}
class Counts(ctypes.Structure):
    _fields_ = [(str(number), ctypes.c_size_t) for number in range(10)]
count = ctypes.CDLL(None).mallinfo2
count.restype = Counts
def used():
    return getattr(count(), "7") + getattr(count(), "4")
weight = torch.ones(256, 256)
before = used()
for size in range(200, 400):
    torch.nn.functional.linear(torch.ones(size, 256), weight)
print(used() - before)
"""

    def kept(prepare: str) -> int:
        return said(tmp_path, program.format(prepare=prepare))

    # A CPU whose products do not go through oneDNN keeps little in either case; through it, the default keeps 100 MB.
    assert kept("prepare_libraries()") <= 0.3 * kept("torch.set_float32_matmul_precision('medium')") + 2**22


def test_who_sets_the_number_of_compiled_products_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    prepare_libraries()
    assert (os.environ["LRU_CACHE_CAPACITY"], os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) == ("7", "32")


def test_attention_is_not_planned_anew_for_every_shape() -> None:
    prepare_libraries()
    backends = torch.backends.cuda
    assert not backends.cudnn_sdp_enabled()
    assert backends.flash_sdp_enabled() and backends.mem_efficient_sdp_enabled() and backends.math_sdp_enabled()
