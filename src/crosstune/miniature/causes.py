"""Causes and their effects, with slots: the world of the COPA-like task."""

import random
from dataclasses import dataclass

from crosstune.miniature.lexicon import NAMES, ROLES, Person
from crosstune.miniature.sentences import capitalised, one_held_out

# Cause and effect; S is the person (or the pronoun, in the second clause), @ the slot's value. The second clause never
# names the slot, so that the link must be known.
_SCHEMAS: tuple[tuple[str, str, str], ...] = (
    ("S ate too much @.", "S had a pain in the stomach.", "cake bread fish cheese meat rice"),
    ("S forgot the umbrella at the @.", "S got wet in the rain.", "office school station bank museum library"),
    ("S ran to the @.", "S was out of breath.", "station school market bank hospital park"),
    ("S studied hard for the @ exam.", "S got a good grade.", "English history music science art math"),
    ("S dropped the @ on the floor.", "S had to pick up the pieces.", "cup dish glass bottle vase mirror"),
    ("S lost the key of the @.", "S could not open the lock.", "house car office box gate drawer"),
    ("S stayed up late with a @.", "S was sleepy the next day.", "novel film game magazine puzzle computer"),
    ("S worked all day in the @.", "S felt very tired.", "garden field kitchen factory shop mine"),
    ("S found a lost @ in the street.", "S called the owner.", "dog cat bag wallet phone ring"),
    ("S broke the @ of a friend.", "S said sorry.", "camera clock lamp toy radio pencil"),
    ("S won the @ contest.", "S received a prize.", "dance singing chess cooking drawing running"),
    ("S did not water the @.", "S saw dry leaves.", "rose tulip tree bean lily herb"),
    ("S touched the hot @.", "S burned a finger.", "pot pan oven iron kettle stove"),
    ("S helped an old man with the @.", "S heard a word of thanks.", "box door ladder map ticket horse"),
    ("S missed the @ to the city.", "S arrived late.", "bus train boat plane truck ferry"),
    ("S saved money for a @.", "S went to the shop to pay.", "bicycle computer coat piano boat guitar"),
    ("S walked on the icy @.", "S slipped and fell.", "road bridge stairs street path roof"),
    ("S heard a joke about a @.", "S laughed loudly.", "doctor soldier king farmer monkey parrot"),
    ("S saw a snake near the @.", "S screamed in fear.", "river tent well barn pond cave"),
    ("S left the @ door open.", "S let the cold air in.", "front back kitchen cellar garage balcony"),
    ("S drove the @ too fast.", "S had to stop for the police.", "car bus truck taxi motorcycle van"),
    ("S read a sad @.", "S began to cry.", "letter poem story book message diary"),
    ("S played with fire near the @.", "S called the fire fighters.", "barn tent forest curtain hay shed"),
    ("S practiced the @ every day.", "S played well at the concert.", "piano violin flute drum guitar trumpet"),
    ("S cut the @ with a sharp knife.", "S needed a bandage.", "onion carrot melon cabbage pumpkin lemon"),
    ("S kept the @ in the sun.", "S threw the bad food away.", "milk cream butter yogurt ham sausage"),
    ("S moved the heavy @ alone.", "S hurt the back.", "table sofa piano bed stone wardrobe"),
    ("S invited guests for a @ party.", "S cleaned the whole house.", "birthday garden dinner summer winter wedding"),
    ("S took medicine against the @.", "S felt better in the evening.", "cold fever cough headache flu toothache"),
    ("S planted @ in the spring.", "S had a rich harvest in autumn.", "wheat corn beans pumpkins potatoes tomatoes"),
    ("S spoke loudly in the @.", "S was asked to be quiet.", "library museum church theater classroom hospital"),
    ("S taught the children @.", "S became a loved teacher.", "swimming reading dancing drawing singing cooking"),
    ("S forgot the birthday of the @.", "S bought flowers the next day.", "mother sister aunt friend wife daughter"),
    ("S sold the old @.", "S had more money.", "car boat farm painting watch ring"),
    ("S looked at the @ without glasses.", "S could not read a word.", "map sign menu newspaper poster ticket"),
    ("S swam in the cold @.", "S caught a cold.", "river lake sea pool pond stream"),
)


@dataclass(frozen=True)
class Link:
    """A cause and its effect, with the slot filled."""

    schema: int
    slot: str
    person: Person

    def cause(self, named: bool) -> str:
        """Return the cause as a sentence, about the person by name or as he or she."""
        return self._said(0, named)

    def effect(self, named: bool) -> str:
        """Return the effect as a sentence."""
        return self._said(1, named)

    def _said(self, side: int, named: bool) -> str:
        who = capitalised(self.person.english if named else self.person.pronoun)
        return _SCHEMAS[self.schema][side].replace("@", self.slot).replace("S ", f"{who} ", 1)


def link(generator: random.Random, held_out: bool = False) -> Link:
    """Draw a cause and its effect; the slot's filling is the schema's held-out one, or one of the others."""
    schema, person = generator.randrange(len(_SCHEMAS)), generator.choice((*NAMES, *ROLES))
    fillings = _SCHEMAS[schema][2].split()
    kept = one_held_out(_SCHEMAS[schema][0], fillings)
    return Link(schema, kept if held_out else generator.choice([slot for slot in fillings if slot != kept]), person)


def lowered(sentence: str) -> str:
    """Return the sentence with a small first letter, as COPA's choices stand behind `because`."""
    return sentence[0].lower() + sentence[1:]


def because(chosen: Link) -> str:
    """Return the effect and then its cause."""
    return f"{chosen.effect(named=True)[:-1]} because {lowered(chosen.cause(named=False))}"


def therefore(chosen: Link, word: str = " therefore") -> str:
    """Return the cause and then its effect."""
    return f"{chosen.cause(named=True)[:-1]}{word} {lowered(chosen.effect(named=False))}"


@dataclass(frozen=True)
class CausalChoice:
    """A COPA item: the premise, what is asked for, two alternatives, and which is right (1 or 2)."""

    premise: str
    asks_for: str
    alternatives: tuple[str, str]
    right: int


def choice_item(generator: random.Random) -> CausalChoice:
    """Draw an item; the wrong alternative is another schema's clause, or the right clause about somebody else."""
    chosen = link(generator, held_out=True)
    while True:
        other = link(generator, held_out=True)
        if other.schema != chosen.schema and other.person.pronoun != chosen.person.pronoun:
            break
    is_near_miss = generator.random() < 0.4
    other = (
        Link(chosen.schema, chosen.slot, other.person)
        if is_near_miss
        else Link(other.schema, other.slot, chosen.person)
    )
    asks_for = generator.choice(("cause", "effect"))
    said = Link.cause if asks_for == "cause" else Link.effect
    right = generator.choice((1, 2))
    pair = [said(chosen, False), said(other, False)]
    premise = (Link.effect if asks_for == "cause" else Link.cause)(chosen, True)
    return CausalChoice(premise, asks_for, (pair[right - 1], pair[2 - right]), right)
