"""What runs in other processes: importable there, and in need of requests and us alone."""

from __future__ import annotations

from typing import Any

import requests

from cave_auth_adapter import install


def cookies_at(url: str) -> Any:
    """The cookies that arrived at the sandbox's echo; None if it did not answer with an echo."""
    answer = requests.get(url, allow_redirects=False)
    return answer.json()["cookies"] if answer.status_code == 200 else None


def cookies_at_after_install(url: str) -> Any:
    install()
    return cookies_at(url)


def mismatches(url: str, name: str, count: int) -> list[str]:
    """Make requests that can be told apart; return what went wrong with any of them."""
    wrong = []
    for number in range(count):
        body = f"{name} {number}"
        try:
            answer = requests.post(url, data=body).json()["body"]
        except Exception as error:
            answer = repr(error)
        if answer != body:
            wrong.append(f"{body}: {answer}")
    return wrong
