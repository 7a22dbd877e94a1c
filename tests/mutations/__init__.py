"""Lines broken on purpose: `python -m tests.mutations` counts how many the tests catch."""
