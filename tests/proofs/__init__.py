"""Long runs behind docs/reliability.md; the tests run a slice of each. `cd tests && python -m proofs`."""
