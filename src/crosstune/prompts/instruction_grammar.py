"""Translation instructions by the hundred: frames whose slots are filled with verbs, objects, openers and closers.

A bank written by hand repeats its writer's few turns of phrase. Here several hundred sentences per language come of a
few dozen frames, in a fixed order in which neighbours have different frames, so that the first few are already diverse.
No word of meaning that only a held-out instruction has (`version`, `express`) stands here: what is held out stays
unseen in its words, too. Frames and fillings are written as instructions are: ``{source}`` and ``{target}`` stand for
the languages' names, ``<slot>`` for one of a slot's fillings, which stand between bars and may hold slots themselves.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle

_SLOT = re.compile(r"<(\w+)>")
_SPACE_BEFORE_STOP = re.compile(r"\s+([.,:;?!])")
_SENTENCE_START = re.compile(r"^\w|(?<=[.?] )\w")


@dataclass(frozen=True)
class Grammar:
    """Frames, and by its name what each slot may be filled with."""

    frames: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]

    def sentence(self, frame: str, generator: random.Random) -> str:
        """Fill a frame's slots, and write the sentence as sentences are written."""
        while _SLOT.search(frame):
            frame = _SLOT.sub(lambda found: generator.choice(self.slots[found.group(1)]), frame, count=1)
        plain = _SPACE_BEFORE_STOP.sub(r"\1", " ".join(frame.split()))
        return _SENTENCE_START.sub(lambda found: found.group().upper(), plain)


def _choices(text: str) -> tuple[str, ...]:
    """Return fillings that stand between bars; an empty one leaves the slot out."""
    return tuple(part.strip() for part in text.split("|"))


