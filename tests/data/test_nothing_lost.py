"""What a file holds is read, or said to be unread with the row as it stands there; nothing is guessed."""

import bz2
import csv
import datetime
import io
import json
import lzma
import re
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crosstune.data import filters
from crosstune.data.rows import BadRow, Drops, Row, readable
from crosstune.data.sources import read_source
from crosstune.errors import BadInputError
from crosstune.prompts.conversation import Turn, with_turns
from crosstune.recipe import Languages, Quality, Source
from crosstune.runs.files import read_jsonl

PAIR = ("en", "ko")


def read(
    tmp_path: Path, kind: str, content: str | bytes, name: str = "f", target: str = "ko", **settings: Any
) -> list[Row | BadRow]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    given = {"kind": kind, "paths": (name,), "language": None if kind == "parallel" else "ko", **settings}
    return list(read_source(Source.model_validate(given), [path], tmp_path, Languages(source="en", target=target)))


def texts(rows: list[Row | BadRow]) -> list[dict[str, str]]:
    return [row.texts for row in rows if isinstance(row, Row)]


def problems(rows: list[Row | BadRow]) -> list[str]:
    return [row.problem for row in rows if isinstance(row, BadRow)]


def dropped(tmp_path: Path, rows: list[Row | BadRow]) -> list[dict[str, Any]]:
    drops = Drops(tmp_path / "dropped.jsonl")
    list(readable(rows, "s", "drop", drops))
    drops.close()
    return read_jsonl(tmp_path / "dropped.jsonl")


@pytest.mark.parametrize(
    ("kind", "name", "content", "raw"),
    [
        ("parallel", "p.tsv", "en\tko\nHi.\t안녕.\nGood morning\t좋은\t아침입니다\n", "Good morning\t좋은\t아침입니다"),
        (
            "parallel",
            "p.tsv",
            "Hi.\t안녕.\nBye.\t잘 가.\nGood morning\t좋은\t아침입니다\n",
            "Good morning\t좋은\t아침입니다",
        ),
        ("parallel", "p.tsv", "en\tko\tnote\nHi.\t안녕.\tx\nHello\tx\n", "Hello\tx"),
        # What stands beyond the last name belongs to no column.
        (
            "parallel",
            "p.tsv",
            "en\tko\t\nHi.\t안녕.\nGood morning\t좋은\t아침입니다\n",
            "Good morning\t좋은\t아침입니다",
        ),
        ("parallel", "p.csv", "ko,en\n안녕,Hi\n안녕, 친구,Hello, friend\n", "안녕, 친구,Hello, friend"),
        (
            "instructions",
            "i.csv",
            "instruction,input,output\nGo,,Yes\nName,,Apple, because red\n",
            "Name,,Apple, because red",
        ),
    ],
)
def test_a_row_with_other_columns_than_the_table_is_bad(
    tmp_path: Path, kind: str, name: str, content: str, raw: str
) -> None:
    rows = read(tmp_path, kind, content, name)
    assert len(texts(rows)) == len(content.splitlines()) - 1 - (content.startswith(("en", "ko", "inst")))
    [problem] = problems(rows)
    assert re.match(r"\d columns, but (the header has|most rows have) \d", problem)
    assert [drop["row"] for drop in dropped(tmp_path, rows)] == [raw]


def test_empty_cells_behind_the_last_column_lose_nothing(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "parallel", "en\tko\nHi.\t안녕.\t\t\n")) == [{"en": "Hi.", "ko": "안녕."}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'text\n"첫 문서, 하나"\n"둘째\n문서"\n'),
        ("t.csv", 'id,text\n1,"첫 문서, 하나"\n2,"둘째\n문서"\n'),
        ("corpus", 'id,text\n1,"첫 문서, 하나"\n2,"둘째\n문서"\n'),
        ("t.csv", '\ufeffid,"text"\n1,"첫 문서, 하나"\n2,"둘째\n문서"\n'),
    ],
)
def test_a_csv_of_texts_is_read_by_its_column(tmp_path: Path, name: str, content: str) -> None:
    assert texts(read(tmp_path, "text", content, name)) == [{"text": "첫 문서, 하나"}, {"text": "둘째\n문서"}]


