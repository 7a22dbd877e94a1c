"""A small CAVE deployment on this computer, to try and test tools without the real one."""

from .process import Sandbox
from .record import RecordedRequest

__all__ = ["RecordedRequest", "Sandbox"]
