"""One request on its way to its reply: what an action may ask, and what it may say in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qs

from msgspec import Struct

from coatcheck.core.audit import DuplicateCookie, safe_label
from coatcheck.core.sessions import REPLACED
from coatcheck.core.tokens import Token, encode
from coatcheck.core.views import Absent, Account, Client, Login, Session, Visit
from coatcheck.errors import NotAuthenticated
from coatcheck.flows.bundle import Flows
from coatcheck.http import cookies, csrf, presession
from coatcheck.http.client_address import client_address
from coatcheck.http.cookies import Duplicate
from coatcheck.http.hosts import Place
from coatcheck.http.messages import Request
from coatcheck.http.presession import PreSession
from coatcheck.http.redirects import redirect_target
from coatcheck.web.mount import Mount

# Where to go afterwards. Anything but one text means the default page, never an error (RED-06).
Next = str | list[str] | None

REQUEST_ID_BYTES = 9
SESSION_BINDING = b"session:"
PRESESSION_BINDING = b"pre-session:"


class Fields(Struct):
    """What a visitor sent for one action. It may hold a password, so it never shows itself (ERR-08)."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(****)"


class Outcome(Struct, frozen=True):
    """What an action has done. JSON says `body` with `status`, a page goes to `to` and shows `notice` there.

    `login` is a session whose new token goes into the cookie; `ended` takes the cookie away. `query` is given to the
    next page in its address, `carried` in the pre-session, where nobody else can put it.
    """

    status: int = 200
    body: Struct | None = None
    to: str = "account"
    target: str | None = None
    notice: str | None = None
    query: Mapping[str, str | None] = {}
    carried: str = ""
    login: Login | None = None
    ended: bool = False


