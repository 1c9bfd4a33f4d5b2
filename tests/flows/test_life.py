"""A random life of sessions never leaves the state table: dead is for ever, whatever is tried and however time runs."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from coatcheck import Coatcheck, Login, NotFound, Refused, SessionEnded, Token
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import MovableClock

DAY = 86_400
SUBJECTS = st.sampled_from(["subject-of-ada", "subject-of-bob"])
WAITS = st.sampled_from([0, 1, 59, 60, 3599, 3600, 3660, DAY, 14 * DAY, 31 * DAY])
REASONS = {
    "unknown_session",
    "idle_timeout",
    "absolute_timeout",
    "logged_out",
    "revoked",
    "replaced",
    "account_disabled",
}


class Life(RuleBasedStateMachine):
    """Starts, uses, rotates, ends sessions and moves time; remembers every token that was ever found dead."""

    logins = Bundle("logins")

    def __init__(self) -> None:
        super().__init__()
        from coatcheck.colour import run_blocking
        from coatcheck.core.records import AccountRecord, PasswordCredential

        store = MemoryStore()
        for name in ("ada", "bob"):
            subject = f"subject-of-{name}"
            record = AccountRecord(subject, name, name, None, None, 0)
            run_blocking(store.create_account(record, PasswordCredential(subject, "!", 1, 0), events=()))
        self.clock = MovableClock()
        self.desk = Coatcheck(store, clock=self.clock)
        self.dead: list[Token] = []
        self.disabled: set[str] = set()

    @rule(target=logins, subject=SUBJECTS | st.none(), remember=st.booleans())
    def start(self, subject: str | None, remember: bool) -> Login | None:
        try:
            login = self.desk.start_session(subject, remember=remember)
        except Refused:
            assert subject in self.disabled
            return None
        assert subject not in self.disabled
        return login

    @rule(target=logins, login=logins, subject=SUBJECTS | st.none())
    def start_over(self, login: Login | None, subject: str | None) -> Login | None:
        if login is None or subject in self.disabled:
            return None
        new = self.desk.start_session(subject, replaces=login.token)
        self.dead.append(login.token)
        return new

    @rule(login=logins, seconds=WAITS)
    def use(self, login: Login | None, seconds: int) -> None:
        self.clock.move(seconds)
        if login is None:
            return
        visit = self.desk.authenticate(login.token)
        if visit:
            assert visit.subject == login.subject
            assert visit.subject not in self.disabled
            assert self.clock() < login.session.record.expires_at
        else:
            assert visit.reason in REASONS
            self.dead.append(login.token)

    @rule(target=logins, login=logins)
    def rotate(self, login: Login | None) -> Login | None:
        if login is None:
            return None
        was_live = bool(self.desk.authenticate(login.token))
        try:
            new = self.desk.rotate(login.session)
        except SessionEnded:
            assert not was_live
            return None
        assert was_live
        self.dead.append(login.token)
        return new

    @rule(login=logins)
    def write_and_renew(self, login: Login | None) -> None:
        if login is None:
            return
        was_live = bool(self.desk.authenticate(login.token))
        for write in (lambda: self.desk.increment(login.session, "n"), lambda: self.desk.renew(login.session)):
            try:
                write()
            except SessionEnded:
                assert not was_live
            else:
                assert was_live

    @rule(login=consumes(logins))
    def log_out(self, login: Login | None) -> None:
        if login is not None:
            self.desk.log_out(login.token)
            self.dead.append(login.token)

    @rule(login=logins, subject=SUBJECTS)
    def revoke(self, login: Login | None, subject: str) -> None:
        if login is None:
            return
        try:
            self.desk.revoke(login.session.id, of=subject)
        except NotFound:
            return
        assert login.subject == subject
        self.dead.append(login.token)

    @rule(subject=SUBJECTS, login=logins)
    def revoke_all(self, subject: str, login: Login | None) -> None:
        self.desk.revoke_all(of=subject)
        if login is not None and login.subject == subject:
            self.dead.append(login.token)
        assert self.desk.sessions(of=subject) == ()

    @rule(subject=SUBJECTS)
    def disable(self, subject: str) -> None:
        self.desk.disable(subject)
        self.disabled.add(subject)
        assert self.desk.sessions(of=subject) == ()

    @rule(subject=SUBJECTS)
    def enable(self, subject: str) -> None:
        assert self.desk.enable(subject) is (subject in self.disabled)
        self.disabled.discard(subject)

    @rule(seconds=st.sampled_from([-1, -60, -3600, -DAY, -31 * DAY]))
    def set_the_clock_back(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule()
    def purge(self) -> None:
        self.desk.purge()

    @invariant()
    def dead_is_for_ever(self) -> None:
        for token in self.dead:
            assert not self.desk.authenticate(token)


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_ses_05_tmo_07_fix_01_a_random_life_never_leaves_the_state_table = Life.TestCase
