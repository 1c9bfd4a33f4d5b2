"""Those parts of the pages that are made from the program itself, so that they cannot say anything else.

A page holds a line `<!-- table: NAME -->`; `filled` puts the table of that name in its place. `docs/conf.py` does so
for every page that Sphinx reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from docs.tables import calls, commands, events, problems, rules, settings

TABLES: Mapping[str, Callable[[], str]] = {
    "calls": calls.all_calls,
    "commands": commands.all_commands,
    "cookies": calls.all_cookies,
    "events": events.all_events,
    "field-reasons": problems.field_reasons,
    "library-reasons": problems.library_reasons,
    "log-line": calls.log_line,
    "pages": calls.all_pages,
    "policy-settings": settings.policy_settings,
    "problems": problems.all_problems,
    "profiles": settings.profiles,
    "rules": rules.all_rules,
    "rules-in-doors": rules.rules_in_doors,
    "rules-summary": rules.summary,
    "server-settings": settings.server_settings,
    "session-ends": problems.session_ends,
}

_MARK = re.compile(r"^<!-- table: ([a-z-]+) -->$", re.MULTILINE)


def filled(page: str) -> str:
    """Give a page with its tables. Raises KeyError for a table that there is not."""
    return _MARK.sub(lambda mark: TABLES[mark[1]](), page)


def names_in(page: str) -> list[str]:
    """Name the tables that a page asks for."""
    return _MARK.findall(page)
