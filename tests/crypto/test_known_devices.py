"""What a browser shows to be known: read octet for octet as it was made, or not at all."""

from __future__ import annotations

import pytest

from coatcheck.core.tokens import Token
from coatcheck.crypto.known_devices import note_device, recognise_device

KEY = bytes(32)
NOW = 1_750_000_000
YEAR = 365 * 86_400


def recognised(note: str) -> str | None:
    found = recognise_device(KEY, Token(note), subject="ada", version=1, now=NOW, lifetime=YEAR)
    return None if found is None else found.name


def test_rat_13_a_note_is_written_in_one_way_only() -> None:
    note = note_device(KEY, lambda size: b"\xfb" * size, subject="ada", version=1, now=NOW).reveal()

    assert recognised(note) == "-_v7-_v7-_v7-_v7-_v7-w"
    for other in (
        note.replace("-", "+"),
        note.replace("_", "/"),
        f"{note[:-1]}\u0661",
        f"{note}=",
        f"{note}\n",
        note[:-1],
    ):
        assert recognised(other) is None


@pytest.mark.parametrize("position", range(48))
def test_rat_13_a_note_with_another_character_anywhere_is_none(position: int) -> None:
    note = note_device(KEY, lambda size: b"\xfb" * size, subject="ada", version=1, now=NOW).reveal()
    other = "A" if note[position] != "A" else "B"

    assert recognised(note[:position] + other + note[position + 1 :]) is None
