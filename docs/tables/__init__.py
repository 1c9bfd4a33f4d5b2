"""Those parts of the pages that are made from the program itself, so that they cannot say anything else.

A page holds the lines `<!-- table: NAME -->` and `<!-- end -->`; what stands between them is the table of that name.
`python -m docs.tables` writes all of them anew, and a test fails where one says what the program does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from docs.tables import calls, commands, doors, events, problems, rules, settings

TABLES: Mapping[str, Callable[[], str]] = {
    "calls": calls.all_calls,
    "commands": commands.all_commands,
    "cookies": calls.all_cookies,
    "door-settings": doors.door_settings,
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
_TABLE = re.compile(r"^<!-- table: ([a-z-]+) -->\n.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)


def filled(page: str) -> str:
    """Give a page with its tables as they are now. Raises KeyError for a table that there is not."""
    return _TABLE.sub(lambda found: f"<!-- table: {found[1]} -->\n\n{TABLES[found[1]]()}\n<!-- end -->", page)


def emptied(page: str) -> str:
    """Give what people have written: the page with an empty line for each line of its tables."""
    return _TABLE.sub(lambda found: "\n" * found[0].count("\n"), page)


def names_in(page: str) -> list[str]:
    """Name the tables that a page asks for."""
    return _MARK.findall(page)
