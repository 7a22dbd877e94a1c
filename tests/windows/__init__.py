"""The tests under Windows' own CPython, on a Linux machine that has Wine: ``make windows``."""
