"""The SQLite store: `store` keeps the contract, `file` has the connections, `steps` and `purge` what they carry out."""
