"""The Redis and Valkey store, on one node.

Every change is one script, which the server carries out before it listens to anybody else; it reads and refuses first
and writes last, so that whatever stops it leaves nothing half done. Every read is one script or command. Partner
modules: `keys` (where things lie), `scripts`, `kept` (records and what is kept of them), `lines` (connections),
`checks` (what a server must be), `trouble` (errors).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from redis import exceptions

from coatcheck.colour import Async, Colour
from coatcheck.core import session_data
from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.core.sessions import Rotation, death_of, standing_under
from coatcheck.core.throttle import COUNTER_KEPT, LOCK_KEPT, PENDING_KEPT, Gate, Settlement
from coatcheck.core.tokens import subject_digest
from coatcheck.errors import CoatcheckError, ConfigurationError, CorruptRecord, StoreConflict, StoreUnavailable
from coatcheck.stores.protocols import (
    AccountPage,
    Answer,
    Contents,
    Cutoffs,
    EventPage,
    Extent,
    Found,
    Identified,
    Purged,
    SessionPage,
    Started,
)
from coatcheck.stores.redis import checks, copying, kept, keys
from coatcheck.stores.redis.address import address_of
from coatcheck.stores.redis.kept import Argument, Reply
from coatcheck.stores.redis.keys import SHELF_BITS, SHELVES, place_of, place_of_subject
from coatcheck.stores.redis.lines import PATIENCE, Line, Lines, left_until, pack
from coatcheck.stores.redis.scripts import script
from coatcheck.stores.redis.trouble import is_demoted, translated

T = TypeVar("T")
replace = msgspec.structs.replace

_THROTTLE: tuple[Argument, ...] = (COUNTER_KEPT, LOCK_KEPT, PENDING_KEPT, keys.GRACE)
_ANSWERS = {
    b"gone": Answer.GONE,
    b"too_large": Answer.TOO_LARGE,
    b"not_an_integer": Answer.NOT_AN_INTEGER,
    b"refused": Answer.REFUSED,
    b"locked": Answer.LOCKED,
    b"username_taken": Answer.USERNAME_TAKEN,
    b"email_taken": Answer.EMAIL_TAKEN,
}
_BATCH = 250  # of purging: while a script runs, everybody waits
_POSITION = re.compile(r"([0-3][0-9a-f])\.(.*)", re.DOTALL)  # a shard, and the public id that was looked at last
_log = logging.getLogger("coatcheck")
_told: set[str] = set()  # of what this process was warned already


class _UnknownScript(Exception):
    pass


class RedisStore:
    """Keeps the contract of `coatcheck.stores.protocols.Store` on one Redis or Valkey server.

    The URL is `redis://`, `rediss://` (TLS) or `valkey://`, `valkeys://`. Nothing is opened before first use. With
    `holds_accounts` False it is a store of sessions, whose accounts live elsewhere.

    Raises:
        ConfigurationError: the URL is not one.
    """

    shelf_bits = SHELF_BITS

    def __init__(self, url: str, colour: Colour, *, holds_accounts: bool = True) -> None:
        self.holds_accounts = holds_accounts
        self._address = address_of(url)
        self._prefix = f"{self._address.prefix}:"
        self._is_async = isinstance(colour, Async)
        self._lines = Lines(self._address, is_async=self._is_async, look=self._look)
        self._find_sha = script("find").sha
        self._has_met = False  # the server has let us in once: what fails later is an outage

    # Sessions

    async def find(self, digest: bytes) -> Found | None:
        prefix, place = self._prefix, place_of(digest)
        answer = await self._call(
            ("EVALSHA", self._find_sha, 1, f"{prefix}session:{place}", prefix, place), script_name="find", is_read=True
        )
        return None if answer is None else kept.found_of(digest, *answer)

    async def start(
        self,
        session: SessionRecord,
        *,
        replaces: bytes | None,
        keep_at_login: Collection[str] | None,
        credential_version: int | None,
        most: int,
        settlements: Sequence[Settlement],
        events: Sequence[EventRecord],
        eviction: EventRecord | None,
    ) -> Started | Answer:
        place = place_of(session.digest)
        data = kept.kept_data(session.data)
        answer = await self._write(
            "start",
            f"session:{place}",
            *_THROTTLE,
            place,
            kept.kept_session(session),
            keys.seconds_to_live(session.expires_at - session.created_at),
            session.created_at,
            session.id,
            keys.handle_of(session.id, session.subject, session.digest),
            *(("-", "") if session.subject is None else (place_of_subject(session.subject), session.subject)),
            "-" if credential_version is None else credential_version,
            most,
            int(self.holds_accounts),
            "-" if replaces is None else place_of(replaces),
            *kept.crossing_arguments(keep_at_login),
            len(data) // 2,
            *data,
            *kept.settlement_arguments(settlements),
            *kept.event_arguments(events),
            *kept.template_arguments(eviction),
        )
        if answer == b"conflict":
            raise StoreConflict("a session with this digest or id exists already")
        if isinstance(answer, bytes):
            return _ANSWERS[answer]
        epoch, evicted, carried = answer
        begun = replace(session, epoch=int(epoch))
        if carried is not None:
            begun = replace(begun, data=_readable(f"session {session.id}", lambda: kept.data_of(carried)))
        return Started(begun, tuple(public_id.decode() for public_id in evicted))

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        place = place_of(digest)
        answer: int = await self._write("touch", f"session:{place}", place, seen_at)
        return answer == 1

    async def patch(
        self, digest: bytes, *, namespace: str, puts: Mapping[str, bytes], removes: Collection[str], limit: int
    ) -> Answer | None:
        place = place_of(digest)
        answer = await self._write(
            "patch",
            f"session:{place}",
            place,
            limit,
            len(removes),
            *(kept.field_of(namespace, key) for key in removes),
            *kept.put_arguments(namespace, puts),
        )
        return _ANSWERS.get(answer)

    async def increment(self, digest: bytes, *, namespace: str, key: str, by: int, limit: int) -> int | Answer:
        place, field = place_of(digest), kept.field_of(namespace, key)
        was, now = b"", ""
        while True:
            answer = await self._write("increment", f"session:{place}", place, field, by, limit, was, now)
            if answer[0] == b"done":
                return int(answer[1])
            if answer[0] != b"odd":
                return _ANSWERS[answer[0]]
            # The server does not read all that JSON calls an integer (-0), and says the same of what is none.
            was = answer[1]
            number = session_data.integer_at(b'{"":{"":%b}}' % was, "", "")
            if number is None or abs(number) > session_data.INTEGER_MAX:
                return Answer.NOT_AN_INTEGER
            now = str(number)

    async def rotate(self, rotation: Rotation, *, events: Sequence[EventRecord]) -> bool:
        place = place_of(rotation.digest)
        return self._is_done(
            await self._write("rotate", f"session:{place}", place, *_turn(rotation), *kept.event_arguments(events))
        )

    async def end(self, digest: bytes, *, at: int, reason: str, events: Sequence[EventRecord]) -> bool:
        place = place_of(digest)
        answer: int = await self._write("end", f"session:{place}", place, at, reason, *kept.event_arguments(events))
        return answer == 1

    async def end_by_id(
        self, session_id: str, *, subject: str, at: int, reason: str, events: Sequence[EventRecord]
    ) -> bool:
        if not (_is_text(session_id) and _is_text(subject)):
            return False
        owner = place_of_subject(subject)
        answer: int = await self._write(
            "end_by_id", f"live:{owner}", owner, session_id, at, reason, *kept.event_arguments(events)
        )
        return answer == 1

    async def raise_epoch(
        self,
        subject: str,
        *,
        at: int,
        reason: str,
        keep: Rotation | None,
        credential_version: int | None,
        disabled_at: int | None,
        events: Sequence[EventRecord],
    ) -> bool:
        return await self._raise_epoch(
            subject,
            at=at,
            reason=reason,
            keep=keep,
            version=credential_version,
            disabled_at=disabled_at,
            credential=None,
            events=events,
        )

    async def raise_everybody(self, *, at: int, reason: str, events: Sequence[EventRecord]) -> None:
        await self._write("raise_everybody", "everybody:{00}", SHELVES, at, reason, *kept.event_arguments(events))

    async def enable(self, subject: str, *, events: Sequence[EventRecord]) -> bool:
        if not _is_text(subject):
            return False
        owner = place_of_subject(subject)
        answer: int = await self._write("enable", f"subject:{owner}", owner, *kept.event_arguments(events))
        return answer == 1

    async def sessions_of(self, subject: str) -> tuple[Found, ...]:
        if not _is_text(subject):
            return ()
        owner = place_of_subject(subject)
        listed = await self._read("sessions_of", f"live:{owner}", owner)
        standing = [found for found in _readable_of(listed) if _is_standing(found)]
        return tuple(sorted(standing, key=lambda f: (f.session.created_at, f.session.id), reverse=True))

    async def find_by_id(self, session_id: str) -> Found | None:
        if not _is_text(session_id):
            return None
        shard = f"handles:{{{keys.shard_of(session_id):02x}}}"
        answer = await self._read("find_by_id", shard, f"{self._prefix}{shard}", keys.ordered(session_id))
        return None if answer is None else _found(answer)

    async def scan_sessions(self, *, after: str | None, limit: int) -> SessionPage:
        shard, position = _scan_position(after)
        listed, last_looked_at = await self._read(
            "scan_sessions", f"handles:{{{shard % SHELVES:02x}}}", SHELVES, shard, position, limit
        )
        if last_looked_at is None:
            return SessionPage(_readable_of(listed), None)
        shard, handle = last_looked_at
        return SessionPage(_readable_of(listed), f"{shard:02x}.{keys.text_of(handle[:-35])}")

    async def any_live(self, *, at: int) -> bool:
        after: str | None = None
        while True:
            page = await self.scan_sessions(after=after, limit=_BATCH)
            if any(death_of(found.session, found.state, now=at) is None for found in page.sessions):
                return True
            after = page.next
            if after is None:
                return False

    async def states_of(self, subjects: Sequence[str]) -> Mapping[str, SubjectState]:
        wanted = [subject for subject in subjects if _is_text(subject)]
        if not wanted:
            return {}
        places = [place_of_subject(subject) for subject in wanted]
        answer = await self._read("states_of", f"subject:{places[0]}", len(places), *places)
        states: dict[str, SubjectState] = {}
        for subject, (state, everybody) in zip(wanted, answer, strict=True):
            if state is not None:
                try:
                    states[subject] = standing_under(kept.state_of(subject, state), kept.everybody_of(everybody))
                except CorruptRecord:
                    continue
        return states

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        kind, _, position = (after or "sessions:00.").partition(":")
        limit = max(1, min(limit, _BATCH))
        if kind == "sessions":
            return await self._purge_sessions(position, cutoffs.ended_before, limit)
        if kind == "counters":
            gone, is_over = await self._write("purge_counters", "counters:{attempts}", limit, cutoffs.counters_before)
            return Purged(0, gone, 0, "events:0" if is_over else "counters:")
        gone, last = await self._write("purge_events", "event:{log}", f"({position}", limit, cutoffs.events_before)
        return Purged(0, 0, gone, None if last is None else f"events:{last.decode()}")

    # Attempts

    async def admit(self, gates: Sequence[Gate], *, subject: str | None, now: int) -> int | Answer:
        if not gates and subject is None:
            return 0
        owner = "-" if subject is None else place_of_subject(subject if _is_text(subject) else "")
        written: list[Argument] = []
        for gate in gates:
            written += kept.gate_arguments(gate)
        answer = await self._write("admit", "counters:{attempts}", *_THROTTLE, owner, now, len(gates), *written)
        return _ANSWERS[answer] if answer in _ANSWERS else int(answer)

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        if account is None and not settlements and not events:
            return None
        asked = "-" if account is None or not self.holds_accounts else place_of_subject(account)
        answer = await self._write(
            "settle",
            "counters:{attempts}",
            *_THROTTLE,
            asked,
            *kept.settlement_arguments(settlements),
            *kept.event_arguments(events),
        )
        return _ANSWERS.get(answer)

    # Accounts

    async def create_account(
        self, account: AccountRecord, credential: PasswordCredential, *, events: Sequence[EventRecord]
    ) -> Answer | None:
        owner = place_of_subject(account.subject)
        answer = await self._write(
            "create_account",
            f"subject:{owner}",
            owner,
            keys.listed(account.subject),
            kept.kept_account(account),
            credential.hash,
            credential.version,
            credential.changed_at,
            "-" if account.username_key is None else keys.name_digest(account.username_key),
            "-" if account.email_key is None else keys.name_digest(account.email_key),
            *kept.event_arguments(events),
        )
        if answer == b"conflict":
            raise StoreConflict("an account with this subject exists already")
        return _ANSWERS.get(answer)

    async def identify(self, key: str) -> Identified | None:
        if not _is_text(key):
            return None
        answer = await self._read("identify", f"name:{keys.name_digest(key)}")
        return None if answer is None else kept.identified_of(answer)

    async def account(self, subject: str) -> AccountRecord | None:
        answer = await self._of_subject("HGET", subject, "account")
        return None if answer is None else kept.account_of(answer)

    async def credential(self, subject: str) -> PasswordCredential | None:
        answer = await self._of_subject("HMGET", subject, "hash", "version", "changed_at")
        return None if answer is None else kept.credential_of(subject, answer)

    async def replace_password(self, credential: PasswordCredential, *, was: int) -> bool:
        answer: int = await self._write(
            "replace_password",
            f"subject:{place_of_subject(credential.subject)}",
            was,
            credential.hash,
            credential.version,
            credential.changed_at,
        )
        return answer == 1

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        answer: int = await self._write("rehash", f"subject:{place_of_subject(subject)}", was, new)
        return answer == 1

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        position = b"-" if after is None else b"(" + keys.ordered(after)[:-1] + b"\1"
        listed = await self._read("scan_accounts", "accounts", position, limit + 1)
        page = listed[:limit]
        accounts: list[AccountRecord] = []
        for _, account in page:
            try:
                accounts.append(kept.account_of(account))
            except CorruptRecord:
                continue
        # From the list, not from what could be made of it: a page of nothing but corrupt ones is not the last.
        last = keys.text_of(page[-1][0][:-34]) if page and len(listed) > limit else None
        return AccountPage(tuple(accounts), last)

    # Events

    async def record(self, events: Sequence[EventRecord]) -> None:
        await self.settle((), account=None, events=events)

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        below = "+inf" if after is None else f"({_event_position(after)}"
        if subject is None:
            listed = await self._ask("ZREVRANGEBYSCORE", "event:{log}", below, "-inf", "LIMIT", 0, limit + 1)
        elif _is_text(subject):
            listed = await self._read("events_of", "event:{log}", subject_digest(subject).hex(), below, limit + 1)
        else:
            return EventPage((), None)
        page = listed[:limit]
        events: list[EventRecord] = []
        for event in page:
            try:
                events.append(kept.event_of(event))
            except CorruptRecord:
                continue
        return EventPage(tuple(events), str(kept.number_of(page[-1])) if page and len(listed) > limit else None)

    # Accounts and sessions together

    async def change_password(
        self,
        credential: PasswordCredential,
        *,
        at: int,
        reason: str,
        keep: Rotation,
        events: Sequence[EventRecord],
    ) -> bool:
        return await self._raise_epoch(
            credential.subject,
            at=at,
            reason=reason,
            keep=keep,
            version=credential.version,
            disabled_at=None,
            credential=credential,
            events=events,
        )

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        if not _is_text(subject):
            return False
        owner = place_of_subject(subject)
        answer: int = await self._write(
            "delete_account",
            f"subject:{owner}",
            owner,
            subject,
            int(self.holds_accounts),
            keys.listed(subject),
            len(counters),
            *(key.hex() for key in counters),
            *kept.event_arguments(events),
        )
        return answer == 1

    # The engine

    @property
    def location(self) -> str:
        return f"redis {self._address.where}"

    async def ready(self) -> None:
        await self._ask("EXISTS", "version")

    async def close(self) -> None:
        await self._lines.close()

    async def advisories(self) -> tuple[str, ...]:
        return (await self._looked_at()).advisories

    @property
    def schema_latest(self) -> int:
        return checks.VERSION

    async def schema_version(self) -> int:
        """Read the version of what is kept; 0 if nothing was kept yet. Changes and creates nothing.

        Raises SchemaMismatch if what begins with our prefix is another program's.
        """
        return (await self._looked_at()).version or 0

    # Moving it all

    async def export(self, *, after: str | None, limit: int) -> Contents:
        return await copying.page_of(self._read, self._ask, after=after, limit=limit)

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        # Step by step, the bookmark last: what it says has been loaded is there.
        await copying.load(self._write, contents)
        key = f"{self._prefix}bookmark"
        await self._call(("DEL", key) if bookmark is None else ("SET", key, bookmark), is_read=False)

    async def extent(self) -> Extent:
        return await copying.extent(self._ask)

    async def bookmark(self) -> str | None:
        text = await self._ask("GET", "bookmark")
        return None if text is None else _readable("bookmark", text.decode)

    # Asking

    async def _raise_epoch(
        self,
        subject: str,
        *,
        at: int,
        reason: str,
        keep: Rotation | None,
        version: int | None,
        disabled_at: int | None,
        credential: PasswordCredential | None,
        events: Sequence[EventRecord],
    ) -> bool:
        owner = place_of_subject(subject)
        password: tuple[Argument, ...] = ("-", "", "")
        if credential is not None:
            password = (credential.version - 1, credential.hash, credential.changed_at)
        return self._is_done(
            await self._write(
                "raise_epoch",
                f"subject:{owner}",
                owner,
                subject,
                at,
                reason,
                version or 0,
                "-" if disabled_at is None else disabled_at,
                *password,
                *(("-",) if keep is None else (place_of(keep.digest), *_turn(keep))),
                *kept.event_arguments(events),
            )
        )

    async def _purge_sessions(self, position: str, cutoff: int, limit: int) -> Purged:
        shard, _, last = position.partition(".")
        start = b"(" + bytes.fromhex(last) if last else b"-"
        gone, shelf, handle = await self._write(
            "purge_sessions", f"handles:{{{shard}}}", SHELVES, int(shard, 16), start, limit, cutoff
        )
        return Purged(gone, 0, 0, "counters:" if shelf < 0 else f"sessions:{shelf:02x}.{handle.hex()}")

    async def _of_subject(self, command: str, subject: str, *fields: str) -> Reply:
        if not _is_text(subject):
            return None
        return await self._ask(command, f"subject:{place_of_subject(subject)}", *fields)

    async def _write(self, name: str, key: str, *arguments: Argument) -> Reply:
        return await self._run(name, key, arguments, is_read=False)

    async def _read(self, name: str, key: str, *arguments: Argument) -> Reply:
        return await self._run(name, key, arguments, is_read=True)

    async def _ask(self, command: str, key: str, *arguments: Argument) -> Reply:
        return await self._call((command, self._prefix + key, *arguments), is_read=True)

    async def _run(self, name: str, key: str, arguments: tuple[Argument, ...], *, is_read: bool) -> Reply:
        command = ("EVALSHA", script(name).sha, 1, self._prefix + key, self._prefix, *arguments)
        return await self._call(command, script_name=name, is_read=is_read)

    async def _call(self, command: tuple[Argument, ...], *, script_name: str = "", is_read: bool) -> Reply:
        try:
            return await self._through(self._lines, command, is_read=is_read)
        except _UnknownScript:
            # The server was restarted or its scripts were flushed: nothing has happened yet.
            whole = ("EVAL", script(script_name).text, *command[2:])
            return await self._through(self._lines, whole, is_read=is_read)

    async def _through(self, lines: Lines, command: tuple[Argument, ...], *, is_read: bool) -> Reply:
        try:
            return await lines.call(command, is_read=is_read)
        except exceptions.NoScriptError as error:
            raise _UnknownScript from error
        except exceptions.RedisError as error:
            if is_demoted(error):
                await lines.discard()
            trouble = translated(error, self._address)
            raise (self._outage(trouble) if isinstance(trouble, ConfigurationError) else trouble) from error
        except ConfigurationError as error:
            raise self._outage(error) from error.__cause__
        except OSError as error:
            raise StoreUnavailable(f"the store at {self._address.where} cannot be reached: {error}") from error

    def _outage(self, error: ConfigurationError) -> CoatcheckError:
        """Give what a refusal means once the server has let us in: the setting was right, and the server changed."""
        return StoreUnavailable(str(error)) if self._has_met else error

    async def _look(self, line: Line, deadline: float) -> None:
        """Look at the server behind a connection just opened, and begin a store there if nothing is kept yet."""
        opened = await self._opened(line, deadline)
        checks.check_version(self._address, opened.version)
        if opened.version is None:
            await self._begin(line, deadline)
        self._has_met = True
        for advisory in opened.advisories:
            if advisory not in _told:
                _told.add(advisory)
                _log.warning("store: %s", advisory)

    async def _looked_at(self) -> checks.Opened:
        """Look at the server afresh, through a connection of its own, whatever version is there."""
        seen: list[checks.Opened] = []

        async def look(line: Line, deadline: float) -> None:
            seen.append(await self._opened(line, deadline))

        lines = Lines(self._address, is_async=self._is_async, look=look)
        try:
            await self._through(lines, ("PING",), is_read=True)
        finally:
            await lines.close()
        return seen[-1]

    async def _opened(self, line: Line, deadline: float) -> checks.Opened:
        commands = checks.opening_commands(self._address)
        return checks.check(self._address, await line.ask_all(pack(commands), len(commands), deadline=deadline))

    async def _begin(self, line: Line, deadline: float) -> None:
        """Note the version of what will be kept, unless what begins with our prefix is somebody else's."""
        cursor: Reply = b"0"
        # As far as half of the time goes: among millions of others' keys that is not to the end.
        while left_until(deadline) > PATIENCE / 2:
            command = ("SCAN", cursor, "MATCH", f"{self._prefix}*", "COUNT", 1000)
            cursor, found = await line.ask(pack([command]), deadline=deadline)
            # Ours without a version: it was deleted while a process went on (FLUSHALL).
            if not all(checks.is_ours(self._address, key) for key in found):
                raise checks.foreign(self._address)
            if cursor == b"0":
                break
        await line.ask(pack([("SET", f"{self._prefix}version", checks.VERSION, "NX")]), deadline=deadline)

    @staticmethod
    def _is_done(answer: Any) -> bool:
        if answer == b"conflict":
            raise StoreConflict("a session with this digest exists already")
        return bool(answer == b"done")


