"""Log in with one command: in a browser or by pasting a line; then save a lasting API key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..origins import DEFAULT_SERVER

if TYPE_CHECKING:
    from ..caveclient import AuthClient
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

    It opens the server's login page in your browser. Without a browser (SSH, no display, a
    notebook), it prints the address, and asks for the token or for the address of the last page.
    If you have a working token already, nothing happens, unless ``overwrite`` is True. A notebook
    shows an error of the login in one line.

    ```python
    from cave_auth_adapter import login

    client = login()
    ```

    :param server_address: the auth server; or a name such as ``microns``, or a datastack that
        CAVEclient has used on this computer. By naming a server, you trust it.
    :param open_browser: False: behave as if there were no browser.
    :param store_key: whether to make and save an API key, which is valid until you revoke it.
        Otherwise the login token is saved, which expires in seven days.
    :param overwrite: whether to replace a working token. If it belongs to another account, you are
        asked first.
    :param default: whether to save the token in ``cave-secret.json`` as well, for another server
        than the default one. CloudVolume reads that file for each host without a file of its own.
        A token that is there already stays.
    :param account: a name for the account, if you have several at one server. The token is saved
        under that key. It is in use at once if no other is; see `cave-auth switch`.
    :param timeout: how long to wait for the login in the browser, in seconds.
    :param token: a token to save, an API key or a login token. No browser is opened.
    :param trust_data_servers: whether to send the token to the servers that the info service names,
        even if they belong to no known deployment. If False, you are asked.
    :param dialogue: asks and informs the user; None: on the terminal, or in the notebook.
    :raises LoginFailed: the login timed out, the user declined, there is nobody to ask, or the
        server has no auth service.
    :raises TokenRefused: the token does not belong to this server.
    :raises ServerUnreachable: the server does not answer.
    :raises TokenFileError: a file can't be read or written.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if the address is not one.
    """
    from ..caveclient import AuthClient  # these take 5 ms, and most programs only sign requests
    from ..service import base_url
    from ..service.waiting import waits_told
    from .accounts import account_name
    from .dialogue import default_dialogue
    from .names import server_named
    from .places import has_browser, shown_in_one_line
    from .steps import Options, log_in

    with shown_in_one_line(), waits_told():
        server = base_url(server_named(server_address))
        account = None if account is None else account_name(account, server)
        options = Options(
            in_browser=open_browser and has_browser(),
            store_key=store_key,
            overwrite=overwrite,
            default=default,
            account=account,
            timeout=timeout,
            token=token,
            trust_data_servers=trust_data_servers,
        )
        log_in(server, dialogue or default_dialogue(), options)
    return AuthClient(token_key=account, server_address=server)
