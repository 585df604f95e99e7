"""The sections ``evaluate`` and ``report``: which tasks are scored, and what is shown."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from crosstune.precision import Precision
from crosstune.prompts.wordings import Wording
from crosstune.recipe.data import ColumnNames, Encoding, SourceFormat
from crosstune.recipe.section import Count, DirectionSet, Language, LanguageSet, Name, Section, Share
from crosstune.recipe.suite import AsMultiturn, Copies, LanguageSuite, NumFewshot, WithChatTemplate
from crosstune.tasks.registry import HarnessBenchmark, all_tasks, known_in_harness
from crosstune.tasks.task import Task


def _known(name: str) -> str:
    known = all_tasks()
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=1)
    perhaps = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"{name!r} is not a task; {perhaps}Known tasks: {', '.join(sorted(known))}")


_OF_THE_HARNESS = ("name", "include_path", "num_fewshot", "chat_template", "fewshot_as_multiturn", "copies")

TaskName = Annotated[str, AfterValidator(_known)]


class EvaluationTask(Section):
    """One evaluation set: the task and its file (relative to data_root)."""

    task: TaskName = Field(description="a benchmark that crosstune knows, or `harness`")
    paths: tuple[str, ...] = Field(
        (),
        description="its files, below data_root; `instructions` and `open_questions` need none in English and Korean",
    )
    encoding: Encoding = Field("utf-8", description="encoding of its text files; old Korean files are often cp949")
    format: SourceFormat = Field(
        "auto", description="format of its files, where they are texts or translations of any format, as of a source"
    )
    columns: ColumnNames = Field(
        {}, description="other column names or keys in such files, as of a source: language or text -> name"
    )
    name: str = Field(
        "", description="harness: name of a task of lm-evaluation-harness, as arc_easy, or of a group, which is one row"
    )
    num_fewshot: NumFewshot = None
    chat_template: WithChatTemplate = False
    fewshot_as_multiturn: AsMultiturn = True
    copies: Copies = None
    include_path: Path | None = Field(None, description="harness: a folder with additional task files (YAML)")
    language: Language | None = Field(
        None,
        description="language of the items, for tasks that exist in several; harness: language of the task, which "
        "decides whether it measures gain or forgetting",
    )
    max_items: Count | None = Field(None, description="sample this many items of a larger set [all]")
    sample_seed: int = Field(1234, description="seed for sampling max_items")
    directions: DirectionSet = Field((), description="translation: directions")
    instruction_languages: LanguageSet = Field((), description="translation: languages of the instruction")
    wordings: Literal["paper", "held_out"] | dict[Language, tuple[Wording, ...]] = Field(
        "paper",
        description="translation: the paper's instruction; ten that no training used, for mean and worst; or your "
        "own, by language",
    )
    references: Literal["one", "several"] = Field(
        "one",
        description="translation; several: a sentence that occurs in several items is asked once, with all "
        "their references",
    )
    max_new_tokens: Count = Field(256, description="maximum length of an answer, in tokens")

    @model_validator(mode="after")
    def _own_files_or_tasks_of_the_harness(self) -> Self:
        if self.spec.judge == "harness":
            if not self.name or self.paths:
                raise ValueError("`task: harness` needs `name`, a task of lm-evaluation-harness, and no `paths`")
            return self
        if not self.paths and not self.spec.own_file:
            raise ValueError(f"`task: {self.task}` needs `paths`, its files")
        if not self.paths and self.language and self.spec.file_of(self.language) is None:
            raise ValueError(
                f"`task: {self.task}` has built-in items in {', '.join(self.spec.own_languages)}, not in "
                f"{self.language!r}: write a file of them, as docs/{self.task}.md shows, and name it in `paths`"
            )
        given = self._set_otherwise(_OF_THE_HARNESS)
        if given:
            raise ValueError(f"{', '.join(f'`{name}`' for name in given)}: only for `task: harness`")
        return self

    def _set_otherwise(self, names: Sequence[str]) -> list[str]:
        """Return the settings that are not their defaults, which a resolved recipe says of every task."""
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]

    @model_validator(mode="after")
    def _settings_of_files(self) -> Self:
        given = self._set_otherwise(("encoding", "format", "columns"))
        if given and not self.paths:
            raise ValueError(f"{', '.join(f'`{name}`' for name in given)}: only with `paths`, the files it is about")
        if self.format == "hugging_face":
            raise ValueError("`format: hugging_face` is only for sources: name the files in `paths`")
        if {"format", "columns"} & {*given} and not self.is_read_as_source:
            raise ValueError(
                f"`task: {self.task}` is read as its publisher writes it: it takes no `format` and no `columns`"
            )
        if given and self.spec.judge == "rules":
            raise ValueError(f"`task: {self.task}` takes no `encoding`: its file of wordings is UTF-8")
        return self

    @property
    def is_read_as_source(self) -> bool:
        """Whether its files are read as those of a source are: texts, questions or translations in any format."""
        return self.spec.judge in ("translation", "text", "language")

    @model_validator(mode="after")
    def _language_of_items(self) -> Self:
        spec = self.spec
        if spec.judge == "translation":
            if self.language is not None:
                raise ValueError(f"`task: {self.task}` has `directions`, and takes no `language`")
        elif spec.language:
            if self.language not in (None, spec.language):
                raise ValueError(f"`task: {self.task}` is in {spec.language!r}: remove `language: {self.language}`")
        elif self.language is None and spec.judge != "harness":
            among = f", one of {', '.join(spec.languages)}" if spec.languages else ""
            raise ValueError(f"`task: {self.task}` needs the `language` of its items{among}")
        elif self.language is not None and spec.languages and self.language not in spec.languages:
            raise ValueError(f"`task: {self.task}` exists in {', '.join(spec.languages)}, not in {self.language!r}")
        return self

    @model_validator(mode="after")
    def _translation_cells(self) -> Self:
        cells, is_translation = (self.directions, self.instruction_languages), self.spec.judge == "translation"
        if not all(cells) if is_translation else any(cells):
            raise ValueError("`directions` and `instruction_languages` are only for translation tasks")
        if not is_translation and (self.wordings, self.references) != ("paper", "one"):
            raise ValueError("`wordings` and `references` are only for translation tasks")
        if not isinstance(self.wordings, str):
            given = {language for language, wordings in self.wordings.items() if wordings}
            if given != {*self.instruction_languages}:
                raise ValueError(
                    f"`wordings` are in {', '.join(sorted(given)) or 'no language'}, but `instruction_languages` are "
                    f"{', '.join(sorted(self.instruction_languages))}: give wordings in exactly these languages"
                )
        return self

    @property
    def spec(self) -> Task:
        """What the task is: the benchmark."""
        return all_tasks()[self.task]

    @property
    def benchmark(self) -> HarnessBenchmark | None:
        """The benchmark that a task of the harness is, if we know it."""
        return known_in_harness(self.name, self.language) if self.spec.judge == "harness" else None

    @property
    def items_language(self) -> str | None:
        """The language of its items; None of translations, and of a task of the harness of which it is not said."""
        return self.language or (None if self.spec.judge == "translation" else self.spec.language)

    def wordings_in(self, language: str) -> Literal["paper", "held_out"] | tuple[str, ...]:
        """Return how a translation is asked for in a language: the name of a set of the bank, or the recipe's own."""
        return self.wordings if isinstance(self.wordings, str) else self.wordings[language]


