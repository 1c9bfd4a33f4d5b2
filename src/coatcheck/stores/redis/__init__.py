"""The Redis and Valkey store: `store` keeps the contract, `scripts` are its atomic steps, `lines` its connections."""
