"""What others may read of a run names no folder of the machine that it ran on."""

from crosstune.runs.provenance import public


def test_what_is_published_of_run_json_has_no_local_path_in_any_command() -> None:
    raw = "crosstune run /home/mina/ours.yaml data_root=/data/corpora --quick"
    facts = {"stages": {"data": {"command": raw, "seconds": 2.5, "inputs": {}}}, "command": raw, "commit": "abc"}
    told = "crosstune run ours.yaml data_root=corpora --quick"
    expected = {"stages": {"data": {"command": told, "seconds": 2.5, "inputs": {}}}, "command": told, "commit": "abc"}
    assert public(facts) == expected
