"""The stories every front door is held to, for whoever writes a door.

In a test module of yours (it needs pytest):

    from coatcheck.testing.stories import DoorStories
    from coatcheck.testing.visits.ways import into_wsgi

    class MyHouse:
        desk_type = Coatcheck

        @contextmanager
        def open(self, desk, stage, **settings):
            yield into_wsgi(my_application(desk, stage, settings))

    class TestMyDoor(DoorStories):
        @pytest.fixture
        def house(self):
            return MyHouse()

The application is small and the same in every framework: `coatcheck.testing.visits.house` says what it has to offer.
Each story opens it anew on an empty store, visits it as browsers do, through `Send`, and looks at the store from
behind. `make_store` gives the store, a file of SQLite unless you override it. Time is moved, never waited for.

The stories of one subject may be told alone: `StrangerStories`, `MeetingStories`, `IdentityStories`, `TimeStories`,
`CookieStories`, `DevelopmentStories`, `CrossSiteStories`, `GuardStories`, `RedirectStories`, `TroubleStories`,
`StartStories`, `AnswerStories`. What your door cannot do is a test you override with `pytest.skip` and the reason in
words.
"""

from __future__ import annotations

import pytest

# Assertions in installed packages explain themselves only if pytest is told before they are imported: E402 below.
pytest.register_assert_rewrite("coatcheck.testing.visits")

from coatcheck.testing.visits.cookies import CookieStories, DevelopmentStories  # noqa: E402
from coatcheck.testing.visits.cross_site import CrossSiteStories  # noqa: E402
from coatcheck.testing.visits.first_visits import MeetingStories, StrangerStories  # noqa: E402
from coatcheck.testing.visits.guarding import (  # noqa: E402
    AnswerStories,
    GuardStories,
    RedirectStories,
    StartStories,
    TroubleStories,
)
from coatcheck.testing.visits.identity import IdentityStories, TimeStories  # noqa: E402

__all__ = [
    "AnswerStories",
    "CookieStories",
    "CrossSiteStories",
    "DevelopmentStories",
    "DoorStories",
    "GuardStories",
    "IdentityStories",
    "MeetingStories",
    "RedirectStories",
    "StartStories",
    "StrangerStories",
    "TimeStories",
    "TroubleStories",
]


class DoorStories(
    StrangerStories,
    MeetingStories,
    IdentityStories,
    TimeStories,
    CookieStories,
    DevelopmentStories,
    CrossSiteStories,
    GuardStories,
    RedirectStories,
    TroubleStories,
    StartStories,
    AnswerStories,
):
    """All of them."""
