"""Everything that can be read of a store, in a form in which two stores can be compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import msgspec

from coatcheck.core import session_data
from coatcheck.core.records import SessionRecord
from coatcheck.core.throttle import Gate, Settlement
from coatcheck.stores.protocols import Answer, Store
from coatcheck.testing.lives import values
from coatcheck.testing.samples import a_digest, a_handle, admit

Pages = Callable[[str | None], Awaitable[tuple[tuple[Any, ...], str | None]]]


Sight = dict[str, object]


async def everything(store: Store, *, shelf_bits: int, limit: int) -> Sight:
    """Read all that the store keeps of the values there are, lists in pages of at most `limit`.

    `shelf_bits` are those by which digests were drawn, also where the store has no shelves itself.
    """
    sight: Sight = {}
    for digest in every_digest(shelf_bits):
        sight[f"find {digest.hex()[:8]}"] = await store.find(digest)
    for number in range(values.MANY):
        sight[f"find_by_id {number}"] = await store.find_by_id(a_handle(number))
    for subject in values.SUBJECTS:
        sight[f"sessions_of {subject!r}"] = await store.sessions_of(subject)
        sight[f"account {subject!r}"] = await store.account(subject)
        sight[f"credential {subject!r}"] = await store.credential(subject)
    for key in values.KEYS:
        sight[f"identify {key!r}"] = await store.identify(key)
    sight["states_of"] = await store.states_of(values.SUBJECTS)
    sight["scan_sessions"] = sorted(await all_pages(session_pages(store, limit), limit), key=lambda f: f.session.id)
    sight["scan_accounts"] = await all_pages(account_pages(store, limit), limit)
    for owner in (None, *values.SUBJECTS[:2]):
        sight[f"events_of {owner!r}"] = await all_pages(event_pages(store, owner, limit), limit)
    await store.ready()
    return sight


async def waits(store: Store, *, now: int) -> list[int | Answer]:
    """Say how long each gate would have an attempt wait."""
    return [await wait_at(store, key, now=now) for key in values.GATES]


async def nothing_of(store: Store, name: str) -> Sight:
    """Look up what is nobody's name, id or cursor."""
    return {
        "find": await store.find(bytes(32)),
        "find_by_id": await store.find_by_id(name),
        "sessions_of": await store.sessions_of(name),
        "states_of": await store.states_of([name, *values.SUBJECTS]),
        "account": await store.account(name),
        "credential": await store.credential(name),
        "identify": await store.identify(name),
        "enable": await store.enable(name, events=()),
        "events_of": await store.events_of(name, after=None, limit=5),
        "events_of after": await store.events_of(None, after=name, limit=5),
    }


def every_digest(shelf_bits: int) -> list[bytes]:
    """Give all digests that random calls are made with, on all their shelves."""
    return [
        *dict.fromkeys(
            values.on_shelf_of(a_digest(number), owner, shelf_bits)
            for number in range(values.MANY)
            for owner in (None, *values.SUBJECTS)
        )
    ]


async def wait_at(store: Store, key: bytes, *, now: int) -> int | Answer:
    """Say how long a gate would have an attempt wait, without counting any; 1 stands for "at most a second".

    A refused attempt changes nothing, so it is made together with one at a gate that is closed for a second.
    """
    plug = Gate(bytes(32), free=1, delay=1, delay_max=1, is_cleared=True, starts_over=False, crowd=0)
    await admit(store, [plug], at=now)
    await store.settle([Settlement(plug, "failure", now)], account=None, events=())
    gate = Gate(key, free=2, delay=30, delay_max=30, is_cleared=True, starts_over=False, crowd=0)
    return await admit(store, [plug, gate], at=now)


def session_pages(store: Store, limit: int) -> Pages:
    """Give what reads the page of sessions after a cursor."""

    async def page(after: str | None) -> tuple[tuple[Any, ...], str | None]:
        found = await store.scan_sessions(after=after, limit=limit)
        return found.sessions, found.next

    return page


def account_pages(store: Store, limit: int) -> Pages:
    """Give what reads the page of accounts after a cursor."""

    async def page(after: str | None) -> tuple[tuple[Any, ...], str | None]:
        found = await store.scan_accounts(after=after, limit=limit)
        return found.accounts, found.next

    return page


def event_pages(store: Store, subject: str | None, limit: int) -> Pages:
    """Give what reads the page of events after a cursor."""

    async def page(after: str | None) -> tuple[tuple[Any, ...], str | None]:
        found = await store.events_of(subject, after=after, limit=limit)
        return found.events, found.next

    return page


async def all_pages(pages: Pages, limit: int) -> list[Any]:
    """Read all pages, none of which may hold more than was asked for."""
    met: list[Any] = []
    after: str | None = None
    while True:
        page, after = await pages(after)
        if len(page) > limit:
            raise AssertionError(f"a page of {limit} holds {len(page)}")
        met += page
        if after is None:
            return met


def differences(found: object, expected: object) -> list[object]:
    """Name what differs of two answers; nothing if they are alike.

    Alike is more than equal: a number is no truth value. It is less, too: stores may write the same session data in
    another order, and the same JSON with other spaces and escapes.
    """
    if msgspec.msgpack.encode(found) == msgspec.msgpack.encode(expected):
        return []
    one, other = _plain(found), _plain(expected)
    if one == other:
        return []
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [one, other]
    here, there = cast("dict[str, object]", one), cast("dict[str, object]", other)
    return [(name, here.get(name), there.get(name)) for name in here | there if here.get(name) != there.get(name)]


def _plain(value: object) -> object:
    if isinstance(value, SessionRecord):
        whole = msgspec.structs.asdict(value) | {"data": _meaning(value.data)}
        return {field: _plain(content) for field, content in whole.items()}
    if isinstance(value, msgspec.Struct):
        return {field: _plain(content) for field, content in msgspec.structs.asdict(value).items()}
    if isinstance(value, Mapping):
        return {key: _plain(content) for key, content in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return value if value is None or isinstance(value, str | bytes) else repr(value)


def _meaning(data: bytes) -> object:
    return {
        namespace: {key: session_data.decode_value(text) for key, text in kept.items()}
        for namespace, kept in session_data.decode(data).items()
    }
