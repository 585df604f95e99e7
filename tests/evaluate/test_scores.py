"""The numbers are what their names say, and their intervals those of a resampling done by hand."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF, TER
from scipy.stats import binom, binomtest
from sklearn.metrics import f1_score

from crosstune.evaluate import scores as scores_module
from crosstune.evaluate.intervals import interval, resample, resampled_sums, wilson
from crosstune.evaluate.scores import (
    Scored,
    aggregated_score,
    keyword_label,
    keyword_scores,
    macro_f1_score,
    mean_of_tasks_score,
    mean_score,
    over_wordings,
    share_of_parts_score,
    translation_scores,
)
from crosstune.languages.registry import language

WORDS = ("부정", "긍정")


def scored(n: int, signature: str = "prompt:paper-v1", num_bootstrap: int = 1000, task: str = "task") -> Scored:
    return Scored(task, signature, num_bootstrap, tuple(map(str, range(n))))


def one(references: list[str]) -> list[tuple[str]]:
    return [(reference,) for reference in references]


@pytest.mark.parametrize(
    ("output", "label"),
    [
        ("긍정", 1),
        ("부정입니다.", 0),
        ("이 문장은 긍정적인 문장입니다.", 1),
        ("긍정도 부정도 아닙니다", None),
        ("", None),
        ("좋은 영화네요", None),
        ("positive", None),
        ("긍 정", None),
    ],
)
def test_an_answer_counts_when_it_names_exactly_one_keyword(output: str, label: int | None) -> None:
    assert keyword_label(output, WORDS) == label


def test_nsmc_rates_are_shares_of_all_answers() -> None:
    outputs = ["긍정", "부정", "긍정과 부정", "", "긍정"]
    of_all = keyword_scores(scored(5), outputs, [1, 1, 1, 0, 0], WORDS)
    found = {score.metric: (score.value, score.n) for score in of_all}
    assert found == {"acc": (0.2, 5), "answered": (0.6, 5), "both_keywords": (0.2, 5), "acc_answered": (1 / 3, 3)}


def test_accuracy_among_the_answered_is_left_out_when_nothing_was_answered() -> None:
    found = keyword_scores(scored(2), ["", "?"], [0, 1], WORDS)
    assert [score.metric for score in found] == ["acc", "answered", "both_keywords"]


def test_an_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = [1.0] * 150 + [0.0] * 100
    score = mean_score(scored(250), "acc", values)
    error = (0.6 * 0.4 / 250) ** 0.5
    assert score.value == pytest.approx(0.6)
    assert score.low == pytest.approx(0.6 - 1.96 * error, abs=0.006)
    assert score.high == pytest.approx(0.6 + 1.96 * error, abs=0.006)
    assert (score.n, score.task, score.metric) == (250, "task", "acc")


def test_intervals_are_the_same_every_time_and_never_certain_where_all_items_agree() -> None:
    assert mean_score(scored(3), "acc", [1, 0, 1]) == mean_score(scored(3), "acc", [1, 0, 1])
    score = mean_score(scored(250), "acc", [1.0] * 250)
    assert (score.value, score.high, score.interval) == (1, 1, "wilson")
    assert score.low == pytest.approx(0.985, abs=5e-4) and score.signature == "prompt:paper-v1|ci:wilson"
    assert mean_score(scored(250), "acc", [0.0] * 250).high == pytest.approx(0.015, abs=5e-4)


@pytest.mark.slow
@given(st.integers(1, 300), st.data())
def test_the_interval_of_a_share_is_scipys_wilson(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("n", [100, 250, 500])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.98, 0.99, 0.995])
def test_the_interval_of_a_share_covers_it_as_often_as_it_says(n: int, share: float) -> None:
    # Exact: the chance of each number of right items, times whether its interval holds the true share.
    bounds = [wilson(successes, n) for successes in range(n + 1)]
    covers = [low <= share <= high for low, high in bounds]
    assert binom.pmf(np.arange(n + 1), n, share)[covers].sum() > 0.91


def test_a_mean_of_other_values_than_right_and_wrong_has_the_bootstraps_interval() -> None:
    score = mean_score(scored(3), "comet", [0.2, 0.4, 0.9])
    assert score.interval == "bootstrap" and "bs:1000" in score.signature


def test_every_resample_draws_as_many_items_as_there_are() -> None:
    sums = resampled_sums(np.ones((37, 1)), 130)
    assert sums.shape == (130, 1) and (sums == 37).all()


def test_an_interval_is_percentiles_of_the_resampled_statistic() -> None:
    values = np.arange(40.0)[:, None]
    means = resampled_sums(values, 500)[:, 0] / 40
    found = resample(values, lambda sums: sums[:, 0] / 40, 500)
    assert np.array_equal(found, means) and interval(found) == pytest.approx(np.percentile(means, [2.5, 97.5]))


@pytest.mark.slow
def test_resamples_of_two_systems_are_paired_as_in_sacrebleus_paired_bootstrap() -> None:
    """The difference's spread is that of resampling the items of both systems together, by hand and one by one."""
    generator = np.random.default_rng(3)
    references = [" ".join(generator.choice(list("abcdefgh"), 9)) for _ in range(60)]

    def worsened(lines: list[str]) -> list[str]:
        return [" ".join(word if generator.random() > 0.1 else "x" for word in line.split()) for line in lines]

    systems = [worsened(references)]
    systems.append(worsened(systems[0]))
    resamples = [translation_scores(scored(60), outputs, one(references), "en")[0].resamples for outputs in systems]
    low, high = np.percentile(resamples[0] - resamples[1], [2.5, 97.5])
    bleu, differences = BLEU(tokenize="13a", force=True), []
    for _ in range(300):
        drawn = generator.integers(0, 60, 60)
        scores = [
            bleu.corpus_score([outputs[item] for item in drawn], [[references[item] for item in drawn]]).score
            for outputs in systems
        ]
        differences.append(scores[0] - scores[1])
    by_hand = np.percentile(differences, [2.5, 97.5])
    assert (low, high) == pytest.approx(by_hand, abs=0.25 * (by_hand[1] - by_hand[0]))
    unpaired = np.percentile(resamples[0] - resamples[1][::-1], [2.5, 97.5])
    assert high - low < 0.95 * (unpaired[1] - unpaired[0])


