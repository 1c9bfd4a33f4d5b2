"""The PostgreSQL store: `store` keeps the contract, `database` carries out what it says, `driver` knows the colours.

What goes over a connection, in either colour, is in `exchange`.
"""
