"""The doors: each way in which a program gets our signature, as a function that asks for a URL."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAdapter, CaveAuth, installed, mount

from .places import GLOBAL, MINNIE, OTHER, TOKENS, V1DD, ZETTA, ZETTA_DATA

Ask = Callable[[str, str], "requests.Response | None"]  # method and URL


class Door(NamedTuple):
    """A door; `opened` makes an :data:`Ask` for as long as its context lasts.

    A tool that brings a token of its own sends it where the user tells it to. What is promised
    of it is where a redirect from a trusted server may lead.
    """

    name: str
    opened: Callable[[], Any]
    brings_its_own: bool = False
    is_a_tool: bool = False
    sees_strangers: bool = True  # an adapter on the prefix of a host can't know who led there


@contextmanager
def _session(prepare: Callable[[requests.Session], Any] = lambda session: None) -> Iterator[Ask]:
    with requests.Session() as session:
        prepare(session)

        def ask(method: str, url: str) -> requests.Response:
            session.cookies.clear()
            body = b"body" if method == "POST" else None
            return session.request(method, url, data=body, timeout=20)

        yield ask


def _set_auth(session: requests.Session) -> None:
    session.auth = CaveAuth()


def _mount_adapter(session: requests.Session) -> None:
    for prefix in ("https://", "http://"):
        session.mount(prefix, CaveAdapter())


def _mount_on_hosts(session: requests.Session) -> None:
    """People mount like this; requests uses it for all URLs with that prefix, look-alikes too."""
    for host in (GLOBAL, MINNIE, OTHER, ZETTA, ZETTA_DATA, V1DD, "localhost", "xn--", "a.a."):
        session.mount(f"https://{host}", CaveAdapter())
        session.mount(f"http://{host}", CaveAdapter())


def _wrap(session: requests.Session) -> None:
    session.mount(f"https://{GLOBAL}", HTTPAdapter(max_retries=1))
    mount(session)


@contextmanager
def _install() -> Iterator[Ask]:
    with installed(), _session() as ask:
        yield ask


@contextmanager
def _install_and_get() -> Iterator[Ask]:
    with installed():
        yield lambda method, url: requests.request(method, url, timeout=20)


@contextmanager
def _cloud_volume() -> Iterator[Ask]:
    """CloudVolume uses requests.get, with the token that our bridge gave it."""
    cloudvolume: Any = importlib.import_module("cloudvolume")

    def ask(method: str, url: str) -> None:
        cloudvolume.CloudVolume(f"graphene://{url.removesuffix('/start')}/segmentation/table/x")

    with installed():
        yield ask


@contextmanager
def _cloud_files() -> Iterator[Ask]:
    """CloudVolume reads bulk data by cloud-files, whose sessions share an adapter of their own."""
    interfaces: Any = importlib.import_module("cloudfiles.interfaces")
    paths: Any = importlib.import_module("cloudfiles.paths")
    with installed():
        interface = interfaces.HttpInterface(paths.extract(f"https://{GLOBAL}/volume"))

        def ask(method: str, url: str) -> requests.Response:
            session: requests.Session = interface.session
            session.cookies.clear()
            return session.get(url, headers=interface.default_headers(), stream=True, timeout=20)

        yield ask


@contextmanager
def _cave_client(token: str | None) -> Iterator[Ask]:
    """A service client of CAVEclient: its session has the token as a cookie without a domain."""
    base: Any = importlib.import_module("caveclient.base")
    header = {"Authorization": f"Bearer {token}"} if token else {}
    with ExitStack() as stack:
        stack.enter_context(installed())
        client = base.ClientBase(f"https://{GLOBAL}", header, "v1", {}, "server")
        session: requests.Session = stack.enter_context(client.session)

        def ask(method: str, url: str) -> requests.Response:
            return session.get(url, timeout=20)

        yield ask


DOORS = [
    Door("auth", lambda: _session(_set_auth)),
    Door("adapter mounted on https:// and http://", lambda: _session(_mount_adapter)),
    Door(
        "adapter mounted on hosts", lambda: _session(_mount_on_hosts), sees_strangers=False
    ),
    Door("wrapped adapters", lambda: _session(_wrap)),
    Door("install", _install),
    Door("install, requests.get", _install_and_get),
    Door("install with CloudVolume", _cloud_volume, brings_its_own=True, is_a_tool=True),
    Door("install with cloud-files", _cloud_files, is_a_tool=True),
    Door("install with CAVEclient", lambda: _cave_client(None), is_a_tool=True),
    Door(
        "install with CAVEclient and its own token",
        lambda: _cave_client(TOKENS[GLOBAL]),
        brings_its_own=True,
        is_a_tool=True,
    ),
]  # fmt: skip


@contextmanager
def _leak() -> Iterator[Ask]:
    """Code without the plugin: the token in a header and a cookie of the session."""
    with requests.Session() as session:
        session.should_strip_auth = lambda *_: False
        session.headers["Authorization"] = f"Bearer {TOKENS[GLOBAL]}"

        def ask(method: str, url: str) -> requests.Response:
            session.cookies.clear()
            session.cookies.set("middle_auth_token", TOKENS[GLOBAL])
            return session.request(method, url, timeout=20)

        yield ask


WITHOUT_US = Door("without us", _session)
LEAKY = Door("a header and a cookie of the session", _leak)