def test_macro_f1_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    references = generator.integers(0, 4, 60).tolist()
    predictions = np.where(generator.random(60) < 0.5, references, generator.integers(0, 3, 60)).tolist()
    score = macro_f1_score(scored(60), references, predictions)
    assert score.metric == "f1"
    assert score.value == pytest.approx(f1_score(references, predictions, average="macro"))
    assert score.low < score.value < score.high


def test_macro_f1_of_one_class_is_one() -> None:
    score = macro_f1_score(scored(2), [1, 1], [1, 1])
    assert (score.value, score.low, score.high) == (1, 1, 1)


KOREAN = [
    ("남자는 망치를 떨어뜨렸다.", "남자는 발에 망치를 떨어뜨렸다."),
    ("바람이 방으로 들어왔다.", "찬 바람이 방으로 들어왔다."),
    ("", "소년은 밀가루와 설탕을 섞는다."),
    ("저는 학교에 갑니다", "저는 학교에 가요."),
]
ENGLISH = [
    ("The man dropped a hammer.", "The man dropped a hammer on his foot."),
    ("A cold wind came into the room.", "The cold wind came into the room."),
    ("I go to school.\nI go to school.", "I go to school."),
]


@pytest.mark.parametrize(("pairs", "language", "words"), [(KOREAN, "ko", "ko-mecab"), (ENGLISH, "en", "13a")])
def test_translation_scores_are_sacrebleus(pairs: list[tuple[str, str]], language: str, words: str) -> None:
    outputs, references = (list(column) for column in zip(*pairs, strict=True))
    bleu, chrf, characters, ter = translation_scores(scored(len(pairs)), outputs, one(references), language)
    expected = BLEU(tokenize=words)
    assert bleu.value == pytest.approx(expected.corpus_score(outputs, [references]).score)
    assert chrf.value == pytest.approx(CHRF(word_order=2).corpus_score(outputs, [references]).score)
    of_characters = BLEU(tokenize="char").corpus_score(outputs, [references]).score
    assert characters.value == pytest.approx(of_characters)
    assert ter.value == pytest.approx(TER().corpus_score(outputs, [references]).score)
    assert (bleu.metric, chrf.metric, bleu.n) == ("bleu", "chrf++", len(pairs))
    assert (characters.metric, ter.metric) == ("bleu_char", "ter")
    assert "tok:char" in characters.signature and "tok:tercom" in ter.signature
    assert f"tok:{words}" in bleu.signature and bleu.signature.endswith("prompt:paper-v1|bs:1000|seed:12345")
    assert "nw:2" in chrf.signature
    assert bleu.low <= bleu.value <= bleu.high


