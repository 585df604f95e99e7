"""Which license a model folder says that it stands under, and what one must do on release."""

from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from crosstune.doctor.findings import Finding
from crosstune.doctor.licences import look_at_license
from crosstune.doctor.subject import Subject
from tests.models.gguf.files import llama_config, write_gguf


def looked_at(folder: Path, **files: str) -> Finding:
    for name, content in files.items():
        (folder / name.replace("_md", ".md")).write_text(content, encoding="utf-8")
    (finding,) = look_at_license(Subject("m", folder))
    return finding


def test_the_front_matter_of_the_readme_counts_first(tmp_path: Path) -> None:
    readme = "---\nlanguage: [en]\nlicense: llama3.1\ntags:\n- text\n---\n# A model\n"
    finding = looked_at(tmp_path, README_md=readme, LICENSE="MIT License")
    assert (finding.values["license"], finding.verdict) == ("llama3.1", "attention")
    assert "Built with Llama" in finding.says
    assert finding.setting == "report: {model_license: llama3.1}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("                                 Apache License\n                           Version 2.0", "apache-2.0"),
        ("MIT License\n\nCopyright (c) 2024", "mit"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT", "llama3.1"),
        ("LLAMA 2 COMMUNITY LICENSE AGREEMENT", "llama2"),
        ("Gemma Terms of Use", "gemma"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0", "cc-by-nc-sa-4.0"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "cc-by-sa-4.0"),
    ],
)
def test_a_licence_is_known_by_its_text(tmp_path: Path, text: str, name: str) -> None:
    assert looked_at(tmp_path, LICENSE=text).values["license"] == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TII Falcon LLM License\n1. This license is, in part, based on the Apache License Version 2.0", "other"),
        ("Research License Agreement\nNo commercial use. Parts of it are under the MIT License.", "other"),
        (f"Research License Agreement\n{'No commercial use. ' * 20}\nThird parties: MIT License", "other"),
        ("Attribution-ShareAlike 3.0 Unported", "other"),
        ("Attribution-NonCommercial-NoDerivatives 4.0 International", "other"),
        ("Copyright 2024\nRedistribution and use in source and binary forms ...", "bsd-2-clause"),
        ("Copyright 2024\nRedistribution and use ...\n3. Neither the name of the holder nor", "bsd-3-clause"),
    ],
)
def test_a_licence_that_names_another_is_not_taken_for_it(tmp_path: Path, text: str, name: str) -> None:
    finding = looked_at(tmp_path, LICENSE=text)
    assert finding.values["license"] == name
    assert finding.verdict == ("attention" if name == "other" else "ok")


def test_a_licence_of_its_own_is_named_and_to_be_read(tmp_path: Path) -> None:
    finding = looked_at(tmp_path, README_md="---\nlicense: other\nlicense_name: exaone\n---\n")
    assert (finding.values["license"], finding.verdict) == ("exaone", "attention")
    assert "knows nothing" in finding.says


def test_an_unknown_text_is_no_licence_that_is_known(tmp_path: Path) -> None:
    finding = looked_at(tmp_path, LICENSE="You may look at this on Sundays.")
    assert finding.says.startswith("other (in LICENSE), which crosstune knows nothing of")
    # By the name that the hub has for it.
    assert finding.setting == "report: {model_license: other}"


@pytest.mark.parametrize("readme", ["# no front matter", "---\n: : broken\n---\n", "---\n- a list\n---\n"])
def test_without_a_word_of_it_one_is_told_to_look_it_up(tmp_path: Path, readme: str) -> None:
    assert "not said" in looked_at(tmp_path, README_md=readme).says


def test_free_licences_are_ok_with_their_duties(tmp_path: Path) -> None:
    finding = looked_at(tmp_path, README_md="---\nlicense: apache-2.0\n---\n")
    assert (finding.verdict, "say what was changed" in finding.says) == ("ok", True)


def test_a_gguf_file_says_its_licence_itself(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", LlamaForCausalLM(llama_config()), settings={"general.license": "MIT"})
    (finding,) = look_at_license(Subject("tiny", file))
    assert (finding.verdict, finding.setting) == ("ok", "report: {model_license: mit}")
    assert "(in tiny.gguf)" in finding.says
