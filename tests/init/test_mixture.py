"""What a recipe trains on, and what it holds out of the corpora."""

from dataclasses import replace
from pathlib import Path

import pytest

from crosstune.init.corpus import Mixture, mix
from crosstune.init.found import FoundFile
from crosstune.init.held_out import hold_out
from crosstune.init.length import length_of
from crosstune.init.rows import draw
from crosstune.init.sources import Sources
from tests.init.conftest import lines
from tests.init.test_budget import KOREAN, budget, counter, drawn


def test_all_text_in_the_target_language_is_read_however_little_there_is_beside_it() -> None:
    chosen, base = Sources(), counter().base
    for name, language, rows in (("large", "ko", 10_000), ("small", "ko", 50), ("english", "en", 100)):
        sample = tuple({"text": line} for line in lines(language, 30))
        chosen.settings[name] = {"kind": "text", "language": language, "paths": [name]}
        chosen.files[name] = FoundFile(name, "text", language, rows, characters=100 * rows, sample=sample)
    mixture = mix(chosen, KOREAN, base)
    assert mixture is not None and mixture.num_rows == 10_150 and sum(mixture.shares.values()) == pytest.approx(1)
    assert mixture.parts == ({"source": "large"}, {"source": "small"}, {"source": "english"})
    assert mixture.shares["english"] < 0.01 and ", 0% of it in the source language" in mixture.why
    # Of more text in the source language a sample, a quarter of all tokens, is read and counted.
    chosen.files["english"] = replace(chosen.files["english"], rows=1_000_000, characters=100_000_000)
    mixture = mix(chosen, KOREAN, base)
    assert mixture is not None and mixture.shares["english"] == pytest.approx(0.25)
    assert 10_000 < mixture.parts[2]["max_rows"] < 1_000_000 and ", 25% of it" in mixture.why
    alone = [draw(chosen, replace(mixture, parts=(part,)), KOREAN, counter(), 100) for part in mixture.parts]
    assert alone[2].num_rows == pytest.approx(0.25 * sum(one.num_rows for one in alone), rel=0.02)


def test_a_mixture_is_said_to_hold_what_it_holds() -> None:
    chosen = Sources({"ko": {"kind": "instructions"}}, {"ko": FoundFile("ko", "instructions", "ko", 100)})
    mixture = mix(chosen, KOREAN, counter().base)
    assert mixture is not None and mixture.why == (
        "instructions in the target language: there are no translations in both directions and no instructions in the "
        "source language"
    )
    chosen.settings |= {"en": {"kind": "instructions"}, "pairs": {"kind": "parallel"}}
    chosen.files |= {"en": FoundFile("en", "instructions", "en", 9), "pairs": FoundFile("pairs", "parallel", "", 9)}
    mixture = mix(chosen, KOREAN, counter().base)
    assert mixture is not None and mixture.why.endswith("in the source language: most gain, least forgetting")


def test_a_sentence_that_occurs_often_is_held_out_once(tmp_path: Path) -> None:
    # Whichever sentence has the smallest hash, it is one of these.
    rows = [f"{first}\t{second}" for first, second in zip(lines("en", 40), lines("ko", 40), strict=True)]
    (tmp_path / "pairs.tsv").write_text("\n".join(["en\tko", *rows * 10]), encoding="utf-8")
    chosen = Sources(
        {"pairs": {"kind": "parallel", "paths": ["pairs.tsv"]}}, {"pairs": FoundFile("pairs", "parallel", "", 400)}
    )
    held_out = hold_out(chosen, tmp_path, tmp_path / "tests", KOREAN)
    written = held_out["held_out_pairs"].path.read_text(encoding="utf-8").splitlines()
    assert len(written) == len({*written}) == 20


def test_where_not_all_rows_were_counted_training_is_told_in_steps() -> None:
    counted = length_of(replace(drawn(3_000), has_more=True), budget(100.0))
    assert (counted.setting, counted.num_steps) == ({"num_steps": 281}, 281)
    assert "of the rows that were counted, and there are more" in counted.why
    assert length_of(replace(drawn(1_000_000), has_more=True), budget(10.0)).setting == {"num_steps": 506}
    text = tuple({"text": line} for line in lines("ko", 30))
    chosen = Sources({"a": {"kind": "text"}}, {"a": FoundFile("a", "text", "ko", 100, True, 0, 10_000, sample=text)})
    for part, has_more in (({"source": "a"}, True), ({"source": "a", "max_rows": 50}, False)):
        assert draw(chosen, Mixture((part,), 100, {"a": 1.0}, ""), KOREAN, counter(), 300).has_more == has_more