def test_a_perfect_translation_scores_a_hundred() -> None:
    references = [reference for _, reference in KOREAN]
    for score in translation_scores(scored(4), references, one(references), "ko"):
        best = 0 if score.metric == "ter" else 100
        assert (score.value, score.low, score.high) == pytest.approx((best, best, best))


def test_several_references_are_scored_as_sacrebleu_does() -> None:
    outputs, first = (list(column) for column in zip(*ENGLISH, strict=True))
    second: list[str | None] = ["The man let a hammer fall.", None, None]
    third: list[str | None] = ["A man dropped a hammer.", None, "I am going to school."]
    references = [tuple(text for text in texts if text is not None) for texts in zip(first, second, third, strict=True)]
    found = {score.metric: score for score in translation_scores(scored(3), outputs, references, "en")}
    expected = {"bleu": BLEU(), "chrf++": CHRF(word_order=2), "bleu_char": BLEU(tokenize="char"), "ter": TER()}
    for name, metric in expected.items():
        assert found[name].value == pytest.approx(metric.corpus_score(outputs, [first, second, third]).score)
        assert "nrefs:var" in found[name].signature
    assert found["bleu"].value > translation_scores(scored(3), outputs, one(first), "en")[0].value


def test_best_mean_and_worst_over_wordings_are_those_of_each_resample() -> None:
    _, references = (list(column) for column in zip(*ENGLISH, strict=True))
    wordings = [
        translation_scores(scored(3, "prompt:x", 100, f"cell_w{n}"), outputs, one(references), "en")
        for n, outputs in enumerate((references, [*references[:2], "no"], ["no", *references[1:]]))
    ]
    found = {score.metric: score for score in over_wordings("cell", wordings)}
    for place, metric in enumerate(("bleu", "chrf++", "bleu_char", "ter")):
        values = [scores[place].value for scores in wordings]
        resamples = np.stack([scores[place].resamples for scores in wordings])
        worst = max if metric == "ter" else min
        best = min if metric == "ter" else max
        mean, lowest, highest = (found[f"{metric}_{name}"] for name in ("mean", "worst", "best"))
        assert highest.value == best(values)
        assert highest.resamples.tolist() == [best(drawn) for drawn in resamples.T.tolist()]
        assert (mean.value, lowest.value) == (pytest.approx(np.mean(values)), worst(values))
        assert np.allclose(mean.resamples, resamples.mean(0)) and mean.task == "cell"
        assert lowest.resamples.tolist() == [worst(drawn) for drawn in resamples.T.tolist()]
        assert (lowest.low, lowest.high) == pytest.approx(tuple(np.percentile(lowest.resamples, [2.5, 97.5])))
        share = found.get(f"{metric}_worst_to_best")
        if share is None:
            assert metric == "ter"
        else:
            assert share.value == pytest.approx(min(values) / max(values))
            assert np.allclose(share.resamples, resamples.min(0) / resamples.max(0))
    assert found["bleu_worst"].signature.startswith("worst_of:3 wordings|nrefs:1|")


def test_the_worst_wording_s_share_of_nothing_is_nothing() -> None:
    wordings = [translation_scores(scored(2), ["x", "y"], one(["고양이", "개"]), "ko") for _ in range(2)]
    found = {score.metric: score.value for score in over_wordings("cell", wordings)}
    assert (found["bleu_best"], found["bleu_worst_to_best"]) == (0, 0)


