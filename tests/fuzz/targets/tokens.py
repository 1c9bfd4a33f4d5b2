"""Session tokens, CSRF tokens and pre-sessions: what we issued is accepted, and not one octet else."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from coatcheck.core.tokens import Token, TokenFormat, encode, session_digest
from coatcheck.crypto.known_devices import KnownDevice, note_device, recognise_device
from coatcheck.http.csrf import MASK_BYTES, issue_token, verify_token
from coatcheck.http.presession import LIFE, NONCE_BYTES, WORD_MAX, PreSession, issue, read
from coatcheck.testing.clock import START as NOW
from tests.fuzz.targets.target import Target, text_of

KEY, OTHER_KEY = bytes(32), b"\1" * 32
BINDING, OTHER_BINDING = b"session:" + b"k" * 43, b"pre-session:" + b"n" * NONCE_BYTES
MASK, NONCE = b"m" * MASK_BYTES, b"n" * NONCE_BYTES
ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

_format = TokenFormat()


def _judge_fit(octets: bytes, fits: bool) -> None:
    """TOK-05: a token is 43 characters of base64url, which is 32 octets; anything else costs no query."""
    assert fits == (len(octets) == 43 and ALPHABET.issuperset(octets))
    if fits:
        text = octets.decode("ascii")
        assert len(urlsafe_b64decode(text + "=")) == 32
        assert session_digest(text) != session_digest(text[1:] + text[:1]) or len(set(text)) == 1
        assert text not in repr(Token(text))


def _judge_csrf(octets: bytes, accepted: bool) -> None:
    """CSR-06: an accepted token is exactly what would be issued; it serves no other binding and no other key."""
    text = text_of(octets)
    if accepted:
        mask = urlsafe_b64decode(text)[:MASK_BYTES]
        assert issue_token(KEY, BINDING, mask) == text
        assert not verify_token(KEY, OTHER_BINDING, text)
        assert not verify_token(OTHER_KEY, BINDING, text)
    else:
        assert octets != CSRF


def _judge_presession(octets: bytes, answer: PreSession | None) -> None:
    """SES-01: an accepted value is exactly what would have been issued at a time within the hour."""
    text = text_of(octets)
    if answer is None:
        assert octets not in (LIVE, YOUNG, WORD)
        return
    issued_at = int.from_bytes(urlsafe_b64decode(text)[1:9], "big")
    assert NOW - LIFE < issued_at <= NOW
    assert issue(KEY, nonce=answer.nonce, now=issued_at, word=answer.word) == text
    assert read(OTHER_KEY, text, now=NOW) is None


def _carry(octets: bytes) -> PreSession | None:
    return read(KEY, issue(KEY, nonce=NONCE, now=NOW, word=text_of(octets)), now=NOW)


def _judge_carried(octets: bytes, answer: PreSession | None) -> None:
    """A word comes back as it was given, or not at all; and whatever it is, the form stays good."""
    assert answer is not None
    assert answer.nonce == NONCE
    whole = text_of(octets).encode("utf-8", "replace")
    fits = len(whole) <= WORD_MAX and b"\0" not in whole
    assert answer.word == (whole.decode() if fits else "")


DAYS = 90 * 86_400


def _recognise(octets: bytes) -> KnownDevice | None:
    note = Token(text_of(octets))
    return recognise_device(KEY, note, subject="ada", version=1, now=NOW, lifetime=DAYS)


def _judge_device(octets: bytes, answer: KnownDevice | None) -> None:
    """RAT-13: what is recognised is, octet for octet, a note that was made; it serves no other key, owner, password."""
    if answer is None:
        assert octets not in (NOTE, OLD_NOTE)
        return
    name = urlsafe_b64decode(answer.name + "==")
    made = note_device(KEY, lambda _: name, subject="ada", version=1, now=answer.made_at).reveal()
    assert text_of(octets) == made
    for key, subject, version in ((OTHER_KEY, "ada", 1), (KEY, "bob", 1), (KEY, "ada", 2)):
        assert recognise_device(key, Token(made), subject=subject, version=version, now=NOW, lifetime=DAYS) is None


def _note(made_at: int, *, key: bytes = KEY, subject: str = "ada") -> bytes:
    return note_device(key, lambda _: bytes(range(240, 256)), subject=subject, version=1, now=made_at).reveal().encode()


NOTE, OLD_NOTE = _note(NOW), _note(NOW - DAYS + 1)
CSRF = issue_token(KEY, BINDING, MASK).encode()
LIVE = issue(KEY, nonce=NONCE, now=NOW - LIFE + 1).encode()
YOUNG = issue(KEY, nonce=NONCE, now=NOW).encode()
WORD = issue(KEY, nonce=NONCE, now=NOW, word="ada@example.org").encode()
STRAY = (b"=", b"+", b"/", b"-", b"_", b"A", b"\n", b" ", b"\x00", b"\xff", "\u0661".encode(), "\uff21".encode())

TARGETS = (
    Target(
        "session token",
        lambda octets: _format.fits(text_of(octets)),
        _judge_fit,
        (b"k" * 43, b"k" * 42, b"kK0", *STRAY, urlsafe_b64encode(bytes(32))),
        4096,
        (b"k" * 43, b"Ab0-_" * 8 + b"xyz"),
    ),
    Target(
        "csrf token",
        lambda octets: verify_token(KEY, BINDING, text_of(octets)),
        _judge_csrf,
        (
            CSRF, CSRF[:32], CSRF[32:], CSRF[:63], CSRF[1:], CSRF.swapcase(), *STRAY, encode(MASK).encode(),
            issue_token(OTHER_KEY, BINDING, MASK).encode(), issue_token(KEY, OTHER_BINDING, MASK).encode(),
            CSRF.translate(bytes.maketrans(b"-_", b"+/")),
        ),
        4096,
        (CSRF,),
    ),
    Target(
        "known device",
        _recognise,
        _judge_device,
        (
            NOTE, OLD_NOTE, NOTE[:27], NOTE[27:], NOTE[1:], NOTE.swapcase(),
            NOTE.translate(bytes.maketrans(b"-_", b"+/")), *STRAY,
            _note(NOW - DAYS), _note(NOW, key=OTHER_KEY), _note(NOW, subject="bob"), b"k" * 48, CSRF,
        ),
        4096,
        (NOTE, OLD_NOTE),
    ),
    Target(
        "pre-session",
        lambda octets: read(KEY, text_of(octets), now=NOW),
        _judge_presession,
        (
            WORD, LIVE, YOUNG, WORD[:40], WORD[40:], LIVE[:38], LIVE[38:], YOUNG[:12], YOUNG[12:], *STRAY, CSRF,
            YOUNG.swapcase(),
            issue(KEY, nonce=NONCE, now=NOW - LIFE).encode(), issue(KEY, nonce=NONCE, now=NOW + 1).encode(),
            issue(KEY, nonce=NONCE, now=2**64 - 1).encode(), issue(OTHER_KEY, nonce=NONCE, now=NOW).encode(),
        ),
        4096,
        (LIVE, YOUNG, WORD),
    ),
    Target(
        "word of a pre-session",
        _carry,
        _judge_carried,
        (b"ada", b"ada@example.org", *STRAY, b"\xc3\xa9", b"\xed\xa0\x80", b"x" * 1020, b"\xf0\x9f\x98\x80" * 255),
        4096,
    ),
)  # fmt: skip
