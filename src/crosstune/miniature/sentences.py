"""Everyday sentences: one meaning, said in English and in Korean."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from crosstune.miniature.conjugate import Predicate
from crosstune.miniature.hangul import object_, subject, topic, towards
from crosstune.miniature.lexicon import (
    ELDERS,
    FITTING,
    GIVE,
    GOODS,
    NAMES,
    NOUNS,
    PLACES,
    ROLES,
    STATES,
    THING_ADJECTIVES,
    TIMES,
    VEHICLES,
    VERBS,
    Adjective,
    I,
    Noun,
    Person,
    Verb,
)

TENSES = ("present", "past", "future")
_VOWELS = "aeiou"
_GO = Verb("go", "went", Predicate("가"), ())


@dataclass(frozen=True)
class Sentence:
    """One meaning in both languages, without what only one of them could know.

    Attributes:
        facts: answers to who, what and where, as (English, Korean) pairs, for questions about the sentence.
    """

    english: str
    korean: str
    facts: tuple[tuple[str, tuple[str, str]], ...] = ()


def is_held_out(*parts: str) -> bool:
    """Return whether a combination of words is kept for testing: about one in twelve, the same for every seed."""
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return digest[0] % 12 == 0


def one_held_out(of: str, choices: Sequence[str]) -> str:
    """Return the choice that is kept for testing, the same for every seed: one of each group, so that none lacks."""
    return min(choices, key=lambda choice: hashlib.sha256(f"{of}/{choice}".encode()).digest())


def capitalised(text: str) -> str:
    """Return the text with its first letter large."""
    return text[0].upper() + text[1:]


def any_person(generator: random.Random, with_i: bool = True) -> Person:
    """Draw a person: names and roles mostly, elders and oneself sometimes."""
    kinds = [NAMES, NAMES, ROLES, ROLES, ELDERS, *([(I,)] if with_i else [])]
    return generator.choice(generator.choice(kinds))


def topic_of(person: Person) -> str:
    """Return the Korean topic: 톰은, 할머니께서는, 저는."""
    return person.korean + "께서는" if person.register == "honorific" else topic(person.korean)


def say(person: Person, predicate: Predicate, tense: str) -> str:
    """Return the Korean predicate in the register that the person asks for."""
    if person.register == "polite":
        return predicate.polite(tense)
    return (predicate.raised() if person.register == "honorific" else predicate).plain(tense)


def english_verb(person: Person, verb: Verb, tense: str) -> str:
    """Return eats, eat, ate, will eat."""
    if tense == "past":
        return verb.past
    if tense == "future":
        return f"will {verb.english}"
    return verb.english if person is I else third_person(verb.english)


def third_person(verb: str) -> str:
    """Return the third person singular: eats, washes, carries."""
    if verb.endswith(("sh", "ch", "s", "x", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def _to_be(person: Person | None, tense: str, negative: bool = False) -> str:
    if tense == "future":
        return "will not be" if negative else "will be"
    if tense == "past":
        return "was not" if negative else "was"
    return ("am" if person is I else "is") + (" not" if negative else "")


def in_place(place: Noun) -> str:
    """Return in the garden, on the beach."""
    return f"{'on' if place.english == 'beach' else 'in'} the {place.english}"


def draw_action(generator: random.Random, held_out: bool) -> tuple[Verb, Noun, str]:
    """Draw a verb, a noun that it takes and the noun's class; the combination is held out, or it is not."""
    while True:
        verb = generator.choice(VERBS)
        kind = generator.choice(verb.takes)
        noun = generator.choice(NOUNS[kind])
        # Nobody could guess that a scarf is 두르다: verbs that belong to one noun are always seen in training.
        is_kept = is_held_out(verb.english, noun.english) and noun.english not in dict(verb.own)
        if is_kept == held_out:
            return verb, noun, kind


def _adjective_for(generator: random.Random, kind: str) -> Adjective:
    name = generator.choice(FITTING[kind])
    return next(adjective for adjective in THING_ADJECTIVES if adjective.english == name)


