"""Random lives: what `coatcheck.testing.machine` runs, over a store and at the desk."""
