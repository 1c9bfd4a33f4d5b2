"""What a device list calls a client: "Firefox on Linux", "curl", "Unknown device".

A name is made when it is shown, not when the session starts: the rules that read user agents get better with time,
and parsing has no place in a log-in. A user agent is whatever the client chose to send, so a name is a courtesy to
the owner of the account and evidence of nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

UNKNOWN = "Unknown device"
NAME_MAX = 60

# Real user agents are shorter; a longer one is cut before any pattern runs over it.
_AGENT_MAX = 512

_UNPRINTABLE = re.compile(r"[^ -~]+")
_FIRST_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,39}(?=[/ ]|$)")
_VARIANT = re.compile(r" (?:Mobile|iOS)\b.*$")  # "Chrome Mobile iOS" is Chrome; the system is named after it

# ua-parser's names for what people call otherwise.
_SPOKEN = {
    "Mac OS X": "macOS",
    "Chrome OS": "ChromeOS",
    "HeadlessChrome": "Headless Chrome",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "An app",
    "Chrome Mobile WebView": "An app",
}


def device_name(user_agent: str | None) -> str:
    """Name the client behind a `User-Agent` header in at most 60 printable ASCII characters.

    With ua-parser installed it is "<program> on <system>", as far as either is known; without it the program's own
    first word, or "A browser" (every browser calls itself Mozilla). Never raises, whatever was sent.
    """
    agent = _UNPRINTABLE.sub(" ", user_agent or "")[:_AGENT_MAX].strip()
    return _name(agent) if agent else UNKNOWN


@lru_cache(maxsize=1024)
def _name(agent: str) -> str:
    program, system = _parse(agent)
    program = program or _first_word(agent)
    named = f"{program} on {system}" if system and system != program else program
    return _UNPRINTABLE.sub(" ", named)[:NAME_MAX].strip() or UNKNOWN


def _parse(agent: str) -> tuple[str | None, str | None]:
    try:
        import ua_parser
    except ImportError:
        return None, None
    try:
        result = ua_parser.parse(agent)
    except Exception:  # noqa: BLE001 - a stranger's text, somebody else's patterns: a name must not cost the page
        return None, None
    program = result.user_agent.family if result.user_agent else None
    system = result.os.family if result.os else None
    return _spoken(program), _spoken(system)


def _spoken(family: str | None) -> str | None:
    if family is None:
        return None
    return _SPOKEN.get(family) or _VARIANT.sub("", family)


def _first_word(agent: str) -> str:
    first = _FIRST_PRODUCT.match(agent)
    if first is None:
        return UNKNOWN
    return "A browser" if first[0] == "Mozilla" else first[0]
