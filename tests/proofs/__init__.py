"""Long runs behind docs/reliability.md, by `python -m proofs`; the tests run a slice of each."""
