"""The PostgreSQL store: `store` keeps the contract, `database` carries out what it says, `driver` has the two colours."""
