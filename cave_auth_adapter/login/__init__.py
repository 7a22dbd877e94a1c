"""Log in with one command: a browser window, or a pasted line, and a lasting key in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..caveclient import AuthClient
from ..service import DEFAULT_SERVER, base_url
from ..service.waiting import waits_told

if TYPE_CHECKING:
    from .dialogue import Dialogue


def login(
    server_address: str = DEFAULT_SERVER,
    *,
    open_browser: bool = True,
    store_key: bool = True,
    overwrite: bool = False,
    default: bool = False,
    account: str | None = None,
    timeout: float = 300.0,
    token: str | None = None,
    trust_data_servers: bool = False,
    dialogue: Dialogue | None = None,
) -> AuthClient:
    """Log in to a CAVE server, save the token, and return a client that uses it.

    A browser opens at the server's login page. Where there is none (SSH, no display, a notebook),
    the address is printed, and the token, or the address at which the login ended, is asked for.
    If a token that works is there already, nothing happens, unless ``overwrite``. A notebook shows
    an error of the login in one line.

    :param server_address: the auth server; or ``microns`` and the like, or a datastack that
        CAVEclient has used on this computer. Naming a server here is trusting it.
    :param open_browser: False: behave as if there were no browser.
    :param store_key: whether to make an API key, which lasts until it is revoked; else the login
        token is kept, which lives for seven days.
    :param overwrite: whether to replace a token that works. If it belongs to another account, the
        person is asked all the same.
    :param default: whether the token of another server than the default one is also saved in
        ``cave-secret.json``, which CloudVolume reads for each host without a file of its own. A
        token that is there stays.
    :param account: a name for the account, where you have several at one server: the token is saved
        under that key. It is put into use if no other is; see `cave-auth switch`.
    :param timeout: for the login in the browser, in seconds.
    :param token: a token to save, an API key or a login token; there is no browser then.
    :param trust_data_servers: whether to send the token to the servers that the info service names,
        even if they belong to no known deployment. Without it, you are asked.
    :param dialogue: what asks and tells; None: the terminal, or the notebook.
    :raises LoginFailed: nobody logged in in time, the person declined, there is nobody to ask, or
        nobody logs in to CAVE at that server.
    :raises TokenRefused: the token that was brought is not one of this server.
    :raises ServerUnreachable: the server does not answer.
    :raises TokenFileError: a file can't be read or written.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if the address is not one.
    """
    from .accounts import check_name
    from .dialogue import default_dialogue
    from .names import server_named
    from .places import has_browser, shown_in_one_line
    from .steps import Options, log_in

    with shown_in_one_line(), waits_told():
        server = base_url(server_named(server_address))
        options = Options(
            in_browser=open_browser and has_browser(),
            store_key=store_key,
            overwrite=overwrite,
            default=default,
            account=None if account is None else check_name(account),
            timeout=timeout,
            token=token,
            trust_data_servers=trust_data_servers,
        )
        log_in(server, dialogue or default_dialogue(), options)
    return AuthClient(token_key=account, server_address=server)
