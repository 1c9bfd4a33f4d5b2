"""Primitives at arm's length: password hashing, derived keys, randomness. Nothing here is home-made (SUP-02)."""