@pytest.mark.parametrize("name", ["t.tsv", "t.tab", "corpus"])
def test_a_tsv_of_texts_is_read_by_its_column(tmp_path: Path, name: str) -> None:
    assert texts(read(tmp_path, "text", "id\ttext\n1\t첫 문서\n", name)) == [{"text": "첫 문서"}]


def test_a_table_of_texts_without_a_named_column_is_refused_with_what_to_do(tmp_path: Path) -> None:
    content = "1,첫 문서\n2,둘째 문서\n"
    with pytest.raises(
        BadInputError, match=r"named as a table \(.csv\), but its first row has no column 'text'.*format"
    ):
        read(tmp_path, "text", content, "t.csv")
    assert texts(read(tmp_path, "text", content, "t.csv", columns={"text": "2"}, format="csv")) == [
        {"text": "첫 문서"},
        {"text": "둘째 문서"},
    ]
    assert len(texts(read(tmp_path, "text", content, "t.csv", format="text"))) == 2


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("id\tdocument\tlabel\n1\t영화가 좋다.\t1\n", "tsv"),
        ("1\t첫 문서입니다.\n2\t둘째 문서입니다.\n", "tsv"),
        ("id,document,label\n1,영화가 좋다.,1\n", "csv"),
    ],
)
def test_a_table_is_known_by_its_lines_whatever_its_name(tmp_path: Path, content: str, format: str) -> None:
    with pytest.raises(BadInputError, match=rf"is a table: .*Set `format: {format}`.*or set `format: text`"):
        read(tmp_path, "text", content, "ratings.txt")
    assert len(texts(read(tmp_path, "text", content, "ratings.txt", columns={"text": "2"}, format=format))) == 2
    plain = "탭이\t있는 줄.\n없는 줄.\n"
    assert len(texts(read(tmp_path, "text", plain, "ratings.txt"))) == 2


def test_a_table_of_bars_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"as many '\|'.*or set `format: text`"):
        read(tmp_path, "text", "1|첫 문서입니다.\n2|둘째 문서입니다.\n", "t.txt")
    assert len(texts(read(tmp_path, "text", "하나|둘\n셋\n", "t.txt"))) == 2


@pytest.mark.parametrize(("kind", "row"), [("text", {"text": "글"}), ("parallel", {"en": "Hi.", "ko": "안녕."})])
def test_weights_of_rows_are_read_in_no_kind_of_source(tmp_path: Path, kind: str, row: dict[str, Any]) -> None:
    rows = read(
        tmp_path,
        kind,
        json.dumps(row | {"loss_weight": 0}) + "\n" + json.dumps(row | {"label": True}) + "\n",
        "t.jsonl",
    )
    assert problems(rows)[0].startswith("'loss_weight' changes what the row means") and texts(rows) == [row]


@pytest.mark.parametrize("mark", ['"train": false', '"loss": 0', '"is_deleted": true', '"mask": 1', '"Ignore": "True"'])
def test_a_row_that_says_it_is_not_to_be_learnt_is_not(tmp_path: Path, mark: str) -> None:
    for kind, row in (("text", '"text": "글"'), ("parallel", '"en": "Hi.", "ko": "안녕."')):
        [problem] = problems(read(tmp_path, kind, f"{{{row}, {mark}}}"))
        assert "says that the row is not to be learnt" in problem
    kept = '{"instruction": "i", "output": "o", "train": true, "loss": 0.7, "mask": "0", "deleted": null}'
    assert len(texts(read(tmp_path, "instructions", kept))) == 1
    [problem] = problems(read(tmp_path, "parallel", "en,ko,deleted\nHi.,안녕.,1\nBye.,잘 가.,0\n", "p.csv"))
    assert "'deleted' says that the row is not to be learnt" in problem


