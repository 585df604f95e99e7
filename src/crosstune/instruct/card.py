"""The card of a translated instruction set: how it was made, from what, and what it may be used for."""

from typing import Any

from crosstune.languages.registry import language_name


def card(facts: dict[str, Any]) -> str:
    """Return the folder's README.md, with the head that the Hugging Face hub reads."""
    made_from, translator = facts["made_from"], facts["made_from"]["translator"]
    source, target = made_from["languages"]
    names = {code: language_name(code, "en") for code in (source, target)}
    who = f"the model `{translator['model']}`" + (f" behind {translator['url']}" if "url" in translator else "")
    dropped = "".join(f"| {reason} | {count:,} |\n" for reason, count in facts["dropped"].items())
    return f"""---
language:
- {target}
task_categories:
- text-generation
tags:
- instructions
- machine-translated
---
# Instructions in {names[target]}, translated from {names[source]}

{facts["kept"]:,} of {facts["rows"]:,} rows of `{made_from["file"]}` (SHA-256 `{made_from["sha256"]}`), translated by \
{who}. **Machine translation, not checked by people.**

## How it was made

1. `instruction`, `input` and `output` of each row were translated, greedily, and translated back by the same model.
2. A row was dropped where a translation fails by rule (empty, copied, wrong or mixed language, words left
   untranslated, repetition, no end), or where one of its texts comes back with a chrF below {facts["min_chrf"]:g}.
   The median of the kept rows is {facts["median_round_trip_chrf"]}. A round trip by the same model cannot see an error
   that it makes both ways.

| reason | rows dropped |
|---|---|
{dropped or "| none | 0 |" + chr(10)}
`dropped.jsonl` holds these rows with both translations; `manifest.json` has the translator and the versions.

The license of the original applies, and that of the translator's output.
"""
