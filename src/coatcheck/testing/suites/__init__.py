"""The parts of the conformance suite, by concern. `coatcheck.testing.contracts` is the way in."""
