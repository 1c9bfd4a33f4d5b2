"""Use cases: read, ask the core, apply its answer in one step, return or raise.

Coroutines without asyncio, written once for both desks. Clock, entropy and colour come from outside (`Parts`).
"""
