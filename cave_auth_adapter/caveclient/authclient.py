"""``AuthClient``: find, use, get and save the token for one CAVE server."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import CaveAuthError, InvalidToken, TokenFileError
from ..origins import HostSpec, parse_origin
from ..runtime import logger, warn_once
from ..service import DEFAULT_SERVER, AuthServer, JsonApi, base_url
from ..store import TokenStore
from ..store.content import read_secrets, token_in
from ..tokens import DEFAULT_KEY, Source, Token
from ..words import html_table, where
from .files import ClientFiles
from .signing import ClientAuth


class TokenRecord(dict[str, Any]):
    """An API key, as a dictionary; ``repr`` does not show the token itself.

    >>> TokenRecord(id=1, token="0123456789abcdef")
    {'id': 1, 'token': '<hidden>'}
    """

    def __repr__(self) -> str:
        return repr({**self, "token": "<hidden>"})


class AuthClient:
    """Find, use, get and save the token for one CAVE server.

    :param token_file: a secret file to read the token from; None: the first that exists of
        ``CAVE_TOKEN``, ``CAVE_TOKEN_FILE`` and the secret files, as for :class:`CaveAuth`.
    :param token_key: the key of the token in the file; None: ``"token"``.
    :param token: the token itself, which outranks all files.
    :param server_address: the auth server. By naming it, you trust it, and no other.
    :param local_server: the server of a datastack's own services. It gets a token only if it is
        trusted by the rules for all hosts.
    :raises InvalidToken: (also a :class:`ValueError`) if ``token`` can't be one.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if ``server_address`` is not one.

    No file is read before the token is needed. Later changes of the file are noticed.

    >>> AuthClient(token="0123456789abcdef")
    AuthClient(token='<hidden>', server_address='https://global.daf-apis.com')
    """

    _datastack_name: str | None = None

    def __init__(
        self,
        token_file: str | os.PathLike[str] | None = None,
        token_key: str | None = None,
        token: str | None = None,
        server_address: str = DEFAULT_SERVER,
        local_server: str | None = None,
    ):
        self._server_address = base_url(server_address)
        self._local_server = self._named_local_server = local_server
        self._auth = ClientAuth(self)
        self._server = AuthServer(self._server_address, self._auth)
        self._use(token, token_file, token_key)

    @property
    def token(self) -> str | None:
        """The token; None if there is none.

        Set it to use another token with this object; nothing is saved. Set it to None to use the
        files again.

        :raises TokenFileError: if a secret file can't be read or is malformed.
        :raises InvalidToken: if the new value, or the variable ``CAVE_TOKEN``, can't be a token.
        """
        try:
            return self._auth.token_for(self._server_address)
        except TokenFileError as error:
            # If the named file or key is missing, a request fails with this error. This property
            # returns None, as CAVEclient's does; for a malformed file it raises again.
            path = Path(error.filename)
            return token_in(read_secrets(path) or {}, self._token_key, path)

    @token.setter
    def token(self, new_token: str | None) -> None:
        self._use(new_token, self._token_file, self._token_key)

    @property
    def request_header(self) -> dict[str, str]:
        """The header that authenticates a request to this server; empty if there is no token."""
        token = self.token
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def local_server(self) -> str | None:
        """The server of the datastack's own services, ``https://host``; None if there is none.

        The ``auth`` of a :class:`CAVEclient` looks it up at the first use.
        """
        if self._local_server is None and self._datastack_name is not None:
            self._local_server = self._look_up(self._datastack_name)
        return self._local_server

    @local_server.setter
    def local_server(self, new_val: str | None) -> None:
        self._local_server = new_val

    @property
    def local_server_filepath(self) -> str | None:
        """The path of the local server's secret file; None if there is no local server."""
        server = self.local_server
        return str(TokenStore().path_for(base_url(server))) if server else None

    def get_token(self, token_key: str | None = None) -> None:
        """Use the token under a key of the secret file.

        :param token_key: None: ``"token"``.
        """
        self._use(None, self._token_file, token_key)

    def get_new_token(self, open: bool = False, no_text: bool = False) -> None:
        """Print how to get a new token.

        :param open: whether to open the page in a browser.
        :param no_text: whether to print nothing.
        """
        page = self._server.create_page
        if not no_text:
            print(_NEW_TOKEN.format(page=page))
        if open:
            _open(page)

    def setup_token(self, make_new: bool = True, open: bool = True) -> None:
        """Print how to get a token.

        :param make_new: whether to make a new token; if False, use one that you have already.
        :param open: whether to open the page in a browser.
        """
        if make_new:
            return self.get_new_token(open=open)
        print(_EXISTING_TOKEN.format(page=self.get_token_page(open=open)))
        return None

    def get_token_page(self, open: bool = True) -> str:
        """The address of the page that shows your tokens.

        :param open: whether to open it in a browser.
        """
        page = self._server.settings_page
        if open:
            _open(page)
        return page

    def save_token(
        self,
        token: str | None = None,
        token_key: str = DEFAULT_KEY,
        overwrite: bool = False,
        token_file: str | os.PathLike[str] | None = None,
        switch_token: bool = True,
        write_to_server_file: bool = True,
        ignore_readonly: bool = True,
        local_server: bool = True,
    ) -> None:
        """Save a token where this package, CAVEclient, cloud-volume and cloud-files find it.

        It is saved in the server's own file and in the token file. If no token file was named, that
        is ``cave-secret.json`` for the default server; for another server it is left out, so that
        each server keeps its token.

        :param token: the token; None: the one in use.
        :param token_key: the key to save it under.
        :param overwrite: whether to replace another token under this key.
        :param token_file: the token file; None: that of the constructor, or else as above.
        :param switch_token: whether to use this token from now on.
        :param write_to_server_file: whether to write the server's own file.
        :param ignore_readonly: whether to log a warning, not raise, if a file can't be written.
        :param local_server: whether to write the local server's file, too, if that server is
            trusted already, so that cloud-volume finds the token there. If the local server can't
            be looked up, a warning is logged.
        :raises InvalidToken: (also a :class:`ValueError`) if there is no token, or it can't be one.
        :raises TokenExists: (also a :class:`ValueError`) if a file has another token, and
            ``overwrite`` is False; no file is written then. Also if only ``cave-secret.json`` is
            left to write, and it has a token that may be another server's.
        :raises TokenFileError: if a file can't be read or written.
        """
        token = self.token if token is None else token
        if token is None:
            raise InvalidToken(
                f"There is no token to save. Get one at {self._server.settings_page} and pass it: "
                "save_token(token=…)."
            )
        files = ClientFiles(self._server_address, token_key)
        paths = files.to_save(token_file, self._token_file, write_to_server_file)
        if not overwrite:
            files.refuse_to_replace(paths, token)
        replaced = files.own_token
        saved = [
            files.save(path, token, overwrite=overwrite, ignore_readonly=ignore_readonly)
            for path in paths
        ]
        if switch_token:
            is_saved = saved[-1]
            self._use(None if is_saved else token, paths[-1] if is_saved else None, token_key)
        if local_server and (server := self._trusted_local_server()):
            files.save_for_local(
                server,
                token,
                replaced=replaced,
                is_named=server == self._named_local_server,
                ignore_readonly=ignore_readonly,
            )

    def get_tokens(self) -> list[TokenRecord]:
        """Your API keys: ``id``, ``user_id``, ``token``, ``description`` and dates of each.

        :raises CaveAuthError: as all of :class:`AuthServer`.
        """
        return [TokenRecord(asdict(key)) for key in self._server.api_keys()]

    def get_user_information(self, user_ids: Iterable[int]) -> list[dict[str, Any]]:
        """Users by id. The account needs administrator's rights.

        :param user_ids: the ``id`` of each.
        :raises CaveAuthError: as all of :class:`AuthServer`.
        """
        return [dict(user) for user in self._server.users(user_ids)]

    def get_group_users(self, group_id: int) -> list[dict[str, Any]]:
        """The users of a group; none if there is no such group. The account must be an admin.

        :param group_id: the ``id`` of the group.
        :raises CaveAuthError: as all of :class:`AuthServer`.
        """
        return [dict(user) for user in self._server.group_users(group_id)]

    def __repr__(self) -> str:
        shown = {
            "token": "<hidden>" if self._given else None,
            "token_file": self._token_file and os.fspath(self._token_file),
            "token_key": None if self._token_key == DEFAULT_KEY else self._token_key,
            "server_address": self._server_address,
            "local_server": self._local_server,
        }
        arguments = (f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"{type(self).__name__}({', '.join(arguments)})"

    def _repr_html_(self) -> str:
        """For a notebook: the server, and where the token is from. This asks no server."""
        server = HostSpec.parse(self._server_address).origin
        try:
            token = self._auth.credentials.token_for(server)
            source = f"from {where(token.source)}" if token else "none; log in: login()"
        except CaveAuthError as error:
            source = str(error)
        rows = [("server", self._server_address), ("token", source)]
        return html_table(rows, type(self).__name__)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "token_file": self._token_file,
            "token_key": self._token_key,
            "token": self._given.value if self._given else None,
            "server_address": self._server_address,
            "local_server": self._local_server,
            "named_local_server": self._named_local_server,
            "datastack_name": self._datastack_name,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        datastack_name, named = state.pop("datastack_name"), state.pop("named_local_server")
        AuthClient.__init__(self, **state)
        self._datastack_name, self._named_local_server = datastack_name, named

    def _use(
        self,
        token: str | None,
        token_file: str | os.PathLike[str] | None,
        token_key: str | None,
    ) -> None:
        """Change the source of the token, for every session that this object signs."""
        key = DEFAULT_KEY if token_key is None else token_key
        self._auth.change(token, token_file, key)
        self._given = Token(token, Source("token=")) if token else None
        self._token_file, self._token_key = token_file, key

    def _trusted_local_server(self) -> str | None:
        """The local server, if it may have a secret file; None if not, or if it is unknown.

        A file of its own would make the server trusted. But its name may be what the info service
        says, so it must be trusted already.
        """
        try:
            server = self.local_server
        except CaveAuthError as error:
            logger.warning("The token was not saved for the datastack's own server. %s", error)
            return None
        return server if server and self._trusts_local(server) else None

    def _look_up(self, datastack_name: str) -> str:
        api = JsonApi(self._server_address, self._auth)
        name = quote(datastack_name, safe="")
        info = api.call("GET", f"/info/api/v2/datastack/full/{name}")
        server = info.get("local_server") if isinstance(info, dict) else None
        if not isinstance(server, str) or parse_origin(server) is None:
            raise api.unexpected(f"no server for the datastack {datastack_name!r}")
        self._trusts_local(server)
        return server

    def _trusts_local(self, server: str) -> bool:
        """Whether a local server is trusted by the rules for all hosts; if not, warn once."""
        if self._auth.hosts.trust_known(server):
            return True
        origin = parse_origin(server)
        name = origin.server if origin else server
        warn_once(
            f"{name!r} is not trusted, so it gets no token. If you know that it is a CAVE server, "
            f"save a token for it: cave_auth_adapter.TokenStore().save(token, {name!r})"
        )
        return False


def _open(page: str) -> None:
    import webbrowser  # slow to import, and rarely needed

    webbrowser.open(page)


_NEW_TOKEN = """\
New tokens need to be acquired by hand. Please follow the following steps:
    1) Go to {page} to create a new token.
    2) Log in with your Google credentials and copy the token shown afterward.
    3a) Save it to your computer with: client.auth.save_token(token="PASTE_YOUR_TOKEN_HERE")
    or
    3b) Set it for the current session only with: client.auth.token = "PASTE_YOUR_TOKEN_HERE"
Your other tokens stay valid."""

_EXISTING_TOKEN = """\
Tokens need to be acquired by hand. Please follow the following steps:
    1) Go to {page} to view a list of your existing tokens.
    2) Log in with your Google credentials and copy one of the tokens.
    3a) Save it to your computer with: client.auth.save_token(token="PASTE_YOUR_TOKEN_HERE")
    or
    3b) Set it for the current session only with: client.auth.token = "PASTE_YOUR_TOKEN_HERE"
If you have no token, use client.auth.get_new_token()."""
