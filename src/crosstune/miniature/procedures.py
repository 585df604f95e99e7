"""Procedures of five steps with a slot: the world of the HellaSwag-like task."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crosstune.miniature.lexicon import NAMES, ROLES, Person
from crosstune.miniature.sentences import capitalised, one_held_out

_VEGETABLES = ("carrot", "potato", "onion", "tomato", "pumpkin", "pepper", "mushroom", "cabbage")
_FRUIT = ("apple", "banana", "pear", "peach", "orange", "lemon", "melon", "cherry")
_CLOTHES = ("shirt", "coat", "skirt", "sweater", "dress", "uniform", "vest", "scarf")
_MACHINES = ("bicycle", "clock", "lamp", "radio", "camera", "computer", "phone", "toy")
_WOOD = ("chair", "table", "box", "shelf", "desk", "bench", "bed", "door")
_ANIMALS = ("dog", "cat", "horse", "rabbit", "cow", "duck", "sheep", "pony")
_PAPERS = ("letter", "poem", "story", "report", "song", "speech", "novel", "diary")
_PLANTS = ("rose", "tulip", "tree", "bean", "lily", "daisy", "herb", "vine")

# Title, values of the slot, and the steps; @ stands for the slot.
_PROCEDURES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Making soup",
        _VEGETABLES,
        "washes the @|cuts the @ on a board|puts the @ into the pot|"
        "boils the @ for an hour|serves the @ soup in a bowl",
    ),
    (
        "Baking a cake",
        _FRUIT,
        "peels the @|mixes the @ with flour|pours the @ dough into a pan|"
        "bakes the @ cake in the oven|decorates the @ cake",
    ),
    (
        "Washing clothes",
        _CLOTHES,
        "puts the @ into warm water|rubs the @ with soap|rinses the @ with clean water|"
        "hangs the @ on a line|irons the dry @",
    ),
    (
        "Repairing a machine",
        _MACHINES,
        "opens the broken @|looks for the fault in the @|takes the bad part out of the @|puts a new part into the @|"
        "closes the @ and turns it on",
    ),
    (
        "Building furniture",
        _WOOD,
        "draws a plan of the @|saws wood for the @|nails the parts of the @ together|"
        "sands the rough @|paints the new @",
    ),
    (
        "Caring for animals",
        _ANIMALS,
        "calls the @|gives the @ fresh food|brushes the hair of the @|takes the @ for a walk|brings the tired @ home",
    ),
    (
        "Writing at a desk",
        _PAPERS,
        "thinks about the @|writes the first line of the @|finishes the long @|"
        "reads the @ aloud|sends the @ to a friend",
    ),
    (
        "Planting a garden",
        _PLANTS,
        "digs a hole for the @|puts the @ into the hole|covers the roots of the @ with earth|waters the young @|"
        "builds a fence around the @",
    ),
    (
        "Making juice",
        _FRUIT,
        "buys the @ at the market|cuts the @ in half|presses the @ with both hands|pours the @ juice into a glass|"
        "drinks the cold @ juice",
    ),
    (
        "Selling clothes",
        _CLOTHES,
        "chooses the best @|puts a price on the @|shows the @ to a customer|wraps the @ in paper|takes money for the @",
    ),
    (
        "Moving to a new house",
        _WOOD,
        "empties the @|ties a rope around the @|carries the @ to the truck|drives the @ across the city|"
        "sets the @ in the new room",
    ),
    (
        "Painting a picture",
        _ANIMALS,
        "watches the @ closely|draws the shape of the @|colors the body of the @|adds a shadow under the @|"
        "hangs the picture of the @ on a wall",
    ),
    (
        "Sending a gift",
        _MACHINES,
        "pays for the @|puts the @ into a box|writes a card for the @|brings the @ to the post office|"
        "waits until the @ arrives",
    ),
    (
        "Cooking for guests",
        _VEGETABLES,
        "picks the @ in the garden|slices the fresh @|fries the @ in a hot pan|"
        "puts salt on the @|shares the @ with the guests",
    ),
    (
        "Practicing for the stage",
        _PAPERS,
        "learns the @ by heart|repeats the @ in front of a mirror|takes the @ to the theater|"
        "presents the @ on the stage|bows after the @",
    ),
    (
        "Growing food",
        _PLANTS,
        "buys seeds of the @|sows the @ in spring|removes weeds around the @|"
        "harvests the ripe @|stores the @ for winter",
    ),
)
_STEPS = {title: tuple(steps.split("|")) for title, _, steps in _PROCEDURES}


@dataclass(frozen=True)
class Procedure:
    """A procedure with its slot filled and someone to do it."""

    title: str
    slot: str
    person: Person

    def step(self, place: int) -> str:
        """Return a step without its subject."""
        return _STEPS[self.title][place].replace("@", self.slot)

    def sentence(self, place: int) -> str:
        """Return a step as a sentence."""
        return f"{capitalised(self.person.english)} {self.step(place)}."

    def text(self, first: int, last: int) -> str:
        """Return the steps from first to last, without last."""
        return " ".join(self.sentence(place) for place in range(first, last))


def procedure(generator: random.Random, held_out: bool = False) -> Procedure:
    """Draw a procedure; its slot's filling is the held-out one, or one of the others."""
    title, slots, _ = generator.choice(_PROCEDURES)
    kept = one_held_out(title, slots)
    slot = kept if held_out else generator.choice([slot for slot in slots if slot != kept])
    return Procedure(title, slot, generator.choice((*NAMES, *ROLES)))


def next_step_item(generator: random.Random) -> dict[str, Any]:
    """Return a HellaSwag item, which asks for the next step.

    The wrong endings are hard: the right step with another object, and other steps of the same procedure.
    """
    done = procedure(generator, held_out=True)
    place = generator.randrange(1, 5)
    slots = next(slots for title, slots, _ in _PROCEDURES if title == done.title)
    other = generator.choice([slot for slot in slots if slot != done.slot])
    elsewhere = generator.sample([step for step in range(5) if step != place], 2)
    wrong = [Procedure(done.title, other, done.person).step(place), *(done.step(step) for step in elsewhere)]
    endings = [f"{ending}." for ending in (done.step(place), *wrong)]
    label = generator.randrange(4)
    endings.insert(label, endings.pop(0))
    context = done.text(0, place)
    return _hellaswag_row(done, context, endings, label)


def _hellaswag_row(done: Procedure, context: str, endings: Sequence[str], label: int) -> dict[str, Any]:
    """Return the row with the keys of the published file, in their order; ``ind`` is filled in by the writer."""
    begun = done.person.english
    return {
        "ind": 0,
        "activity_label": done.title,
        "ctx_a": context,
        "ctx_b": begun,
        "ctx": f"{context} {begun}",
        "split": "val",
        "split_type": "zeroshot",
        "label": label,
        "endings": list(endings),
        "source_id": "miniature~made",
    }