@pytest.mark.parametrize("kind", ["text", "parallel"])
def test_a_table_that_another_sign_parts_says_so(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BadInputError, match="parted by ';': export it again with commas or tabs"):
        read(tmp_path, kind, "en;ko;text\nHi.;안녕.;x\n", "t.csv")


def test_cells_that_a_spreadsheet_has_quoted_are_unquoted_in_tabs_too(tmp_path: Path) -> None:
    content = 'en\tko\n"He said ""hi""."\t"그가 ""안녕"" 했다."\n"Hi," he said.\t"안녕."\n'
    assert texts(read(tmp_path, "parallel", content, "p.tsv")) == [
        {"en": 'He said "hi".', "ko": '그가 "안녕" 했다.'},
        {"en": '"Hi," he said.', "ko": '"안녕."'},
    ]


def test_a_sentence_with_a_comma_and_the_word_text_is_no_header(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "text", "Read it, text, and go on.\n")) == [{"text": "Read it, text, and go on."}]


ALPACA: dict[str, Any] = {"instruction": "그 도시의 인구는?", "input": "", "output": "약 천만 명입니다."}
HISTORY = [Turn("user", "수도는 어디야?"), Turn("assistant", "서울이야.")]
CHAT = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "안녕하세요."}]


def test_llama_factory_s_history_and_system_are_read(tmp_path: Path) -> None:
    row = {**ALPACA, "system": "너는 지리 선생님이다.", "history": [["수도는 어디야?", "서울이야."]]}
    assert texts(read(tmp_path, "instructions", json.dumps([row]))) == [
        {
            "instruction": "그 도시의 인구는?",
            "input": with_turns("", [Turn("system", "너는 지리 선생님이다."), *HISTORY]),
            "output": "약 천만 명입니다.",
        }
    ]
    assert texts(read(tmp_path, "instructions", json.dumps([{**ALPACA, "system": "", "history": []}]))) == [ALPACA]
    turns = [{"from": "human", "value": "안녕"}, {"from": "gpt", "value": "네."}]
    found = texts(
        read(tmp_path, "instructions", json.dumps({"system": "짧게.", "tools": "[]", "conversations": turns}))
    )
    assert found == [{"instruction": "안녕", "input": with_turns("", [Turn("system", "짧게.")]), "output": "네."}]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({**ALPACA, "tools": '[{"name": "search"}]'}, "'tools' changes what the row means"),
        ({**ALPACA, "chosen": "네", "rejected": "아니요"}, "'chosen' changes what the row means"),
        ({"messages": CHAT, "rejected": "아니요"}, "'rejected' changes"),
        ({"messages": CHAT, "kto_tag": False}, "'kto_tag' changes"),
        ({**ALPACA, "images": ["a.png"]}, "'images' changes"),
        ({**ALPACA, "context": "서울은 수도다."}, "'context' changes.*name it in `columns`"),
        ({**ALPACA, "system_prompt": "너는 해적이다."}, "'system_prompt' changes"),
        ({**ALPACA, "systemPrompt": "너는 해적이다."}, "'systemPrompt' changes"),
        ({**ALPACA, "System": "너는 해적이다."}, "'System' changes"),
        ({**ALPACA, "chat-history": [["a", "b"]]}, "'chat-history' changes"),
        ({**ALPACA, "documents": ["서울은 수도다."]}, "'documents' changes"),
        ({**ALPACA, "function_call": {"name": "x"}}, "'function_call' changes"),
        ({**ALPACA, "label": False}, "'label' changes"),
        ({**ALPACA, "Input": "서울에 대한 질문이다."}, "'Input' changes"),
        ({**ALPACA, "input_2": "서울에 대한 질문이다."}, "'input_2' changes"),
        ({**ALPACA, "question": "부산의 인구는?"}, "'question' changes"),
        ({**ALPACA, "options": ["백만", "천만"]}, "'options' changes"),
        ({**ALPACA, "lossWeight": 0}, "'lossWeight' changes"),
        ({"messages": [CHAT[0], {**CHAT[1], "mask": 1}]}, "turn 2 has 'mask'"),
        ({"messages": [*CHAT, CHAT[1]]}, "two assistant's turns follow each other"),
        ({**ALPACA, "weight": 0.5}, "a 'weight' of 0.5 is not read"),
        ({**ALPACA, "history": "수도는?"}, "'history' is not a list of pairs"),
        ({**ALPACA, "system": 3}, "'system' is not a text"),
        ({**ALPACA, "messages": CHAT}, "holds 'instruction' and 'messages'; which is meant"),
        ({"messages": [CHAT[0], {**CHAT[1], "tool_calls": [{"name": "x"}]}]}, "turn 2 has 'tool_calls'"),
        ({"messages": [CHAT[0], {**CHAT[1], "reasoning_content": "음"}]}, "turn 2 has 'reasoning_content'"),
        ({"messages": [CHAT[0], {**CHAT[1], "weight": 0.3}]}, "turn 2 has the 'weight' 0.3; read are 1"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, CHAT[1]]}, "not a text"),
    ],
)
def test_a_key_that_changes_the_meaning_is_refused_by_name(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    rows = read(tmp_path, "instructions", json.dumps(row) + "\n")
    assert re.search(problem, problems(rows)[0])
    assert dropped(tmp_path, rows)[0]["row"] == row


def test_such_a_column_of_a_table_is_not_passed_over(tmp_path: Path) -> None:
    rows = read(tmp_path, "instructions", "instruction\toutput\ttools\nGo\tYes\t\nGo\tYes\t[search]\n")
    assert len(texts(rows)) == 1 and problems(rows)[0].startswith("'tools' changes")
    rows = read(tmp_path, "instructions", "instruction\toutput\tSystem Prompt\nGo\tYes\t\nGo\tYes\tBe kind.\n")
    assert len(texts(rows)) == 1 and problems(rows)[0].startswith("'system_prompt' changes")
    rows = read(tmp_path, "parallel", "en\tko\tweight\nHi.\t안녕.\t1.0\nHi.\t안녕.\t0.2\n")
    assert len(texts(rows)) == 1 and "'weight' of '0.2'" in problems(rows)[0]


def test_an_answer_of_weight_nothing_is_read_but_not_learnt(tmp_path: Path) -> None:
    turns = [CHAT[0], {**CHAT[1], "weight": 0}, {"role": "user", "content": "또?"}, {**CHAT[1], "weight": 1}]
    assert texts(read(tmp_path, "instructions", json.dumps({"messages": turns}))) == [
        {
            "instruction": "또?",
            "input": with_turns("", [Turn("user", "안녕"), Turn("assistant", "안녕하세요.")]),
            "output": "안녕하세요.",
        }
    ]


def test_contents_of_text_parts_and_conversations_as_json_text_are_read(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "안녕"}, {"type": "text", "text": "뭐 해?"}]
    row = {"messages": [{"role": "user", "content": parts}, CHAT[1]]}
    expected = [{"instruction": "안녕\n뭐 해?", "input": "", "output": "안녕하세요."}]
    assert texts(read(tmp_path, "instructions", json.dumps(row))) == expected
    assert texts(read(tmp_path, "instructions", json.dumps({"messages": json.dumps(row["messages"])}))) == expected


