"""A home directory and an environment without the tokens of this computer."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import runtime

_TOKEN_SOURCES = (
    *("CAVE_TOKEN", "CAVE_TOKEN_FILE", "CAVE_TOKEN_COMMAND", "CAVE_AUTH_ACCOUNT"),
    *("CAVE_AUTH_HOSTS", "CAVE_AUTH_KEYRING"),
    *("CLOUD_FILES_DIR", "NETRC"),
)
# cloud-volume and cloud-files decide where their files are when they are imported, and cache each
# token for the life of the process (cloudvolume/secrets.py, cloudfiles/secrets.py).
_PLACES = {
    ("cloudvolume.secrets", "HOME"): "",
    ("cloudvolume.secrets", "CLOUD_VOLUME_DIR"): ".cloudvolume",
    ("cloudfiles.secrets", "CLOUD_VOLUME_SECRETS_DIR"): ".cloudvolume/secrets",
    ("cloudfiles.secrets", "CLOUD_FILES_SECRETS_DIR"): ".cloudfiles/secrets",
}
_CACHES = {
    "cloudvolume.secrets": "CAVE_CREDENTIALS_CACHE",
    "cloudfiles.secrets": "CAVE_CREDENTIALS",
}


@contextlib.contextmanager
def isolated_home(home: Path) -> Iterator[Path]:
    """Use an empty home directory in the block; yields the path of its secret files."""
    # Not the test's monkeypatch, whose undo() would restore the real home directory.
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "USERPROFILE"):  # Windows uses the second
            patch.setenv(name, str(home))
        # The same directory for all: CAVEclient does not know CLOUD_VOLUME_DIR.
        patch.setenv("CLOUD_VOLUME_DIR", str(home / ".cloudvolume"))
        for name in _TOKEN_SOURCES:
            patch.delenv(name, raising=False)
        for (module, attribute), place in _PLACES.items():
            if module in sys.modules:
                patch.setattr(sys.modules[module], attribute, str(home / place), raising=False)
        _forget_tokens()
        yield home / ".cloudvolume" / "secrets"
    _forget_tokens()


@contextlib.contextmanager
def accepting(certificates: dict[str, str]) -> Iterator[None]:
    """Let clients accept other certificates, and use no proxy, in the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        for name, value in certificates.items():
            patch.setenv(name, value)
        yield


def _forget_tokens() -> None:
    """Clear the caches, in place: ``install()`` has put its own caches there."""
    for module, attribute in _CACHES.items():
        getattr(sys.modules.get(module), attribute, {}).clear()
    runtime.reset()
