"""The PostgreSQL store: `store` keeps the contract, `statements` are what it says, `driver` says it in both colours."""
