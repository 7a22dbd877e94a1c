"""The exceptions of the package."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import requests

from cave_auth_adapter import CaveAuthError, InvalidHostSpec, InvalidToken, TokenFileError

ERRORS = [
    CaveAuthError("what happened"),
    InvalidHostSpec("what happened"),
    InvalidToken("what happened"),
    TokenFileError("/secrets/cave-secret.json", "what happened", "What to do."),
]
ids = [type(error).__name__ for error in ERRORS]


@pytest.mark.parametrize("error", ERRORS, ids=ids)
def test_each_error_is_a_request_exception(error: CaveAuthError) -> None:
    assert isinstance(error, requests.RequestException)


@pytest.mark.parametrize("error", ERRORS, ids=ids)
def test_each_error_says_what_happened(error: CaveAuthError) -> None:
    assert "what happened" in str(error)


@pytest.mark.parametrize("error", ERRORS, ids=ids)
@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_each_error_survives_copying_and_pickling(
    error: CaveAuthError, clone: Callable[[Any], Any]
) -> None:
    twin = clone(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)


def test_a_token_file_error_names_the_file_and_the_remedy() -> None:
    error = TokenFileError("/secrets/cave-secret.json", "is a directory", "Move it away.")
    assert isinstance(error, OSError)
    assert error.filename == "/secrets/cave-secret.json"
    assert str(error) == "/secrets/cave-secret.json: is a directory. Move it away."
