"""Every security event with what it adds to the common fields, from the classes themselves."""

from __future__ import annotations

import inspect

from coatcheck.core.audit import Event
from coatcheck.server.logs import fields_of
from docs.tables.markdown import code, table


def all_events() -> str:
    """Give the events in the order of `coatcheck.core.audit`."""
    return table(("event", "type", "outcome", "own fields", "when"), (_row(kind) for kind in Event.__subclasses__()))


def _row(kind: type[Event]) -> tuple[str, str, str, str, str]:
    own = [name for name in kind.__struct_fields__ if name not in Event.__struct_fields__]
    told = fields_of(kind(at=0, **dict.fromkeys(own, "")))
    # "Single": a docstring may show code as it shows names, and Markdown reads both alike.
    when = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
    return code(kind.name), code(kind.__name__), str(told["outcome"]), ", ".join(map(code, own)), when
