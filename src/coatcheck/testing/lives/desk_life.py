# ruff: noqa: D102, S101 - rules say what people do, and assertions are what they are made of
"""A random life at the desk: people, their devices and the time, beside a model of what should become of them.

After each step the model's word for who is in, with what data, is the desk's, and nobody else is; what was dead once
never lives again. To add an operation of the desk, add a rule, and to `town` what it does.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import nan
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from coatcheck.colour import Colour
from coatcheck.core.views import Absent, Client, Login, Session
from coatcheck.errors import Refused
from coatcheck.stores.protocols import Store
from coatcheck.testing.clock import START, MovableClock
from coatcheck.testing.driving import Driver
from coatcheck.testing.entropy import PredictableEntropy
from coatcheck.testing.lives.desks import AnyDesk, all_of
from coatcheck.testing.lives.people import Device, Hold, Note, Noted, Person
from coatcheck.testing.lives.tally import Tally
from coatcheck.testing.lives.town import DAY, DEVICE_KEPT, HOUR, SETTINGS, STEP_UP, Town

PASSWORDS = ("a long enough passphrase", "another long passphrase", "passphrase 密 three of them")
GONE = "(gone)"  # in a change of session data: take the key out

numbers = st.integers(0, 3)
proofs = st.none() | st.sampled_from(PASSWORDS)  # None: the right one
names = st.sampled_from(["ada", "bob", "eve", "EVE", "Mallory_1", "no", "a b", None])
addresses = st.sampled_from([None, None, "ada@example.org", "EVE@Example.Org", "eve@example.org", "nowhere"])
keys = st.sampled_from(["theme", "visits", "é"])
spaces = st.sampled_from(["app", "cart"])
values: st.SearchStrategy[Any] = st.sampled_from(
    [GONE, 1, 2**53, "dark", None, True, {"of": [1, {"a": []}]}, "x" * 600, "é" * 600, 0.5, {1}, nan]
)
identifiers = st.sampled_from(["ada", " ADA ", "aDa@example.org", "bob", "bob@EXAMPLE.org", "eve", "nobody"])
ahead = st.sampled_from(
    [1, 3, 30, 59, 60, 61, 299, 300, 600, 3599, HOUR, 3660, 3661, 23 * HOUR, DAY, 14 * DAY, 30 * DAY]
)
back = st.sampled_from([-1, -30, -60, -HOUR, -DAY, -31 * DAY])

NO_HOLD: MultipleResults[Hold] = multiple()

# What ends everything happens seldom, or little else would.
rarely = precondition(lambda life: life.steps % 5 == 0)


class DeskLife(RuleBasedStateMachine):
    """People at two desks over one store, which take turns as two processes would.

    Args:
        open_store: opens the store under test; all it has opened share their data.
        driver: runs the desks, in its colour.
        tally: counts the steps, by what was done and what came of it.
    """

    holds = Bundle("holds")
    lively = st.tuples(holds, holds, holds).map(lambda few: next((hold for hold in few if not hold.is_over), few[0]))

    def __init__(self, open_store: Callable[[Colour], Store], driver: Driver, tally: Tally) -> None:
        super().__init__()
        self._tally = tally
        self._clock = MovableClock()
        entropy = PredictableEntropy()
        self._open_desk: Callable[[], AnyDesk] = lambda: AnyDesk(
            open_store, driver, settings=SETTINGS, clock=self._clock, entropy=entropy
        )
        self._desks = [self._open_desk(), self._open_desk()]
        self._town = Town(self._clock)
        self._tokens: list[str] = []
        self._refused: set[str] = set()
        self.steps = 0

    def teardown(self) -> None:
        for token in self._tokens:
            self._look_in(token)
        self._tally.events.update(event.name for event in self._town.events)
        for desk in self._desks:
            desk.close()

    @initialize(target=holds)
    def begin(self) -> Any:
        for name in ("ada", "bob"):
            email = f"{name}@Example.Org"
            account = self._desks[0].sign_up(username=name, email=email, password=PASSWORDS[0])
            self._town.welcome(account.subject, name, email, PASSWORDS[0])
        self._town.welcome("guest-42", None, None, None)  # whose identity is proven elsewhere
        return multiple(
            *(
                self._began(self._desks[0].start_session(None if person is None else person.subject), person)
                for person in (None, *self._town.people)
            )
        )

    # Coming

    @rule(username=names, email=addresses, password=st.sampled_from([*PASSWORDS, "too short"]))
    def sign_up(self, username: str | None, email: str | None, password: str) -> None:
        expected = self._town.sign_up(username, email, password)
        account = self._do(
            "sign up", lambda desk: desk.sign_up(username=username, email=email, password=password), expected
        )
        if account is not None:
            self._town.welcome(account.subject, username, email, password)

    @rule(
        target=holds,
        typed=identifiers,
        proof=proofs,
        remember=st.booleans(),
        replaces=st.none() | lively,
        shows_session=st.booleans(),
        browser=st.none() | holds,
    )
    def log_in(
        self,
        typed: str,
        proof: str | None,
        remember: bool,
        replaces: Hold | None,
        shows_session: bool,
        browser: Hold | None,
    ) -> Any:
        return self._log_in(typed, proof, remember, replaces, shows_session, browser)

    @rule(typed=identifiers, times=st.integers(1, 6), browser=st.none() | holds)
    def guess(self, typed: str, times: int, browser: Hold | None) -> None:
        """Type wrong passwords, as often as one is let."""
        for _ in range(times):
            waits = [self._town.wait_at(tries) for tries in self._town.tries.values()]
            self._clock.move(max(waits, default=0))
            self._log_in(typed, "a passphrase of nobody's", False, None, False, browser)

    @rule(
        target=holds,
        number=st.none() | numbers,
        methods=st.sampled_from([(), ("oidc",), ("hwk", "pin")]),
        remember=st.booleans(),
        replaces=st.none() | lively,
        shows_session=st.booleans(),
    )
    def start_session(
        self, number: int | None, methods: tuple[str, ...], remember: bool, replaces: Hold | None, shows_session: bool
    ) -> Any:
        person = None if number is None else self._person(number)
        subject = None if person is None else person.subject
        login = self._do(
            "start",
            lambda desk: desk.start_session(
                subject, methods=methods, remember=remember, replaces=_shown(replaces, shows_session)
            ),
            self._town.start(person),
        )
        if login is None:
            return NO_HOLD
        return self._began(login, person, methods=methods, remember=remember, replaces=replaces)

    # Being there

    @rule(target=holds, hold=holds, touch=st.booleans())
    def show(self, hold: Hold, touch: bool) -> Any:
        device = self._town.shown(hold.token)
        seen_at = None if device is None else device.seen_at
        absence = self._town.show(hold.token, touch=touch)
        visit = self._do("show", lambda desk: desk.authenticate(hold.token, touch=touch))
        if isinstance(visit, Absent):
            self._tally.events[f"absent: {visit.reason}"] += 1
            assert visit.reason == absence
            self._refused.add(hold.token)
            return NO_HOLD
        assert absence is None
        assert device is not None
        self._see(visit.session, device, seen_at=seen_at)
        return self._hold(device, visit.session, hold.note, seen_at=seen_at)

    @rule(text=st.sampled_from([None, "", "x", "\ud800", "A" * 43, "é" * 43, "A" * 10_000]))
    def show_what_is_no_token(self, text: str | None) -> None:
        visit = self._do("show nothing", lambda desk: desk.authenticate(text))
        assert visit.reason == ("unknown_session" if text else "no_session")

    @rule(hold=lively | holds)
    def renew(self, hold: Hold) -> None:
        self._do("renew", lambda desk: desk.renew(hold.session), self._town.renew(hold))

    @rule(hold=lively | holds, namespace=spaces, changes=st.dictionaries(keys, values, max_size=2))
    def edit(self, hold: Hold, namespace: str, changes: dict[str, object]) -> None:
        def change(data: dict[str, object]) -> None:
            for key, value in changes.items():
                if value is GONE:
                    data.pop(key, None)
                else:
                    data[key] = deepcopy(value)

        wanted = dict(hold.data.get(namespace, {}))
        change(wanted)
        self._do(
            "edit", lambda desk: desk.edit(hold.session, namespace, change), self._town.edit(hold, namespace, wanted)
        )

    @rule(
        hold=lively | holds, namespace=spaces, key=keys, by=st.sampled_from([1, -1, 0, 2**53, 2**63 - 1, -(2**63) + 1])
    )
    def increment(self, hold: Hold, namespace: str, key: str, by: int) -> None:
        expected = self._town.increment(hold, namespace, key, by)
        self._do("increment", lambda desk: desk.increment(hold.session, key, by, namespace=namespace), expected)

    @rule(hold=lively)
    def require_fresh(self, hold: Hold) -> None:
        expected = self._town.require_fresh(hold.auth_at)
        self._do("require fresh", lambda desk: desk.require_fresh(hold.session), expected)

    @rule(target=holds, hold=lively | holds)
    def rotate(self, hold: Hold) -> Any:
        login = self._do("rotate", lambda desk: desk.rotate(hold.session), self._town.rotate(hold))
        return NO_HOLD if login is None else self._turned(login, hold)

    @rule(target=holds, hold=lively, proof=proofs, browser=st.none() | holds)
    def reauthenticate(self, hold: Hold, proof: str | None, browser: Hold | None) -> Any:
        password, client, note = self._proof(hold.device.person, proof, browser)
        login = self._do(
            "reauthenticate",
            lambda desk: desk.reauthenticate(hold.session, password, client=client),
            self._town.reauthenticate(hold, password, note),
        )
        return NO_HOLD if login is None else self._turned(login, hold, proven=True, shown=note)

    @rule(
        target=holds, hold=lively, proof=proofs, new=st.sampled_from([*PASSWORDS, "too short"]),
        browser=st.none() | holds,
    )  # fmt: skip
    def change_password(self, hold: Hold, proof: str | None, new: str, browser: Hold | None) -> Any:
        current, client, note = self._proof(hold.device.person, proof, browser)
        login = self._do(
            "change password",
            lambda desk: desk.change_password(hold.session, current_password=current, new_password=new, client=client),
            self._town.change_password(hold, current, new, note),
        )
        return NO_HOLD if login is None else self._turned(login, hold, proven=True)

    # Going

    @rule(hold=lively | holds)
    def log_out(self, hold: Hold) -> None:
        self._do("log out", lambda desk: desk.log_out(hold.token), self._town.log_out(hold.token))

    @rule(hold=lively, number=st.none() | numbers)
    def revoke(self, hold: Hold, number: int | None) -> None:
        person = self._person(number or 0) if number is not None else hold.device.person or self._person(0)
        expected = self._town.revoke(hold.device.id, person)
        self._do("revoke", lambda desk: desk.revoke(hold.device.id, of=person.subject), expected)

    @rule(number=numbers, keep=st.none() | lively)
    def revoke_all(self, number: int, keep: Hold | None) -> None:
        person = self._person(number) if keep is None else keep.device.person or self._person(number)
        device = None if keep is None else keep.device
        expected = self._town.revoke_all(person, device)
        session_id = None if device is None else device.id
        self._do("revoke all", lambda desk: desk.revoke_all(of=person.subject, keep=session_id), expected)

    @rule(number=numbers, keep=holds)
    def revoke_all_but_what_may_be_anothers(self, number: int, keep: Hold) -> None:
        person = self._person(number)
        expected = self._town.revoke_all(person, keep.device)
        self._do("revoke all", lambda desk: desk.revoke_all(of=person.subject, keep=keep.device.id), expected)

    @rarely
    @rule()
    def revoke_everybody(self) -> None:
        self._town.revoke_everybody()
        self._do("revoke everybody", lambda desk: desk.revoke_everybody())

    @rule(number=numbers)
    def disable(self, number: int) -> None:
        person = self._person(number)
        self._town.disable(person)
        self._do("disable", lambda desk: desk.disable(person.subject))

    @rule(number=numbers)
    def enable(self, number: int) -> None:
        person = next((person for person in self._town.people if person.is_disabled), self._person(number))
        self._do("enable", lambda desk: desk.enable(person.subject), self._town.enable(person))

    @rule(number=numbers)
    def unlock(self, number: int) -> None:
        person = self._person(number)
        self._do("unlock", lambda desk: desk.unlock(person.subject), self._town.unlock(person))

    @rarely
    @rule(number=numbers)
    def delete_account(self, number: int) -> None:
        person = self._person(number)
        expected = self._town.delete_account(person)
        self._do("delete account", lambda desk: desk.delete_account(person.subject), expected)

    @rule(batch=st.sampled_from([1, 2, 1000]))
    def purge(self, batch: int) -> None:
        expected = self._town.purge()
        purged = self._do("purge", lambda desk: desk.purge(batch=batch))
        assert (purged.sessions, purged.events) == expected
        self._tally.events["purged"] += purged.sessions

    # Time and places

    @rule(seconds=ahead | back)
    def let_time_pass(self, seconds: int) -> None:
        self._clock.move(seconds)
        self._tally.steps["time passes" if seconds > 0 else "the clock is set back"] += 1

    @rule(hold=lively, limit=st.sampled_from(["idle", "absolute", "step-up", "note"]), offset=st.integers(-1, 1))
    def go_to_a_limit(self, hold: Hold, limit: str, offset: int) -> None:
        device, note = hold.device, hold.note
        at = {
            "idle": device.idle_deadline,
            "absolute": device.expires_at,
            "step-up": (device.auth_at or 0) + STEP_UP,
            "note": (0 if note is None else note.made_at) + DEVICE_KEPT,
        }[limit]
        if at > START // 2:  # else there is no such limit
            self._clock.now = at + offset
            self._tally.steps[f"to the second: {limit} {offset:+}"] += 1

    @rule(number=numbers, offset=st.integers(-1, 1))
    def go_to_the_end_of_a_wait(self, number: int, offset: int) -> None:
        waits = [tries.until for tries in self._town.tries.values() if tries.until]
        if waits:
            self._clock.now = waits[number % len(waits)] + offset
            self._tally.steps[f"to the second: wait {offset:+}"] += 1

    @rule(anew=st.booleans())
    def close(self, anew: bool) -> None:
        self._desks[0].close()
        if anew:
            self._desks[0] = self._open_desk()
        self._tally.steps["close"] += 1

    # What must be so

    @invariant()
    def who_is_in_is_in_and_nobody_else(self) -> None:
        for token in self._tokens:
            if self._town.is_judged(token):
                self._look_in(token)
        desk, town = self._desks[1], self._town
        for device in town.devices:
            found = desk.session(device.id)
            assert (found is None) == device.is_gone
            if found is not None:
                assert found[1] == town.death_of(device)
                self._see(found[0], device)
        for person in town.people:
            listed = desk.sessions(of=person.subject)
            assert [session.id for session in listed] == [device.id for device in town.live(person)]
            assert desk.is_disabled(person.subject) == person.is_disabled

    @invariant()
    def everything_else_is_as_it_should_be(self) -> None:
        desk, town = self._desks[1], self._town
        limit = 3 + self.steps % 5
        assert [
            (account.subject, account.username, account.email, is_disabled)
            for account, is_disabled in all_of(desk.all_accounts, limit)
        ] == [(person.subject, person.username, person.email, person.is_disabled) for person in town.accounts()]
        there = {device.id: town.death_of(device) for device in town.devices if not device.is_gone}
        listed = [(session.id, death) for session, death in all_of(desk.all_sessions, limit)]
        assert len(listed) == len(there)
        assert dict(listed) == there
        assert _noted(all_of(desk.all_events, 2 * limit)) == town.events[::-1]
        subject = self._person(self.steps).subject
        events = all_of(partial(desk.events, of=subject), limit)
        assert _noted(events) == [event for event in town.events[::-1] if event.subject == subject]

    def _look_in(self, token: str) -> None:
        absence = self._town.show(token, touch=False)
        visit = self._desks[1].authenticate(token, touch=False)
        if isinstance(visit, Absent):
            assert visit.reason == absence
            self._refused.add(token)
            return
        assert absence is None
        assert token not in self._refused, "what was dead lives again"
        device = self._town.shown(token)
        assert device is not None
        self._see(visit.session, device)
        account = visit.account
        has_account = device.person is not None and device.person.password is not None
        assert (account is not None) == has_account
        assert account is None or account.subject == device.subject

    def _see(self, session: Session, device: Device, *, seen_at: int | None = None) -> None:
        record = session.record
        last_seen_at = device.seen_at if seen_at is None else seen_at
        assert (session.id, session.subject, record.created_at, record.last_seen_at, record.expires_at) == (
            device.id, device.subject, device.created_at, last_seen_at, device.expires_at,
        )  # fmt: skip
        assert (record.auth_time, session.is_persistent, session.methods, record.idle_timeout) == (
            device.auth_at, device.is_persistent, device.methods, device.idle,
        )  # fmt: skip
        for namespace in ("app", "cart"):
            assert repr(sorted(session.data(namespace).items())) == repr(sorted(device.data.get(namespace, {}).items()))

    # Doing

    def _do(self, what: str, call: Callable[[AnyDesk], Any], expected: object = None) -> Any:
        """Do it at the desk whose turn it is; give the answer, or None where it refused as it should."""
        self.steps += 1
        self._desks.reverse()
        answer = _answer_of(call, self._desks[0])
        if isinstance(answer, Refused):
            self._tally.steps[f"{what}: {answer.reason}"] += 1
            assert _told(answer) == (_told(expected) if isinstance(expected, Refused) else "no refusal")
            return None
        self._tally.steps[f"{what}: {answer if isinstance(answer, bool) else 'done'}"] += 1
        assert not isinstance(expected, Refused), f"not refused, as it should have been: {expected!r}"
        assert expected is None or answer == expected
        return answer

    def _log_in(
        self,
        typed: str,
        proof: str | None,
        remember: bool,
        replaces: Hold | None,
        shows_session: bool,
        browser: Hold | None,
    ) -> Any:
        person = self._town.called(typed)
        password, client, note = self._proof(person, proof, browser)
        login = self._do(
            "log in",
            lambda desk: desk.log_in(
                typed, password, client=client, remember=remember, replaces=_shown(replaces, shows_session)
            ),
            self._town.log_in(typed, password, note),
        )
        if login is None:
            return NO_HOLD
        return self._began(login, person, methods=("pwd",), remember=remember, replaces=replaces, shown=note)

    def _person(self, number: int) -> Person:
        return self._town.people[number % len(self._town.people)]

    def _proof(
        self, person: Person | None, proof: str | None, browser: Hold | None
    ) -> tuple[str, Client | None, Note | None]:
        password = PASSWORDS[0] if person is None or person.password is None else person.password
        note = None if browser is None else browser.note
        client = None if note is None else Client(device=note.secret)
        return proof or password, client, note

    def _began(
        self,
        login: Login,
        person: Person | None,
        *,
        methods: tuple[str, ...] = (),
        remember: bool = False,
        replaces: Hold | None = None,
        shown: Note | None = None,
    ) -> Hold:
        device = self._town.begin(
            login.session.id,
            login.token.reveal(),
            person,
            methods=methods,
            remember=remember,
            replaces=None if replaces is None else replaces.token,
        )
        return self._holds(login, device, shown, is_proof=methods == ("pwd",))

    def _turned(self, login: Login, hold: Hold, *, proven: bool = False, shown: Note | None = None) -> Hold:
        if proven:
            self._town.prove(hold.device)
        self._town.turn(hold.device, login.token.reveal())
        # But for what a rotation changes, the answer shows the session as it was in hand.
        in_hand = replace(hold.device, seen_at=max(hold.seen_at, self._town.now), data=hold.data)
        turned = self._holds(login, in_hand, shown, is_proof=proven)
        return turned._replace(device=hold.device)

    def _holds(self, login: Login, device: Device, shown: Note | None, *, is_proof: bool) -> Hold:
        assert login.token.reveal() not in self._tokens
        self._tokens.append(login.token.reveal())
        self._see(login.session, device)
        made = self._town.note_of(device.person, shown) if is_proof and device.person is not None else None
        assert (login.device is None) == (made is None)
        if made is not None:
            made.secret = login.device
        return self._hold(device, login.session, made or shown)

    def _hold(self, device: Device, session: Session, note: Note | None, *, seen_at: int | None = None) -> Hold:
        return Hold(
            device,
            device.token,
            session,
            device.seen_at if seen_at is None else seen_at,
            device.expires_at,
            device.auth_at,
            deepcopy(device.data),
            note,
        )


def _shown(hold: Hold | None, as_session: bool) -> str | Session | None:
    if hold is None:
        return None
    return hold.session if as_session else hold.token


def _answer_of(call: Callable[[AnyDesk], Any], desk: AnyDesk) -> Any:
    try:
        return call(desk)
    except Refused as refusal:
        return refusal


def _told(refusal: Refused) -> object:
    return type(refusal), refusal.reason, refusal.retry_after


def _noted(events: list[Any]) -> list[Noted]:
    return [Noted(event.at, event.name, event.subject, event.session_id) for event in events]
