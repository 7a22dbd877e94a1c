"""What the server's answer means."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from requests import Response

_LOGIN_PAGE = "/api/v1/authorize"  # of the auth service, under whatever prefix it is deployed


def redirect_target(response: Response) -> str | None:
    """The absolute URL that a redirect leads to; None for an answer that is none."""
    if not response.is_redirect:
        return None
    # http.client decodes headers as Latin-1 while servers send UTF-8: as requests does, see
    # SessionRedirectMixin.get_redirect_target.
    location = response.headers["location"].encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        return urljoin(response.url, location)
    except ValueError:  # such as an unfinished bracket: "https://[::1"
        return None


def login_page(response: Response) -> str | None:
    """The address of the login page that an answer redirects to; None if it does not."""
    target = redirect_target(response)
    try:
        is_login = target is not None and urlsplit(target).path.endswith(_LOGIN_PAGE)
    except ValueError:
        return None
    return target if is_login else None
