"""The bank of translation instructions in English and Korean: what is trained on, and what is held out.

Forty wordings a language are written by hand, and those after them generated; held-out ones are never trained on.
"""

import re

from crosstune.prompts.instruction_grammar import generated_instructions
from crosstune.prompts.wordings import Wordings

NUM_TRAINING_WORDINGS = 400

# By the language of the instruction. Korean names of languages end in a vowel, and the particles go with that.
# The paper published the first English one, from English to Korean.
_WRITTEN = {
    "en": Wordings(
        train=(
            "Translate the following sentences from {source} to {target}",
            "Translate the following text into {target}.",
            "Translate from {source} to {target}.",
            "Give the {target} translation of this {source} sentence.",
            "Write this in {target}:",
            "How do you say this in {target}?",
            "Please render the {source} text below in {target}.",
            "Convert the sentence to {target}.",
            "Translate this into {target}.",
            "Translate the {source} sentence below into {target}.",
            "Please translate into {target}:",
            "Can you translate this {source} text to {target}?",
            "Translate the text; the answer should be in {target}.",
            "Here is a {source} sentence. Translate it to {target}.",
            "Turn this {source} sentence into {target}.",
            "Turn the text into {target}, sentence by sentence.",
            "Say this in {target}.",
            "How would someone say this in {target}?",
            "How is this {source} sentence said in {target}?",
            "What does this {source} text say in {target}?",
            "What would this be in {target}?",
            "Tell me in {target} what is written here.",
            "I need this in {target}.",
            "I need a {target} translation of the text below.",
            "I have a {source} text; give it back in {target}.",
            "Show me the {target} translation.",
            "Give this back in {target}.",
            "Now the same in {target}, please.",
            "The same sentence, but in {target}:",
            "Change the language from {source} to {target}.",
            "Switch this text from {source} to {target}.",
            "Do a translation into {target}.",
            "Make a {target} translation of the following {source} sentence.",
            "Write down in {target} what the {source} sentence says.",
            "Write a {target} sentence that says the same.",
            "Help me write this {source} sentence in {target}.",
            "A friend who speaks {target} should read this; translate it.",
            "Answer with the {target} translation of the sentence and nothing else.",
            "{source} sentence in, {target} sentence out.",
            "{source} into {target}:",
        ),
        held_out=(
            "Produce a {target} version of the sentence below.",
            "What is the {target} for the following {source} sentence?",
            "Your task is to translate {source} into {target}.",
            "Express the following in {target}, please.",
            "Could you put this into natural {target} for me?",
            "Provide a faithful {target} rendition of the {source} passage.",
            "I only read {target}; please tell me what this {source} text says.",
            "As a professional translator, turn the {source} text into {target}.",
            "Rewrite the text below in {target}, keeping its meaning.",
            "Read the {source} original and write its {target} translation.",
            "Supply the {target} equivalent of what follows.",
            "{source} to {target} translation, please.",
        ),
    ),
    "ko": Wordings(
        train=(
            "다음 문장을 {source}에서 {target}로 번역하세요",
            "다음 글을 {target}로 번역해 주세요.",
            "{source} 문장을 {target}로 옮기세요.",
            "아래 {source} 문장의 {target} 번역을 쓰세요.",
            "이 말을 {target}로 써 보세요.",
            "이것을 {target}로 어떻게 말합니까?",
            "주어진 {source} 글을 {target}로 바꾸어 주세요.",
            "{target}로 번역하시오.",
            "이것을 {target}로 번역하세요.",
            "다음을 {target}로 번역해 줘.",
            "아래의 {source} 문장을 {target}로 번역해 주십시오.",
            "이 {source} 글을 {target}로 번역해 주시겠어요?",
            "글을 번역하되 답은 {target}로 쓰세요.",
            "여기 {source} 문장이 있습니다. {target}로 번역하세요.",
            "이 {source} 문장을 {target}로 바꾸세요.",
            "글을 한 문장씩 {target}로 바꿔 주세요.",
            "이것을 {target}로 말해 보세요.",
            "이 말은 {target}로 어떻게 합니까?",
            "이 {source} 문장을 {target}로는 어떻게 씁니까?",
            "이 {source} 글을 {target}로 하면 어떻게 됩니까?",
            "이것은 {target}로 무슨 말입니까?",
            "여기에 쓰인 것을 {target}로 말해 주세요.",
            "이것이 {target}로 필요합니다.",
            "아래 글의 {target} 번역이 필요합니다.",
            "{source} 글이 있는데 {target}로 돌려주세요.",
            "{target} 번역을 보여 주세요.",
            "이것을 {target}로 다시 쓰세요.",
            "이제 같은 말을 {target}로 해 주세요.",
            "같은 문장을 {target}로:",
            "언어를 {source}에서 {target}로 바꾸세요.",
            "이 글을 {source}에서 {target}로 옮겨 주세요.",
            "{target}로 번역을 하세요.",
            "다음 {source} 문장의 {target} 번역을 만드세요.",
            "{source} 문장이 말하는 것을 {target}로 적으세요.",
            "같은 것을 말하는 {target} 문장을 쓰세요.",
            "이 {source} 문장을 {target}로 쓰도록 도와주세요.",
            "{target}를 쓰는 친구가 읽을 글입니다. 번역해 주세요.",
            "다른 말 없이 {target} 번역만 답하세요.",
            "{source} 문장을 받아 {target} 문장을 내세요.",
            "{source}에서 {target}로:",
        ),
        held_out=(
            "아래 문장을 {target} 문장으로 만들어 주세요.",
            "다음 {source} 문장은 {target}로 무엇입니까?",
            "{source}를 {target}로 번역하는 것이 당신의 일입니다.",
            "다음을 {target}로 표현해 주십시오.",
            "이 문장을 자연스러운 {target}로 번역해 줄래요?",
            "{target}만 아는 사람도 이해할 수 있게 아래 글을 번역해 주세요.",
            "다음 {source} 글의 뜻을 {target}로 전해 주세요.",
            "아래 내용을 {target}로는 어떻게 표현하나요?",
            "{source} 원문을 읽고 {target} 번역문을 작성하십시오.",
            "당신은 {source} 전문 번역가입니다. 다음을 {target}로 번역하세요.",
            "제시된 {source} 문장의 {target} 번역을 알려 주세요.",
            "{target} 번역 부탁드립니다.",
        ),
    ),
}


def plain_words(wording: str) -> tuple[str, ...]:
    """Return a wording's words without capitals and stops."""
    return tuple(re.findall(r"[\w{}]+", wording.casefold()))


def _with_generated(language: str, written: Wordings) -> Wordings:
    """Return written wordings and, to train on, generated ones behind them, none in the words of one that is there."""
    known = {plain_words(wording) for wording in (*written.train, *written.held_out)}
    train = list(written.train)
    for wording in generated_instructions(language):
        if plain_words(wording) not in known:
            known.add(plain_words(wording))
            train.append(wording)
        if len(train) == NUM_TRAINING_WORDINGS:
            break
    return written.model_copy(update={"train": tuple(train)})


TRANSLATION_INSTRUCTIONS = {language: _with_generated(language, written) for language, written in _WRITTEN.items()}
"""By the language of the instruction; further languages are a matter of a recipe."""
