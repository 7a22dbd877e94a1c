"""These tests need an environment of their own, with the extra `field`: `make tools`."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("navis") else ["test_tools.py"]
