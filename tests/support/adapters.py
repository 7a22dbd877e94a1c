"""Sessions with a ``CaveAdapter`` around a stub."""

from __future__ import annotations

import requests
from requests.adapters import BaseAdapter

from cave_auth_adapter import CaveAdapter, CaveAuth


def session_with(adapter: BaseAdapter, prefix: str = "https://") -> requests.Session:
    session = requests.Session()
    session.mount(prefix, adapter)
    return session


def around(stub: BaseAdapter, auth: CaveAuth | None = None) -> requests.Session:
    session = session_with(CaveAdapter(auth, wrapped=stub))
    session.mount("http://", session.adapters["https://"])
    return session
