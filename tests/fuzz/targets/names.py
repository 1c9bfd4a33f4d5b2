"""User names and addresses: one key for one person, never one key for two."""

from __future__ import annotations

import unicodedata

from ada_url import URL

from coatcheck.core.identifiers import EMAIL_MAX, email_key, identifier_key, username_key
from coatcheck.core.passwords import normalised
from coatcheck.core.policy import STANDARD
from tests.fuzz.targets.target import Target, text_of

SAME_BUT_FOR_CASE = bytes(range(65, 91))


def lower_ascii(text: str) -> str:
    """The plainest spelling of it."""
    return text.translate({letter: letter + 32 for letter in SAME_BUT_FOR_CASE})


def _judge_username(octets: bytes, key: str | None) -> None:
    """ACC-04: a key is the name with its ASCII letters lowered; so two names that share it differ by case alone."""
    if key is not None:
        assert key == lower_ascii(text_of(octets))
        assert key.isascii()
        assert username_key(key) == key
        assert 3 <= len(key) <= 32
        assert "@" not in key


def _judge_email(octets: bytes, key: str | None) -> None:
    """ACC-02: the local part is kept but for case, the domain is where a browser (and so a mailer) would go."""
    if key is None:
        return
    local, _, domain = text_of(octets).partition("@")
    kept, _, host = key.partition("@")
    assert kept == lower_ascii(local)
    assert email_key(key) == key
    assert key.isascii()
    assert len(key) <= EMAIL_MAX
    assert key.isprintable()
    assert " " not in key
    try:
        browsers = URL(f"https://{domain}/").hostname
    except ValueError:
        return  # no place to send mail to, so no second mailbox to confuse it with
    assert browsers == host or browsers.replace(".", "").isdigit()


def _judge_identifier(octets: bytes, key: str) -> None:
    """RAT-05, ENU-06: whatever is typed is counted somewhere, and what is no name never meets one that is."""
    typed = text_of(octets).strip(" \t")
    assert key in {username_key(typed), email_key(typed), "?" + typed}
    assert key.startswith("?") or identifier_key(key) == key
    assert identifier_key(f"\t{text_of(octets)} ") == key


NAMES = (
    b"ada", b"Ada", b"ADA", b"a", b"Z", b"0", b".", b"-", b"_", b"+tag", b"@", b"example.org", b"EXAMPLE.org", b".org",
    b"@example.org", b"xn--bcher-kva", b"XN--BCHER-KVA.example", b"b\xc3\xbccher.example", b"B\xc3\x9cCHER.example",
    b"xn--", b"xn--a-ecp", b"\xe2\x84\xaa", b"\xc4\xb1", b"\xc4\xb0", b"\xc3\x9f", b"\xc5\xbf", b"\xd0\xb0",
    b"\xef\xbd\x81",
    b"\xe2\x80\x8b", b"\xe2\x80\xae", b"\xe3\x80\x82", b"u\xcc\x88", b"\xcf\x83", b"\xcf\x82", b"\xe2\x80\x8d",
    b"\xc2\xb7",
    b"\xd9\xa3", b"\xd7\x90", b"\xe0\xa4\x95", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b" ", b"\t", b"\r\n", b"\x00",
    b",",
    b";", b"<", b'"', b"\\", b"%40", b"(", b"[127.0.0.1]", b"127.0.0.1", b"a" * 60, b"\xc3\xbc" * 50,
)  # fmt: skip


def _judge_password(octets: bytes, encoded: bytes | None) -> None:
    """PWD-02 to PWD-05: nothing is cut, trimmed or folded; what cannot be kept whole is refused."""
    text = text_of(octets)
    has_surrogates = any("\ud800" <= one <= "\udfff" for one in text)
    if encoded is None:
        composed = unicodedata.normalize("NFC", text)
        assert has_surrogates or max(len(text), len(composed.encode())) > STANDARD.password_max_bytes
    else:
        assert not has_surrogates
        assert len(encoded) <= STANDARD.password_max_bytes
        assert unicodedata.is_normalized("NFC", encoded.decode())
        assert unicodedata.normalize("NFD", encoded.decode()) == unicodedata.normalize("NFD", text)
        assert normalised(encoded.decode(), STANDARD) == encoded


TARGETS = (
    Target(
        "user name",
        lambda octets: username_key(text_of(octets)),
        _judge_username,
        NAMES,
        65_536,
        (b"ada", b"Ada.B_c-9"),
    ),
    Target(
        "e-mail address",
        lambda octets: email_key(text_of(octets)),
        _judge_email,
        NAMES,
        65_536,
        (b"ada@example.org", b"Ada+tag@b\xc3\xbccher.example", b"a@xn--bcher-kva.example"),
    ),
    Target(
        "log-in identifier",
        lambda octets: identifier_key(text_of(octets)),
        _judge_identifier,
        NAMES,
        65_536,
        (b"ada", b" Ada@b\xc3\xbccher.example\t"),
    ),
    Target(
        "password",
        lambda octets: normalised(text_of(octets), STANDARD),
        _judge_password,
        (
            b"a long enough passphrase", b" ", b"\t", b"\x00", b"e\xcc\x81", b"\xc3\xa9", b"\xcc\xa3", b"\xe1\x84\x80",
            b"\xe1\x85\xa1", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xef\xbc\xa1", b"\xe2\x84\xab",
            b"\xf0\x9d\x85\x9e",
            b"x" * 1000, b"\xc3\xa9" * 500, b"\xcc\x81" * 100, b"\xcc\xa3" * 100, b"\xe2\x80\x8b", b"A", b"\xff",
        ),
        65_536,
        (b"a long enough passphrase", b"e\xcc\x81" * 20),
    ),
)  # fmt: skip