def test_self_instruct_s_instances_are_a_row_each(tmp_path: Path) -> None:
    row = {
        "id": "t",
        "instruction": "더해라",
        "instances": [{"input": "1 1", "output": "2"}, {"input": "", "output": "0"}],
    }
    assert read(tmp_path, "instructions", json.dumps(row) + "\n") == [
        Row("f:1 answer 1", {"instruction": "더해라", "input": "1 1", "output": "2"}),
        Row("f:1 answer 2", {"instruction": "더해라", "input": "", "output": "0"}),
    ]
    assert problems(read(tmp_path, "instructions", json.dumps({**row, "instances": [{"input": "1"}]})))[0].startswith(
        "instance 1: no key 'output'"
    )


@pytest.mark.parametrize(
    "said",
    [
        *("<noinput>", "No input", "Noinput", "no_input.", "[No Input]", "<noinput", "`<noinput>`", "<noinputs>"),
        *(
            "No input required.",
            "입력 없음",
            "<입력 없음>",
            "입력이 없습니다.",
            "입력값 없음",
            "N/A",
            "<N/A>",
            "<none>",
            "(없음)",
        ),
    ],
)
def test_an_input_that_says_there_is_none_is_emptied_and_counted(said: str) -> None:
    drops = Drops()
    row = Row("f:1", {**ALPACA, "input": said})
    checks = filters.Checks("instructions", "ko", Quality(), None)
    assert [kept.texts["input"] for kept in filters.keep_usable([row], checks, "s", drops)] == [""]
    assert drops.changes == {filters.NO_INPUT: 1}


