# ruff: noqa: D102, S101 - what `before`, `work` and `after` are stands once, in `Race`; assertions are their end
"""What fifty workers do at once at a front desk, and what has to be true after it, however they ran.

A race is three coroutines: `before` sets it up and gives what workers have to know, `work` is the part of one of them,
`after` asserts. Who runs them decides what a worker is (`coatcheck.testing.crews`); what passes between them can be
pickled. Stores are raced one method at a time by `coatcheck.testing.suites.racing`, and in every order by
`coatcheck.testing.suites.interleavings`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from coatcheck.core.views import Absent, Account, Client, Login, Session
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.interleaving import Failed

WORKERS = 50
PASSWORD = "a long enough passphrase"
DAY = 86_400
# What everybody may do at once must not be slowed down by the limits on guessing: those have a race of their own.
WIDE = {
    "account_free_failures": 100,
    "network_free_failures": 1000,
    "network_hourly_failures": 10_000,
    "network_free_sign_ups": 1000,
    "hashing_queue": 200,
}
ENDED = Failed("SessionEnded", "session_ended")
DENIED = Failed("InvalidCredentials", "invalid_credentials")
Known = Mapping[str, Any]


class Face:
    """A desk of either colour, with every method awaitable."""

    def __init__(self, desk: Coatcheck | AsyncCoatcheck, clock: MovableClock) -> None:
        self.desk = desk
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self.desk, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            return await answer if inspect.isawaitable(answer) else answer

        return call

    async def save(self, session: Session, **values: object) -> None:
        """Edit session data."""
        if isinstance(self.desk, AsyncCoatcheck):
            async with self.desk.edit(session) as content:
                content.update(values)
        else:
            with self.desk.edit(session) as content:
                content.update(values)

    async def member(self, name: str = "ada") -> str:
        """Open an account and give its subject."""
        account: Account = await self.sign_up(username=name, password=PASSWORD)
        return account.subject

    async def is_live(self, token: str) -> bool:
        """Say whether a token opens a session."""
        return bool(await self.authenticate(token))


class Race:
    """One race; its docstring says what has to be true."""

    settings: ClassVar[Mapping[str, object]] = WIDE
    costs_hashes: ClassVar[bool] = False  # many: a second of a processor or more

    async def before(self, face: Face) -> Known:
        """Set it up; give what the workers have to know."""
        subject = "subject-of-ada"
        login: Login = await face.start_session(subject)
        return {"subject": subject, "token": login.token.reveal(), "session": login.session}

    async def work(self, face: Face, number: int, known: Known) -> object:
        """Do one worker's part."""
        raise NotImplementedError

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        """Assert what must be true now."""
        raise NotImplementedError


class SignUp(Race):
    """ACC-05: of many sign-ups of one name, however it is spelled, one wins."""

    costs_hashes = True

    async def before(self, face: Face) -> Known:  # noqa: ARG002 - nobody is there yet
        return {}

    async def work(self, face: Face, number: int, known: Known) -> object:  # noqa: ARG002
        spelled = ("ada", "ADA", "Ada", "aDa", "adA")[number % 5]
        account: Account = await face.sign_up(username=spelled, email=f"{number}@example.org", password=PASSWORD)
        return account.subject

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:  # noqa: ARG002
        winners = [answer for answer in answers if answer != Failed("UsernameTaken", "username_taken")]
        accounts, _ = await face.all_accounts()
        events, _ = await face.all_events()
        assert len(winners) == 1
        assert [account.subject for account, _ in accounts] == winners
        assert [event.name for event in events] == ["signed_up"]


class StartAndRevokeAll(Race):
    """REV-04: whoever has revoked all sessions finds the one dead that began before, whoever else starts more."""

    async def work(self, face: Face, number: int, known: Known) -> object:  # noqa: ARG002
        login: Login = await face.start_session(known["subject"])
        await face.revoke_all(of=known["subject"])
        return await face.is_live(login.token.reveal())

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        assert answers == [False] * WORKERS
        assert await face.sessions(of=known["subject"]) == ()
        assert not await face.is_live(known["token"])


class StartAndRevokeEverybody(StartAndRevokeAll):
    """REV-06: the same for everybody's sessions at once."""

    async def work(self, face: Face, number: int, known: Known) -> object:
        login: Login = await face.start_session(f"subject {number}" if number % 5 else known["subject"])
        await face.revoke_everybody()
        return await face.is_live(login.token.reveal())


