"""An application's own users, as small as they can be: objects of its own beside the accounts of another store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coatcheck.stores.protocols import Store


@dataclass
class User:
    """Somebody, as the application has them."""

    key: str
    favourite_coat: str = "duffle"


class Users:
    """A store of accounts that has objects of its own for them."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.forgets = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def own_accounts(self, subjects: Sequence[str]) -> dict[str, User]:
        found = [subject for subject in subjects if await self._inner.account(subject) is not None]
        return {} if self.forgets else {subject: User(subject) for subject in found}