@pytest.mark.parametrize("said", ["None", "없음", "no", "Norway", "noinput 8", "펜이 없습니다.", "na"])
def test_an_input_of_a_word_that_may_be_meant_stays(said: str) -> None:
    drops = Drops()
    checks = filters.Checks("instructions", "ko", Quality(), None)
    [kept] = filters.keep_usable([Row("f:1", {**ALPACA, "input": said})], checks, "s", drops)
    assert kept.texts["input"] == said and not drops.changes[filters.NO_INPUT]


def test_nan_for_no_input_is_none(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "instructions", json.dumps([{**ALPACA, "input": float("nan")}]))) == [ALPACA]


@pytest.mark.parametrize("content", ['{"en": "a", "ko": "가", "ko": "나"}\n', '[{"en": "a", "ko": "가", "ko": "나"}]'])
def test_a_key_that_occurs_twice_is_a_bad_row(tmp_path: Path, content: str) -> None:
    rows = read(tmp_path, "parallel", content)
    assert problems(rows) == ["the key 'ko' occurs twice; it is unclear which value is meant"]


def test_a_parquet_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), content)
    with pytest.raises(BadInputError, match="has duplicate column names: text"):
        read(tmp_path, "text", content.getvalue())


def test_a_cell_is_as_long_as_a_line_may_be(tmp_path: Path) -> None:
    novel = "긴 이야기,\n" * 60_000
    content = io.StringIO()
    csv.writer(content).writerows([["text"], [novel], ["끝"]])
    assert texts(read(tmp_path, "text", content.getvalue(), "t.csv")) == [{"text": novel}, {"text": "끝"}]


@pytest.mark.parametrize("broken", ['"b"x,나', '"b,나', 'b,"나'])
def test_a_broken_quote_costs_its_own_line_only(tmp_path: Path, broken: str) -> None:
    good = [f"Word {number}.,낱말 {number}." for number in range(50)]
    rows = read(tmp_path, "parallel", "\n".join(["en,ko", *good[:20], broken, *good[20:]]) + "\n")
    assert len(texts(rows)) == 50
    [drop] = dropped(tmp_path, rows)
    assert (drop["origin"], drop["row"]) == ("f:22", broken) and drop["problem"].startswith("not valid CSV")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\xff\x00ab", "\\xff\x00ab"),
        (datetime.datetime(2020, 1, 2), "2020-01-02 00:00:00"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
    ],
)
def test_a_dropped_row_stands_there_whatever_its_type(tmp_path: Path, value: Any, shown: str) -> None:
    content = io.BytesIO()
    pq.write_table(pa.table({"text": [value]}), content)
    rows = read(tmp_path, "text", content.getvalue())
    assert dropped(tmp_path, rows)[0]["row"] == {"text": shown}
    with pytest.raises(BadInputError, match="'text' is not a text"):
        list(readable(rows, "s", "stop", Drops()))


@pytest.mark.parametrize("depth", [70, 600, 985])
def test_a_deeply_nested_row_is_dropped_as_it_stands(tmp_path: Path, depth: int) -> None:
    line = '{"text": ' + "[" * depth + "]" * depth + "}"
    assert dropped(tmp_path, read(tmp_path, "text", line + "\n"))[0]["row"] == line
    try:
        rows = read(tmp_path, "instructions", f"[{line}]")
    except BadInputError as error:
        assert "nested too deeply" in str(error)
    else:
        assert len(dropped(tmp_path, rows)) == 1