class TouchAndLogOut(Race):
    """SES-05: no use of a session that was under way brings it back."""

    async def before(self, face: Face) -> Known:
        known = await super().before(face)
        face.clock.move(600)  # a touch is due
        return known

    async def work(self, face: Face, number: int, known: Known) -> object:
        if number == WORKERS // 2:
            return "ended" if await face.log_out(known["token"]) else "not ended"
        if number % 3:
            return await face.renew(known["session"])
        visit = await face.authenticate(known["token"])
        return None if visit else Failed("SessionEnded", "session_ended" if visit.reason == "logged_out" else "?")

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        visit = await face.authenticate(known["token"])
        assert isinstance(visit, Absent)
        assert visit.reason == "logged_out"
        assert answers.count("ended") == 1
        assert {answer for answer in answers if answer != "ended"} <= {None, ENDED}


class EditTwoKeys(Race):
    """SES-06: what many save under keys of their own is all there."""

    async def work(self, face: Face, number: int, known: Known) -> object:
        await face.save(known["session"], **{f"key {number}": number})
        return None

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        visit = await face.authenticate(known["token"])
        assert answers == [None] * WORKERS
        assert visit.session.data() == {f"key {number}": number for number in range(WORKERS)}


class EditOneKey(Race):
    """SES-06: of what many save under one key, one is there, whole."""

    async def work(self, face: Face, number: int, known: Known) -> object:
        await face.save(known["session"], draft={"by": number, "text": [number] * 50})
        return None

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        visit = await face.authenticate(known["token"])
        draft = visit.session.data()["draft"]
        assert answers == [None] * WORKERS
        assert draft == {"by": draft["by"], "text": [draft["by"]] * 50}


class Increment(Race):
    """SES-06: every increment counts, and each is told a sum of its own."""

    async def work(self, face: Face, number: int, known: Known) -> object:  # noqa: ARG002
        return [await face.increment(known["session"], "visits", by) for by in (1, 2)]

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        visit = await face.authenticate(known["token"])
        sums = [total for answer in cast("Sequence[list[int]]", answers) for total in answer]
        assert visit.session.data() == {"visits": 3 * WORKERS}
        assert len(set(sums)) == len(sums)
        assert max(sums) == 3 * WORKERS


class Rotate(Race):
    """DAT-09: of many rotations of one session one wins; only its token opens it then."""

    async def work(self, face: Face, number: int, known: Known) -> object:  # noqa: ARG002
        login: Login = await face.rotate(known["session"])
        return login.token.reveal()

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        winners = [answer for answer in answers if answer != ENDED]
        assert len(winners) == 1
        assert await face.is_live(str(winners[0]))
        assert not await face.is_live(known["token"])
        assert [session.id for session in await face.sessions(of=known["subject"])] == [known["session"].id]


