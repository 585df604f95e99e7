"""Every published evaluation format becomes its task's items; what is none is told with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.data import evaluation_sets
from crosstune.errors import BadInputError
from crosstune.recipe import EvaluationTask, Languages

LANGUAGES = Languages(source="en", target="ko")
HELLASWAG = {
    "ind": 24,
    "activity_label": "Roof",
    "ctx_a": "A man sits.",
    "ctx_b": "he",
    "endings": ["a", "b", "c", "d"],
}
COPA_XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE copa-corpus SYSTEM "copa.dtd">
<copa-corpus version="1.0">
  <item id="501" asks-for="effect" most-plausible-alternative="2">
    <p>Tom &amp; Ann ran.</p><a1>It rained.</a1><a2>They were tired.</a2>
  </item>
</copa-corpus>
"""


def choose(
    tmp_path: Path, task: str, *contents: str, on_bad_row: Any = "stop", **settings: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    paths = [tmp_path / f"f{index}" for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content, encoding="utf-8", newline="")
    if task == "translation":
        settings |= {"directions": ("en-ko",), "instruction_languages": ("en",)}
    section = EvaluationTask.model_validate({"task": task, "paths": tuple(path.name for path in paths), **settings})
    raw = evaluation_sets.read(section, paths, tmp_path, LANGUAGES)
    items, drops = evaluation_sets.choose("my_task", section, raw, on_bad_row, LANGUAGES)
    return items, drops.records


def test_held_out_text_is_read_as_a_source_of_text_is(tmp_path: Path) -> None:
    items, drops = choose(tmp_path, "bits_per_byte", "한 줄.\n\n또 한 줄.\n", language="ko")
    assert [(item["id"], item["text"]) for item in items] == [("f0:1", "한 줄."), ("f0:3", "또 한 줄.")]
    assert [row["reason"] for row in drops] == ["empty text"]


@pytest.mark.parametrize("label", [3, "3"])
def test_hellaswag_labels_are_numbers_or_texts(tmp_path: Path, label: Any) -> None:
    items, _ = choose(tmp_path, "hellaswag", json.dumps({**HELLASWAG, "label": label, "source_id": "x"}))
    expected = {key: value for key, value in HELLASWAG.items() if key != "ind"}
    assert items == [{"id": "x:24", **expected, "label": 3, "origin": "f0:1"}]


def test_hellaswag_rows_without_second_context_stay(tmp_path: Path) -> None:
    items, drops = choose(tmp_path, "hellaswag", json.dumps({**HELLASWAG, "ctx_b": "", "label": 0}))
    assert (len(items), drops) == (1, [])


def test_copa_xml_is_read_without_its_doctype(tmp_path: Path) -> None:
    items, _ = choose(tmp_path, "copa_2011_test", COPA_XML)
    assert items == [
        {
            "id": "501",
            "premise": "Tom & Ann ran.",
            "choice1": "It rained.",
            "choice2": "They were tired.",
            "question": "effect",
            "label": 1,
            "origin": "f0:4",
        }
    ]


def test_copa_xml_keeps_the_whole_text_around_inner_tags(tmp_path: Path) -> None:
    items, _ = choose(tmp_path, "copa_2011_test", COPA_XML.replace("It rained.", "It <b>really</b> rained."))
    assert items[0]["choice1"] == "It really rained."


def test_superglue_copa_counts_labels_from_zero(tmp_path: Path) -> None:
    row = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0}
    items, _ = choose(tmp_path, "copa_superglue_val", json.dumps(row))
    assert (items[0]["id"], items[0]["question"], items[0]["label"]) == ("0", "cause", 1)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (
            '<!DOCTYPE c [<!ENTITY a "boom"><!ENTITY b "&a;&a;">]><c><item><p>&b;</p></item></c>',
            "line 1: declares the XML entity 'a'.*none is resolved",
        ),
        ('<!DOCTYPE c [<!ENTITY x SYSTEM "/etc/passwd">]><c>&x;</c>', "declares the XML entity 'x'"),
        ('<!DOCTYPE c SYSTEM "c.dtd"><c><item><p>caf&eacute;</p></item></c>', "unknown XML entity &eacute;"),
        ("<c><item></c>", "not well-formed XML: mismatched tag at line 1"),
    ],
)
def test_xml_entities_and_broken_xml_are_refused(tmp_path: Path, xml: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        choose(tmp_path, "copa_2011_test", xml)


def test_nsmc_keeps_quotes_and_drops_empty_documents(tmp_path: Path) -> None:
    text = 'id\tdocument\tlabel\n1\t"""He said """"hi"""""""\t1\n2\t\t0\n3\t" 열린 따옴표\t0\n'
    items, drops = choose(tmp_path, "nsmc_generate", text)
    assert [(item["id"], item["document"], item["label"], item["origin"]) for item in items] == [
        ("1", '"""He said """"hi"""""""', 1, "f0:2"),
        ("3", '" 열린 따옴표', 0, "f0:4"),
    ]
    assert [(drop["reason"], drop["origin"]) for drop in drops] == [("empty document", "f0:3")]


def test_kobest_copa_counts_from_one_and_has_windows_lines(tmp_path: Path) -> None:
    text = "ID\tsentence\tquestion\t1\t2\tAnswer\r\n7\t비가 왔다.\t결과\t젖었다.\t말랐다.\t1\r\n"
    items, _ = choose(tmp_path, "kobest_copa", text)
    assert items == [
        {
            "id": "7",
            "premise": "비가 왔다.",
            "question": "결과",
            "alternative_1": "젖었다.",
            "alternative_2": "말랐다.",
            "label": 0,
            "origin": "f0:2",
        }
    ]


def test_kobest_hellaswag_is_numbered_by_line(tmp_path: Path) -> None:
    items, _ = choose(
        tmp_path, "kobest_hellaswag", "context\tchoice1\tchoice2\tchoice3\tchoice4\tlabel\n글\t가\t나\t다\t라\t3\n"
    )
    assert items[0] == {
        "id": "2",
        "context": "글",
        **{f"ending_{number}": text for number, text in enumerate("가나다라", start=1)},
        "label": 3,
        "origin": "f0:2",
    }


@pytest.mark.parametrize("text", ["ID\tText\tLabel\r\n1\t좋아요\t1\r\n", "ID\tLabel\tText\r\n1\t1\t좋아요\r\n"])
def test_sentineg_columns_come_in_either_order(tmp_path: Path, text: str) -> None:
    assert choose(tmp_path, "kobest_sentineg", text)[0] == [
        {"id": "1", "sentence": "좋아요", "label": 1, "origin": "f0:2"}
    ]


@pytest.mark.parametrize(
    ("task", "row", "first", "second"),
    [
        ("nsmc_generate", {"document": "좋다"}, "negative", "Positive"),
        ("copa_2011_test", {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause"}, "choice1", "choice2"),
        ("kobest_boolq", {"paragraph": "p", "question": "q"}, False, True),
        ("kobest_sentineg", {"sentence": "s"}, "negative", "positive"),
        (
            "kobest_copa",
            {"premise": "p", "question": "원인", "alternative_1": "a", "alternative_2": "b"},
            "alternative_1",
            "alternative_2",
        ),
        ("kobest_hellaswag", {"context": "c", **{f"ending_{n}": f"{n}" for n in range(1, 5)}}, "ending_1", "ending_2"),
        ("kobest_wic", {"word": "배", "context_1": "[배]가", "context_2": "[배]는"}, "False", "True"),
    ],
)
def test_labels_of_the_hub_are_numbers_or_their_names(
    tmp_path: Path, task: str, row: dict[str, Any], first: Any, second: Any
) -> None:
    rows = [row | {"label": label} for label in (first, second, 0, 1, "1", 1.0)]
    content = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
    assert [item["label"] for item in choose(tmp_path, task, content)[0]] == [0, 1, 0, 1, 1, 1]


def test_cells_that_are_called_as_their_column_leave_a_published_header_one(tmp_path: Path) -> None:
    content = "question,answer,A,B,C,D\n처음은 무엇인가?,1,A,B,C,D\n끝은 무엇인가?,4,A,B,C,D\n"
    assert [item["label"] for item in choose(tmp_path, "kmmlu", content)[0]] == [0, 3]


@pytest.mark.parametrize("answers", [("False", "True"), ("FALSE", "TRUE"), ("0", "1")])
def test_boolq_answers_are_words_or_numbers(tmp_path: Path, answers: tuple[str, str]) -> None:
    no, yes = answers
    text = f"ID\tText\tQuestion\tAnswer\n1\t비가 온다.\t비가 오나?\t{yes}\n2\t비가 온다.\t눈이 오나?\t{no}\n"
    items, _ = choose(tmp_path, "kobest_boolq", text)
    assert items[0] == {"id": "1", "paragraph": "비가 온다.", "question": "비가 오나?", "label": 1, "origin": "f0:2"}
    assert items[1]["label"] == 0


def test_translation_sets_are_aihub_json_or_aligned_text(tmp_path: Path) -> None:
    items, _ = choose(tmp_path, "translation", '{"data": [{"en": "> Go.", "ko": "가."}]}')
    assert items == [{"id": "f0:row 1", "en": "Go.", "ko": "가.", "origin": "f0:row 1"}]
    items, drops = choose(tmp_path, "translation", "One.\nTwo.\n", "하나.\n\n")
    assert items == [{"id": "f0:1", "en": "One.", "ko": "하나.", "origin": "f0:1"}]
    assert [drop["reason"] for drop in drops] == ["empty ko"]


def test_items_of_several_files_have_ids_of_their_own(tmp_path: Path) -> None:
    text = "id\tdocument\tlabel\n1\t좋다\t1\n"
    assert [item["id"] for item in choose(tmp_path, "nsmc_generate", text, text)[0]] == ["f0:1", "f1:1"]


def test_a_draw_follows_its_seed_and_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [f"{number}\t글 {number}\t{number % 2}\n" for number in range(50)]

    def drawn(lines: list[str], seed: int) -> list[int]:
        text = "id\tdocument\tlabel\n" + "".join(lines)
        return [int(item["id"]) for item in choose(tmp_path, "nsmc_generate", text, max_items=9, sample_seed=seed)[0]]

    first = drawn(lines, 1)
    assert first == sorted(first) and len(first) == 9
    assert first != drawn(lines, 2)
    assert set(first) == set(drawn(lines[::-1], 1))


@pytest.mark.parametrize(
    ("task", "content", "problem"),
    [
        ("hellaswag", json.dumps({**HELLASWAG, "label": 4}), "label 4 is not one of 0, 1, 2, 3"),
        (
            "hellaswag",
            json.dumps({**HELLASWAG, "label": ""}),
            "label '' is not one of .*; where a split hides its",
        ),
        ("hellaswag", json.dumps({**HELLASWAG, "label": True}), "label True is not one of"),
        ("hellaswag", json.dumps({**HELLASWAG, "label": 0, "endings": ["a"]}), "`endings` does not hold 4 texts"),
        (
            "hellaswag",
            json.dumps({**HELLASWAG, "label": 0, "endings": [" ", "b", "c", "d"]}),
            "`endings` does not hold",
        ),
        ("hellaswag", json.dumps({**HELLASWAG, "label": 0, "endings": ["\ud83d", "b", "c", "d"]}), "half a surrogate"),
        ("hellaswag", '{"prompt": "x"}', "no key 'activity_label'.*there are prompt"),
        ("hellaswag", '{"ind', "not valid JSON"),
        ("copa_2011_test", COPA_XML.replace('"2"', '"0"'), "label '0' is not one of 1, 2"),
        ("copa_2011_test", COPA_XML.replace('"effect"', '"why"'), "question 'why' is not one of cause, effect"),
        ("copa_2011_test", COPA_XML.replace("a2>", "a3>"), "no key 'a2'"),
        ("copa_2011_test", COPA_XML.replace("a2>", "a1>"), "'a1' occurs twice; it is unclear which text is meant"),
        ("nsmc_generate", "id\tdocument\tlabel\n1\t좋다\t2\n", "label '2' is not one of 0, 1"),
        ("nsmc_generate", "id\tdocument\tlabel\n1\t좋다\n", "2 columns; needed: 3"),
        ("nsmc_likelihood", "id\tdocument\tlabel\n1\t좋다\tgreat\n", "label 'great' is not one of 0, 1"),
        ("kobest_boolq", "ID\tText\tQuestion\tAnswer\n1\t가\t나\tmaybe\n", "label 'maybe' is not one of false, true"),
        ("translation", '{"data": [{"en": "a"}]}', "no key 'ko'"),
    ],
)
def test_a_bad_item_stops_the_run_or_is_dropped(tmp_path: Path, task: str, content: str, problem: str) -> None:
    with pytest.raises(BadInputError, match=rf"f0:.*\(of my_task\): .*{problem}"):
        choose(tmp_path, task, content)
    with pytest.raises(
        BadInputError, match=rf"my_task: .* needs items, but none was found in f0 \(bad row: 1; first: f0:.*{problem}"
    ):
        choose(tmp_path, task, content, on_bad_row="drop")


def test_a_number_that_occurs_twice_is_told_apart_by_its_line(tmp_path: Path) -> None:
    items, drops = choose(tmp_path, "nsmc_generate", "id\tdocument\tlabel\n1\t가\t1\n1\t나\t1\n")
    assert [(item["id"], item["document"]) for item in items] == [("1", "가"), ("1 (3)", "나")] and not drops


def test_a_row_that_occurs_twice_is_a_bad_row(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"f0:3 .*the row with the id '1' occurs twice"):
        choose(tmp_path, "nsmc_generate", "id\tdocument\tlabel\n1\t가\t1\n1\t가\t1\n")


def test_hellaswags_two_numberings_lose_no_row(tmp_path: Path) -> None:
    rows = [
        {**HELLASWAG, "ind": number, "ctx_b": ctx_b, "label": 0, "source_id": f"{source}~{number}"}
        for source, ctx_b in (("activitynet", "he"), ("wikihow", ""))
        for number in (22, 38)
    ]
    items, drops = choose(tmp_path, "hellaswag", "\n".join(map(json.dumps, rows)))
    assert [item["id"] for item in items] == [
        "activitynet~22:22",
        "activitynet~38:38",
        "wikihow~22:22",
        "wikihow~38:38",
    ]
    assert not drops
    unnamed = [{key: value for key, value in row.items() if key != "source_id"} for row in rows]
    items, drops = choose(tmp_path, "hellaswag", "\n".join(map(json.dumps, unnamed)))
    assert [item["id"] for item in items] == ["22", "38", "22 (3)", "38 (4)"] and not drops


def test_items_without_a_number_are_numbered_by_line(tmp_path: Path) -> None:
    row = json.dumps({**HELLASWAG, "ind": None, "label": 0})
    assert [item["id"] for item in choose(tmp_path, "hellaswag", f"{row}\n{row}\n")[0]] == ["1", "2"]


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="names one of them twice: id, document, label, label"):
        choose(tmp_path, "nsmc_generate", "id\tdocument\tlabel\tlabel\n1\t가\t1\t0\n")


@pytest.mark.parametrize(
    ("task", "header", "missing"),
    [
        ("nsmc_likelihood", "id\tlabel", "document"),
        ("kobest_boolq", "ID\tText\tAnswer", "Question"),
        ("kobest_copa", "ID\tsentence\tquestion\t1\tAnswer", "2"),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, task: str, header: str, missing: str) -> None:
    with pytest.raises(BadInputError, match=rf"f0: the header needs the columns .*, but {missing} is missing; it has "):
        choose(tmp_path, task, f"{header}\n1\t2\t3\n")


def test_a_wrong_header_is_refused_with_its_columns(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"columns Text, Label; or .*, but Text is missing; it has ID, Label, Txt"):
        choose(tmp_path, "kobest_sentineg", "ID\tLabel\tTxt\n1\t1\ta\n")


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="the files hold no rows"):
        choose(tmp_path, "hellaswag", "\n")


@pytest.mark.parametrize(
    ("task", "content", "settings"),
    [
        ("bits_per_byte", "첫 줄입니다.\n둘째 줄입니다.\n", {"language": "ko"}),
        ("translation", "en\tko\nHello.\t안녕하세요.\n", {}),
        ("nsmc_generate", "id\tdocument\tlabel\n1\t정말 좋아요\t1\n", {}),
    ],
)
def test_what_an_error_advises_for_an_evaluation_file_can_be_done(
    tmp_path: Path, task: str, content: str, settings: dict[str, Any]
) -> None:
    asked = {"directions": ("en-ko",), "instruction_languages": ("en",)} if task == "translation" else {}
    (tmp_path / "f").write_bytes(content.encode("cp949"))

    def items(**more: Any) -> int:
        section = EvaluationTask.model_validate({"task": task, "paths": ("f",), **settings, **asked, **more})
        raw = evaluation_sets.read(section, [tmp_path / "f"], tmp_path, LANGUAGES)
        return len(evaluation_sets.choose("my_task", section, raw, "stop", LANGUAGES)[0])

    with pytest.raises(BadInputError, match="set `encoding: cp949` for it in the recipe"):
        items()
    assert items(encoding="cp949") == 2 - bool(asked or task == "nsmc_generate")


def test_format_and_columns_of_an_evaluation_file_are_those_of_a_source(tmp_path: Path) -> None:
    items, _ = choose(
        tmp_path, "translation", "a,b\nHello.,안녕하세요.\n", format="csv", columns={"en": "a", "ko": "b"}
    )
    assert [(item["en"], item["ko"]) for item in items] == [("Hello.", "안녕하세요.")]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"task": "nsmc_generate", "paths": ["f"], "columns": {"text": "a"}}, "as its publisher writes it"),
        ({"task": "instructions", "language": "ko", "encoding": "cp949"}, "`encoding`: only with `paths`"),
        ({"task": "instructions", "language": "ko", "paths": ["f"], "encoding": "cp949"}, "takes no `encoding`"),
        ({"task": "bits_per_byte", "language": "ko", "paths": ["f"], "format": "hugging_face"}, "only for sources"),
    ],
)
def test_settings_of_files_that_mean_nothing_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EvaluationTask.model_validate_json(json.dumps(settings))