class Exchange:
    """A request with everything that follows from it, each looked at once and when first asked for."""

    __slots__ = (
        "_client",
        "_is_page",
        "_opened",
        "_token",
        "_visit",
        "mount",
        "params",
        "place",
        "request",
        "sets_presession",
    )

    def __init__(
        self, mount: Mount, request: Request, place: Place, params: Mapping[str, str], *, is_page: bool | None = None
    ) -> None:
        """Begin with a request that has arrived; `is_page` says what it asks for where its headers need not."""
        self.mount = mount
        self._is_page = is_page
        self.request = request
        self.place = place
        self.params = params
        self.sets_presession: str | None = None
        self._client: Client | None = None
        self._visit: Visit | Absent | None = None
        self._opened: bytes | None = None
        self._token: str | Duplicate | Literal[False] | None = False

    @property
    def flows(self) -> Flows[Any]:
        """The flows of the desk we stand behind."""
        return self.mount.flows

    @property
    def is_passive(self) -> bool:
        """Whether this request is no activity of a person (TMO-09)."""
        return self.request.path.removeprefix(self.mount.prefix) in self.mount.passive_paths

    @property
    def client(self) -> Client:
        """Where the request comes from."""
        if self._client is None:
            agent = self.request.all(b"user-agent")
            self._client = Client(
                ip=client_address(
                    self.request.peer,
                    self.request.headers,
                    trusted_proxies=self.mount.trusted_proxies,
                    trusted_hops=self.mount.trusted_hops,
                    forwarded_header=self.mount.forwarded_header,
                ),
                # Made harmless at once: from here it goes into events, logs and lists (LOG-05, REV-08).
                user_agent=safe_label(agent[0].decode("utf-8", "replace")) if agent else None,
                device=self._shown_device(),
                request_id=encode(self.flows.parts.entropy(REQUEST_ID_BYTES)),
            )
        return self._client

    @property
    def token(self) -> str | Duplicate | None:
        """The value of the session cookie; None without one, `DUPLICATE` if it stands twice."""
        if self._token is False:
            self._token = cookies.read(self.request.all(b"cookie"), self.place.session_cookie.name)
        return self._token

    @property
    def has_cookie_of_ours(self) -> bool:
        """Whether any cookie of ours came along, however malformed (CON-15).

        That of a known device does not count: it decides nothing, and stays when the session is gone.
        """
        return self.token is not None or self.presession is not None

    @property
    def presession(self) -> str | Duplicate | None:
        """The value of the pre-session cookie, like `token`."""
        return cookies.read(self.request.all(b"cookie"), self.place.presession_cookie.name)

    async def visit(self) -> Visit | Absent:
        """Find out who is there. Raises `StoreUnavailable` rather than take anybody for a stranger (ERR-01)."""
        if self._visit is None:
            if isinstance(self.token, Duplicate):
                told = self.flows.parts.origin_of(self.client).told
                await self.flows.parts.announce(DuplicateCookie(at=self.mount.now(), **told))
                self._visit = Absent("duplicate_cookie")
            else:
                self._visit = await self.flows.sessions.authenticate(
                    self.token, touch=False, client=lambda: self.client
                )
        return self._visit

    @property
    def known_visit(self) -> Visit | Absent | None:
        """The answer of `visit`, if it was asked."""
        return self._visit

    @property
    def ending(self) -> str | None:
        """Why the session that was shown is over; None where none was shown, or it lives, or nobody has asked."""
        visit = self._visit
        return None if visit is None or visit or self.token is None else visit.reason

    async def require_session(self) -> tuple[Session, str]:
        """Give the live session of a logged-in visitor and its subject; raise `NotAuthenticated` if there is none."""
        visit = await self.visit()
        if not visit or visit.subject is None:
            raise NotAuthenticated
        return visit.session, visit.subject

    async def account_of_visitor(self) -> Account | None:
        """The account of whoever is logged in; None for strangers and for subjects without an account of ours."""
        return await self.account_of(await self.visit())

    async def account_of(self, visit: Visit | Absent) -> Account | None:
        """Do the same for a visit at hand. A step where accounts live apart from sessions, else none."""
        if not visit or visit.subject is None:
            return None
        if visit.account is None and not self.flows.parts.store.holds_accounts:
            visit.account = await self.flows.accounts.account(visit.subject)
        return visit.account

    @property
    def drops_cookie(self) -> bool:
        """Whether this reply takes the session cookie away because its session is dead.

        Only a page does, and only where the end is certain: an answer that comes late, to a token that was rotated or
        replaced meanwhile, must not delete the cookie of the session that is live now.
        """
        if self.ending in (None, "unknown_session", REPLACED):
            return False
        return self.request.is_navigation if self._is_page is None else self._is_page

    @property
    def session_binding(self) -> bytes:
        """What a CSRF token of a session's visitor is bound to: its secret. Empty where no session is shown."""
        return SESSION_BINDING + self.token.encode() if isinstance(self.token, str) and self._fits(self.token) else b""

    async def presession_binding(self) -> bytes:
        """What a stranger's is bound to: the pre-session's nonce. Empty where none is shown, or somebody is logged in.

        A page with a form may have begun an anonymous session with the same answer that began the pre-session: so it
        counts beside one, until log-in (FIX-04).
        """
        shown = self._shown_presession()
        if shown is None or (self.session_binding and await self._is_logged_in()):
            return b""
        return PRESESSION_BINDING + shown.nonce

    async def _is_logged_in(self) -> bool:
        visit = await self.visit()
        return visit.subject is not None if visit else False

    @property
    def carried(self) -> str:
        """What the page before this one gave us in the pre-session; "" for nothing."""
        shown = self._shown_presession()
        return "" if shown is None else shown.word

    def carry(self, word: str) -> None:
        """Give a word to the next page. It goes no further: the pre-session that comes with a form carries none."""
        if self.token is None:
            self._open_presession(word)

    def csrf_token(self, login: Login | None = None, *, ended: bool = False) -> str:
        """Make a token for the forms of this reply; without a live session a pre-session comes with it (SES-01).

        `login` is a session that this reply hands out, `ended` says that it takes the one away that was shown.
        """
        if login is not None:
            binding = SESSION_BINDING + login.token.reveal().encode()
        elif not ended and self.session_binding and not self.drops_cookie:
            binding = self.session_binding
        else:
            binding = PRESESSION_BINDING + self._open_presession()
        return csrf.issue_token(self.mount.keys.csrf, binding, self.flows.parts.entropy(csrf.MASK_BYTES))

    @property
    def begins_presession(self) -> bool:
        """Whether a pre-session has begun with this request, whose cookie the browser has not got yet."""
        if self._opened is None:
            return False
        shown = self._shown_presession()
        return shown is None or not shown.began_with(self._opened)

    def query(self, name: str) -> str | None:
        """Give a member of the address's query that stands there once; None otherwise (RED-06)."""
        values = parse_qs(self.request.query, keep_blank_values=True, errors="replace").get(name, [])
        return values[0] or None if len(values) == 1 else None

    def target(self, value: object) -> str:
        """Where `next` may lead, or where a log-in leads without one (RED-01 to RED-06)."""
        return redirect_target(
            value,
            default=self.mount.home,
            never=frozenset({self.mount.pages.path("log_out")}),
            redirect_hosts=self.mount.site.redirect_hosts,
        )

    def _fits(self, token: str) -> bool:
        return self.flows.parts.token_format.fits(token)

    def _open_presession(self, word: str = "") -> bytes:
        """Begin a pre-session, or go on with the one that was shown; give its nonce."""
        shown = self._shown_presession()
        nonce = self._opened or (shown and shown.nonce) or self.flows.parts.entropy(presession.NONCE_BYTES)
        self._opened = nonce
        self.sets_presession = presession.issue(
            self.mount.keys.presession, nonce=nonce, now=self.mount.now(), word=word
        )
        return nonce

    def _shown_device(self) -> Token | None:
        shown = cookies.read(self.request.all(b"cookie"), self.place.device_cookie.name)
        return Token(shown) if isinstance(shown, str) else None

    def _shown_presession(self) -> PreSession | None:
        shown = self.presession
        if not isinstance(shown, str):
            return None
        return presession.read(self.mount.keys.presession, shown, now=self.mount.now())


class FormTrouble(Struct, frozen=True):
    """What a form page is shown again with: the fields at fault with their sentences, and what was typed."""

    status: int = 200
    errors: Sequence[Mapping[str, str | None]] = ()
    values: Mapping[str, str] = {}
    headers: Sequence[tuple[str, str]] = ()
