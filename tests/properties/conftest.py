"""How hard the properties are tried.

``pytest tests/properties`` tries each property often enough for a minute or so, and
``pytest tests/properties --hypothesis-profile=thorough`` twenty times as often.
"""

from __future__ import annotations

from hypothesis import settings

# No deadline: an example may take long on a busy machine. Not
# derandomized: each run tries new ones, and a failure prints the line to run it again.
settings.register_profile(
    "properties", deadline=None, derandomize=False, print_blob=True, max_examples=100
)
settings.register_profile("thorough", settings.get_profile("properties"), max_examples=2000)
# An option of the command line is applied after this file is read, and so wins.
if settings.get_current_profile_name() != "thorough":
    settings.load_profile("properties")