_ENGLISH = Grammar(
    frames=(
        "<opener> <into> <object> into {target} <closer>.",
        "<opener> <in> <object> in {target} <closer>.",
        "<opener> <give> <det> {target} <noun> of <object> <closer>.",
        "<ask> <into> <object> into {target} <closer>?",
        "How <do> <in> <object> in {target}?",
        "<need> <object> in {target} <closer>.",
        "<into> from {source} to {target}:",
        "<who> <speaks> {target}; <into> <object> for <them>.",
        "<opener> <in> in {target} what <object> says <closer>.",
        "What <be> <object> in {target}?",
        "<opener> <into> <object> to {target} <closer>:",
        "<ask> <in> <object> in {target} <closer>?",
        "<here> <a_text> in {source}. <into> it into {target} <closer>.",
        "<role>. <into> <object> into {target}.",
        "<need> <det> {target} <noun> of <object>.",
        "<opener> <into> <object> from {source} to {target} <closer>.",
        "In {target} <closer>: <in> <object>.",
        "<answer> in {target}: <into> <object>.",
        "<ask> <give> <det> {target} <noun> of <object>?",
        "<read> <object>, then <in> it in {target} <closer>.",
        "<object> should be in {target}; <into> it <closer>.",
        "Which {target} sentence says the same as <object>?",
        "<label>",
        "<from> {source} <into_word> {target} <closer>:",
        "<opener> use {target} to <in> <object> <closer>.",
        "<object>, but in {target} <closer>.",
        "{target} <noun> of <object> <closer>:",
        "<here> <a_text>. <give> its {target} <noun> <closer>.",
        "<role>. <in> <object> in {target} <closer>.",
        "the {target} <noun> of <object>, please.",
    ),
    slots={
        "opener": _choices(
            "|||please|now|next,|try to|I want you to|I would like you to|you should|your job is to|help me to|"
            "go ahead and|let us|it is time to|first,|carefully|quickly|now please|we have to|be so good as to|"
            "do not explain, just|this time,|here you have to|the aim is to|do me a favour and"
        ),
        "ask": _choices(
            "can you|could you|would you|will you|can you please|could you quickly|are you able to|"
            "would you help me to|may I ask you to|do you have time to|is it possible to|would it be possible to|"
            "do you know how to|can anybody here|who can|how can I|would you like to|can you try to"
        ),
        "into": _choices(
            "translate|render|turn|convert|change|switch|bring|move|transfer|recast|translate|translate|translate|"
            "transpose|take"
        ),
        "in": _choices("say|write|repeat|phrase|type|retell|give|restate|note|show|read|present"),
        "object": _choices(
            "this|it|that|the text|the sentence|the paragraph|the message|the following|the next sentence|"
            "the text below|the sentence below|this short text|everything below|all of this|what is written below|"
            "what you read below|the {source} text|the {source} sentence|this {source} sentence|"
            "the {source} text below|this {source} text|the following {source} sentence|this piece of {source}|"
            "the statement|the remark|the phrase|the quote|the content|this note|this bit of text|the {source} part|"
            "these sentences|the {source} source|the example"
        ),
        "give": _choices(
            "give|write|show|send|prepare|make|offer|return|find|type|add|print|create|suggest|compose|share|give me|"
            "show me|write me|bring me|propose|submit"
        ),
        "det": _choices(
            "a|a|a|the|the|a good|a careful|a simple|a clear|an exact|a plain|one|your|the best|a complete|the right|"
            "a short|a correct|an accurate|a precise"
        ),
        "noun": _choices(
            "translation|translation|translation|text|sentence|reading|counterpart|copy|form|paraphrase|side"
        ),
        "closer": _choices(
            "||||||please|, please|now|for me|without comment|and nothing more|as well as you can|, thank you|"
            "with care|as exactly as possible|, nothing else|for a friend|with no remarks|right away|, no notes|"
            "and stop there|for our guests|in full|, if you can|and leave nothing out|in good style|for the website"
        ),
        "do": _choices(
            "do you|would you|do I|can I|should I|would one|do people|does one|might you|would a friend|shall we|"
            "would they|do we|would a native speaker|will you"
        ),
        "be": _choices("is|would be|might be|should be|will be|comes closest to|is the best way to write"),
        "need": _choices(
            "I need|I want|I would like|we need|please let me have|let me see|may I have|I am looking for|I ask for|"
            "I am waiting for|give me|show us|they want|she needs|he asked for|we would like to read|I have to have"
        ),
        "who": _choices(
            "a colleague|my teacher|our guest|the customer|a neighbour|the class|a child|the boss|the audience|"
            "a visitor|my sister|the doctor|our team|his mother|a tourist|the other side|somebody here|my class|"
            "everyone here"
        ),
        "speaks": _choices("speaks|reads|prefers|likes|uses|learns|asked for|is used to|grew up with|needs"),
        "them": _choices("them|us|that person|our sake|the meeting|later"),
        "here": _choices(
            "here is|below is|this is|see|take|there is|you find here|below stands|look at|I send you|read"
        ),
        "a_text": _choices(
            "a text|a sentence|a message|something|a short text|a note|a remark|a letter|a paragraph|a quote"
        ),
        "role": _choices(
            "you speak {source} and {target}|you are a teacher of {target}|you help people with {target}|"
            "you work with {source} and {target}|you know {source} well|"
            "imagine that you live where people speak {target}|you are at home in {source} and {target}|"
            "you are good at languages|we are learning {target}|this is a lesson in {target}|"
            "you write for {target} newspapers|you are a helpful assistant|I do not speak {source}|"
            "my {source} is poor|the answer is for people who speak {target}"
        ),
        "answer": _choices("answer|reply|write|respond|the answer must be|we speak|say it|think|finish|continue"),
        "read": _choices("read|look at|take|study|go through|think about|consider|see|start from|begin with"),
        "from": _choices(
            "from|out of|go from|translate from|change from|language:|translation:|direction:|this goes from|"
        ),
        "into_word": _choices("to|into|->|over to|and then|, to|=>"),
        "label": _choices(
            "{target}:|in {target}:|to {target}:|into {target}:|{source} -> {target}|translation ({target}):|"
            "target language: {target}|language of the answer: {target}|{target}, please:|[{target}]|"
            "({source}, {target})|{source}: see below. {target}:|translate ({source}, {target})|translate: {target}|"
            "same text, {target}:|answer language: {target}|{target} text:|the same in {target}:|"
            "from {source}. To {target}.|{source} text below, {target} text please"
        ),
    },
)

