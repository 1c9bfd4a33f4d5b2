"""Every kind of token shown to whoever reads another kind: only the diagonal of the table opens (TOK-07)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coatcheck import Coatcheck, Token
from coatcheck.core.tokens import session_digest
from coatcheck.crypto.entropy import system_entropy
from coatcheck.crypto.keys import Keys
from coatcheck.crypto.known_devices import note_device, recognise_device
from coatcheck.http import csrf, presession

NOW = 1_800_000_000
SECRET = bytes(range(60, 100))
BINDING = b"binding-of-a-session"
SUBJECT = "subject-of-ada"


class Place:
    """One deployment, and one token of each kind it gives."""

    def __init__(self) -> None:
        self.keys = Keys(SECRET)
        self.desk = Coatcheck("memory://", secret=SECRET, clock=lambda: NOW)
        self.given = {
            "session": self.desk.start_session(SUBJECT).token.reveal(),
            "device": note_device(self.keys.device, system_entropy, subject=SUBJECT, version=1, now=NOW).reveal(),
            "form": csrf.issue_token(self.keys.csrf, BINDING, system_entropy(16)),
            "pre-session": presession.issue(self.keys.presession, nonce=system_entropy(16), now=NOW),
        }
        self.readers: dict[str, Callable[[str], bool]] = {
            "session": lambda text: bool(self.desk.authenticate(text)),
            "device": self._knows_device,
            "form": lambda text: csrf.verify_token(self.keys.csrf, BINDING, text),
            "pre-session": lambda text: presession.read(self.keys.presession, text, now=NOW) is not None,
        }

    def _knows_device(self, text: str) -> bool:
        note = Token(text)
        return bool(recognise_device(self.keys.device, note, subject=SUBJECT, version=1, now=NOW, lifetime=3600))


KINDS = ("session", "device", "form", "pre-session")


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize("reader", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_tok_07_only_its_own_reader_opens_to_a_token(place: Place, kind: str, reader: str) -> None:
    assert place.readers[reader](place.given[kind]) is (kind == reader)


@pytest.mark.parametrize("reader", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_tok_07_cut_or_filled_to_the_others_length_none_opens_either(place: Place, kind: str, reader: str) -> None:
    if kind == reader:
        return
    wanted = len(place.given[reader])
    text = place.given[kind]

    for shown in (text[:wanted].ljust(wanted, "A"), text[-wanted:].rjust(wanted, "A")):
        assert not place.readers[reader](shown)


@pytest.mark.parametrize("reader", KINDS)
def test_tok_03_the_digest_of_a_session_token_opens_nothing(place: Place, reader: str) -> None:
    digest = session_digest(place.given["session"])

    for shown in (digest.hex(), digest.hex()[:43], digest.hex()[:48]):
        assert not place.readers[reader](shown)


def test_tok_07_every_purpose_has_a_key_of_its_own() -> None:
    keys = Keys(SECRET)
    derived = [keys.csrf, keys.presession, keys.device, keys.identifier]

    assert len({*derived, SECRET}) == 5
    assert {len(key) for key in derived} == {32}
