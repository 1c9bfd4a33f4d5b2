"""All flows of one desk, wired together."""

from __future__ import annotations

from typing import Generic

from coatcheck.core.views import A
from coatcheck.flows.accounts import AccountFlows
from coatcheck.flows.data import DataFlows
from coatcheck.flows.log_in import LogInFlows
from coatcheck.flows.oversight import OversightFlows
from coatcheck.flows.parts import Parts
from coatcheck.flows.passwords import PasswordFlows
from coatcheck.flows.sessions import SessionFlows
from coatcheck.flows.views import ViewFlows
from coatcheck.stores.protocols import OwnAccounts


class Flows(Generic[A]):
    """What a desk can do, as coroutines. The desks drive them; `web` awaits them, whichever desk it stands behind."""

    __slots__ = ("accounts", "data", "log_ins", "oversight", "parts", "passwords", "sessions", "views")

    def __init__(self, parts: Parts, own: OwnAccounts[A] | None = None) -> None:
        self.parts = parts
        self.sessions = SessionFlows(parts)
        self.data = DataFlows(parts, self.sessions)
        self.oversight = OversightFlows(parts)
        self.accounts = AccountFlows(parts)
        self.log_ins = LogInFlows(parts, self.sessions)
        self.passwords = PasswordFlows(parts, self.sessions, self.log_ins)
        self.views = ViewFlows(self.accounts, self.sessions, own)
