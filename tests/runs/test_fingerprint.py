"""Fingerprints: what is made from the same things in the same format has the same one."""

from typing import get_args

import pytest

import crosstune
from crosstune.runs import fingerprint as module
from crosstune.runs.fingerprint import FORMATS, Kind, fingerprint


def test_fingerprints_tell_settings_apart() -> None:
    assert fingerprint("mixture", {"a": 1}) == fingerprint("mixture", {"a": 1})
    assert fingerprint("mixture", {"a": 1}) != fingerprint("mixture", {"a": 2})
    assert fingerprint("mixture", "a", "b") != fingerprint("mixture", "ab")


def test_kinds_of_things_are_told_apart() -> None:
    assert len({fingerprint(kind, "same") for kind in FORMATS}) == len(FORMATS) == len(get_args(Kind))


def test_a_release_alone_makes_nothing_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint("system", "a")
    monkeypatch.setattr(crosstune, "__version__", "99.0")
    assert fingerprint("system", "a") == before


def test_a_raised_format_number_makes_its_kind_stale_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    system, mixture = fingerprint("system", "a"), fingerprint("mixture", "a")
    monkeypatch.setitem(module.FORMATS, "system", FORMATS["system"] + 1)
    assert fingerprint("system", "a") != system and fingerprint("mixture", "a") == mixture