def test_a_score_of_any_aggregation_is_resampled_by_it() -> None:
    values = [float(value) for value in range(20)]
    score = aggregated_score(scored(20), "greatest", values, lambda drawn: max(drawn))
    assert (score.value, score.n, len(score.resamples)) == (19, 20, 100)
    assert "|bs:100|" in score.signature
    mean = aggregated_score(scored(20), "acc", values, lambda drawn: sum(drawn) / len(drawn))
    assert np.allclose(mean.resamples, mean_score(scored(20), "acc", values).resamples[:100])
    quick = aggregated_score(scored(20), "acc", values, lambda drawn: sum(drawn) / len(drawn), is_quick=True)
    assert np.allclose(quick.resamples, mean_score(scored(20), "acc", values).resamples)


def test_a_mean_of_tasks_is_resampled_item_by_item_as_any_other_score() -> None:
    tasks, values = ["b", "a", "b", "b", "c"], [1.0, 0.0, 0.0, 1.0, 1.0]

    def by_hand(drawn: list[tuple[str, float]]) -> float:
        of_tasks = [
            [value for task, value in drawn if task == name] for name in dict.fromkeys(task for task, _ in drawn)
        ]
        return sum(sum(one) / len(one) for one in of_tasks) / len(of_tasks)

    score = mean_of_tasks_score(scored(5), "acc", tasks, values)
    assert score.value == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert (score.interval, score.resamples.shape) == ("bootstrap", (1000,))
    few = aggregated_score(scored(5), "acc", list(zip(tasks, values, strict=True)), by_hand)
    assert np.allclose(score.resamples[:100], few.resamples)


def test_a_thousand_resamples_take_less_than_a_second() -> None:
    outputs, references = (list(column) * 80 for column in zip(*ENGLISH, strict=True))
    started = time.process_time()
    translation_scores(scored(len(outputs)), outputs, one(references), "en")
    assert time.process_time() - started < 2  # about 0.3 s on an idle core


def test_one_item_has_no_bootstrap() -> None:
    [bleu, *others] = translation_scores(scored(1), ["그는 갔다."], [["그는 왔다."]], "ko")
    assert all(score.low is None and score.resamples is None for score in (bleu, *others))
    [mean] = [score for score in over_wordings("task", [[bleu], [bleu]]) if score.metric == "bleu_mean"]
    assert mean.value == bleu.value and mean.low is None
    assert mean_score(scored(1), "acc", [1.0]).low == pytest.approx(0.2065, abs=1e-4)


def test_the_interval_of_rules_that_are_kept_is_over_answers_since_those_of_one_go_together() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        # Of a hundred answers each keeps both of its rules or neither, as an empty one does.
        parts = [(2.0 * (share < 0.6), 2) for share in generator.random(100)]
        found = share_of_parts_score(scored(100, num_bootstrap=10), "kept", parts)
        assert found.n == 100 and found.low is not None and found.high is not None
        inside += found.low <= 0.6 <= found.high
    assert inside >= 0.93 * 300
    uneven = share_of_parts_score(scored(3), "kept", [(2.0, 2), (1.0, 1), (0.0, 1)])
    assert uneven.value == 0.75 and uneven.resamples is not None and {*np.round(uneven.resamples, 2)} >= {0.0, 1.0}
    whole = share_of_parts_score(scored(3), "kept", [(2.0, 2), (1.0, 1), (1.0, 1)])
    assert (whole.value, whole.high) == (1.0, 1.0) and whole.low == wilson(3, 3)[0]


def test_the_words_of_ter_are_characters_where_no_spaces_stand_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores_module, "refuse_missing_bleu", lambda targets: None)
    monkeypatch.setattr(scores_module, "language", lambda code: replace(language(code), bleu_tokenizer="char"))
    near = {
        "zh": ("昨天晚上总统会见了部长并讨论了新预算。", "昨天晚上总统会见了各位部长并讨论了国家的新预算。"),
        "ja": ("昨夜、大統領はスーパーで会談した。", "昨夜、大統領はデパートで会談した。"),
        "th": ("ฝนตกวันนี้", "ฝนตกเมื่อวาน"),
    }
    found = {
        code: {score.metric: score for score in translation_scores(scored(1), [output], one([reference]), code)}
        for code, (output, reference) in near.items()
    }
    assert found["zh"]["ter"].value < 30 and found["ja"]["ter"].value < 30
    assert "asian:yes" in found["zh"]["ter"].signature
    # Its words cannot be told: no number is better than 100 for all that is not the reference itself.
    assert [*found["th"]] == ["bleu", "chrf++", "bleu_char"]
