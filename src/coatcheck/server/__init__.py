"""`coatcheck serve`: configuration, the application around `coatcheck.web`, and the process that runs it."""
