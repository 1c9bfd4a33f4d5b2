"""The desk for blocking code. What changes here changes in `awaited`, too."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from coatcheck.colour import Blocking, Colour, hashing_lane, run_blocking
from coatcheck.core.policy import Policy
from coatcheck.core.records import EventRecord
from coatcheck.core.tokens import Token
from coatcheck.core.views import DEFAULT_NAMESPACE, A, Absent, Client, Login, Session, Visit
from coatcheck.facade.desk import PAGE, Desk
from coatcheck.flows.data import Edit
from coatcheck.stores.protocols import Purged


def _blocking(policy: Policy) -> Colour:
    return Blocking(hashing_lane(queue=policy.hashing_queue, nice=policy.hashing_nice))


class Coatcheck(Desk[A]):
    """The blocking front desk. Safe to share between threads, and across a fork.

    Nothing is opened before the first call. Use it as a context manager, or call `close()` when done.

    Args:
        store: a URL (`sqlite:///app.db`, `postgresql://...`, `redis://...`, `memory://`), or a store of your own. With
            `sessions` one that holds accounts alone will do (`coatcheck.stores.protocols.AccountsHalf`): your own table
            of users. One that has objects of its own for them (`OwnAccounts`) makes this a `Coatcheck[User]`, whose
            methods give those.
        sessions: where sessions, epochs and counters are kept, if not in `store`: a URL, or a store of your own that
            was opened with `holds_accounts=False`. Accounts, passwords and events stay in `store`.
        secret: at least 32 random bytes from which the keys for forms and logs are derived. Sessions do not depend
            on it. Needed as soon as pages are served by more than one process or must survive a restart.
        profile: `standard` or `strict`.
        settings: single settings of `coatcheck.Policy` by name; durations as seconds or `timedelta`.
        clock: gives the time as integer seconds UTC; for tests.
        entropy: gives random bytes; for tests.

    Raises:
        ConfigurationError: lists every mistake in these arguments, with its mend.

    Every method may raise `StoreUnavailable`, and `CorruptRecord` where what it reads was damaged. What lists in pages
    (`limit`, `after`) or works in batches raises `ValueError` for a page or batch of less than one.
    """

    _colour = staticmethod(_blocking)

    def __enter__(self) -> Coatcheck[A]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def sign_up(
        self,
        *,
        username: str | None = None,
        email: str | None = None,
        password: str,
        client: Client | None = None,
    ) -> A:
        """Open an account; it is not logged in by that. Costs one password hash.

        Raises:
            InvalidInput: names or password break a rule; `errors` lists all of them.
            UsernameTaken, EmailTaken: somebody was there first.
            TooManyAttempts: too many accounts were opened from its network; wait `retry_after` seconds.
            Busy: too many passwords are being hashed.
        """
        return run_blocking(
            self.flows.views.opened(
                self.flows.accounts.sign_up(username=username, email=email, password=password, client=client)
            )
        )

    def log_in(
        self,
        identifier: str,
        password: str,
        *,
        client: Client | None = None,
        remember: bool = False,
        replaces: str | Token | Session | None = None,
    ) -> Login[A]:
        """Start a session for whoever knows the password of the account named by user name or e-mail address.

        Args:
            client: where the request comes from; kept for the device list, and what limits are counted by. With its
                `device` this browser has failures of its own (`Login.device`).
            remember: ask for the longer timeouts of a remembered session.
            replaces: the token or session that came with the request, if any. It ends; data of an anonymous one
                moves on.

        Raises:
            InvalidCredentials: any refusal of name and password, always alike, and always after as much work.
            InvalidInput: what was typed can be nobody's name or password, being empty or too long.
            TooManyAttempts: nothing was looked at, for too many failed before or are under way at this moment; wait
                `retry_after` seconds.
            Busy: too many passwords are being hashed.

        Costs one password hash and at most four steps.
        """
        return run_blocking(
            self.flows.views.login(
                self.flows.log_ins.log_in(identifier, password, client=client, remember=remember, replaces=replaces)
            )
        )

    def start_session(
        self,
        subject: str | None,
        *,
        methods: tuple[str, ...] = (),
        client: Client | None = None,
        remember: bool = False,
        replaces: str | Token | Session | None = None,
    ) -> Login[A]:
        """Start a session for a subject whose identity you have proven your own way; None makes an anonymous one.

        Args:
            subject: your stable id of the person, at most 255 printable characters; never an address or a name.
            methods: how identity was proven, as `amr` values (RFC 8176).

        Raises:
            InvalidCredentials: the subject is disabled.
            InvalidInput: `subject` or `methods` is none (`subject_invalid`, `methods_invalid`).
        """
        return run_blocking(
            self.flows.views.login(
                self.flows.sessions.start(subject, methods=methods, client=client, remember=remember, replaces=replaces)
            )
        )

    def authenticate(
        self,
        token: str | Token | None,
        *,
        touch: bool = True,
        with_account: bool = True,
        client: Client | None = None,
    ) -> Visit[A] | Absent:
        """Find out who presents a token: a `Visit`, which is true, or an `Absent`, which is false and has a reason.

        One step; none for a value that cannot be a token of ours. At most once a minute "last seen" is written too;
        with `touch=False` that is left to a later `renew`, after the answer. Where accounts live apart from sessions,
        reading the account is one step more, and `with_account=False` spares it. `client` goes into the event
        of a session that is seen to have expired.
        """
        return run_blocking(self.flows.views.authenticate(token, touch=touch, with_account=with_account, client=client))

    def renew(self, session: Session) -> None:
        """Write that a session was used now. Raises `SessionEnded`."""
        run_blocking(self.flows.sessions.renew(session))

    @contextmanager
    def edit(self, session: Session, *, namespace: str = DEFAULT_NAMESPACE) -> Generator[dict[str, object], None, None]:
        """Change session data: `with desk.edit(session) as data: data["theme"] = "dark"`.

        What changed is saved at the end of the block as one patch: keys you did not change are not touched, whoever
        changes them meanwhile. If the block raises, nothing is saved.

        Raises:
            SessionEnded: the session died meanwhile; nothing was saved and nothing comes back.
            InvalidData: not JSON, too deep or too large; what was stored stays.
        """
        change = Edit(session, namespace)
        yield change.values
        puts, removes = change.patch()
        run_blocking(self.flows.data.save(session, namespace=namespace, puts=puts, removes=removes))

    def increment(self, session: Session, key: str, by: int = 1, *, namespace: str = DEFAULT_NAMESPACE) -> int:
        """Add to a counter in the session data, atomically, and give the sum. An absent key counts from 0.

        Raises `SessionEnded`, and `InvalidData` if the value is no integer.
        """
        return run_blocking(self.flows.data.increment(session, key, by=by, namespace=namespace))

    def rotate(self, session: Session, *, client: Client | None = None) -> Login[A]:
        """Give a session a new secret; the old token is dead when this returns. Raises `SessionEnded`."""
        return run_blocking(self.flows.views.login(self.flows.sessions.rotate(session, client=client)))

    def log_out(self, token: str | Token | None, *, client: Client | None = None) -> bool:
        """End the session behind a token at once. False if there was none; asking twice is no error."""
        return run_blocking(self.flows.sessions.log_out(token, client=client))

    def reauthenticate(self, session: Session, password: str, *, client: Client | None = None) -> Login[A]:
        """Prove identity again inside a session. It gets a new secret, and both its timeouts start again.

        Raises `InvalidCredentials`, also where the subject has no password here, `InvalidInput`, `TooManyAttempts`
        (the limits of log-in), `Busy`, `SessionEnded`, and `NotAuthenticated` for an anonymous session.
        """
        return run_blocking(self.flows.views.login(self.flows.log_ins.reauthenticate(session, password, client=client)))

    def require_fresh(self, session: Session) -> None:
        """Raise `StepUpRequired` unless identity was proven in this session in the last five minutes (a setting)."""
        self.flows.sessions.require_fresh(session)

    def change_password(
        self, session: Session, *, current_password: str, new_password: str, client: Client | None = None
    ) -> Login[A]:
        """Change the password of the session's account. All its other sessions end; this one gets a new secret.

        Raises `InvalidInput`, `InvalidCredentials`, `TooManyAttempts`, `Busy`, `SessionEnded`, `NotAuthenticated`, as
        `reauthenticate` does.
        """
        return run_blocking(
            self.flows.views.login(
                self.flows.passwords.change(
                    session, current_password=current_password, new_password=new_password, client=client
                )
            )
        )

    def sessions(self, *, of: str) -> tuple[Session, ...]:
        """List the live sessions of a subject, newest first: the device list."""
        return run_blocking(self.flows.oversight.live_sessions(of))

    def session(self, session_id: str) -> tuple[Session, str | None] | None:
        """Read any session by its public id, with why it ended if it did. For operators: it asks for no owner."""
        return run_blocking(self.flows.oversight.find(session_id))

    def all_sessions(
        self, *, after: str | None = None, limit: int = PAGE
    ) -> tuple[list[tuple[Session, str | None]], str | None]:
        """Read one page of all sessions, each with why it ended if it did, and where the next page starts."""
        return run_blocking(self.flows.oversight.scan(after=after, limit=limit))

    def revoke(self, session_id: str, *, of: str, note: str = "", client: Client | None = None) -> None:
        """End one session by its public id. Somebody else's is `NotFound`, like one that never was (REV-03)."""
        run_blocking(self.flows.oversight.revoke(session_id, subject=of, note=note, client=client))

    def revoke_all(self, *, of: str, keep: str | None = None, note: str = "", client: Client | None = None) -> int:
        """End all sessions of a subject at once, but for the one with the public id `keep`; say how many ended.

        Raises `NotFound` if `keep` is not a live session of the subject; nothing is ended then.
        """
        return run_blocking(self.flows.oversight.revoke_all(of, keep=keep, note=note, client=client))

    def revoke_everybody(self, *, note: str = "") -> None:
        """End every session there is at once: everybody's, and anonymous ones. For operators (REV-06)."""
        run_blocking(self.flows.oversight.revoke_everybody(note=note))

    def account(self, subject: str) -> A | None:
        """Read an account by its subject."""
        return run_blocking(self.flows.views.account(subject))

    def find_account(self, identifier: str) -> A | None:
        """Find an account by user name, e-mail address or subject. For operators: it tells who exists."""
        return run_blocking(self.flows.views.find(identifier))

    def all_accounts(self, *, after: str | None = None, limit: int = PAGE) -> tuple[list[tuple[A, bool]], str | None]:
        """Read one page of all accounts, each with whether it is disabled, and where the next page starts."""
        return run_blocking(self.flows.views.scan(after=after, limit=limit))

    def is_disabled(self, subject: str) -> bool:
        """Say whether a subject may have no sessions."""
        return run_blocking(self.flows.accounts.is_disabled(subject))

    def disable(self, subject: str) -> None:
        """End all sessions of a subject, account of ours or not, and let it start no more."""
        run_blocking(self.flows.accounts.disable(subject))

    def enable(self, subject: str) -> bool:
        """Let a disabled subject log in again; its old sessions stay dead. False if it was not disabled."""
        return run_blocking(self.flows.accounts.enable(subject))

    def unlock(self, subject: str) -> bool:
        """Lift an account's waits after failures, and the lock of its password. False if there is no such account."""
        return run_blocking(self.flows.accounts.unlock(subject))

    def delete_account(self, subject: str) -> bool:
        """Delete an account with its password, its sessions and every trace of it. False if there is none.

        Its names are free then. Events that named it keep their time and name only. The id is never given again.
        """
        return run_blocking(self.flows.accounts.delete(subject))

    def events(
        self, *, of: str, after: str | None = None, limit: int = PAGE
    ) -> tuple[tuple[EventRecord, ...], str | None]:
        """Read security events of a subject, newest first, and where the next page starts."""
        return run_blocking(self.flows.accounts.events(of, after=after, limit=limit))

    def all_events(self, *, after: str | None = None, limit: int = PAGE) -> tuple[tuple[EventRecord, ...], str | None]:
        """Read everybody's security events, newest first, and where the next page starts. For operators."""
        return run_blocking(self.flows.accounts.all_events(after=after, limit=limit))

    def purge(self, *, batch: int = 1000, progress: Callable[[Purged], None] | None = None) -> Purged:
        """Delete what has been dead for longer than the policy keeps it. Others wait for one batch at most.

        Args:
            batch: about how many records are looked at in one transaction.
            progress: called with the totals so far after each batch.
        """
        return run_blocking(self.flows.oversight.purge(batch=batch, progress=progress))

    def ready(self) -> None:
        """Return if the store can be read; raise `StoreUnavailable` if it is down.

        Raises `ConfigurationError` where a setting is wrong (the URL, its password, `SchemaMismatch`), with the mend:
        called at start, that is where it is told, and not at somebody's first request.
        """
        run_blocking(self.flows.parts.store.ready())

    def close(self) -> None:
        """Let go of files, connections and threads. A later call opens them again."""
        run_blocking(self.flows.parts.store.close())
        self.flows.parts.colour.close()
