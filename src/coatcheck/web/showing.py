"""From what happened to what a visitor sees: pages, redirects, JSON, and the cookies that go with them."""

from __future__ import annotations

import msgspec
from msgspec import structs

from coatcheck.core.views import Login
from coatcheck.errors import FieldError, InvalidCredentials
from coatcheck.http import cookies
from coatcheck.http.headers import json_headers, page_headers
from coatcheck.http.hosts import HostRefused
from coatcheck.http.messages import Reply
from coatcheck.http.problems import Problem, problem
from coatcheck.web.exchange import Exchange, FormTrouble, Outcome
from coatcheck.web.mount import Mount
from coatcheck.web.pages import messages

HTML = ("content-type", "text/html; charset=utf-8")
NO_SECRETS = frozenset({"password", "current_password", "new_password", "csrf_token"})


def redirect(target: str) -> Reply:
    """Send a browser on with 303, so that nothing posted is ever sent again (HDR-09)."""
    return Reply(status=303, headers=(("location", target), *page_headers()))


async def show(exchange: Exchange, template: str, trouble: FormTrouble, **context: object) -> Reply:
    """Render a page for this visitor."""
    account, visit = await exchange.account_of_visitor(), await exchange.visit()
    mount = exchange.mount
    body = mount.pages.render(
        template,
        csrf_token=exchange.csrf_token(),
        account=account,
        subject=visit.subject,
        errors=trouble.errors,
        values=trouble.values,
        notice=None if trouble.errors else _notice(exchange),
        development=mount.site.development,
        **context,
    )
    headers = (HTML, *page_headers(redirect_hosts=mount.site.redirect_hosts), *trouble.headers)
    return Reply(status=trouble.status, headers=headers, body=body)


def _notice(exchange: Exchange) -> str | None:
    """What has happened, by the address or by the cookie: only sentences of ours, chosen by name."""
    done, ended = exchange.query("notice"), exchange.query("ended") or exchange.ending
    return (messages.for_notice(done) if done else None) or (messages.for_ending(ended) if ended else None)


def told_of_host(mount: Mount, refused: HostRefused) -> Problem:
    """Say that a host is none of the site's: in development, where it may be the developer's own, how to mend it."""
    if not _is_kept_local(mount, refused.reason):
        return problem(refused.status, refused.reason)
    mount.mention(
        "public_url",
        "is not set, and a request asked for another host than localhost, which is all that development mode answers; "
        "set it to the https address under which visitors come",
    )
    return structs.replace(problem(refused.status, refused.reason), title=messages.text("problem.development_host"))


def _is_kept_local(mount: Mount, reason: str) -> bool:
    return mount.site.development and reason == "unknown_host"


def problem_page(mount: Mount, told: Problem, *, again: str | None = None) -> Reply:
    """Show a problem and the way on. It asks the store nothing, for the store may be the problem.

    `again` is the path of a page of ours that may be asked for again, where waiting or another try can help.
    """
    body = mount.pages.render(
        "problem.html",
        csrf_token="",
        status=told.status,
        title=messages.for_status(told.status),
        message=told.title if _is_kept_local(mount, told.reason) else messages.for_reason(told.reason),
        retry_after=told.retry_after,
        again=again,
        development=mount.site.development,
    )
    return Reply(status=told.status, headers=(HTML, *page_headers(), *told.headers), body=body)


def json_reply(outcome: Outcome) -> Reply:
    """Write what an action has done as JSON."""
    if outcome.body is None:
        return Reply(status=204, headers=json_headers())
    headers = (("content-type", "application/json"), *json_headers())
    return Reply(status=outcome.status, headers=headers, body=msgspec.json.encode(outcome.body))


def page_reply(exchange: Exchange, outcome: Outcome) -> Reply:
    """Send a browser to the page that comes after what an action has done."""
    path = exchange.mount.pages.path
    if outcome.carried:
        exchange.carry(outcome.carried)
    target = outcome.target or path(outcome.to, notice=outcome.notice, **outcome.query)
    return redirect(target)


def with_session(exchange: Exchange, reply: Reply, login: Login | None, *, ended: bool) -> Reply:
    """Put the session's cookie into a reply, or take it away; a pre-session that has done its service goes too."""
    place = exchange.place
    written: list[str] = []
    if exchange.sets_presession is not None:
        written.append(cookies.write(place.presession_cookie, exchange.sets_presession, max_age=None))
    if login is not None:
        record = login.session.record
        # CKY-05: without "remember me" the cookie ends with the browser.
        max_age = max(1, record.expires_at - exchange.mount.now()) if record.is_persistent else None
        written.append(cookies.write(place.session_cookie, login.token.reveal(), max_age=max_age))
        if exchange.presession is not None and login.subject is not None:
            written.append(cookies.clear(place.presession_cookie))
        if login.device is not None:
            lifetime = exchange.flows.parts.policy.known_device_lifetime
            written.append(cookies.write(place.device_cookie, login.device.reveal(), max_age=lifetime))
    elif ended or exchange.drops_cookie:
        written.append(cookies.clear(place.session_cookie))
    reply = reply.with_cookies(*written) if written else reply
    return reply.with_headers(*exchange.mount.headers_of_log_out()) if ended else reply


def trouble_of(told: Problem, error: Exception, values: dict[str, str]) -> FormTrouble:
    """Say a refusal in a form's words: a sentence for each field at fault, or one for the whole."""
    named = [_sentence(fault) for fault in told.errors]
    errors = named or [{"field": None, "message": messages.for_refusal(told.reason, told.retry_after)}]
    if isinstance(error, InvalidCredentials) and not told.errors:
        errors = [{"field": "identifier", "message": messages.for_reason(told.reason)}]
    kept = {name: text for name, text in values.items() if name not in NO_SECRETS}
    return FormTrouble(status=told.status, errors=errors, values=kept, headers=told.headers)


def _sentence(fault: FieldError) -> dict[str, str | None]:
    field = fault.pointer.removeprefix("/")
    return {"field": field or None, "message": messages.for_field(field, fault.reason)}
