"""The two front desks: `Coatcheck` for blocking code, `AsyncCoatcheck` for an event loop.

The same flows behind the same methods: `blocking` and `awaited` are one text in two colours, and a test strips `async`
and `await` and expects two equal classes. `desk` is what both are made of. Each method is one line over a flow: rules
live in `core`, order in `flows`.
"""

from coatcheck.facade.awaited import AsyncCoatcheck
from coatcheck.facade.blocking import Coatcheck

__all__ = ["AsyncCoatcheck", "Coatcheck"]