def _object(generator: random.Random, noun: Noun, kind: str) -> tuple[str, str]:
    """Return the object in English and Korean, with an adjective one time in three."""
    if generator.random() < 0.67:
        return noun.phrase(), noun.korean
    adjective = _adjective_for(generator, kind)
    return noun.phrase(adjective.english), f"{adjective.korean.before_noun()} {noun.korean}"


def action(generator: random.Random, held_out: bool = False) -> Sentence:
    """Someone does (or does not do) something, somewhere, at some time."""
    person, tense = any_person(generator), generator.choice(TENSES)
    verb, noun, kind = draw_action(generator, held_out)
    thing, thing_korean = _object(generator, noun, kind)
    facts = [("who", (capitalised(person.english), person.korean)), ("what", (capitalised(thing), thing_korean))]
    english, korean = [], []
    if generator.random() < 0.35:
        place = generator.choice(PLACES)
        english.append(f" {in_place(place)}")
        korean.append(f" {place.korean}에서")
        facts.append(("where", (capitalised(in_place(place)), f"{place.korean}에서")))
    negative = generator.random() < 0.2
    # "I read a book." is present or past: only the time tells.
    is_unclear = person is I and verb.english == verb.past and tense != "future" and not negative
    if is_unclear or generator.random() < 0.35:
        when, when_korean = generator.choice(TIMES[tense])
        english.append(f" {when}")
        korean.insert(0, f" {when_korean}")
    korean_verb = verb.said_of(noun)
    if negative:
        said, facts = _negated(person, verb, tense), []
        korean_verb = (_raised_root(korean_verb) if person.register == "honorific" else korean_verb).negative()
    else:
        said = english_verb(person, verb, tense)
    return Sentence(
        f"{capitalised(person.english)} {said} {thing}{''.join(english)}.",
        f"{topic_of(person)}{''.join(korean)} {object_(thing_korean)} {say(person, korean_verb, tense)}.",
        tuple(facts),
    )


def _negated(person: Person, verb: Verb, tense: str) -> str:
    helper = {"present": "do not" if person is I else "does not", "past": "did not", "future": "will not"}[tense]
    return f"{helper} {verb.english}"


def _raised_root(verb: Predicate) -> Predicate:
    """Return what an elder's auxiliary follows: 읽지 않으시다, but 드시지 않으시다 with a stem of its own."""
    return verb.raised() if verb.honorific else verb


def wish(generator: random.Random, held_out: bool = False) -> Sentence:
    """Someone wants to do something."""
    person, tense = any_person(generator), generator.choice(("present", "past"))
    verb, noun, kind = draw_action(generator, held_out)
    thing, thing_korean = _object(generator, noun, kind)
    wanted = "wanted" if tense == "past" else "want" if person is I else "wants"
    root = verb.said_of(noun)
    if person.register == "honorific":
        root = _raised_root(root)
    wishing = root.wish() if person is I else root.wish_of_others()
    return Sentence(
        f"{capitalised(person.english)} {wanted} to {verb.english} {thing}.",
        f"{topic_of(person)} {object_(thing_korean)} {say(person, wishing, tense)}.",
    )


def errand(generator: random.Random, held_out: bool = False) -> Sentence:
    """Someone goes somewhere to do something."""
    person, tense = any_person(generator), generator.choice(TENSES)
    verb, noun, kind = draw_action(generator, held_out)
    thing, thing_korean = _object(generator, noun, kind)
    place = generator.choice(PLACES)
    going = english_verb(person, _GO, tense)
    return Sentence(
        f"{capitalised(person.english)} {going} to the {place.english} to {verb.english} {thing}.",
        f"{topic_of(person)} {object_(thing_korean)} {verb.said_of(noun).in_order_to()} {place.korean}에 "
        f"{say(person, _GO.korean, tense)}.",
    )


