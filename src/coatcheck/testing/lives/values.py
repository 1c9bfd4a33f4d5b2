"""What random calls of a store are made with: few of each kind, so that they collide, and all the odd ones.

Text that is kept may hold anything but lone surrogates: nothing of ours hands those on. Text that is looked up may
hold those, too: it comes from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st

from coatcheck.core.records import AccountRecord, EventRecord, SessionRecord
from coatcheck.core.session_data import FLASHES
from coatcheck.core.sessions import Rotation
from coatcheck.core.throttle import Gate, Settlement
from coatcheck.core.tokens import shelf_of
from coatcheck.testing.samples import DAY, HOUR, NOW, a_digest, a_handle, a_session, an_account, an_event

replace = msgspec.structs.replace

MANY = 8  # digests and ids there are in all
ODD = " Ünï\u202e%_' OR 1=1--\x00\n*\\ "
SUBJECTS = ("ada", "bob", "Ada", "\ufb00", "\U0001d49c", ODD)  # of the next-to-last two UTF-16 has the order reversed
NAMES = ("Ada", "ADA", "Bob", "a_a", ODD)
ADDRESSES = ("A@x.org", "b@x.org", "é@x.org")
KEYS = (*dict.fromkeys(name.lower() for name in (*NAMES, *ADDRESSES)),)
GATES = tuple(sha256(name.encode()).digest() for name in ("one", "two", "three"))
NOBODY = ("", "%", "nobody", "\x00", "\ud800", "ada\x00", "x" * 10_000, a_handle(999))

numbers = st.integers(0, MANY - 1)
# Which of those that fit, to begin with; from `ANY` on which of all, and from `UNKNOWN` on any that may be or not.
picks = st.integers(0, 15)
ANY, UNKNOWN = 9, 12
people = st.sampled_from(SUBJECTS[:2]) | st.sampled_from(SUBJECTS)  # mostly the same two
owners = st.none() | people
# Seconds at which something ends or is due, from both sides, and instants no sane clock gives.
instants = st.one_of(
    st.sampled_from([NOW + passed for passed in (0, 1, 59, 60, 61, 63, 64, 3599, 3600, 3659, 3660, 3661, DAY)]),
    st.integers(NOW, NOW + 2 * HOUR),
    st.sampled_from([*[NOW + 2 * HOUR] * 4, NOW + DAY - 1, NOW + DAY, 0, 1, 2**31 - 1, 2**31, 2**36]),
)
# What refuses everything afterwards is rare, or nothing else would ever happen.
versions = st.sampled_from([*[None] * 8, 0, 1, 1, 1, 2, 3, 2**62])
disabled_at = st.sampled_from([None, None, NOW, 0])
texts = st.one_of(st.none(), st.sampled_from(["", "A", "Browser/1.0", ODD, "x" * 5000]), st.text(max_size=5))
words = st.sampled_from(["revoked", "logged_out", "", ODD])
limits = st.sampled_from([8, 30, 1000])
namespaces = st.sampled_from(["app", "x", "_1"])
keys = st.sampled_from(["a", "b", "n", "é", "a.b", "$set", "__proto__", "x" * 256, FLASHES])
json_texts = st.sampled_from(
    [
        b"1", b"0", b"-7", b"true", b"null", b"1.0", b"1e2", b"0.1", b'"1"', b'""', b"[1,2]", b'{"a":{"b":[]}}',
        b"9223372036854775807", b"-9223372036854775807", b"9007199254740993", b'"\\u0000\\ud83d\\ude00"',
        '"é\U0001d49c\u2028"'.encode(), b'"123456789"',
    ]
)  # fmt: skip
addends = st.sampled_from([1, -3, 0, 2**53, 2**63 - 1, -(2**63 - 1)])
gates = st.builds(
    Gate,
    st.sampled_from(GATES),
    free=st.integers(1, 3),
    delay=st.sampled_from([1, 30]),
    delay_max=st.sampled_from([30, HOUR, 2**31]),
    is_cleared=st.booleans(),
    starts_over=st.booleans(),
    crowd=st.integers(0, 2),
    locks=st.sampled_from([False, False, True]),
)
several_gates = st.lists(gates, max_size=2, unique_by=lambda gate: gate.key)
settlements = st.lists(
    st.builds(Settlement, gates, st.sampled_from(["success", "failure", "unread", "lifted"]), instants),
    max_size=2,
    unique_by=lambda settlement: settlement.gate.key,
)


@st.composite
def sessions(draw: st.DrawFn) -> SessionRecord:
    """Draw a session; its digest and id may be another's."""
    number = draw(numbers)
    session = a_session(
        number,
        subject=draw(owners),
        at=draw(instants),
        idle_timeout=draw(st.sampled_from([60, HOUR, 14 * DAY])),
        lifetime=draw(st.sampled_from([60, HOUR, DAY, 30 * DAY])),
        user_agent=draw(texts),
    )
    return replace(
        session,
        digest=a_digest(draw(st.just(number) | numbers)),
        auth_time=draw(st.none() | instants),
        is_persistent=draw(st.booleans()),
        methods=draw(st.sampled_from(["", "pwd", "pwd otp", ODD])),
        ip=draw(texts),
    )


@st.composite
def _one_event(draw: st.DrawFn) -> EventRecord:
    text = draw(texts)
    event = an_event(draw(st.sampled_from(["logged_in", ODD])), subject=draw(owners), at=draw(instants))
    return replace(event, user_agent=text, ip=text, request_id=text)


event = _one_event()
events = st.lists(event, max_size=2)


class Turn(NamedTuple):
    """What a rotation changes, but for the digest it finds the session by; `number` is None to leave it the same."""

    number: int | None
    at: int
    auth_time: int | None
    lifetime: int
    methods: str

    def of(self, digest: bytes, owner: str | None, bits: int) -> Rotation:
        """Make the rotation of a session."""
        return Rotation(
            digest=digest,
            new_digest=digest if self.number is None else on_shelf_of(a_digest(self.number), owner, bits),
            last_seen_at=self.at,
            auth_time=self.auth_time,
            expires_at=self.at + self.lifetime,
            methods=self.methods,
        )


turns = st.builds(
    Turn,
    st.none() | numbers,
    instants,
    st.none() | instants,
    st.sampled_from([60, DAY]),
    st.sampled_from(["pwd", "pwd otp", ODD]),
)


@st.composite
def accounts(draw: st.DrawFn) -> AccountRecord:
    """Draw an account; its names may be taken, one by one."""
    username, email = draw(st.sampled_from([None, *NAMES])), draw(st.sampled_from([None, *ADDRESSES]))
    return replace(an_account(draw(people), username=username, email=email), created_at=draw(instants))


def numbered(drawn: Sequence[EventRecord], first: int) -> tuple[EventRecord, ...]:
    """Give each event a number of its own, by which it is known again."""
    return tuple(replace(event, details={**event.details, "count": first + place}) for place, event in enumerate(drawn))


def on_shelf_of(digest: bytes, subject: str | None, bits: int) -> bytes:
    """Give the digest that stands for this one on a subject's shelf; without shelves it is this one."""
    if not bits or subject is None:
        return digest
    rest = digest[0] & (0xFF >> bits)
    return bytes([shelf_of(subject, bits) << (8 - bits) | rest]) + digest[1:]
