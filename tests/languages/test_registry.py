import pytest

from crosstune.errors import BadInputError
from crosstune.languages import bleu
from crosstune.languages.registry import canonical, is_in, language, language_name, split_direction
from crosstune.languages.writing_systems import are_exchanged, script_share, target_script_ratio


@pytest.mark.parametrize(
    ("written", "usual"),
    [
        ("ko", "ko"),
        ("kor", "ko"),
        ("kor_Hang", "ko"),
        ("zho_Hant", "zh-Hant"),
        ("zho_Hans", "zh"),
        ("zh-TW", "zh-TW"),
        ("pt-BR", "pt-BR"),
        ("pes_Arab", "fa"),
        ("sr-Cyrl", "sr"),
        ("sr-Latn", "sr-Latn"),
        ("ckb", "ckb"),
        ("fil", "fil"),
        ("qaa-Cyrl", "qaa-Cyrl"),
    ],
)
def test_every_code_of_a_language_means_the_usual_one(written: str, usual: str) -> None:
    assert canonical(written) == usual


@pytest.mark.parametrize(
    ("written", "remedy"),
    [("zh-tw", "Write zh-TW"), ("KO", "Write ko"), ("korean", "Write one such as"), ("xx", "name its script.*xx-Latn")],
)
def test_a_code_that_is_none_is_refused_with_the_way_to_write_it(written: str, remedy: str) -> None:
    with pytest.raises(BadInputError, match=f"{written!r} is not a language code.*{remedy}"):
        language(written)


# The thirty languages of a review that asked which are known, with the script of each.
SCRIPTS = {
    "vi id tr pl sw yo ha de fil pt-BR": "Latn",
    "fa ur ps ckb ar": "Arab",
    "kk mn ru uk": "Cyrl",
    "hi mr ne": "Deva",
    "am ti": "Ethi",
    "bn": "Beng",
    "ta": "Taml",
    "te": "Telu",
    "ml": "Mlym",
    "kn": "Knda",
    "gu": "Gujr",
    "pa": "Guru",
    "si": "Sinh",
    "my": "Mymr",
    "km": "Khmr",
    "lo": "Laoo",
    "th": "Thai",
    "ka": "Geor",
    "hy": "Armn",
    "bo": "Tibt",
    "he": "Hebr",
    "el": "Grek",
    "zh zh-TW yue": "Hani",
}


@pytest.mark.parametrize(("codes", "script"), SCRIPTS.items())
def test_the_script_of_a_language_is_unicodes(codes: str, script: str) -> None:
    assert {language(code).scripts for code in codes.split()} == {(script,)}


def test_korean_and_japanese_have_several_scripts_and_korean_borrows_one() -> None:
    assert language("ko").scripts == ("Hang", "Hani") and language("ko").own_scripts == ("Hang",)
    assert language("ja").own_scripts == ("Hira", "Kana", "Hani")
    assert target_script_ratio("漢字 한국", "ko") == 0.5 and script_share("漢字 한국", "ko") == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [("コーヒーのサーバー", "ja"), ("کتـــاب", "fa"), ("Oʼzbek", "uz"), ("пʼять", "uk"), ("한국어", "ko")],
)
def test_letters_that_several_scripts_share_are_of_each_of_them(text: str, code: str) -> None:
    assert script_share(text, code) == target_script_ratio(text, code) == 1


def test_words_are_counted_where_spaces_are_and_characters_elsewhere() -> None:
    units = {code: language(code).ngram_unit for code in ("ko", "en", "hi", "ja", "zh", "th", "lo", "km", "my", "bo")}
    assert {code for code, unit in units.items() if unit == "word"} == {"ko", "en", "hi"}


def test_bleu_is_counted_by_the_tokenizer_that_sees_the_languages_words() -> None:
    wanted = {"ko": "ko-mecab", "ja": "ja-mecab", "zh-TW": "zh", "th": "flores200", "my": "flores200", "de": "13a"}
    assert {code: language(code).bleu_tokenizer for code in wanted} == wanted


def test_what_bleu_lacks_is_said_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bleu, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r'pip install "sacrebleu\[ja\]"'):
        bleu.refuse_missing_bleu(["ja", "de"])
    bleu.refuse_missing_bleu(["ko", "zh", "de"])


def test_names_come_in_english_in_the_language_itself_and_in_others() -> None:
    assert [language_name("ko", asked) for asked in ("en", "ko", "de", "zh-TW")] == [
        "Korean",
        "한국어",
        "Koreanisch",
        "韓文",
    ]
    assert language_name("pt-BR", "en") == "Brazilian Portuguese"
    assert language_name("zh-TW", "en") == "Chinese (Traditional, Taiwan)"
    assert language_name("qaa-Latn", "en") == "qaa-Latn"
    # FLORES-200's ace_Arab: named by CLDR, which describes nothing in it.
    assert [language_name("ace-Arab", asked) for asked in ("en", "ko")] == ["Acehnese (Arabic)", "아체어 (아랍 문자)"]


@pytest.mark.parametrize(
    ("codes", "asked_in"),
    [("zh zh-Hant zh-TW no nb nn pt pt-PT pt-BR en en-GB ar ars de gsw", "ko"), ("en en-GB", "de")],
)
def test_languages_of_one_name_are_told_apart_by_what_stands_behind_it(codes: str, asked_in: str) -> None:
    """Two directions with one instruction and other answers cannot be learnt."""
    names = [language_name(code, asked_in) for code in codes.split()]
    assert len({*names}) == len(names)


@pytest.mark.parametrize(
    ("direction", "sides"),
    [
        ("en-ko", ("en", "ko")),
        ("en-pt-BR", ("en", "pt-BR")),
        ("pt-BR-en", ("pt-BR", "en")),
        ("zh-TW-sr-Latn", ("zh-TW", "sr-Latn")),
        ("eng_Latn-kor_Hang", ("en", "ko")),
    ],
)
def test_a_direction_parts_where_the_second_code_begins(direction: str, sides: tuple[str, str]) -> None:
    assert split_direction(direction) == sides


@pytest.mark.parametrize("direction", ["en", "en-", "en-ko-de", "en-KO", "en ko"])
def test_what_is_no_direction_is_refused(direction: str) -> None:
    with pytest.raises(BadInputError, match=r"is not a translation direction.*en-zh-TW"):
        split_direction(direction)


def test_what_a_file_says_of_its_language_is_read_as_the_field_writes_it() -> None:
    assert is_in("KO-KR", "ko") and is_in("ko_KR", "ko") and is_in("kor", "ko") and is_in("pt", "pt-BR")
    assert is_in("zh-CN", "zh") and not is_in("zh-TW", "zh") and not is_in("zh-Hans", "zh-TW")
    assert (
        not is_in("pt-PT", "pt-BR")
        and not is_in("sr-Latn", "sr")
        and not is_in("english", "en")
        and not is_in("", "en")
    )


def test_sides_are_exchanged_where_each_is_in_the_others_script() -> None:
    assert are_exchanged(("책", "en"), ("book", "ko"))
    assert not are_exchanged(("book", "en"), ("책", "ko")) and not are_exchanged(("Samsung", "en"), ("LG", "ko"))
    assert are_exchanged(("книга", "en"), ("book", "ru"))
    assert not are_exchanged(("Buch", "en"), ("book", "de"))