def gift(generator: random.Random, held_out: bool = False) -> Sentence:
    """Someone gives something to someone."""
    giver = any_person(generator)
    taker = generator.choice([person for person in (*NAMES, *ROLES, *ELDERS) if person != giver])
    tense = generator.choice(TENSES)
    while True:
        kind = generator.choice(GOODS)
        noun = generator.choice(NOUNS[kind])
        if is_held_out("give", noun.english) == held_out:
            break
    thing, thing_korean = _object(generator, noun, kind)
    given = english_verb(giver, Verb("give", "gave", GIVE[0], ()), tense)
    is_elder = taker.register == "honorific"
    return Sentence(
        f"{capitalised(giver.english)} {given} {thing} to {taker.english}.",
        f"{topic_of(giver)} {taker.korean}{'께' if is_elder else '에게'} {object_(thing_korean)} "
        f"{say(giver, GIVE[is_elder], tense)}.",
    )


def property_(generator: random.Random, held_out: bool = False) -> Sentence:
    """Something is (or is not) so."""
    while True:
        kind = generator.choice(sorted(FITTING))
        noun, adjective = generator.choice(NOUNS[kind]), _adjective_for(generator, kind)
        if is_held_out(noun.english, adjective.english) == held_out:
            break
    tense, negative = generator.choice(TENSES), generator.random() < 0.25
    korean = adjective.korean.negative() if negative else adjective.korean
    # Swimming, not the swimming, is easy.
    named = capitalised(noun.english) if kind == "skill" else f"The {noun.english}"
    return Sentence(
        f"{named} {_to_be(None, tense, negative)} {adjective.english}.",
        f"{topic(noun.korean)} {korean.plain(tense)}.",
    )


def reason(generator: random.Random, held_out: bool = False) -> Sentence:
    """Someone feels something, so (or but) does something."""
    person, state = any_person(generator), generator.choice(STATES)
    tense = generator.choice(("present", "past"))
    verb, noun, kind = draw_action(generator, held_out)
    thing, thing_korean = _object(generator, noun, kind)
    feeling = state.korean.raised() if person.register == "honorific" else state.korean
    contrast = generator.random() < 0.4
    joined = feeling.but(past=tense == "past") if contrast else feeling.because()
    return Sentence(
        f"{capitalised(person.english)} {_to_be(person, tense)} {state.english}, {'but' if contrast else 'so'} "
        f"{person.pronoun} {english_verb(person, verb, tense)} {thing}.",
        f"{topic_of(person)} {joined} {object_(thing_korean)} {say(person, verb.said_of(noun), tense)}.",
    )


def meeting(generator: random.Random, held_out: bool = False) -> Sentence:
    """Someone owns something that is so: the subject particle's sentence."""
    kind = generator.choice(("thing", "clothes", "reading", "animal"))
    noun, place = generator.choice(NOUNS[kind]), generator.choice(PLACES)
    while is_held_out(noun.english, place.english) != held_out:
        noun, place = generator.choice(NOUNS[kind]), generator.choice(PLACES)
    past = generator.random() < 0.5
    return Sentence(
        f"There {'was' if past else 'is'} {noun.phrase()} {in_place(place)}.",
        f"{place.korean}에 {subject(noun.korean)} {'있었다' if past else '있다'}.",
    )


def journey(generator: random.Random, held_out: bool = False) -> Sentence:
    """Someone goes somewhere by some means: the sentence of (으)로."""
    person, tense = any_person(generator), generator.choice(TENSES)
    while True:
        vehicle, place = generator.choice(VEHICLES), generator.choice(PLACES)
        if is_held_out("by", vehicle.english, place.english) == held_out:
            break
    going = english_verb(person, _GO, tense)
    return Sentence(
        f"{capitalised(person.english)} {going} to the {place.english} by {vehicle.english}.",
        f"{topic_of(person)} {towards(vehicle.korean)} {place.korean}에 {say(person, _GO.korean, tense)}.",
    )


_KINDS = (action, action, action, wish, errand, gift, property_, reason, meeting, journey)


def everyday(generator: random.Random, held_out: bool = False) -> Sentence:
    """Draw an everyday sentence of any kind."""
    return generator.choice(_KINDS)(generator, held_out)