def _turn(rotation: Rotation) -> list[Argument]:
    ttl = keys.seconds_to_live(rotation.expires_at - rotation.last_seen_at)
    return kept.turn_arguments(rotation, place_of(rotation.new_digest), ttl)


def _found(listed: Reply) -> Found:
    place, *parts = listed
    return kept.found_of(keys.digest_at(place), *parts)


def _readable_of(listed: Reply) -> tuple[Found, ...]:
    """Make the records of a list, leaving out those that cannot be read: they shall not hide the others."""
    found: list[Found] = []
    for entry in listed:
        try:
            found.append(_found(entry))
        except CorruptRecord:
            continue
    return tuple(found)


def _readable(record: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except kept.UNREADABLE:
        raise CorruptRecord(record) from None


def _is_standing(found: Found) -> bool:
    session, state = found.session, found.state
    return session.ended_at is None and state is not None and state.disabled_at is None and state.epoch == session.epoch


def _scan_position(after: str | None) -> tuple[int, bytes]:
    """Give the shard to go on in, and where; a cursor that no page has given leads behind the last."""
    if after is None:
        return 0, b"-"
    position = _POSITION.fullmatch(after)
    if position is None:
        return SHELVES, b"-"
    return int(position[1], 16), b"(" + keys.ordered(position[2])[:-1] + b"\1"


def _event_position(after: str) -> int:
    # A cursor that no page has given stands at the end: what comes after it is an empty page.
    return int(after) if after.isascii() and after.isdecimal() and len(after) < 16 else 0


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
