"""Moved to tests/support/stub.py; this goes once no open branch imports it here."""

from ..support.stub import *  # noqa: F403
