"""Thin bridges to other people's libraries, each useless without its library."""
