"""Entry points for other programs; each module needs its library."""
