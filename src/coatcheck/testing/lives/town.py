"""The people of a random life at the desk, their devices, and what should become of them: a model of its own.

It knows of Coatcheck what a reader of its documentation knows, and shares no rule with it: the numbers are written
down again, and every operation says beforehand what the desk has to answer. `None` means that it is done; anything
else is the refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import deepcopy

from coatcheck.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidData,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Refused,
    SessionEnded,
    StepUpRequired,
    TooManyAttempts,
    UsernameTaken,
)
from coatcheck.testing.lives.people import Data, Device, Hold, Note, Noted, Person, Tries

HOUR, DAY = 3600, 86_400
# Seconds of disuse, and seconds in all, that end a session: anonymous, logged in, remembered.
TIMEOUTS = {"anonymous": (14 * DAY, 30 * DAY), "plain": (HOUR, DAY), "remembered": (14 * DAY, 30 * DAY)}
STEP_UP = 300
ENDED_KEPT, EVENTS_KEPT = 23 * HOUR, 90 * DAY
FREE_FAILURES, FIRST_WAIT, LONGEST_WAIT = 5, 30, HOUR
DEVICE_KEPT = 90 * DAY
INTEGERS = range(-(2**63) + 1, 2**63)

# What the machine sets lower than usual, so that a short life gets there.
SETTINGS = {"sessions_per_subject": 3, "session_data_bytes": 1024, "password_lock_failures": 10}
MOST, SIZE, LOCKS_AT = SETTINGS.values()


class Town:
    """Everybody and everything, and the time."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.people: list[Person] = []
        self.devices: list[Device] = []
        self.events: list[Noted] = []
        self.tries: dict[object, Tries] = {}
        self._everybody_at = 0

    @property
    def now(self) -> int:
        """What the clock says."""
        return self._clock()

    # Who is in

    def death_of(self, device: Device) -> str | None:
        """Say why a session is dead; None while it lives."""
        person = device.person
        if device.reason is not None:
            return device.reason
        if person is not None and person.is_disabled:
            return "account_disabled"
        if device.is_cut:
            own_at, own = (0, "") if person is None else (person.cut_at, person.cut_reason)
            return "everybody_revoked" if self._everybody_at > own_at else own
        return self._timeout(device)

    def shown(self, token: str) -> Device | None:
        """Find the session that a token opens or once opened; None if none does now."""
        return next((device for device in self.devices if device.token == token and not device.is_gone), None)

    def absence(self, token: str) -> str | None:
        """Say why a token lets nobody in; None if it does."""
        device = self.shown(token)
        return "unknown_session" if device is None else self.death_of(device)

    def is_judged(self, token: str) -> bool:
        """Say whether looking at a token changes nothing: its session has not silently run out of time."""
        device = self.shown(token)
        return device is None or not self._is_standing(device) or self._timeout(device) is None

    def live(self, person: Person) -> list[Device]:
        """Give the device list: live sessions, newest first."""
        mine = [device for device in self._there() if device.person is person and self.death_of(device) is None]
        return sorted(mine, key=lambda device: (device.created_at, device.id), reverse=True)

    def accounts(self) -> list[Person]:
        """Give those who have an account, in the order of their subjects."""
        return sorted((person for person in self.people if person.password is not None), key=lambda p: p.subject)

    def called(self, typed: str) -> Person | None:
        """Find who goes by a name or address."""
        return next((person for person in self.people if typed.strip(" \t").lower() in person.keys), None)

    # Coming

    def sign_up(self, username: str | None, email: str | None, password: str) -> Refused | None:
        """Open an account; `welcome` tells under which subject."""
        good_name = username is None or (len(username) >= 3 and " " not in username)
        good_email = email is None or "@" in email
        if not (username or email) or not good_name or not good_email or len(password) < 15:
            return InvalidInput()
        if username is not None and self.called(username):
            return UsernameTaken()
        if email is not None and self.called(email):
            return EmailTaken()
        return None

    def welcome(self, subject: str, username: str | None, email: str | None, password: str | None) -> Person:
        """Let somebody be known from now on, with a password to an account or with neither."""
        person = Person(subject, username, email, password)
        self.people.append(person)
        if password is not None:
            self._note("signed_up", person)
        return person

    def log_in(self, typed: str, password: str, note: Note | None) -> Refused | None:
        """Prove a password at the log-in page; `begin` starts the session."""
        person = self.called(typed)
        gates = self._gates([typed.strip(" \t").lower()], person, note)
        waits = self._admit(gates)
        if waits:
            return waits
        if person is None or password != person.password or person.is_disabled or self._is_locked(person):
            self._note("log_in_failed", person)
            self._fail(gates, person)
            return InvalidCredentials()
        self._forget([*gates, person])
        return None

    def start(self, person: Person | None) -> Refused | None:
        """Start a session by another proof; `begin` does it."""
        return InvalidCredentials() if person is not None and person.is_disabled else None

    def begin(
        self,
        session_id: str,
        token: str,
        person: Person | None,
        *,
        methods: tuple[str, ...],
        remember: bool,
        replaces: str | None,
    ) -> Device:
        """Let a session begin, and those end that it replaces or that are too many."""
        now = self.now
        kind = "anonymous" if person is None else "remembered" if remember else "plain"
        idle, absolute = TIMEOUTS[kind]
        device = Device(
            session_id, token, person, now, now, idle, now + absolute, None if person is None else now,
            kind == "remembered", methods,
        )  # fmt: skip
        old = None if replaces is None else self.shown(replaces)
        if old is not None and self._is_standing(old):
            if old.person in (None, person) and self._timeout(old) is None:
                device.data = old.data
            self._end(old, "replaced")
        if person is not None:
            self._note("logged_in", person, device)
        self.devices.append(device)
        for surplus in self._surplus(device):
            self._end(surplus, "too_many_sessions")
            self._note("session_evicted", person, surplus)
        return device

    def _surplus(self, newcomer: Device) -> list[Device]:
        others = [
            device
            for device in self._there()
            if device.person is not None
            and device.person is newcomer.person
            and device is not newcomer
            and self.death_of(device) is None
        ]
        return sorted(others, key=lambda device: (device.seen_at, device.id))[: max(0, len(others) + 1 - MOST)]

    # Being there

    def show(self, token: str, *, touch: bool) -> str | None:
        """Show a token; say why it lets nobody in."""
        device = self.shown(token)
        if device is None:
            return "unknown_session"
        death = self.death_of(device)
        self._note_timeout(device)
        if death is None and touch and self.now - device.seen_at >= device.grace:
            device.seen_at = self.now
        return death

    def renew(self, hold: Hold) -> Refused | None:
        """Write that a session was used."""
        refusal = self._use(hold)
        if refusal is None:
            hold.device.seen_at = max(hold.device.seen_at, self.now)
        return refusal

    def edit(self, hold: Hold, namespace: str, values: dict[str, object]) -> Refused | None:
        """Save what became of the data in hand: as a patch, so that nobody else's change is lost."""
        if any(not _is_json(value) for value in values.values()):
            return InvalidData("data_not_json")
        before = hold.data.get(namespace, {})
        puts = {key: value for key, value in values.items() if key not in before or _text(before[key]) != _text(value)}
        removes = before.keys() - values.keys()
        if not puts and not removes:
            return None
        refusal = self._use(hold)
        if refusal is not None:
            return refusal
        data = deepcopy(hold.device.data)
        kept = data.setdefault(namespace, {})
        for key in removes:
            kept.pop(key, None)
        kept.update(deepcopy(puts))
        return self._keep(hold.device, data)

    def increment(self, hold: Hold, namespace: str, key: str, by: int) -> int | Refused:
        """Add to a counter; give the sum."""
        refusal = self._use(hold)
        if refusal is not None:
            return refusal
        data = deepcopy(hold.device.data)
        kept = data.setdefault(namespace, {})
        value = kept.get(key, 0)
        if type(value) is not int or value + by not in INTEGERS:
            return InvalidData("data_not_an_integer")
        kept[key] = value + by
        return self._keep(hold.device, data) or value + by

    def require_fresh(self, auth_at: int | None) -> Refused | None:
        """Say whether identity was proven just now."""
        is_fresh = auth_at is not None and 0 <= self.now - auth_at < STEP_UP
        return None if is_fresh else StepUpRequired(max_age=STEP_UP)

    def rotate(self, hold: Hold) -> Refused | None:
        """Ask for a new secret; `turn` tells which."""
        refusal = self._use(hold)
        if refusal is None:
            self._note("session_rotated", hold.device.person, hold.device)
        return refusal

    def turn(self, device: Device, token: str) -> None:
        """Let a new token open a session and the old one nothing."""
        device.token = token
        device.seen_at = max(device.seen_at, self.now)

    def reauthenticate(self, hold: Hold, password: str, note: Note | None) -> Refused | None:
        """Prove the password again; `prove` and `turn` do it."""
        refusal = self._proof(hold, password, note)
        if refusal is None:
            self._note("reauthenticated", hold.device.person, hold.device)
        return refusal

    def prove(self, device: Device) -> None:
        """Let both limits of a session start again."""
        device.auth_at = self.now
        device.expires_at = self.now + TIMEOUTS["remembered" if device.is_persistent else "plain"][1]
        device.methods = (*device.methods, *(() if "pwd" in device.methods else ("pwd",)))

    def change_password(self, hold: Hold, current: str, new: str, note: Note | None) -> Refused | None:
        """Change the password and end all other sessions; `prove` and `turn` do the rest."""
        if hold.device.person is None:
            return NotAuthenticated()
        if len(new) < 15:
            return InvalidInput()
        refusal = self._proof(hold, current, note)
        if refusal is None:
            person = hold.device.person
            person.password, person.version = new, person.version + 1
            self._cut(person, "password_changed", keep=hold.device)
            self._note("password_changed", person, hold.device)
        return refusal

    def note_of(self, person: Person, shown: Note | None) -> Note | None:
        """Make the note that a browser is given with a proof; None if the one it has is young."""
        is_young = shown is not None and self._is_known(shown, person) and self.now - shown.made_at < DEVICE_KEPT // 2
        return None if is_young else Note(person, person.version, self.now)

    # Going

    def log_out(self, token: str) -> bool:
        """End the session that a token opens; False if it opens none."""
        device = self.shown(token)
        if device is None:
            return False
        if self.death_of(device) is not None:
            self._note_timeout(device)
            return False
        self._end(device, "logged_out")
        self._note("logged_out", device.person, device)
        return True

    def revoke(self, session_id: str, person: Person) -> Refused | None:
        """End one session by its id."""
        device = next((d for d in self._there() if d.id == session_id and d.person is person), None)
        if device is None or not self._is_standing(device):
            return NotFound("session_not_found")
        self._end(device, "revoked")
        self._note("session_revoked", person, device)
        return None

    def revoke_all(self, person: Person, keep: Device | None) -> int | Refused:
        """End all sessions of somebody but one; say how many that were."""
        live = self.live(person)
        if keep is not None and keep not in live:
            return NotFound("session_not_found")
        self._cut(person, "revoked", keep=keep)
        self._note("sessions_revoked", person, keep)
        return len(live) - (keep is not None)

    def revoke_everybody(self) -> None:
        """End every session."""
        self._everybody_at = self.now
        for device in self._there():
            device.is_cut = True
        self._note("everybody_revoked", None)

    def disable(self, person: Person) -> None:
        """End all sessions of somebody and let none begin."""
        self._cut(person, "account_disabled", keep=None)
        person.is_disabled = True
        self._note("account_disabled", person)

    def enable(self, person: Person) -> bool:
        """Let sessions begin again; False if they could."""
        was_disabled, person.is_disabled = person.is_disabled, False
        if was_disabled:
            self._note("account_enabled", person)
        return was_disabled

    def unlock(self, person: Person) -> bool:
        """Forget somebody's failures; False if there is no account."""
        if person.password is None:
            return False
        self._forget([*person.keys, person])
        self._note("attempts_forgotten", person)
        return True

    def delete_account(self, person: Person) -> bool:
        """Forget an account and all that named its subject; False if there is none."""
        if person.password is None:
            return False
        self._forget([*person.keys, person])
        for device in self.devices:
            device.is_gone |= device.person is person
        self.events = [
            event._replace(subject=None, session_id=None) if event.subject == person.subject else event
            for event in self.events
        ]
        person.username = person.email = person.password = None
        person.is_disabled, person.cut_at, person.cut_reason = False, 0, ""
        self._note("account_deleted", None)
        return True

    def purge(self) -> tuple[int, int]:
        """Forget what is dead or over for long; say how many sessions and events went."""
        past = [device for device in self._there() if self._died_at(device) < self.now - ENDED_KEPT]
        for device in past:
            device.is_gone = True
        # A counter is kept for a day; the round that comes an hour earlier takes it.
        self.tries = {
            key: tries
            for key, tries in self.tries.items()
            if isinstance(key, Person) or tries.at + DAY >= self.now + HOUR
        }
        kept = [event for event in self.events if event.at >= self.now - EVENTS_KEPT]
        gone, self.events = len(self.events) - len(kept), kept
        return len(past), gone

    # What these are made of

    def _there(self) -> Iterable[Device]:
        return [device for device in self.devices if not device.is_gone]

    def _timeout(self, device: Device) -> str | None:
        if self.now >= device.expires_at:
            return "absolute_timeout"
        return "idle_timeout" if self.now >= device.idle_deadline else None

    def _is_standing(self, device: Device) -> bool:
        is_disabled = device.person is not None and device.person.is_disabled
        return device.reason is None and not device.is_cut and not is_disabled

    def _died_at(self, device: Device) -> int:
        died = [device.expires_at, device.idle_deadline]
        if device.ended_at is not None:
            died.append(device.ended_at)
        if device.is_cut:
            died.append(max(self._everybody_at, 0 if device.person is None else device.person.cut_at))
        return min(died)

    def _use(self, hold: Hold) -> Refused | None:
        """Use a session that was read earlier: time is looked at first, where the one in hand seems out of time."""
        device = self.shown(hold.token)
        if self.now >= hold.deadline and device is not None and self.death_of(device) is not None:
            self._note_timeout(device)
            return SessionEnded()
        return None if device is not None and self._is_standing(device) else SessionEnded()

    def _proof(self, hold: Hold, password: str, note: Note | None) -> Refused | None:
        person = hold.device.person
        if person is None:
            return NotAuthenticated()
        refusal = self._use(hold)
        if refusal is not None and self.now >= hold.deadline:
            return refusal  # of what ended a session only time is looked at before the password
        gates = self._gates(person.keys, person, note)
        waits = self._admit(gates)
        if waits:
            return waits
        if person.password is None or password != person.password or self._is_locked(person):
            self._note("reauthentication_failed", None if person.password is None else person, hold.device)
            self._fail(gates, person)
            return InvalidCredentials()
        self._forget([*gates, person])
        return refusal

    def _keep(self, device: Device, data: Data) -> Refused | None:
        data = {namespace: kept for namespace, kept in data.items() if kept}
        if _size(data) > SIZE and _size(data) > _size(device.data):
            return InvalidData("data_too_large")
        device.data = data
        return None

    def _end(self, device: Device, reason: str) -> None:
        device.reason, device.ended_at, device.data = reason, self.now, {}

    def _cut(self, person: Person, reason: str, *, keep: Device | None) -> None:
        person.cut_at, person.cut_reason = self.now, reason
        for device in self._there():
            device.is_cut |= device.person is person and device is not keep

    def _note_timeout(self, device: Device) -> None:
        """What was seen to have run out of time stays dead, though the clock be set back."""
        timeout = self._timeout(device)
        if timeout is not None and self._is_standing(device):
            self._end(device, timeout)
            self._note("session_expired", device.person, device)

    def _note(self, name: str, person: Person | None, device: Device | None = None) -> None:
        self.events.append(
            Noted(self.now, name, None if person is None else person.subject, None if device is None else device.id)
        )

    # Failures

    def _gates(self, keys: list[str], person: Person | None, note: Note | None) -> list[object]:
        has_password = person is not None and person.password is not None
        if note is not None and person is not None and has_password and self._is_known(note, person):
            return [note]
        return [*keys]

    def _is_known(self, note: Note, person: Person) -> bool:
        return note.person is person and note.version == person.version and self.now - note.made_at < DEVICE_KEPT

    def _admit(self, gates: Iterable[object]) -> TooManyAttempts | None:
        waits = [self.wait_at(self.tries[gate]) for gate in gates if gate in self.tries]
        return TooManyAttempts(retry_after=max(waits)) if any(waits) else None

    def wait_at(self, tries: Tries) -> int:
        """Say how long failures close a gate; a wait that the clock has stretched beyond its double is void."""
        wait = tries.until - self.now
        return wait if 0 < wait <= 2 * (tries.until - tries.at) else 0

    def _fail(self, gates: Iterable[object], person: Person | None) -> None:
        for gate in gates:
            before = self.tries.get(gate, Tries(0, self.now))
            failures = 1 if self.now - before.at >= DAY else before.failures + 1
            waits = min(FIRST_WAIT * 2 ** (failures - FREE_FAILURES), LONGEST_WAIT)
            until = self.now + int(waits) if failures >= FREE_FAILURES else 0
            self.tries[gate] = Tries(failures, self.now, until)
        if person is not None and person.password is not None:
            before = self.tries.get(person, Tries(0, self.now))
            self.tries[person] = Tries(before.failures + 1, self.now)
            if before.failures + 1 == LOCKS_AT:
                self._note("password_locked", person)

    def _forget(self, gates: Iterable[object]) -> None:
        for gate in gates:
            self.tries.pop(gate, None)

    def _is_locked(self, person: Person) -> bool:
        return person in self.tries and self.tries[person].failures >= LOCKS_AT


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _is_json(value: object) -> bool:
    return not isinstance(value, set) and value == value  # NaN does not equal itself


def _size(data: Data) -> int:
    return sum(len(key.encode()) + len(_text(value).encode()) for kept in data.values() for key, value in kept.items())
