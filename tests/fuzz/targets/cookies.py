"""The `Cookie` header in, `Set-Cookie` out."""

from __future__ import annotations

from coatcheck.http.cookies import DUPLICATE, MAX_COOKIE, MAX_HEADER, MAX_PAIRS, CookieStyle, Duplicate, read, write
from tests.fuzz.targets.target import Target, text_of

NAME = b"__Host-coatcheck"
STYLE = CookieStyle(name=NAME.decode())
TOKEN = b"k" * 43


def _read(octets: bytes) -> str | Duplicate | None:
    return read(octets.split(b"\n"), NAME.decode())  # a line is one Cookie field


def _judge_read(octets: bytes, answer: str | Duplicate | None) -> None:
    """CKY-08 to CKY-12 by the plainest reading: split, trim, split, compare."""
    header = octets.replace(b"\n", b"; ")
    pairs = [pair.strip(b" \t").partition(b"=") for pair in header.split(b";")]
    values = [value for name, equals, value in pairs if equals and name == NAME]
    if len(header) > MAX_HEADER or len(pairs) > MAX_PAIRS or not values:
        assert answer is None
    elif len(values) > 1:
        assert answer is DUPLICATE
        assert not answer
    elif isinstance(answer, str):
        assert answer.encode("ascii") == values[0]
    else:
        assert answer is None
        assert not values[0].isascii()


def _write(octets: bytes) -> str | ValueError:
    try:
        return write(STYLE, text_of(octets), max_age=None)
    except ValueError as refused:
        return refused


def _judge_written(octets: bytes, answer: str | ValueError) -> None:
    """CKY-06, CKY-15: what is written is read back the same and says nothing more; what is refused is not repeated."""
    if isinstance(answer, ValueError):
        assert len(octets) < 8 or text_of(octets) not in str(answer)
        return
    pair, *attributes = answer.split("; ")
    assert attributes == ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]
    assert answer.isascii()
    assert answer.isprintable()
    assert len(pair) - 1 <= 4096
    assert read([pair.encode()], STYLE.name) == text_of(octets)


TARGETS = (
    Target(
        "cookie header",
        _read,
        _judge_read,
        (
            NAME, NAME + b"=", NAME + b"=" + TOKEN, b"=", b";", b"; ", b" ", b"\t", b"\n", b'"', b"\\", b",", b"%3d",
            b"__host-coatcheck=", b"__Host-coatcheck-pre=", b"x__Host-coatcheck=", b"$Version=1", b"a=b", b"a=b;" * 66,
            b"\xc2\xa0", b"\xe2\x80\x80", b"\x0b", b"\x00", b"\r", b"\xff", b"%5f%5fHost-coatcheck=", b";" * 199,
        ),
        MAX_HEADER,
        (NAME + b"=" + TOKEN, b"a=b; " + NAME + b"=" + TOKEN + b"; c=d", b"a=b\n" + NAME + b"=" + TOKEN),
    ),
    Target(
        "set-cookie",
        _write,
        _judge_written,
        (
            TOKEN, b"a", b"=", b";", b"; Domain=e.example", b" ", b",", b'"', b"\\", b"\r\nSet-Cookie: x=1", b"\x00",
            b"\x7f", "é".encode(), b"v" * 4080, b"__Host-coatcheck=",
        ),
        MAX_COOKIE,
        (TOKEN,),
    ),
)  # fmt: skip
