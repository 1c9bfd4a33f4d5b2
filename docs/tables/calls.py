"""What the server shows to the outside: pages, calls and cookies, from the code, and a line of its log."""

from __future__ import annotations

import logging

from coatcheck.core.audit import LoggedIn
from coatcheck.http.cookies import CookieStyle
from coatcheck.http.hosts import Site
from coatcheck.server.logs import JsonFormatter
from coatcheck.web.routes import ROUTES, Call, Page
from docs.tables.markdown import code, table


def all_calls() -> str:
    """Give the JSON calls in the order of the route table."""
    calls = [route for route in ROUTES if isinstance(route, Call)]
    rows = ((code(f"{call.method} {call.path}"), str(call.status), call.summary) for call in calls)
    return table(("call", "answers", "what it does"), rows)


def all_pages() -> str:
    """Name the pages."""
    return ", ".join(code(route.path) for route in ROUTES if isinstance(route, Page)) + "\n"


def all_cookies() -> str:
    """Give the cookies by what they are for, with the names of production and of development and their attributes."""
    real, trial = Site.configure(public_url="https://login.example.org"), Site(development=True)
    kinds = {
        "the session": ("session_cookie", "with the browser; remembered, with the session"),
        "forms before log-in": ("presession_cookie", "with the browser, an hour at most"),
        "a known device": ("device_cookie", "`known_device_lifetime`"),
    }
    rows: list[tuple[str, str, str, str]] = []
    for purpose, (attribute, end) in kinds.items():
        production, development = (style_of(site, attribute) for site in (real, trial))
        names = f"{code(production.name)}<br>{code(development.name)}"
        rows.append((purpose, names, code(production.attributes.removeprefix("; ")), end))
    return table(("for", "name; in development", "attributes; in development without `Secure`", "ends"), rows)


def style_of(site: Site, attribute: str) -> CookieStyle:
    """Give the style of one of a site's cookies."""
    style: CookieStyle = getattr(site, attribute)
    return style


def log_line() -> str:
    """Write the line of a log-in."""
    event = LoggedIn(
        at=1_800_000_000,
        subject="kXKH3b3VUuOqlWfsLeGIow",
        session_id="66Aq39tJ6qnS",
        ip="192.0.2.7",
        user_agent="curl/8.15.0",
        methods="pwd",
        is_persistent=False,
    )
    record = logging.makeLogRecord({"levelname": "INFO", "coatcheck_event": event})
    return f"```json\n{JsonFormatter().format(record)}\n```\n"