@pytest.mark.parametrize("target", ["ko", "vi"])
def test_tatoeba_s_pair_files_are_read_by_their_two_columns_of_text(tmp_path: Path, target: str) -> None:
    sentence = {"ko": "해 보자.", "vi": "Hãy thử đi."}[target]
    rows = read(tmp_path, "parallel", f"1276\tLet's try it.\t4321\t{sentence}\n" * 3, target=target)
    assert texts(rows) == [{"en": "Let's try it.", target: sentence}] * 3


def test_an_attribution_is_no_column_of_text(tmp_path: Path) -> None:
    rows = read(tmp_path, "parallel", "Go.\tĐi đi.\tCC-BY 2.0 (France) Attribution: tatoeba.org #1\n", target="vi")
    assert texts(rows) == [{"en": "Go.", "vi": "Đi đi."}]


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ("eng\tLet's try it.\tvie\tHãy thử đi.\neng\tGo.\tvie\tĐi đi.\n", "vi"),
        ("eng\tLet's try it.\tkor\t해 보자.\neng\tGo.\tkor\t가.\n", "ko"),
        ("1276\tLet's try it.\n", "vi"),
        ("Go.\tĐi đi.\tĐi nào.\n", "vi"),
        ("source\ttarget\nGo.\tĐi đi.\n", "vi"),
    ],
)
def test_columns_that_only_their_place_would_tell_are_asked_for(tmp_path: Path, content: str, target: str) -> None:
    with pytest.raises(BadInputError, match=r"Name the two columns in the first row, or by number in `columns`"):
        read(tmp_path, "parallel", content, target=target)


def test_columns_can_be_named_by_number(tmp_path: Path) -> None:
    content = "xx\tLet's try it.\tyy\tHãy thử đi.\n"
    rows = read(tmp_path, "parallel", content, target="vi", columns={"en": 2, "vi": "4"}, format="tsv")
    assert texts(rows) == [{"en": "Let's try it.", "vi": "Hãy thử đi."}]


