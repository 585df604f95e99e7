"""Generated answers are written as they come, so that an interrupted evaluation goes on where it stopped."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crosstune.evaluate import ranks
from crosstune.runs.files import read_whole_rows, write_jsonl

Row = dict[str, Any]


class OutputLog:
    """A file of answers that grows, one per process; its first line says from which model and settings they came."""

    def __init__(self, path: Path, fingerprint: str, known: Iterable[Row] = ()) -> None:
        """Open the log; answers under another fingerprint are discarded, ``known`` ones are found in it, too."""
        self.path = path
        # Of all processes, however many there were when the evaluation was interrupted.
        rows = [row for found in self._paths() for row in _read(found, fingerprint)]
        self.num_found = len(rows)
        self._rows: dict[str, dict[str, Row]] = {}
        for row in (*known, *rows):
            self._rows.setdefault(row["task"], {})[row["id"]] = row
        ranks.wait()
        if ranks.rank() == 0:
            # Replaced as a whole: a kill between emptying the file and writing it again would lose what was there.
            write_jsonl(path, ({"fingerprint": fingerprint}, *rows))
            for other in self._paths()[1:]:
                other.unlink()
        ranks.wait()
        own = path if ranks.rank() == 0 else path.with_suffix(f".{ranks.rank()}.jsonl")
        if ranks.rank():
            write_jsonl(own, [{"fingerprint": fingerprint}])
        self._file = own.open("a", encoding="utf-8")

    def rows_of(self, task: str) -> dict[str, Row]:
        """Return the answers that are there, by item id."""
        return dict(self._rows.get(task, {}))

    def append(self, row: Row) -> None:
        """Write an answer; it survives whatever comes after."""
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()

    def remove(self) -> None:
        """Delete the log, once its answers are safe elsewhere."""
        self._file.close()
        ranks.wait()
        if ranks.rank() == 0:
            for path in self._paths():
                path.unlink()

    def _paths(self) -> list[Path]:
        """Return the files of all processes that are there, the main one's first."""
        others = sorted(self.path.parent.glob(f"{self.path.stem}.*{self.path.suffix}"))
        return [path for path in (self.path, *others) if path.is_file()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._file.close()


def _read(path: Path, fingerprint: str) -> list[Row]:
    """Return the whole rows of an earlier log with this fingerprint."""
    rows = read_whole_rows(path)
    return rows[1:] if rows and rows[0].get("fingerprint") == fingerprint else []
