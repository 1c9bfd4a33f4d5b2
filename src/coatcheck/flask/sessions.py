"""What `flask.session` is behind this door: the visitor's data on the server, read when first looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from flask import Flask, Request, Response
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import NullSession, SessionInterface, SessionMixin

from coatcheck.errors import ConfigurationError, InvalidData, Refused, StoreError
from coatcheck.http.headers import kept, length_in
from coatcheck.web.blocking import BlockingPassage
from coatcheck.web.session_data import Codec, SessionData

if TYPE_CHECKING:
    from coatcheck.flask.extension import Entrance


SENT_ON = "coatcheck.sent_on"
"""Where an environ says whether a view has sent this request on within its application."""


def is_sent_on(request: Request) -> bool:
    """Say whether a request is one that a view of the same application has sent on, and waits for."""
    return bool(request.environ.get(SENT_ON))


class ServerSession(SessionData, SessionMixin):
    """Session data as Flask's code knows it. Keys are texts; values are JSON and what Flask's tags add to it.

    A change of any depth is noticed, so `modified` need not be set. `permanent` asks that a log-in of this request is
    remembered (`log_in(..., remember=None)`); of a session that has begun it tells whether the browser keeps it, and
    changes nothing.
    """

    def __init__(self, passage: BlockingPassage[Any], *, is_sent_on: bool) -> None:
        super().__init__(passage.passage, passage.load)
        self.passage = passage
        self.is_sent_on = is_sent_on
        self.accessed = False  # Flask before 3.1.3 takes every session for looked at
        self.asks_permanent: bool | None = None
        self._is_marked = False

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser, or is asked to from its log-in on."""
        if self.asks_permanent is not None:
            return self.asks_permanent
        visit = self.passage.visit
        return visit.session.is_persistent if visit else False

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self.asks_permanent = bool(value)

    @property
    def new(self) -> bool:  # type: ignore[override]  # an attribute in Flask; here it is looked up
        """Whether the visitor came without a live session."""
        return not self.passage.visit or not self.passage.passage.exchange.known_visit

    @property
    def modified(self) -> bool:
        """Whether there is something to save."""
        try:
            return self._is_marked or self.passage.passage.is_changed
        except InvalidData:
            return True

    @modified.setter
    def modified(self, value: bool) -> None:
        self._is_marked = bool(value)


class Nowhere(NullSession):
    """The session of a request context that a test has made for a host that is none of the site's."""

    def _fail(self, *_args: object, **_more: object) -> NoReturn:
        raise ConfigurationError(
            "allowed_hosts: the host of this request context is none of the site's; give a base_url"
        )

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail


class ServerSessions(SessionInterface):
    """Opens and saves `ServerSession`s. Own types of values are registered at `serializer`, as with Flask's own."""

    def __init__(self, entrance: Entrance) -> None:
        self.serializer = TaggedJSONSerializer()
        self._entrance = entrance

    @property
    def codec(self) -> Codec:
        """How Flask's types become JSON, key by key, and come back."""
        return Codec(to_json=self.serializer.tag, from_json=self._untagged)

    def open_session(self, app: Flask, request: Request) -> ServerSession | None:  # noqa: ARG002 - Flask's interface
        """Give the session of a request; nothing is read yet. None for a host that is none of the site's."""
        passage = self._entrance.passage_of(request.environ)
        return None if passage is None else ServerSession(passage, is_sent_on=is_sent_on(request))

    def make_null_session(self, app: Flask) -> NullSession:  # noqa: ARG002 - Flask's interface
        """Give what stands for the session of a test whose host is none of the site's."""
        return Nowhere()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:  # noqa: ARG002 - Flask's interface
        """Save what was changed, and put into the answer's headers what is to be said of the session."""
        if not isinstance(session, ServerSession) or self._entrance.is_refusal(response):
            return
        passage = session.passage
        if session.accessed:
            passage.passage.is_personal = True
        if session.is_sent_on:
            return  # nothing goes out yet: the view that has sent the request on saves what both have changed
        try:
            if passage.save():
                session.modified = True  # and stays so, for whoever asks later in this request
        except (Refused, StoreError) as error:
            self._entrance.refuse_instead(response, passage, error)
            return
        headers = tuple(response.headers)
        is_made_later = response.is_streamed and not response.direct_passthrough  # which a file has
        told = passage.passage.headers(headers, to_come=length_in(headers) if is_made_later else 0)
        count = kept(headers, told)
        if not count:
            response.headers.clear()  # what the application says of our cookie itself goes too (CKY-07)
        for name, value in told[count:]:
            response.headers.add(name, value)

    def _untagged(self, value: object) -> object:
        """Undo `tag`, which Flask offers for whole texts only."""
        if isinstance(value, dict):
            inner = {name: self._untagged(item) for name, item in cast("dict[str, object]", value).items()}
            try:
                return cast("object", self.serializer.untag(inner))
            except Exception:  # noqa: BLE001 - a tag may raise anything for what it did not write
                return inner  # another door's value that only looks like one
        if isinstance(value, list):
            return [self._untagged(item) for item in cast("list[object]", value)]
        return value
