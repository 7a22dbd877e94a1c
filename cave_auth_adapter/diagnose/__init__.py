"""Diagnose: the tokens in use, one request step by step, and the set-up of this computer."""
