"""For tests of and with Coatcheck: a clock, entropy, counting, and the suites that stores are held to (`contracts`)."""
