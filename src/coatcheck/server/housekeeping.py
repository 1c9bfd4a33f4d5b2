"""Housekeeping: every process of the server deletes, once an hour, what has been dead for long enough (DAT-06).

Workers begin at different moments, so that they seldom meet; where they do, the later one finds nothing left to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from coatcheck.crypto.entropy import Entropy, system_entropy
from coatcheck.errors import CoatcheckError
from coatcheck.facade import AsyncCoatcheck

HOUR = 3600
SOONEST, LATEST = 60, 600  # seconds after the start
BATCH = 500

_log = logging.getLogger("coatcheck.housekeeping")


async def housekeeping(
    desk: AsyncCoatcheck,
    *,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    entropy: Entropy = system_entropy,
) -> None:
    """Purge now and then until cancelled. Trouble is logged and tried again an hour later; it never ends the server."""
    await pause(SOONEST + int.from_bytes(entropy(2), "big") % (LATEST - SOONEST))
    while True:
        await _purge(desk)
        await pause(HOUR)


async def _purge(desk: AsyncCoatcheck) -> None:
    try:
        gone = await desk.purge(batch=BATCH)
    except CoatcheckError as error:
        _log.warning("purging has to wait: %s", error)
    except Exception:  # noqa: BLE001 - a bug here must not take the counter down with it
        _log.exception("purging failed")
    else:
        if gone.sessions or gone.counters or gone.events:
            _log.info("purged %d sessions, %d counters, %d events", gone.sessions, gone.counters, gone.events)
