"""Entry points for other programs, each useless without its library."""