def archive(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as target:
        for name, member in members.items():
            target.writestr(name.replace("__", "."), member)
    return content.getvalue()


def sheet(*rows: list[Any]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(content)
    return content.getvalue()


def test_the_files_in_a_zip_archive_are_read_each_with_its_name(tmp_path: Path) -> None:
    data = json.dumps({"data": [{"en": "Hi.", "ko": "안녕."}]}).encode()
    content = archive(
        b__json=data, a__xlsx=sheet(["원문", "번역문"], ["네.", "Yes."]), c__tsv="en\tko\nGo.\t가.\n".encode()
    )
    assert read(tmp_path, "parallel", content, "말뭉치.zip") == [
        Row("말뭉치.zip/a.xlsx:2", {"en": "Yes.", "ko": "네."}),
        Row("말뭉치.zip/b.json:row 1", {"en": "Hi.", "ko": "안녕."}),
        Row("말뭉치.zip/c.tsv:2", {"en": "Go.", "ko": "가."}),
    ]


def test_an_archive_is_opened_no_oftener_for_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive(**{f"{number}__txt": "첫 문서입니다.\n".encode() for number in range(50)})
    opened, whole = list[Any](), zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: opened.append(path) or whole(path))
    assert len(texts(read(tmp_path, "text", content, "corpus.zip"))) == 50 and len(opened) <= 2


def test_a_file_whose_name_leads_out_of_an_archive_is_read_from_it(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("../../etc/b.txt", "첫 문서입니다.\n")
    assert texts(read(tmp_path, "text", content.getvalue(), "corpus.zip")) == [{"text": "첫 문서입니다."}]


def test_links_and_names_that_occur_twice_in_an_archive_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("b.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for entry, message in ((link, r"a symbolic link, which is no file \(b\.txt\)"), ("a.txt", r"holds a\.txt twice")):
        content = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(content, "w") as packed:
            warnings.simplefilter("ignore")
            packed.writestr("a.txt", "첫 문서입니다.\n")
            packed.writestr(entry, "/etc/passwd")
        with pytest.raises(BadInputError, match=message):
            read(tmp_path, "text", content.getvalue(), "corpus.zip")


def test_a_zip_archive_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    whole = archive(a__jsonl=b'{"en": "a", "ko": "b"}\n' * 99)
    for content, message in (
        (whole[:-30], "is not a complete zip archive.*unzip -t"),
        (archive(), "is not a complete zip archive|without a file"),
        (whole.replace(b"a.jsonl", b".hidden"), "without a file in it"),
        (archive(b__zip=whole), r"holds another archive \(b\.zip\): unpack it"),
        (whole[:60] + b"\xff\xff" + whole[62:], "is not a whole zip file.*unzip -t"),
    ):
        with pytest.raises(BadInputError, match=message):
            read(tmp_path, "parallel", content, "a.zip")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8"])
def test_a_translation_memory_says_its_encoding_itself(tmp_path: Path, encoding: str) -> None:
    unit = '<tu><tuv xml:lang="en"><seg>Hi.</seg></tuv><tuv xml:lang="ko"><seg>안녕.</seg></tuv></tu>'
    # As UTF-8 it is what `iconv` makes of it.
    content = f'<?xml version="1.0" encoding="utf-16"?>\n<tmx><body>{unit}</body></tmx>'.encode(encoding)
    start = b"\xff\xfe" if encoding == "utf-16-le" else b""
    assert texts(read(tmp_path, "parallel", start + content)) == [{"en": "Hi.", "ko": "안녕."}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("안녕하세요.\n".encode("utf-32"), "it is UTF-32.*iconv -f utf-32"),
        ("Hi there.\n안녕하세요.\n".encode("utf-16-le"), "it is UTF-16LE.*iconv -f utf-16le"),
        ("Hi there.\n안녕하세요.\n".encode("utf-16-be"), "it is UTF-16BE.*iconv -f utf-16be"),
        (bz2.compress(b"Hi.\n"), "it is packed by bzip2. Unpack it"),
        (lzma.compress(b"Hi.\n"), "it is packed by xz. Unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), r"Hangul \(\.xls, \.doc, \.hwp\)\. Convert it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "a Git LFS pointer.*git lfs pull"),
        (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n", "a web page, as a failed download"),
        (b"a.txt" + bytes(252) + b"ustar" + bytes(300), "a tar archive. Unpack it"),
    ],
)
def test_a_file_that_is_no_text_in_utf8_is_called_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    for kind in ("text", "parallel", "instructions"):
        with pytest.raises(BadInputError, match=message):
            read(tmp_path, kind, content)


def test_languages_have_their_names_as_keys_and_codes_of_three_letters(tmp_path: Path) -> None:
    for row in ({"한국어": "네.", "영어": "Yes."}, {"translation": {"eng_Latn": "Yes.", "kor_Hang": "네."}}):
        assert texts(read(tmp_path, "parallel", json.dumps([row]))) == [{"en": "Yes.", "ko": "네."}]


def test_a_number_in_a_spreadsheet_is_its_text_and_a_formula_without_value_is_told(tmp_path: Path) -> None:
    rows = read(
        tmp_path, "parallel", sheet(["en", "ko"], ["2021", 2021], ["Hi.", "=A1&B1"], ["Yes.", "네."], ["=A2", "=B2"])
    )
    assert texts(rows) == [{"en": "2021", "ko": "2021"}, {"en": "Yes.", "ko": "네."}]
    assert [drop["origin"] for drop in dropped(tmp_path, rows)] == ["f:3", "f:5"]
    assert dropped(tmp_path, rows)[0]["row"] == {"en": "Hi.", "ko": "=A1&B1"}
    [long] = read(tmp_path, "parallel", sheet(["en", "ko"], [12345678901234567890, "수"]))
    assert isinstance(long, BadRow) and "'en' is not a text" in long.problem
    assert problems(rows)[0].startswith("'ko' is a formula without a value; open the file in a spreadsheet program")