class Evaluate(Section):
    """Which tasks are scored, and against which system gain and forgetting are measured."""

    reference_system: Name = Field(description="the system that gain and forgetting are measured against")
    tasks: dict[Name, EvaluationTask] = Field(
        description="evaluation sets by name; with a suite, those besides it, and those that replace one of it"
    )
    suite: LanguageSuite | None = Field(
        None, description="all benchmarks of lm-evaluation-harness in a language, added to tasks as BENCHMARK_LANGUAGE"
    )
    precision: Precision = Field(
        "float32", description="precision of the weights; bf16 needs half the memory and rounds more"
    )
    engine: Literal["transformers", "vllm"] = Field(
        "transformers", description="engine for generation; vllm needs a GPU (extra `vllm`)"
    )
    batch_tokens: Count = Field(8192, description="tokens per forward pass")
    max_batch_rows: Count = Field(128, description="rows generated at the same time")
    comet_checkpoint: Path | None = Field(None, description="also score translations with COMET: its .ckpt file")
    comet_command: str = Field("comet-score", description="path of comet-score, in its own environment")
    max_forgetting: Share | None = Field(
        None,
        description="how much an adapted system may lose against reference_system on each task in the source "
        "language, for example 0.03 (a share, as accuracy, or bits per byte; of BLEU and chrF++ 100 times as much); "
        "it passes if the whole paired interval is within the limit, and fails if all of it is beyond",
    )
    num_bootstrap: Annotated[int, Field(ge=100)] = Field(1000, description="bootstrap resamples per interval")

    @property
    def tasks_with_files(self) -> dict[str, EvaluationTask]:
        """Return the tasks whose items the data stage reads; the others bring their own."""
        return {label: task for label, task in self.tasks.items() if task.spec.judge != "harness"}

    @model_validator(mode="after")
    def _holds_its_suite(self) -> Self:
        missing = [label for label in self.suite.chosen if label not in self.tasks] if self.suite else []
        if missing:
            raise ValueError(f"`tasks` lacks {', '.join(missing)} of `suite`: make the recipe with `load_recipe`")
        return self

    @model_validator(mode="after")
    def _languages_for_the_limit(self) -> Self:
        without = [label for label, task in self.tasks.items() if task.spec.judge == "harness" and not task.language]
        if self.max_forgetting is not None and without:
            raise ValueError(
                f"`max_forgetting` needs to know which tasks are in the source language: give the `language` of "
                f"{', '.join(without)}, as `language: en`"
            )
        return self


class ReportSettings(Section):
    """What the report shows besides the run's own numbers."""

    title: str = Field("", description="the page's heading; the run's name if empty")
    paper_figures: bool = Field(True, description="print the paper's own figures beside ours")
    model_license: str = Field("", description="for the model cards: the hub's name of a license, such as apache-2.0")
