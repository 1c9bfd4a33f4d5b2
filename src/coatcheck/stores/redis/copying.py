"""Everything a store keeps, page by page, and how a page comes into another one (`CopyStore`).

A round walks the indexes one after the other: accounts, the subjects of each shelf, the handles of each shard,
counters, events. Where it stands is in the cursor: `part:position`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.core.throttle import Counter
from coatcheck.core.tokens import subject_digest
from coatcheck.errors import CorruptRecord
from coatcheck.stores.protocols import Contents, Extent
from coatcheck.stores.redis import kept, keys
from coatcheck.stores.redis.kept import Argument, Reply
from coatcheck.stores.redis.keys import SHELVES, place_of, place_of_subject

R = TypeVar("R")
TOGETHER = 250  # records taken in by one script: while it runs, everybody waits


class Run(Protocol):
    """Runs a script by its name, with the key it begins with."""

    def __call__(self, name: str, key: str, /, *arguments: Argument) -> Awaitable[Reply]:
        """Give its answer."""
        ...


class Call(Protocol):
    """Sends a command that reads; the key comes second, without its prefix."""

    def __call__(self, command: str, key: str, /, *arguments: Argument) -> Awaitable[Reply]:
        """Give its answer."""
        ...


async def page_of(read: Run, call: Call, *, after: str | None, limit: int) -> Contents:
    """Read the next page."""
    part, _, position = (after or "accounts:").partition(":")
    match part:
        case "accounts":
            return await _accounts(read, position, limit)
        case "states":
            return await _states(read, call, position, limit)
        case "sessions":
            return await _sessions(read, position, limit)
        case "counters":
            return await _counters(read, int(position), limit)
        case _:
            return await _events(call, int(position), limit)


async def extent(call: Call) -> Extent:
    """Count what the indexes name; some of it may have outlived its time."""

    async def count(*indexes: str) -> int:
        return sum([await call("ZCARD", index) for index in indexes])

    shelves = [f"{{{shelf:02x}}}" for shelf in range(SHELVES)]
    return Extent(
        accounts=await count("accounts"),
        subjects=await count(*(f"subjects:{shelf}" for shelf in shelves)),
        sessions=await count(*(f"handles:{shelf}" for shelf in shelves)),
        counters=await count("counters:{attempts}"),
        events=await count("event:{log}"),
    )


async def load(write: Run, contents: Contents) -> None:
    """Take in a page, in place of what is there under the same keys."""
    steps: list[tuple[str, str, Sequence[Any], Callable[[Any], Sequence[Argument]]]] = [
        ("load_accounts", "accounts", contents.accounts, _account_arguments),
        ("load_states", "everybody:{00}", contents.states, _state_arguments),
        ("load_sessions", "handles:{00}", contents.sessions, _session_arguments),
        ("load_counters", "counters:{attempts}", contents.counters, _counter_arguments),
        ("load_events", "event:{log}", contents.events, _event_arguments),
    ]
    for script, key, records, arguments_of in steps:
        for first in range(0, len(records), TOGETHER):
            some = records[first : first + TOGETHER]
            await write(script, key, len(some), *(argument for one in some for argument in arguments_of(one)))


async def _accounts(read: Run, position: str, limit: int) -> Contents:
    listed = await read("export_accounts", "accounts", _after(position), limit)
    accounts, unreadable = _readable(_account_of, listed)
    following = f"accounts:{listed[-1][0].hex()}" if len(listed) == limit else "states:00."
    return Contents(accounts=accounts, unreadable=unreadable, next=following)


async def _states(read: Run, call: Call, position: str, limit: int) -> Contents:
    tag, _, last = position.partition(".")
    shelf = int(tag, 16)
    everybody = [] if shelf or last else [None, await call("GET", "everybody:{00}")]
    listed: list[Reply] = []
    while shelf < SHELVES and not listed:
        listed = await read("export_states", f"subjects:{{{shelf:02x}}}", f"{{{shelf:02x}}}", _after(last), limit)
        shelf, last = (shelf, listed[-1][0].hex()) if len(listed) == limit else (shelf + 1, "")
    states, unreadable = _readable(_state_of, [*([everybody] if everybody else []), *listed])
    following = f"states:{shelf:02x}.{last}" if shelf < SHELVES else "sessions:00."
    return Contents(states=states, unreadable=unreadable, next=following)


async def _sessions(read: Run, position: str, limit: int) -> Contents:
    shard, _, last = position.partition(".")
    key = f"handles:{{{shard}}}"
    listed, looked_at = await read("scan_sessions", key, SHELVES, int(shard, 16), _after(last), limit)
    sessions, unreadable = _readable(_session_of, listed)
    following = "counters:0" if looked_at is None else f"sessions:{looked_at[0]:02x}.{looked_at[1].hex()}"
    return Contents(sessions=sessions, unreadable=unreadable, next=following)


async def _counters(read: Run, rank: int, limit: int) -> Contents:
    listed = await read("export_counters", "counters:{attempts}", rank, limit)
    counters, unreadable = _readable(_counter_of, [entry for entry in listed if entry[1] is not None])
    following = f"counters:{rank + limit}" if len(listed) == limit else "events:0"
    return Contents(counters=counters, unreadable=unreadable, next=following)


async def _events(call: Call, above: int, limit: int) -> Contents:
    listed = await call("ZRANGEBYSCORE", "event:{log}", f"({above}", "+inf", "WITHSCORES", "LIMIT", 0, limit)
    events, unreadable = _readable(_event_of, listed[::2])
    following = f"events:{listed[-1].decode()}" if len(listed) == 2 * limit else None
    return Contents(events=events, unreadable=unreadable, next=following)


def _after(last: str) -> bytes:
    return b"(" + bytes.fromhex(last) if last else b"-"


def _readable(make: Callable[[Reply], R], listed: Iterable[Reply]) -> tuple[tuple[R, ...], tuple[str, ...]]:
    made: list[R] = []
    unreadable: list[str] = []
    for entry in listed:
        try:
            made.append(make(entry))
        except CorruptRecord as error:
            unreadable.append(error.record)
    return tuple(made), tuple(unreadable)


def _account_of(entry: Reply) -> tuple[AccountRecord, PasswordCredential | None]:
    fields = entry[1]
    account = kept.account_of(fields[0] if fields else None)
    return account, kept.credential_of(account.subject, fields[1:])


def _state_of(entry: Reply) -> SubjectState:
    listed, state = entry
    if listed is None:
        return kept.everybody_of(state)
    try:
        return kept.state_of(listed[32:].decode(), state)
    except UnicodeDecodeError:
        raise CorruptRecord("subject") from None


def _session_of(entry: Reply) -> SessionRecord:
    place, *parts = entry
    return kept.found_of(keys.digest_at(place), *parts).session


def _counter_of(entry: Reply) -> tuple[bytes, Counter]:
    key, counter = entry
    try:
        return bytes.fromhex(key.decode()), kept.counter_of(counter)
    except ValueError:
        raise CorruptRecord("counter") from None


def _event_of(event: bytes) -> tuple[int, EventRecord]:
    return kept.number_of(event), kept.event_of(event)


def _account_arguments(entry: tuple[AccountRecord, PasswordCredential | None]) -> Sequence[Argument]:
    account, credential = entry
    password = ("", "", "") if credential is None else (credential.hash, credential.version, credential.changed_at)
    names = ("-" if key is None else keys.name_digest(key) for key in (account.username_key, account.email_key))
    subject = account.subject
    listed = keys.listed(subject)
    return [place_of_subject(subject), listed, kept.kept_account(account), *names, *password]


def _state_arguments(state: SubjectState) -> Sequence[Argument]:
    if not state.subject:
        return ["-", "", kept.kept_state(state)]
    entry = subject_digest(state.subject) + state.subject.encode()
    return [place_of_subject(state.subject), entry, kept.kept_state(state)]


def _session_arguments(session: SessionRecord) -> Sequence[Argument]:
    index = "-"
    if session.subject is not None:
        index = f"{'live' if session.ended_at is None else 'ended'}:{place_of_subject(session.subject)}"
    data = kept.kept_data(session.data)
    return [
        place_of(session.digest),
        b"%d%b" % (session.epoch, kept.kept_session(session)),
        keys.seconds_to_live(session.expires_at - session.created_at),
        session.id,
        keys.handle_of(session.id, session.subject, session.digest),
        index,
        len(data) // 2,
        *data,
    ]


def _counter_arguments(entry: tuple[bytes, Counter]) -> Sequence[Argument]:
    key, counter = entry
    ttl = keys.seconds_to_live(counter.kept_until - counter.counted_at)
    return [key.hex(), kept.kept_counter(counter), ttl, counter.kept_until]


def _event_arguments(entry: tuple[int, EventRecord]) -> Sequence[Argument]:
    number, event = entry
    return [number, *kept.kept_event(event)]