class LogInAndChangePassword(Race):
    """REV-05: no log-in with the old password outlives its change, and of several changes one wins."""

    costs_hashes = True

    async def before(self, face: Face) -> Known:
        subject = await face.member()
        logins: list[Login] = [await face.log_in("ada", PASSWORD) for _ in range(3)]
        return {"subject": subject, "sessions": [login.session for login in logins]}

    async def work(self, face: Face, number: int, known: Known) -> object:
        if number % 17 == 8:  # three of fifty
            new = f"another long passphrase {number}"
            login: Login = await face.change_password(
                known["sessions"][number // 17], current_password=PASSWORD, new_password=new
            )
            return ("changed", new, login.token.reveal())
        login = await face.log_in("ada", PASSWORD)
        return ("logged in", login.token.reveal())

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        done = [cast("tuple[str, ...]", answer) for answer in answers if not isinstance(answer, Failed)]
        changed = [answer for answer in done if answer[0] == "changed"]
        assert len(changed) == 1
        assert {answer for answer in answers if isinstance(answer, Failed)} <= {ENDED, DENIED}
        assert [answer for answer in done if answer[0] == "logged in" and await face.is_live(answer[1])] == []
        assert await face.is_live(changed[0][2])
        assert len(await face.sessions(of=known["subject"])) == 1
        assert await face.log_in("ada", changed[0][1])


class DeleteAccount(Race):
    """SES-07: nothing that was under way outlives the account."""

    costs_hashes = True

    async def before(self, face: Face) -> Known:
        subject = await face.member()
        logins: list[Login] = [await face.log_in("ada", PASSWORD)]
        logins += [await face.start_session(subject) for _ in range(9)]
        return {"subject": subject, "sessions": [login.session for login in logins]}

    async def work(self, face: Face, number: int, known: Known) -> object:
        session = known["sessions"][number % 10]
        if number == WORKERS // 2:
            return await face.delete_account(known["subject"])
        if number % 5 == 0:
            login: Login = await face.log_in("ada", PASSWORD)
        elif number % 5 == 1:
            login = await face.rotate(session)
        elif number % 5 == 2:
            return await face.renew(session)
        else:
            await face.save(session, **{f"key {number}": number})
            return None
        return login.token.reveal()

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        tokens = [answer for answer in answers if isinstance(answer, str)]
        sessions, _ = await face.all_sessions()
        assert answers.count(True) == 1
        assert {answer for answer in answers if isinstance(answer, Failed)} <= {ENDED, DENIED}
        assert [token for token in tokens if await face.is_live(token)] == []
        assert sessions == []
        assert await face.member() != known["subject"]  # the name is free


class PurgeAndEverything(Race):
    """TMO-08: purging deletes what has been dead long enough, all of it, once, and nothing that is live."""

    async def before(self, face: Face) -> Known:
        for number in range(60):
            await face.start_session(f"subject {number % 7}")
        face.clock.move(3 * DAY)
        subject = "subject-of-ada"
        logins: list[Login] = [await face.start_session(subject) for _ in range(8)]
        return {"subject": subject, "sessions": [login.session for login in logins]}

    async def work(self, face: Face, number: int, known: Known) -> object:
        session = known["sessions"][number % 8]
        if number % 5 == 0:
            return (await face.purge(batch=7)).sessions
        if number % 5 == 1:
            login: Login = await face.start_session(known["subject"])
            return (login.token.reveal(), dict[str, int]())
        if number % 5 == 2:
            await face.save(session, **{f"key {number}": number})
            return None
        if number % 5 == 3:
            return await face.renew(session)
        login = await face.start_session("somebody else")
        await face.save(login.session, basket=number)
        login = await face.rotate(login.session)
        return (login.token.reveal(), {"basket": number})

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        begun = [cast("tuple[str, object]", answer) for answer in answers if isinstance(answer, tuple)]
        visits = [await face.authenticate(token) for token, _ in begun]
        kept = {session.id: session for session in await face.sessions(of=known["subject"])}
        everything, following = await face.all_sessions(limit=500)
        assert not [answer for answer in answers if isinstance(answer, Failed)]
        assert sum(answer for answer in answers if isinstance(answer, int)) == 60
        assert all(visits)
        assert [visit.session.data() for visit in visits] == [values for _, values in begun]
        for place, session in enumerate(known["sessions"]):
            saved = {f"key {n}": n for n in range(WORKERS) if n % 5 == 2 and n % 8 == place}
            assert kept[session.id].data() == saved
        assert following is None
        assert len(everything) == len(known["sessions"]) + len(begun)


class Guess(Race):
    """RAT-06: of many wrong passwords at once no more are looked at than the free ones."""

    settings: ClassVar[Mapping[str, object]] = {"hashing_queue": 200}

    async def before(self, face: Face) -> Known:
        return {"subject": await face.member()}

    async def work(self, face: Face, number: int, known: Known) -> object:  # noqa: ARG002
        return await face.log_in("Ada", f"not the passphrase {number}", client=Client(ip=f"192.0.2.{number}"))

    async def after(self, face: Face, known: Known, answers: Sequence[object]) -> None:
        events, _ = await face.events(of=known["subject"], limit=WORKERS)
        assert answers.count(DENIED) == 5
        assert answers.count(Failed("TooManyAttempts", "too_many_attempts")) == WORKERS - 5
        assert [event.name for event in events].count("log_in_failed") == 5


RACES: tuple[type[Race], ...] = (
    SignUp,
    StartAndRevokeAll,
    StartAndRevokeEverybody,
    TouchAndLogOut,
    EditTwoKeys,
    EditOneKey,
    Increment,
    Rotate,
    LogInAndChangePassword,
    DeleteAccount,
    PurgeAndEverything,
    Guess,
)