_KOREAN = Grammar(
    frames=(
        "<opener> <object> {target}로 <adverb> <verb>",
        "<det> {target} <noun> <give>",
        "<topic> {target}로 <how>",
        "<object> {target}로 <verb> <closer>",
        "{target}로 <object> <verb>",
        "<opener> {source} <thing> {target}로 <verb>",
        "<person> {target}를 <speaks>. <object> <translate>",
        "<here> {source} <there>. {target}로 <verb>",
        "<object> {source}에서 {target}로 <adverb> <verb>",
        "<object> <read> {target}로 <verb>",
        "<need>",
        "<topic> {target}로 <how> <closer>",
        "<label>",
        "답은 {target}로 <write>. <object> <translate>",
        "<opener> {target}로 <verb> <closer>",
        "<role>. <object> {target}로 <verb>",
        "<object> <translate> 언어는 {target}입니다.",
        "<opener> <topic> {target}로 <how>",
        "{target}로 <adverb> <verb> <closer>",
        "<det> {target} <noun> <give> <closer>",
        "{source} 말고 {target}로 <object> <verb>",
        "<person> 읽을 {target} <noun> <give>",
    ),
    slots={
        "opener": _choices(
            "||부디|자,|이제|이번에는|지금부터|먼저|저를 위해|친구를 위해|손님을 위해|숙제입니다.|부탁이 있습니다.|"
            "도와주세요.|연습입니다.|급합니다.|안녕하세요.|가능하면|여러분,|문제입니다.|선생님,|잠깐만요,|이 다음에는|"
            "꼭"
        ),
        "object": _choices(
            "이것을|이 글을|이 문장을|다음 글을|다음 문장을|아래 글을|아래 문장을|이 말을|다음 말을|{source} 글을|"
            "{source} 문장을|이 {source} 글을|아래 {source} 문장을|다음 {source} 문장을|아래에 있는 글을|밑의 문장을|"
            "짧은 글을|이 한 문장을|여기 있는 글을|여기 쓰인 말을|이어지는 글을|주어진 문장을|주어진 글을|이 메시지를|"
            "방금 쓴 글을|이 {source} 말을|그 문장을|그것을|이 편지를|이 대답을|이 부분을|전부|모두|이 줄을"
        ),
        "verb": _choices(
            "<stem>세요.|<stem>십시오.|<stem>시오.|<join> 주세요.|<join> 주십시오.|<join> 줘.|<join> 보세요.|"
            "<join> 봐.|<join>라.|<join>야 합니다.|<stem>면 됩니다.|<stem>면 좋겠습니다.|<stem>고 싶습니다.|"
            "<join> 주겠습니까?|<join> 주시겠습니까?|<join> 줘요.|<stem>자.|<stem>기.|<join> 주실래요?|"
            "<join> 주면 고맙겠습니다.|<join> 둡시다.|<stem>도록 하세요.|<join> 볼까요?|<join> 주시면 됩니다.|"
            "<join> 놓으세요."
        ),
        # Verbs whose stem and joined form end alike for all endings above.
        "stem": _choices("번역하|번역하|옮기|바꾸|고치|쓰|말하|나타내|다시 쓰|다시 말하|바꿔 쓰|돌리|옮겨 쓰|정리하"),
        "join": _choices("번역해|번역해|옮겨|바꿔|고쳐|써|말해|나타내|다시 써|다시 말해|바꿔 써|돌려|옮겨 써|정리해"),
        "translate": _choices(
            "번역하세요.|번역해 주세요.|번역합시다.|번역해 봐.|번역하시오.|번역해 주십시오.|번역해야 합니다.|"
            "번역해 줘.|옮겨 주세요."
        ),
        "adverb": _choices(
            "||||정확하게|바르게|알맞게|쉽게|빠짐없이|그대로|잘|한번|천천히|곧바로|조심해서|깔끔하게|꼼꼼히|바로|다시"
        ),
        "closer": _choices(
            "||다른 말은 쓰지 마세요.|고맙습니다.|감사합니다.|번역만 쓰세요.|설명은 필요 없습니다.|"
            "한 문장이면 됩니다.|빨리요.|끝까지 하세요.|짧게 답하세요.|그것으로 끝입니다.|기다리겠습니다.|"
            "틀리지 마세요."
        ),
        "det": _choices(
            "||이 글의|다음 글의|아래 문장의|이 문장의|{source} 글의|좋은|정확한|올바른|짧은|쉬운|이 말의|완전한|"
            "알맞은|그 글의"
        ),
        "noun": _choices("번역을|번역을|번역을|글을|문장을|말을|답을|대답을|해석을"),
        "give": _choices(
            "쓰세요.|주세요.|보여 주세요.|적어 주세요.|보내 주세요.|찾아 주세요.|내놓으세요.|준비하세요.|적으세요.|"
            "써 주십시오.|원합니다.|기다립니다.|하나 주세요.|대 보세요.|말해 보세요.|구합니다.|적어 봐.|써 줘.|"
            "답하세요.|부탁해요."
        ),
        "topic": _choices(
            "이것은|이 말은|이 글은|이것이|아래 글은|다음 말은|이 {source} 글은|이 {source} 말은|{source} 문장이|"
            "여기 쓰인 말은|다음 글은|그 말은|이 줄은"
        ),
        "how": _choices(
            "무엇인가요?|뭐라고 합니까?|뭐라고 해요?|어떻게 돼요?|어떻게 씁니까?|어떻게 말해요?|어떻게 쓸까요?|"
            "무슨 말이에요?|뭐지?|어떻게 하나요?|뭐라고 쓰나요?|뭐라고 하면 될까요?|어떻게 옮길까요?|"
            "어떻게 번역되나요?|뭐예요?|어떻게 읽나요?"
        ),
        "thing": _choices("글을|문장을|말을|편지를|이야기를|대답을|메시지를|부분을"),
        "person": _choices(
            "제 친구가|손님이|선생님이|이웃이|아이가|동료가|우리 반이|여행자가|의사가|동생이|회사가|독자가|그분이|"
            "우리가|모두가"
        ),
        "speaks": _choices("씁니다|말합니다|좋아합니다|배웁니다|찾습니다|원합니다|잘합니다|공부합니다|더 잘 읽습니다"),
        "here": _choices("여기|아래에|다음에|밑에|이 밑에|이제|바로 아래"),
        "there": _choices(
            "문장이 있습니다|글이 있습니다|글이 나옵니다|말이 있어요|글이 보입니다|편지가 있습니다|문장이 옵니다|"
            "글이 이어집니다"
        ),
        "read": _choices("보고|읽은 다음|살펴보고|받아|잘 보고|읽은 뒤에|생각해 보고|가지고"),
        "need": _choices(
            "{target} <noun_is> 필요해요.|{target} <noun_is> 있어야 합니다.|{target} <noun_is> 있으면 좋겠어요.|"
            "{target}가 필요합니다. <object> <translate>|{target} <noun_is> 없습니다. <write_it>|"
            "{target} <noun_is> 보고 싶어요.|{source}는 어렵습니다. {target}로 <verb>|"
            "{source}는 잘 못합니다. {target}로 <verb>"
        ),
        "noun_is": _choices("번역이|글이|문장이|말이|답이"),
        "write_it": _choices("써 주세요.|적어 주세요.|번역해 주세요.|하나 써 줘."),
        "write": _choices("쓰세요|하세요|적으세요|써 주세요|해 주세요|말하세요|써야 합니다"),
        "role": _choices(
            "저는 {target}를 배웁니다|우리는 {target}로 말합니다|{target} 수업입니다|"
            "{source}와 {target}를 다 잘합니다|말을 잘하는 도우미입니다|{target} 신문에 쓸 글입니다|"
            "{target} 숙제입니다|{source}를 {target}로 바꾸는 연습입니다|여러 나라 말을 합니다|{target} 선생님입니다"
        ),
        "label": _choices(
            "{target}:|{target}로:|{source} -> {target}|번역 ({target}):|언어: {target}|답의 언어: {target}|"
            "{target} 번역:|[{target}]|번역: {source} -> {target}|{source}에서 {target}로.|({source}, {target})|"
            "{target} 글:|같은 글, {target}로:|{source}: 아래. {target}:|{source} 다음 {target}.|{target}로 같은 말:"
        ),
    },
)  # fmt: skip

_GRAMMARS = {"en": _ENGLISH, "ko": _KOREAN}


def generated_instructions(language: str) -> Iterator[str]:
    """Yield instructions in a language, without end; the order is fixed, and every frame has its turn."""
    grammar, generator = _GRAMMARS[language], random.Random(f"translation instructions {language}")
    for frame in cycle(grammar.frames):
        sentence = grammar.sentence(frame, generator)
        if "{target}" in sentence:
            yield sentence
