"""The section ``tokenizer``: the base's vocabulary and its extension."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from crosstune.recipe.section import Commit, Count, Language, Name, Section, Share


class LearnedTokenizer(Section):
    """A SentencePiece-style BPE with byte fallback, learned from a mixture (for a model from scratch)."""

    kind: Literal["learned"] = Field(description="made here")
    mixture: Name = Field(description="mixture that the pieces are learned from")
    num_pieces: Annotated[int, Field(ge=300)] = Field(
        description="the size of the vocabulary, with 256 byte pieces and control tokens"
    )


class GivenTokenizer(Section):
    """A tokenizer that exists: a folder, .model or .gguf file (under data_root or here), or a hub id with revision."""

    kind: Literal["given"] = Field(description="made elsewhere")
    path: str = Field(description="a folder, .model or .gguf file, below data_root or here; or a hub id")
    revision: Commit | None = Field(None, description="commit of a hub id")


# One number, or one for each language; told apart by what stands there, so that a mistake is told once.
NumPieces = Annotated[
    Annotated[Count, Tag("number")] | Annotated[dict[Language, Annotated[int, Field(ge=0)]], Tag("by_language")],
    Discriminator(lambda found: "by_language" if isinstance(found, Mapping) else "number"),
]


class LearnedExtension(Section):
    """New target-language pieces, learned from a mixture and added inside the base's BPE model."""

    kind: Literal["learned"] = Field(description="made here")
    mixture: Name = Field(description="mixture that the pieces are learned from")
    num_new_pieces: NumPieces = Field(
        14_336,
        description="46,336 pieces in total with LLaMA-2's 32,000; several targets share the number evenly, or have "
        "their own, as {ko: 8192, ja: 4096}; 0 adds none for a language",
    )
    size_multiple_of: Count = Field(
        128, description="dummy pieces pad the vocabulary to a multiple of this, for fast matrix products"
    )
    required_syllables: Literal["ks_x_1001", "seen"] = Field(
        "ks_x_1001",
        description="Korean syllables that always get their own piece: the 2,350 of KS X 1001, or those seen",
    )
    character_coverage: Share = Field(
        0.9999, description="share of the corpus' target letters that get their own piece; the rest stays bytes"
    )
    allow: tuple[str, ...] = Field(
        (), description="words that become pieces no matter how rare they are in the mixture"
    )
    deny: tuple[str, ...] = Field((), description="strings that no learned piece of several characters may contain")
    source_text_unchanged: bool = Field(
        True,
        description="for a target that shares its letters with the source: learn only pieces that no source-language "
        "text of the mixtures uses; if false, their effect on such text is measured",
    )
    keep_words_whole: bool = Field(
        False,
        description="keep the base's pre-tokenizer from splitting runs of target letters, as many do at vowel signs",
    )
    write_sentencepiece: bool = Field(
        False,
        description="also write tokenizer.model, and add every merge that SentencePiece would make with the pieces",
    )

    @property
    def total_new_pieces(self) -> int:
        """How many are asked for in all."""
        return self.num_new_pieces if isinstance(self.num_new_pieces, int) else sum(self.num_new_pieces.values())

    def pieces_of(self, targets: Sequence[str]) -> dict[str, int]:
        """Return how many new pieces each target gets: its own number, or an even share, the first ones one more."""
        if not isinstance(self.num_new_pieces, int):
            return {target: self.num_new_pieces[target] for target in targets}
        whole, more = divmod(self.num_new_pieces, len(targets))
        return {target: whole + (place < more) for place, target in enumerate(targets)}


class Tokenizer(Section):
    """The base tokenizer and, where a system uses it, the extended one."""

    base: Annotated[LearnedTokenizer | GivenTokenizer, Field(discriminator="kind")] = Field(
        description="the tokenizer of the model that is extended"
    )
    extension: Annotated[LearnedExtension | GivenTokenizer, Field(discriminator="kind")] | None = Field(
        None, description="new pieces for the target languages; without it, all systems use the base"
    )

    def with_new_pieces(self, targets: Sequence[str]) -> list[str]:
        """Return the targets that get new pieces: all but those whose number is 0."""
        if not isinstance(self.extension, LearnedExtension):
            return list(targets)
        return [target for target, number in self.extension.pieces_of(targets).items() if number]
