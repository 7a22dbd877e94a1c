"""How many examples a property is tried with: a share of what the profile allows."""

from __future__ import annotations

from typing import Any

from hypothesis import settings


def examples(count: int, **others: Any) -> settings:
    """Settings for so many examples under the usual profile, and in proportion under another."""
    return settings(max_examples=max(1, count * settings().max_examples // 100), **others)
