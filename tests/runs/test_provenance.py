"""What others may read of a run names no folder of the machine that it ran on."""

import pytest

from crosstune.runs.provenance import public, public_command


def test_what_is_published_of_run_json_has_no_local_path_in_any_command() -> None:
    raw = "crosstune run /home/mina/ours.yaml data_root=/data/corpora --quick"
    facts = {"stages": {"data": {"command": raw, "seconds": 2.5, "inputs": {}}}, "command": raw, "commit": "abc"}
    told = "crosstune run ours.yaml data_root=corpora --quick"
    expected = {"stages": {"data": {"command": told, "seconds": 2.5, "inputs": {}}}, "command": told, "commit": "abc"}
    assert public(facts) == expected


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("'data.sources.p.paths=[/home/mina/a.tsv, b/c.tsv]'", "'data.sources.p.paths=[a.tsv, b/c.tsv]'"),
        (
            "'data.sources.p={kind: parallel, paths: [/home/mina/*.tsv]}'",
            "'data.sources.p={kind: parallel, paths: [*.tsv]}'",
        ),
        ("'tokenizer.base={path: \"/home/mina/llama/model\"}'", "'tokenizer.base={path: \"llama/model\"}'"),
        ("'x=[~/a.tsv, ../mina/b.tsv, C:\\\\mina\\\\c.tsv]'", "'x=[a.tsv, b.tsv, c.tsv]'"),
        ("'data_root=/home/mina/my texts'", "'data_root=my texts'"),
        ("--data-root=/home/mina/texts", "--data-root=texts"),
        ("x=file:///home/mina/a.tsv", "x=a.tsv"),
        ("'x=[file:///home/mina/a.tsv, b.tsv]'", "'x=[a.tsv, b.tsv]'"),
        ("url=https://hub.example/a/b x=a/b/c.tsv", "url=https://hub.example/a/b x=a/b/c.tsv"),
    ],
)
def test_no_local_folder_is_told_wherever_it_stands_in_a_command(typed: str, told: str) -> None:
    assert public_command(f"crosstune run r.yaml {typed}") == f"crosstune run r.yaml {told}"
