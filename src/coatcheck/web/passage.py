"""One request of an application on its way through a door.

It knows who is there, holds the session data that the application reads and changes, and what the answer must say of
both. It decides nothing: that is the flows' business. Doors give it a framework's words.

What an application may rely on, in every door:

- Nobody is asked for before the application asks (doors on an event loop ask before it, where a cookie of ours came
  along). A request that stores nothing creates nothing (SES-01).
- Changes of session data are saved as one patch when the answer begins; those made later, while it streams or in the
  background, when the request is done. If the application raises, they are not saved.
- Looking is for before the answer, or while it goes out if that says not how long it is. Amid one that does and has
  gone out as everybody's it raises `RuntimeError`, whoever the visitor is (HDR-01); after its end it is free again.
  What only changes is kept amid it too: `session[key] = value`, `update`, `del session[key]`, which tells not whether
  there was one, `clear`, `flash`. `pop` and `setdefault` look.
- What is stored by somebody without a session begins an anonymous one.
- Log-in, log-out and what else changes identity happen at once and stay, whatever becomes of the request. Changes made
  before belong to the session before.
- A session that ended meanwhile takes no more data and is not revived (SES-05); the answer is not spoilt by it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, cast

from coatcheck.core import session_data
from coatcheck.core.session_data import FLASHES
from coatcheck.core.sessions import LOGGED_OUT, REPLACED
from coatcheck.core.tokens import Token
from coatcheck.core.views import A, Absent, Login, Session, Visit
from coatcheck.errors import BadRequest, Forbidden, InvalidData, NotAuthenticated, Refused, SessionEnded, StoreError
from coatcheck.flows.sessions import NO_SESSION, UNKNOWN_SESSION
from coatcheck.flows.views import ViewFlows
from coatcheck.http import csrf
from coatcheck.http.csrf import SAFE_METHODS, Verdict
from coatcheck.http.headers import Headers, personal_headers
from coatcheck.http.messages import Reply
from coatcheck.web import evidence
from coatcheck.web.exchange import Exchange
from coatcheck.web.showing import with_session

if TYPE_CHECKING:
    from coatcheck.web.door import Door

ReadFormToken = Callable[[], Awaitable[str | None]]

_BARE = Reply(status=200)
LATE_LOOK = (
    "the session is looked at amid an answer whose headers have gone out and let caches give it to anybody; "
    "look before the answer begins"
)

_log = logging.getLogger("coatcheck")


class Passage(Generic[A]):
    """A request of the application. Methods that are coroutines may take a step each.

    Accounts are given as the application knows them: as `Account`, or as objects of the type its own store has. What
    came with the session, `visit().account`, is ours.
    """

    def __init__(self, door: Door, exchange: Exchange) -> None:
        self.door = door
        self.exchange = exchange
        self._is_personal = False
        self._to_come = 0
        self.values: dict[str, object] = {}
        """The session data as the application sees it, once it `is_loaded`; changed in place."""
        self.is_loaded = False
        self._before: dict[str, bytes] = {}
        self._session: Session | None = None
        self._visit: Visit | Absent | None = None
        self._account: A | None = None
        self._is_account_unread = False
        self._account_trouble: StoreError | None = None
        self._login: Login | None = None
        self._ended = False
        self._is_stranger = False
        self._is_admitted = False
        self._changes_state = exchange.request.method not in SAFE_METHODS
        self._has_begun = False
        self._has_sent_presession = False
        self._is_abandoned = False
        self.exemption = door.exemptions.get(exchange.request.path)
        """Why this request needs no evidence: by its path, or by what the door knows of the handler, before `admit`."""

    # Coming in

    async def admit(self, read_form_token: ReadFormToken, *, method: str | None = None) -> None:
        """Ask a request that a cookie decides for evidence that it comes from a page of ours. Before the application.

        `read_form_token` reads the field `csrf_token` of a form, where headers alone do not tell. `method` is the one
        that the application answers to, where that is known by then: what stands between may have made another of it.
        Raises `CrossSite` (CSR-02, CSR-12).
        """
        request = self.exchange.request
        self._note_method(method)
        if self._changes_state and self._is_decided_by_cookie():
            verdict = await evidence.judge(self.exchange)
            if verdict is Verdict.NEEDS_TOKEN:
                # A token in the header leaves the body alone, which may be no form and of any size.
                field = None if request.has(csrf.TOKEN_HEADER) else await read_form_token()
                await evidence.require_token(self.exchange, field)
            self._is_admitted = True

    async def admit_socket(self) -> None:
        """Ask a WebSocket's handshake, where a cookie comes with it, for the origin of a page of ours. Before `accept`.

        Raises `CrossSite` (CSR-13).
        """
        if self._is_decided_by_cookie():
            await evidence.judge_handshake(self.exchange)
            self._is_admitted = True

    async def require_evidence(self, method: str) -> None:
        """Ask for what `admit` asks for before somebody is acted for, whatever exemption has let the request in.

        `method` is the one that the application answers to: what stands between may have made another of it. A token
        counts in its header alone, for the body is the application's by then. Raises `CrossSite`.
        """
        self._note_method(method)
        if method not in SAFE_METHODS and self._lacks_evidence():
            if await evidence.judge(self.exchange) is Verdict.NEEDS_TOKEN:
                await evidence.require_token(self.exchange, None)
            self._is_admitted = True

    async def require_evidence_of_socket(self) -> None:
        """Do the same for a WebSocket's handshake, as `admit_socket` does. Raises `CrossSite`."""
        if self._lacks_evidence():
            await evidence.judge_handshake(self.exchange)
            self._is_admitted = True

    def _note_method(self, method: str | None) -> None:
        if method is not None and method not in SAFE_METHODS:
            self._changes_state = True

    def _lacks_evidence(self) -> bool:
        # Whom an exemption makes a stranger nobody acts for.
        return not self._is_admitted and not self._is_stranger and self.exchange.has_cookie_of_ours

    def _is_decided_by_cookie(self) -> bool:
        if self.exemption is None:
            return self.exchange.has_cookie_of_ours
        self._is_stranger = not self.exemption.allow_cookie
        if self._is_stranger:  # to who has looked already, too (CSR-14)
            self._visit, self._account, self.is_loaded = None, None, False
        return False

    @property
    def shows_token(self) -> bool:
        """Whether a cookie came along that could be a session's: what doors on an event loop look up beforehand."""
        token = self.exchange.token
        return isinstance(token, str) and self.exchange.flows.parts.token_format.fits(token)

    # Who is there

    @property
    def _views(self) -> ViewFlows[A]:
        return self.exchange.flows.views

    @property
    def is_personal(self) -> bool:
        """Whether the application has looked at who is there: the answer is for them alone then (HDR-01).

        Raises `RuntimeError` for a look that comes too late: amid an answer that went out as everybody's (`headers`).
        """
        return self._is_personal

    @is_personal.setter
    def is_personal(self, value: bool) -> None:
        if value and self.is_sealed:
            _log.error("%s: %s", self.exchange.request.path, LATE_LOOK)
            raise RuntimeError(LATE_LOOK)
        self._is_personal = value

    async def visit(self) -> Visit | Absent:
        """Find out who is there. One step, once. Raises `StoreUnavailable` rather than take anybody for a stranger."""
        self.is_personal = True
        return await self.look()

    async def look(self) -> Visit | Absent:
        """Do what `visit` does before the application asks: the answer is not personal by that.

        A door that `knows_accounts` has the account looked up too. If that fails, it fails whoever asks for it.
        """
        if self._visit is None:
            self._visit = NO_SESSION if self._is_stranger else await self.exchange.visit()
            if self.door.knows_accounts:
                try:
                    await self._account_of(self._visit)
                except StoreError as error:
                    self._account_trouble = error  # of whoever asks for it, and of nobody else
        return self._visit

    async def account(self) -> A | None:
        """The account of whoever is logged in; None for strangers and for subjects without an account of ours."""
        return await self._account_of(await self.visit())

    async def _account_of(self, visit: Visit | Absent) -> A | None:
        if not self._views.are_own:
            if self._is_account_unread and visit and visit.subject is not None:
                visit.account = await self.exchange.flows.accounts.account(visit.subject)
                self._is_account_unread = False
            return cast("A | None", await self.exchange.account_of(visit))
        if self._account is None and visit and visit.subject is not None:
            self._account = await self._views.account(visit.subject)
        return self._account

    @property
    def known_account(self) -> A | None:
        """The account, if it was looked up by now: for code that cannot wait. Raises `StoreError` if that failed."""
        if self._account_trouble is not None:
            raise self._account_trouble
        if self._views.are_own:
            return self._account
        return cast("A | None", self._visit.account) if self._visit else None

    async def require_session(self) -> Session:
        """Give the session of whoever is logged in. Raises `NotAuthenticated`."""
        visit = await self.visit()
        if not visit or visit.subject is None:
            raise NotAuthenticated
        return visit.session

    async def require_account(self) -> A:
        """Give the account of whoever is logged in.

        Raises `NotAuthenticated`; `Forbidden` for a subject known in another way, who has no account of ours, with the
        reason `no_account`.
        """
        await self.require_session()
        account = await self.account()
        if account is None:
            raise Forbidden("no_account")
        return account

    async def require_subject(self, subject: object) -> Session:
        """Let this very subject in and nobody else. Raises `NotAuthenticated`, `Forbidden`."""
        session = await self.require_session()
        if session.subject != subject:
            raise Forbidden
        return session

    async def require_fresh(self) -> Session:
        """Let in whoever has proven identity recently. Raises `NotAuthenticated`, `StepUpRequired`."""
        session = await self.require_session()
        self.exchange.flows.sessions.require_fresh(session)
        return session

    async def has_ended(self) -> bool:
        """Whether this visit's session is over by now: for what stays open after its request (REV-09). One step."""
        visit = await self.look()
        if not visit:
            return True
        found = await self.exchange.flows.oversight.find(visit.session.id)
        return found is None or found[1] is not None

    def csrf_token(self) -> str:
        """Make a token for a form of the application, sent as its field `csrf_token` or the header `X-CSRF-Token`.

        A stranger's comes with a cookie. Raises `RuntimeError` where the answer has begun and no cookie can be sent.
        """
        self.is_personal = True
        token = self.exchange.csrf_token(self._login, ended=self._ended)
        if self._has_begun and self.exchange.begins_presession and not self._has_sent_presession:
            raise RuntimeError(
                "the answer has begun: a stranger's token for a form has no cookie to be sent with; make it before"
            )
        return token

    # Session data

    async def load(self) -> None:
        """Read the session data, once. In a sealed answer that alone is no look, for it may be changed there."""
        if not self.is_loaded:
            visit = await (self.look() if self.is_sealed else self.visit())
            self._take(visit.session if visit else None)

    async def increment(self, key: str, by: int = 1) -> int:
        """Add to a counter in the session data, atomically, at once, and give the sum."""
        self.is_personal = True
        await self.load()
        if self._session is None and not self._may_begin():
            raise SessionEnded
        session = self._session or await self._begin()
        total = await self.exchange.flows.data.increment(session, key, by=by, namespace=self.door.namespace)
        self.values[key] = total
        self._before[key] = session_data.encode_value(key, total)
        return total

    async def save(self) -> bool:
        """Save what was changed, as one patch in one step; begin an anonymous session for it if there is none.

        Says whether there was anything. Raises `InvalidData`; nothing is saved then. What a session that ended
        meanwhile was to keep is dropped.
        """
        if not self.is_loaded or self._is_abandoned:
            return False
        puts, removes = self._changes()
        if not puts and (not removes or self._session is None):
            return False
        if self._session is None:
            if not self._may_begin():
                self._note_loss()
                return True
            if session_data.bytes_of(puts) > self.exchange.flows.parts.policy.session_data_bytes:
                raise InvalidData("data_too_large")  # before there is a session for it
            await self._begin()
        await self._put(puts, removes)
        return True

    def _may_begin(self) -> bool:
        """Whether the answer may bring a cookie of a session that begins with it.

        Not where that would push out the cookie of one that is live in this browser: one that took over while this
        request was under way, one that the path asks not for, or one that stayed away. For `SameSite` keeps a cookie
        from coming along from another site, but keeps no answer to such a navigation from setting one.
        """
        request, token, site = self.exchange.request, self.exchange.token, self.exchange.mount.site
        if token is not None:
            reason = "" if self._visit is None or self._visit else self._visit.reason
            is_overtaken = reason == REPLACED or (reason == UNKNOWN_SESSION.reason and request.is_part_of_page)
            return not (self._is_stranger or is_overtaken)
        if request.method in SAFE_METHODS and site.session_cookie.same_site != "Strict":
            return True
        verdict = csrf.judge_request(
            request, own=self.exchange.place.origin, trusted=site.trusted_origins, has_cookie_of_ours=False
        )
        return not verdict.is_foreign

    @property
    def is_changed(self) -> bool:
        """Whether the session data is not what is stored. Raises `InvalidData`."""
        return self.is_loaded and any(self._changes())

    def abandon(self) -> None:
        """Keep nothing more of what is changed in the session data: the application raised, and somebody answers it."""
        self._is_abandoned = True

    async def _begin(self) -> Session:
        self._require_cookie()
        login = await self.exchange.flows.sessions.start(
            None, methods=(), client=self.exchange.client, remember=False, replaces=None
        )
        self._renewed(login)
        return login.session

    async def _put(self, puts: dict[str, bytes], removes: set[str]) -> None:
        session = self._session
        if session is None:
            return
        save, namespace = self.exchange.flows.data.save, self.door.namespace
        try:
            try:
                await save(session, namespace=namespace, puts=puts, removes=removes)
            except SessionEnded:
                # Another request may have given it a new secret: it is still the session that was to keep this.
                found = await self.exchange.flows.oversight.find(session.id)
                if found is None or found[1] is not None:
                    raise
                self._session = found[0]
                await save(found[0], namespace=namespace, puts=puts, removes=removes)
        except SessionEnded:
            self._note_loss()
        for key in removes:
            del self._before[key]
        self._before.update(puts)

    def _changes(self) -> tuple[dict[str, bytes], set[str]]:
        values = dict(self.values)
        if FLASHES in values:
            values[FLASHES] = session_data.bounded_flashes(values[FLASHES])
        to_json = self.door.codec.to_json
        written: dict[str, object] = {}
        for key, value in values.items():
            try:
                written[key] = to_json(value)
            except RecursionError:  # a framework's codec goes as deep as the value, and round in one that holds itself
                raise InvalidData("data_too_deep", key=key) from None
        return session_data.changes(self._before, written)

    def _take(self, session: Session | None) -> None:
        self._session = session
        self.is_loaded = True
        self.values.clear()
        self._before = {}
        if session is not None:
            read = session_data.decode_of(session.record).get(self.door.namespace, {})
            self._before = {key: bytes(text) for key, text in read.items()}
            decoded = session_data.values_of(session.record, self.door.namespace)
            self.values.update((key, self.door.codec.from_json(value)) for key, value in decoded.items())

    def _require_cookie(self) -> None:
        if self._has_begun:
            raise RuntimeError("the answer has begun: a session that starts now has no cookie to be sent in")

    def _note_loss(self) -> None:
        _log.info("session data of a request was not kept: its session ended meanwhile")

    # Messages for the next page

    async def flash(self, message: str, category: str = "message") -> None:
        """Keep a message for the next page that shows messages: once, at most 20 of 500 characters (SES-12)."""
        await self.load()
        self.values[FLASHES] = [*self._flashes(), [category, message]]

    async def flashes(self) -> list[tuple[str, str]]:
        """Take the messages that wait, as pairs of category and text; escape them where they are shown."""
        self.is_personal = True
        await self.load()
        waiting = self._flashes()
        self.values.pop(FLASHES, None)
        shown: list[tuple[str, str]] = []
        for message in waiting:
            match message:
                case [str() as category, str() as text]:
                    shown.append((category, text))
                case _:
                    continue  # not written by `flash`
        return shown

    def _flashes(self) -> list[object]:
        waiting = self.values.get(FLASHES)
        return cast("list[object]", waiting) if isinstance(waiting, list) else []

    # Identity

    async def log_in(self, identifier: str, password: str, *, remember: bool = False) -> Login[A]:
        """Log in with a password; raises what the desk's `log_in` does. The answer bears the new cookie."""
        await self._admit_identity("log_in")
        self._require_cookie()
        await self._hand_over()
        login = await self.exchange.flows.log_ins.log_in(
            identifier, password, client=self.exchange.client, remember=remember, replaces=self._shown()
        )
        self._identified(login)
        return await self._told(login)

    async def start_session(self, subject: str, *, methods: tuple[str, ...] = (), remember: bool = False) -> Login[A]:
        """Log in whoever has proven identity in another way.

        The answer to a GET may do so too, such as a provider's callback: that this browser asked for it is for you to
        check then (SES-11).
        """
        if self._changes_state:
            await self._admit_identity("start_session")
        self._require_cookie()
        await self._hand_over()
        login = await self.exchange.flows.sessions.start(
            subject, methods=methods, client=self.exchange.client, remember=remember, replaces=self._shown()
        )
        self._identified(login)
        told = await self._told(login)
        if self.door.has_pages and not self.door.has_looked_at_starts:
            await self._look_at_start()
        return told

    async def _look_at_start(self) -> None:
        """See once whether sessions begin here for subjects of the application's own, while our sign-up is open."""
        try:
            account = await self.account()
        except StoreError:
            return  # the log-in stands; the next one is looked at
        self.door.has_looked_at_starts = True
        if account is None:
            self.door.mention(
                "pages",
                "are on, and a session was started for a subject without an account of ours: anybody may sign up at "
                f"{self.door.mount.pages.path('sign_up')}, and guards let them in like your own; say pages=False, or "
                "have views ask whether the subject is one of yours",
            )

    async def sign_up(self, *, username: str | None = None, email: str | None = None, password: str) -> A:
        """Open an account; it is not logged in by that. Raises what the desk's `sign_up` does."""
        await self._admit_identity("sign_up")
        return await self._views.opened(
            self.exchange.flows.accounts.sign_up(
                username=username, email=email, password=password, client=self.exchange.client
            )
        )

    async def log_out(self) -> bool:
        """End the session at once; the answer takes the cookie away. False if there was none."""
        await self._admit_identity("log_out")
        ended = await self.exchange.flows.sessions.log_out(self._shown(), client=self.exchange.client)
        self._left()
        return ended

    async def log_out_everywhere(self) -> int:
        """End all sessions of whoever is logged in, this one too, and say how many; as `log_out`, for each of them.

        Raises `NotAuthenticated`, and `StepUpRequired` where identity was not proven recently (REV-02).
        """
        await self._admit_identity("log_out_everywhere")
        session = await self.require_fresh()
        ended = await self.exchange.flows.oversight.revoke_all(
            cast("str", session.subject), keep=None, note="", client=self.exchange.client
        )
        self._left()
        return ended

    def _left(self) -> None:
        self._ended, self._login = True, None
        self._visit, self._account = Absent(LOGGED_OUT), None
        self._take(None)

    async def reauthenticate(self, password: str) -> Login[A]:
        """Prove identity again inside the session, which gets a new secret. Raises what the desk's method does."""
        await self._admit_identity("reauthenticate")
        self._require_cookie()
        session = await self.require_session()
        login = await self.exchange.flows.log_ins.reauthenticate(session, password, client=self.exchange.client)
        self._renewed(login)
        return await self._told(login)

    async def change_password(self, current_password: str, new_password: str) -> Login[A]:
        """Change the password; all other sessions end, this one gets a new secret. Raises what the desk's does."""
        await self._admit_identity("change_password")
        self._require_cookie()
        session = await self.require_session()
        login = await self.exchange.flows.passwords.change(
            session, current_password=current_password, new_password=new_password, client=self.exchange.client
        )
        self._renewed(login)
        return await self._told(login)

    async def _admit_identity(self, deed: str) -> None:
        # CSR-01: also where `admit` had nothing to ask for: no cookie of ours, or an exempt path. Never by a mere link.
        request = self.exchange.request
        if request.method in SAFE_METHODS:
            self.door.mention(
                deed,
                f"was called while a {request.method} was answered, and refused with 405: it is for POST alone, or a "
                "link on another site would do it; have a form post it",
            )
            raise BadRequest("method_not_allowed", status=405)
        if not self.exchange.has_cookie_of_ours or self._is_stranger:
            verdict = await evidence.judge(self.exchange)
            if verdict is Verdict.NEEDS_TOKEN:
                await evidence.require_token(self.exchange, None)

    async def _hand_over(self) -> None:
        """Write what was changed so far into the session that ends now: it moves on, or not, with the rest."""
        if self.is_loaded and self._session is not None:
            await self._put(*self._changes())

    def _identified(self, login: Login) -> None:
        kept = self.exchange.flows.parts.policy.keep_at_login
        pending: dict[str, object] = {}
        if self._session is None:  # what a stranger was to keep, and had no session yet to keep it in
            pending = {key: value for key, value in self.values.items() if session_data.crosses_login(key, kept)}
        self._renewed(login)
        self._take(login.session)
        self.values.update(pending)

    def _renewed(self, login: Login) -> None:
        self._login, self._ended = login, False
        self._session = login.session
        before = self._visit
        account = before.account if before and before.subject == login.subject else None
        self._visit = Visit(login.session, login.account or account, is_touch_due=False)
        self._account = None
        self._is_account_unread = self._visit.account is None  # a start reads none

    async def _told(self, login: Login) -> Login[A]:
        told = await self._views.shown(login)
        self._account, self._account_trouble = told.account, None
        if self.door.knows_accounts:
            await self.account()
        return told

    def _shown(self) -> str | Token | None:
        if self._login is not None:
            return self._login.token
        token = self.exchange.token
        return token if isinstance(token, str) and not self._is_stranger and not self._ended else None

    # Going out

    def headers(self, headers: Headers, *, to_come: int | None = 0) -> Headers:
        """Give the headers of the application's answer with what is to be said of the session. After `save`.

        `to_come` says how many octets of its body the application may still make, None where nobody knows. What they
        will look at cannot be known, and when they have, no header can be taken back (HDR-01). An answer that streams
        is therefore personal wherever a cookie of ours came along. One that tells its length, as downloads do, stays
        everybody's if it is so by now, and nobody is looked at until it has been `sent`.
        """
        if to_come is None and self.exchange.has_cookie_of_ours:
            self.is_personal = True
        bare = with_session(self.exchange, _BARE, self._login, ended=self._ended)
        self._has_begun = True
        self._has_sent_presession = self.exchange.sets_presession is not None
        if not bare.headers and not self.is_personal:
            self._to_come = to_come or 0
            return headers
        if bare.headers:
            ours = {cookie.partition("=")[0] for cookie in bare.cookies}
            # CKY-07: never two of one name; what the application says of our cookie itself would come before or after.
            headers = tuple(one for one in headers if not (one[0].lower() == "set-cookie" and _name_in(one[1]) in ours))
        return (*personal_headers(headers, sets_session=bool(bare.headers)), *bare.headers)

    @property
    def is_sealed(self) -> bool:
        """Whether nobody may be looked at: amid an answer that went out as everybody's. Changes are kept even so."""
        return self._to_come > 0

    def sent(self, octets: int) -> None:
        """Take note that so much of the body has been made. When it is all there, looking is free again."""
        self._to_come -= octets

    def unseal(self) -> None:
        """Let the application look again: the answer is over, and what it does now is seen by nobody."""
        self._to_come = 0

    def dressed(self, reply: Reply) -> Reply:
        """Put the cookies of what has happened so far into a reply of ours, which takes the application's place."""
        if self._login is None and not self._ended:
            return reply
        return with_session(self.exchange, reply, self._login, ended=self._ended)

    @property
    def has_work_left(self) -> bool:
        """Whether `finish` has something to do, and may wait for it."""
        visit = self.exchange.known_visit
        try:
            return bool(visit and visit.is_touch_due) or self.is_changed
        except InvalidData:
            return True  # it is told to the log

    async def finish(self) -> None:
        """Do what may wait until the answer is out: save what was changed since it began, note that it was used."""
        await self.save_late()
        if self._login is None and not self._ended:
            await self.door.web.finish(self.exchange)

    async def save_late(self) -> None:
        """Save what was changed since the answer began."""
        if not self._has_begun or not self.is_loaded or self._is_abandoned:
            return
        try:
            puts, removes = self._changes()
            if self._session is not None and (puts or removes):
                await self._put(puts, removes)
            elif puts:
                _log.warning(
                    "session data was changed after the answer had begun, and there is no session: nothing was kept"
                )
        except (Refused, StoreError) as error:  # nobody is left who could be told
            why = str(error)
            if isinstance(error, InvalidData):
                limit = self.exchange.flows.parts.policy.session_data_bytes
                why = session_data.why_not_kept(error, limit=limit)
            _log.error("session data that was changed after the answer had begun was not kept: %s", why)


def _name_in(set_cookie: str) -> str:
    return set_cookie.partition("=")[0].strip()
