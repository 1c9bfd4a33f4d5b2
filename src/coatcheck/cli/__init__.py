"""The command line: `coatcheck serve` and what an operator needs beside it.

Each command is a file and imports what is heavy only when it runs. Exit status: 0 done, 1 refused or not found,
2 usage, configuration or store. Errors go to the standard error and name the setting and the mend.
"""
