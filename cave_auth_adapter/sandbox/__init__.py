"""A small CAVE deployment on this machine, to try and to test tools without the real one."""

from .process import Sandbox
from .record import RecordedRequest

__all__ = ["RecordedRequest", "Sandbox"]
