"""Refusals of CAVE services, made by hand."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import requests
import urllib3

from cave_auth_adapter.refusals import remember_token
from cave_auth_adapter.tokens import Kind, Source, Token

from .stub import TOKEN

GLOBAL = "https://global.daf-apis.com"
MINNIE = "https://minnie.microns-daf.com"
LAB = "https://cave.my-lab.example"
LOGIN_PAGE = f"{GLOBAL}/sticky_auth/api/v1/authorize"
GOOGLE = "https://accounts.google.com/o/oauth2/auth"


def answer(status: int, url: str = MINNIE, body: Any = b"", **headers: str) -> requests.Response:
    """An answer with a body that is yet to be read; a dict or a list is sent as JSON."""
    response = requests.Response()
    response.status_code, response.url = status, url
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    content = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(content), dict(response.headers), status, preload_content=False
    )
    return response


def refused(kind: Kind = "file", url: str = MINNIE, path: Any = None) -> requests.Response:
    response = answer(401, url, WWW_Authenticate='Bearer error="invalid_token"')
    remember_token(response, Token(TOKEN, Source(kind, path, "token")))
    return response


# --- Who refused, and what is advised ------------------------------------------------------


def followed(*urls: str) -> requests.Response:
    """An answer with status 200 after redirects, as requests returns it."""
    hops = [answer(302, url, Location=target) for url, target in itertools.pairwise(urls)]
    last = answer(200, urls[-1], b"<html>")
    last.history = hops
    return last
