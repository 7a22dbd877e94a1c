"""After a login: other secret files, datastacks, data servers, terms of service."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sized

from ..diagnose.status import info_signed_with
from ..errors import CaveAuthError, TermsNotAccepted, TokenFileError
from ..origins import HostSpec, Origin, auth_server_of, parse_origin
from ..refusals.advice import form_address
from ..saving import DeploymentFiles
from ..service import InfoServer
from ..sources import Credentials
from ..store import TokenStore
from ..tokens import DEFAULT_KEY, Token
from ..words import files, printable, short, where
from .dialogue import Dialogue

_DATASTACKS = 100  # the most datastacks to ask about
_LOOKING_AROUND = 30.0  # the most seconds for that


def offer_other_files(server: str, token: Token, talk: Dialogue) -> None:
    """Offer to replace older tokens that tools still use for the deployment."""
    _offer_default_file(server, token, talk)
    store = TokenStore()
    for name in DeploymentFiles(server).known_servers():
        with contextlib.suppress(TokenFileError):
            other = store.load(name)
            if other in (None, token.value):
                continue
            talk.warn(f"{name} uses another token, from {short(store.path_for(name))}.")
            if talk.confirm("Replace it with the token of this login?"):
                store.save(token.value, name, overwrite=True)
                talk.tell("Replaced it.")
            else:
                talk.warn(f"It was not changed. To replace it: cave-auth trust {name}")


def _offer_default_file(server: str, token: Token, talk: Dialogue) -> None:
    """Offer to replace another token in ``cave-secret.json``, for the default deployment."""
    files = DeploymentFiles(server)
    with contextlib.suppress(TokenFileError):
        other = files.default_token
        if not files.is_default or other is None or other == token.value:
            return
        owners = ", ".join(sorted(files.owners_of(other)))
        path = short(TokenStore().path_for())
        talk.warn(
            f"{path} holds another token. CloudVolume uses it for each host that has no file of "
            "its own."
        )
        lost = "No other file holds that token."
        if owners:
            lost = f"That token is also in the file of {owners}, and stays there."
        if talk.confirm(f"{lost} Replace it with the token of {files.deployment}?"):
            TokenStore().replace(other, token.value, key=DEFAULT_KEY)
            talk.tell(f"Replaced it in {path}.")
        else:
            talk.warn(
                f"It was not changed. To replace it: cave-auth login {files.server} --overwrite"
            )


def look_around(server: str, token: Token, talk: Dialogue, trust_data_servers: bool) -> None:
    """List the datastacks of the account, and save the token for their data servers."""
    home = server.removeprefix("https://")
    try:
        local_servers, waiting = _datastacks(info_signed_with(token, server))
    except CaveAuthError as error:
        talk.warn(f"Your datastacks could not be listed. {error}")
        local_servers, waiting = {}, {}
    if local_servers:
        names = ", ".join(printable(name, 60) for name in local_servers)
        talk.tell(f"Your datastack{_s(local_servers)}: {names}")
    if waiting:
        _tell_of_terms(home, waiting, talk)
    own, others = _data_servers(server, local_servers)
    if others and (trust_data_servers or _may_trust(others, home, talk)):
        own += others
    _save_for(own, token, talk)
    in_use = Credentials().token_for(HostSpec.parse(server).origin)
    if in_use != token and in_use is not None:
        talk.warn(
            f"The token from {where(in_use.source)} outranks the new one and is still in use."
        )


def _datastacks(api: InfoServer) -> tuple[dict[str, str], dict[str, str]]:
    """The datastacks of the account.

    :return: those that it can read -> their data servers; those whose terms of service it has
        not accepted -> the addresses of the forms.
    """
    until = time.monotonic() + _LOOKING_AROUND
    found, waiting = {}, {}
    for name in api.datastacks()[:_DATASTACKS]:
        if time.monotonic() > until:
            break
        try:
            found[name] = api.local_server(name) or ""
        except TermsNotAccepted as error:
            waiting[name] = error.form_url or ""
        except CaveAuthError:
            pass  # one that can't be looked up is not listed
    return found, waiting


def _tell_of_terms(home: str, waiting: dict[str, str], talk: Dialogue) -> None:
    talk.warn("Before you can use the following, accept the terms of service in a browser:")
    for name, form in waiting.items():
        origin = parse_origin(form)
        address = (
            printable(form_address(form)) if origin else f"see cave-auth terms --server {home}"
        )
        doubt = "" if origin is None or origin.server == home else " (check this address first)"
        talk.tell(f"  {printable(name, 60)}{doubt}\n    {address}")
    talk.tell(f"To see this list again: cave-auth terms --server {home}")


def _data_servers(server: str, local_servers: dict[str, str]) -> tuple[list[str], list[str]]:
    """The data servers of the same known deployment, and the others."""
    home = HostSpec.parse(server).origin
    origins = dict.fromkeys(map(parse_origin, local_servers.values()))
    found = [o for o in origins if o is not None and o.scheme == "https" and o != home]
    own = [o.server for o in found if _same_deployment(o, home)]
    has_file = TokenStore().servers()
    return own, [o.server for o in found if o.server not in (*own, *has_file)]


def _same_deployment(origin: Origin, home: Origin) -> bool:
    deployment = auth_server_of(home)
    return deployment is not None and auth_server_of(origin) == deployment


def _may_trust(servers: list[str], home: str, talk: Dialogue) -> bool:
    """Ask whether to trust servers that only the info service names."""
    names = ", ".join(servers)
    if talk.confirm(f"The data is on {names}. Send your token there, too?"):
        return True
    them = "it is a data server. If you know it"
    if len(servers) > 1:
        them = "they are data servers. If you know them"
    talk.warn(
        f"Your token is not sent to {names}: only {home} says that {them}: "
        f"cave-auth login {home} --trust-data-servers"
    )
    return False


def _save_for(servers: list[str], token: Token, talk: Dialogue) -> None:
    """Save the token for data servers that have no other token."""
    store, paths = TokenStore(), []
    for server in servers:
        try:
            if store.load(server) in (None, token.value):
                paths.append(store.save(token.value, server))
        except TokenFileError as error:
            talk.warn(f"The token was not saved for {server}. {error}")
    if paths:
        talk.tell(f"Saved the token for the data server{_s(paths)} in\n{files(paths)}")


def _s(several: Sized) -> str:
    """The ending of a noun."""
    return "" if len(several) == 1 else "s"
