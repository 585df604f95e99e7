"""Answers that were written stay written, and serve only the evaluation that they belong to."""

from pathlib import Path

from crosstune.evaluate.outputs import OutputLog

ROWS = [{"task": "nsmc", "id": "n1", "output": "긍정\n"}, {"task": "other", "id": "n1", "output": ""}]


def write(path: Path, fingerprint: str) -> None:
    with OutputLog(path, fingerprint) as log:
        for row in ROWS:
            log.append(row)


def test_answers_are_found_again_by_task_and_id(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", "a")
    with OutputLog(tmp_path / "log.jsonl", "a") as log:
        assert log.num_found == 2
        assert log.rows_of("nsmc") == {"n1": ROWS[0]} and log.rows_of("unknown") == {}


def test_answers_of_another_model_or_setting_are_discarded(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", "a")
    with OutputLog(tmp_path / "log.jsonl", "b") as log:
        assert log.num_found == 0
    with OutputLog(tmp_path / "log.jsonl", "a") as log:
        assert log.num_found == 0


def test_a_torn_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, "a")
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    with OutputLog(path, "a") as log:
        assert log.num_found == 1
        log.append(ROWS[1])
    with OutputLog(path, "a") as log:
        assert log.num_found == 2
        log.remove()
    assert not path.exists()


def test_a_line_that_was_torn_within_a_character_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, "a")
    with path.open("ab") as file:
        file.write('{"task": "nsmc", "id": "n2", "output": "부정'.encode()[:-1])
    with OutputLog(path, "a") as log:
        assert log.num_found == 2
