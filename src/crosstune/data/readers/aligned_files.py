"""Two plain-text files whose lines belong together."""

from crosstune.data.readers.records import Record, Records
from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError


def aligned_text(first: TextFile, second: TextFile, names: tuple[str, str]) -> Records:
    """Yield one record per line, its texts under the two names.

    Raises:
        BadInputError: when one file has more lines than the other, or there are none.
    """
    lengths = [sum(1 for _ in file.lines()) for file in (first, second)]
    if lengths[0] != lengths[1]:
        raise BadInputError(
            f"aligned files need the same number of lines, but {first.path} has {lengths[0]} and {second.path} has "
            f"{lengths[1]}. Find the line that is missing or extra; nothing is guessed"
        )
    if not lengths[0]:
        raise BadInputError(f"{first.path} and {second.path} are empty: give aligned files with lines")
    for one, other in zip(first.lines(), second.lines(), strict=True):
        texts = dict(zip(names, (one.text, other.text), strict=True))
        problem = one.problem or (other.problem and f"{second.name}: {other.problem}")
        yield Record(f"{first.name}:{one.number}", texts, problem)
