"""Remembering: the contract (`protocols`), the reference (`memory`) and the engines.

Stores never decide whether something is expired or allowed and never ask the time; what they promise is atomicity.
They are coroutines and import no asyncio. `open_store` turns a URL into a store; nothing is opened before first use.
"""
