"""The pages, and in `tables` what makes parts of them from the program."""
