"""A JSON document of any size, parsed value by value: only the value at hand lies in memory."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any

from crosstune.data.readers.text_files import TextFile
from crosstune.errors import BadInputError

# The longest line of JSON lines has as many bytes: a longer row is one whose end is missing, or no row.
MAX_VALUE_CHARACTERS = 2**26
_SPACE = re.compile(r"[ \t\r\n]*")
# A literal or an escape that the end of what was read cuts in two is complained of where it begins: "-Infinity".
_LONGEST_TOKEN = 16


class JsonStream:
    """Goes through a document from its beginning; whoever asks knows what may stand where.

    By hand, because the json module parses a document as a whole, and its rows take 4 to 13 times the size of the file.
    """

    def __init__(self, file: TextFile, make_object: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> None:
        self._file, self._chunks = file, file.chunks()
        self._decode = json.JSONDecoder(object_pairs_hook=make_object).raw_decode
        self._text, self._at, self._is_at_end = "", 0, False
        # What was dropped from the text: its line feeds, and its characters, in all and behind the last of them.
        self._num_lines = self._num_characters = self._column = 0

    def next_character(self) -> str:
        """Pass over white space and return what comes then, which stays; nothing at the end."""
        while True:
            self._at = self._end_of_space()
            if self._at < len(self._text) or not self._read(1):
                return self._text[self._at : self._at + 1]

    def take(self, characters: str) -> str:
        """Pass over one of some characters and return it.

        Raises:
            BadInputError: when something else comes.
        """
        found = self.next_character()
        if not found or found not in characters:
            expected = " or ".join(repr(one) for one in characters)
            raise self.error(f"Expecting {expected}", self._at)
        self._at += 1
        return found

    def value(self) -> Any:
        """Parse the next value, whatever it is.

        Raises:
            BadInputError: when it is not valid JSON, nested too deeply, or larger than a row can be.
        """
        self.next_character()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not (self._may_be_cut(error) and self._read(len(self._text) - self._at)):
                    raise self.error(error.msg, error.pos) from None
            except RecursionError:
                raise BadInputError(
                    f"{self._file.path} is not a corpus in JSON: it is nested too deeply. Give a list of objects"
                ) from None
            except ValueError as error:
                # Python refuses integers of more than 4,300 digits, and does not say where.
                raise BadInputError(
                    f"{self._file.path} holds a number that cannot be read ({error}). Shorten it or write it as text"
                ) from None
            else:
                # A number goes on, perhaps, behind what was read.
                if end < len(self._text) or not self._read(1):
                    self._at = end
                    return value

    def items(self) -> Iterator[Any]:
        """Yield the values of the array that comes next."""
        self.take("[")
        if self.next_character() == "]":
            self.take("]")
            return
        yield self.value()
        while self.take(",]") == ",":
            yield self.value()

    def names(self) -> Iterator[str]:
        """Yield the names in the object that comes next; the caller takes the value behind each."""
        self.take("{")
        if self.next_character() == "}":
            self.take("}")
            return
        more = True
        while more:
            if self.next_character() != '"':
                raise self.error("Expecting property name enclosed in double quotes", self._at)
            key = self.value()
            self.take(":")
            yield key
            more = self.take(",}") == ","

    def end(self) -> None:
        """Refuse what comes behind the document.

        Raises:
            BadInputError: when something does.
        """
        if self.next_character():
            raise self.error("Extra data", self._at)

    def error(self, what: str, place: int) -> BadInputError:
        """Return what is wrong at a place of the text."""
        line = self._num_lines + self._text.count("\n", 0, place) + 1
        last_feed = self._text.rfind("\n", 0, place)
        column = place - last_feed if last_feed >= 0 else self._column + place + 1
        character = self._num_characters + place
        # A text without its closing quote runs to the end of the file.
        is_last = place >= len(self._text.rstrip()) - 1 or what.startswith("Unterminated")
        cut_off = " The file was probably cut off." if is_last and (self._is_at_end or not self._read(1)) else ""
        return BadInputError(
            f"{self._file.path} is not valid JSON: {what.removesuffix(' at')} at line {line}, column {column} "
            f"(character {character}).{cut_off} Copy or download it again, or correct that place"
        )

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Return whether the value may only look wrong because its end is not read."""
        if self._is_at_end:
            return False
        is_open = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _LONGEST_TOKEN
        if is_open and len(self._text) - self._at > MAX_VALUE_CHARACTERS:
            message = f"A value longer than {MAX_VALUE_CHARACTERS:,} characters, perhaps for want of a closing quote,"
            raise self.error(message, self._at)
        return is_open

    def _end_of_space(self) -> int:
        match = _SPACE.match(self._text, self._at)
        return match.end() if match else self._at

    def _read(self, num_characters: int) -> bool:
        """Read so many characters more, or a few too many, and drop what was passed; return whether there were any."""
        parts: list[str] = []
        while num_characters > 0 and (part := next(self._chunks, "")):
            parts.append(part)
            num_characters -= len(part)
        if not parts:
            self._is_at_end = True
            return False
        passed = self._text[: self._at]
        self._num_lines += passed.count("\n")
        self._num_characters += self._at
        last_feed = passed.rfind("\n")
        self._column = self._at - last_feed - 1 if last_feed >= 0 else self._column + self._at
        self._text, self._at = "".join((self._text[self._at :], *parts)), 0
        return True


def told(keys: Collection[str]) -> str:
    """Return the keys of an object for a message; a large object's are not all told."""
    return ", ".join(islice(keys, 20)) + (", ..." if len(keys) > 20 else "")
