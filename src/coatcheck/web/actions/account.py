"""The account: who is logged in, its page, and its recent events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from coatcheck.core.audit import SessionRevoked
from coatcheck.core.records import EventRecord
from coatcheck.core.views import Session, instant
from coatcheck.errors import BadRequest, FieldError
from coatcheck.http.messages import Reply
from coatcheck.web.answers import (
    AccountAnswer,
    CsrfAnswer,
    EventsAnswer,
    LogInAnswer,
    account_answer,
    event_answer,
    rfc3339,
    session_answer,
)
from coatcheck.web.devices import device_name
from coatcheck.web.exchange import Exchange, Fields, FormTrouble, Outcome
from coatcheck.web.pages import messages
from coatcheck.web.showing import redirect, show

RECENT = 20
PAGE_MAX = 100


class PageFields(Fields):
    """Which part of a list: at most `limit` items, from where `cursor` (an answer's `next`) says."""

    # `checked` holds them to it, in words of ours; this tells the OpenAPI document.
    limit: Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": PAGE_MAX})] = 50
    cursor: str | None = None

    def checked(self) -> PageFields:
        """Give these fields, or raise `BadRequest` if the limit is out of bounds."""
        if not 1 <= self.limit <= PAGE_MAX:
            raise BadRequest("invalid_fields", errors=[FieldError("/limit", "out_of_bounds")])
        return self


async def home(exchange: Exchange, trouble: FormTrouble) -> Reply:
    """Send the logged-in to their account and strangers to the log-in page."""
    visit = await exchange.visit()
    path = exchange.mount.pages.path
    return redirect(path("account") if visit and visit.subject is not None else path("log_in", ended=exchange.ending))


async def form_left(exchange: Exchange, trouble: FormTrouble) -> Reply:
    """Send whoever asks for the address of a form, as a reload after its refusal does, to the page that shows it."""
    return redirect(exchange.mount.pages.path("account"))


async def me(exchange: Exchange, fields: Fields) -> Outcome:
    """Who is logged in, and in which session."""
    session, _ = await exchange.require_session()
    account = await exchange.account_of_visitor()
    shown: AccountAnswer | None = None if account is None else account_answer(account)
    return Outcome(body=LogInAnswer(shown, session_answer(session, current=session.id)))


async def csrf_token(exchange: Exchange, fields: Fields) -> Outcome:
    """A token for cookie clients that send neither `Origin` nor `Sec-Fetch-Site`."""
    await exchange.visit()
    return Outcome(body=CsrfAnswer(exchange.csrf_token()))


async def events(exchange: Exchange, fields: PageFields) -> Outcome:
    """The account's own recent security events, newest first (LOG-08)."""
    _, subject = await exchange.require_session()
    asked = fields.checked()
    if asked.cursor is not None and not (asked.cursor.isascii() and asked.cursor.isdigit() and len(asked.cursor) < 19):
        raise BadRequest("invalid_fields", errors=[FieldError("/cursor", "invalid")])
    found, following = await exchange.flows.accounts.events(subject, after=asked.cursor, limit=asked.limit)
    return Outcome(body=EventsAnswer([event_answer(event) for event in found], following))


async def account_page(exchange: Exchange, trouble: FormTrouble) -> Reply:
    """Profile, devices, password and recent events on one page: without an account of ours, devices and events."""
    session, subject = await exchange.require_session()
    account = await exchange.account_of_visitor()
    live = await exchange.flows.oversight.live_sessions(subject)
    here_first = sorted(live, key=lambda one: one.id != session.id)
    recent, _ = await exchange.flows.accounts.events(subject, after=None, limit=RECENT)
    revoked = await _revoked_devices(exchange, recent)
    return await show(
        exchange,
        "account.html",
        trouble,
        sessions=[_device(one, current=session.id) for one in here_first],
        events=[_event(event, revoked) for event in recent],
        member_since=account and _in_words(account.created_at),
        member_since_iso=account and rfc3339(account.created_at),
        minimum_length=exchange.flows.parts.policy.password_min_length,
    )


def _device(session: Session, *, current: str) -> dict[str, object]:
    return {
        "id": session.id,
        "current": session.id == current,
        "device": device_name(session.user_agent),
        "user_agent": session.user_agent,
        "ip": session.ip,
        "created_at": _in_words(session.created_at),
        "created_iso": rfc3339(session.created_at),
        "last_seen_at": _in_words(session.last_seen_at),
        "last_seen_iso": rfc3339(session.last_seen_at),
        "expires_at": _in_words(session.expires_at),
        "expires_iso": rfc3339(session.expires_at),
        "remembered": session.is_persistent,
        "methods": [messages.for_method(method) for method in session.methods],
    }


async def _revoked_devices(exchange: Exchange, recent: Sequence[EventRecord]) -> dict[str, str]:
    """Name the devices that were logged out one by one, by session id; what is purged by now has no name left."""
    ended = {event.session_id for event in recent if event.name == SessionRevoked.name and event.session_id}
    found = [await exchange.flows.oversight.find(session_id) for session_id in sorted(ended)]
    return {session.id: device_name(session.user_agent) for session, _ in filter(None, found)}


def _event(event: EventRecord, revoked: Mapping[str, str]) -> dict[str, object]:
    """Show an event; `device` is where it was done, `revoked` what it was done to."""
    moment = instant(event.at)
    return {
        "text": messages.for_event(event.name),
        "revoked": revoked.get(event.session_id or "") if event.name == SessionRevoked.name else None,
        "at": _in_words(moment),
        "iso": rfc3339(moment),
        "ip": event.ip,
        "device": None if event.user_agent is None else device_name(event.user_agent),
    }


def _in_words(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
