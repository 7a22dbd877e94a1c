"""What is broken, and who would suffer."""

from __future__ import annotations

from typing import NamedTuple

ROOMS = "tests/unit"
DOORS = "tests/integration/test_doors.py"
MATRIX = "tests/security/test_leak_matrix.py"
#: The tests of a file, the most likely ones first; the next are run only if all before pass.
TESTS = {
    "origins.py": ("tests/unit/test_origins.py", ROOMS, f"{DOORS} {MATRIX}"),
    "hosts.py": ("tests/unit/test_origins.py tests/unit/test_sources.py", ROOMS, DOORS),
    "headers.py": ("tests/unit/test_headers.py", ROOMS, DOORS),
}
OTHERS = (ROOMS, f"{DOORS} tests/integration/test_rotation.py", MATRIX)


class Mutation(NamedTuple):
    """One line of one file, broken."""

    file: str  # below cave_auth_adapter/
    right: str
    wrong: str
    harm: str

    @property
    def tests(self) -> tuple[str, ...]:
        return TESTS.get(self.file, OTHERS)


MUTATIONS = [
    # --- which hosts ---
    Mutation(
        "origins.py",
        r"(?=[/?#]|\Z)",
        "",
        "a URL with anything behind its host is trusted: https://cave.org@evil.example",
    ),
    Mutation(
        "origins.py",
        "(?P<scheme>https?)://{_HOST}",
        "(?P<scheme>https?):/*{_HOST}",
        "a URL without // is taken for one",
    ),
    Mutation(
        "origins.py",
        "match = _ORIGIN.match(url)",
        "match = _ORIGIN.search(url)",
        "a trusted host in a path or a password makes a URL trusted",
    ),
    Mutation(
        "origins.py",
        'or origin.port != _DEFAULT_PORTS["https"]',
        "",
        "a wildcard trusts every port of a host",
    ),
    Mutation("origins.py", 'if origin.scheme != "https" or', "if", "a wildcard trusts plain http"),
    Mutation(
        "origins.py",
        '_, _, suffix = suffix.partition(".")',
        "suffix = suffix[1:]",
        "evildaf-apis.com is below daf-apis.com",
    ),
    Mutation(
        "origins.py",
        'if origin.scheme == "http" and not is_loopback(origin.host):',
        "if False:",
        "a token may be named for plain http on any host",
    ),
    Mutation("origins.py", 'if "." not in origin.host or', "if", "*.com is a list of hosts"),
    Mutation(
        "origins.py",
        "if origin is not None and not self.include(origin):",
        "if False:",
        "every URL with a usual authority is trusted",
    ),
    Mutation(
        "origins.py",
        "return not is_retired and (",
        "return (",
        "an old file revives the domain that CAVE gave up",
    ),
    Mutation(
        "origins.py",
        'port = int(match["port"] or _DEFAULT_PORTS[scheme])',
        "port = _DEFAULT_PORTS[scheme]",
        "a port in a URL is not looked at",
    ),
    Mutation(
        "origins.py",
        "if url.startswith(last):",
        "if url.startswith(last[:-1]):",
        "the last decision holds for a longer host name, too",
    ),
    Mutation(
        "origins.py",
        'return ip_address(host.strip("[]")).is_loopback',
        'return ip_address(host.strip("[]")).is_private',
        "plain http goes over the local network",
    ),
    Mutation(
        "origins.py",
        "self._origins = {spec.origin for spec in parsed if not spec.wildcard}",
        "self._origins = {spec.origin for spec in parsed}",
        "*.suffix trusts the suffix itself",
    ),
    Mutation(
        "hosts.py",
        "if current is None or not current.is_current():",
        "if current is None:",
        "a host that is saved or named later is not noticed",
    ),
    Mutation(
        "hosts.py",
        "except InvalidHostSpec as error:\n                # Requests",
        "except ZeroDivisionError as error:\n                # Requests",
        "one bad entry of CAVE_AUTH_HOSTS stops every request",
    ),
    Mutation(
        "hosts.py",
        "with contextlib.suppress(TokenFileError):",
        "with contextlib.suppress():",
        "a directory that can't be read stops requests to other hosts",
    ),
    # --- the signature ---
    Mutation(
        "headers.py",
        'headers["Authorization"] = f"Bearer {token}"',
        'headers.setdefault("Authorization", f"Bearer {token}")',
        "a stale token is not replaced",
    ),
    Mutation(
        "headers.py",
        'others = _without(_text(headers["Cookie"])).strip("; \\t")',
        'others = _text(headers["Cookie"])',
        "a stale cookie stays beside the new one",
    ),
    Mutation(
        "headers.py",
        'cookie = f"{others}; {cookie}" if others else cookie',
        "pass",
        "the caller's own cookies are lost",
    ),
    Mutation(
        "headers.py",
        'del headers["Authorization"]\n    _take_cookies_off(headers)',
        'del headers["Authorization"]',
        "the token stays in the cookie",
    ),
    Mutation(
        "headers.py",
        'return token.strip() if scheme.lower() == "bearer" else None',
        'return token.strip() if scheme == "Bearer" else None',
        "bearer in small letters is no token",
    ),
    Mutation(
        "headers.py",
        'return pair.partition("=")[0].strip() == COOKIE_NAME',
        "return COOKIE_NAME in pair",
        "a cookie whose value names ours is taken off",
    ),
    Mutation(
        "headers.py",
        "if not isinstance(request._body_position, int):\n        return False",
        "if not isinstance(request._body_position, int):\n        return True",
        "a generator that is spent is sent again, empty",
    ),
    Mutation(
        "headers.py",
        "twin.headers._store = headers._store.copy()",
        "twin.headers._store = headers._store",
        "the caller's own request is signed",
    ),
    # --- one exchange ---
    Mutation(
        "auth.py",
        'if origin and token and (origin.scheme == "https" or not may_be_proxied(url)):',
        "if origin and token:",
        "a proxy reads the token of a request over plain http",
    ),
    Mutation(
        "auth.py",
        "if origin:\n                request.headers.setdefault(*PROGRAMMATIC)",
        "pass",
        "without a token the answer is a login page",
    ),
    Mutation(
        "auth.py",
        'if origin and origin.scheme == "http" and proxies and select_proxy(url, proxies):',
        "if False:",
        "mount() shows a token to a proxy",
    ),
    Mutation(
        "auth.py",
        "return self.credentials.recognise(origin, value) if value else None",
        'return Token(value, Source("token=")) if value else None',
        "the caller's own token is taken for one of ours",
    ),
    Mutation(
        "auth.py",
        'if refused is None and "Authorization" in sent.headers:\n            return None',
        "",
        "a caller who tries a token of their own gets another's answer",
    ),
    Mutation("auth.py", "if not rewind(sent):", "if False:", "a body that is spent is sent again"),
    Mutation(
        "auth.py",
        "if signed.headers.get(PROGRAMMATIC[0]) == PROGRAMMATIC[1]:",
        "if False:",
        "a request that is signed late says it is a program",
    ),
    Mutation("auth.py", "discard(response)", "pass", "the connection of a refusal stays open"),
    Mutation(
        "auth.py",
        "if self.raise_errors:\n            raise_for_auth(response)",
        "if False:\n            raise_for_auth(response)",
        "raise_errors= raises nothing",
    ),
    Mutation(
        "auth.py",
        "warn_once(verdict.sentence, origin, verdict.cause)",
        "pass",
        "a refusal is not explained",
    ),
    Mutation(
        "auth.py",
        "return page is not None and self.trusts(page)",
        "return page is not None",
        "a foreign login page has a request sent again",
    ),
    Mutation(
        "auth.py",
        "if origin and self.our_token(request, origin):\n            unsign(request.headers)",
        "if False:\n            unsign(request.headers)",
        "a session that keeps auth on a redirect takes the token along",
    ),
    Mutation(
        "auth.py",
        "if origin and self.our_token(request, origin):\n            unsign(twin.headers)",
        "if False:\n            unsign(twin.headers)",
        "response.request holds the token, and a pickle of it",
    ),
    Mutation(
        "auth.py",
        "error.request = response.request = self._without_footprints(request, origin)",
        "pass",
        "an error that is raised holds the token",
    ),
    Mutation(
        "adapter.py",
        "if told is sent:\n            trace.request = request",
        "if told is sent:\n            pass",
        "the error of a connection holds the token",
    ),
    Mutation(
        "adapter.py",
        'if has(request.headers, "Authorization") and not self._is_ours(request, origin):',
        "if False:",
        "the caller's own Authorization is replaced",
    ),
    Mutation(
        "adapter.py",
        "outgoing = copy_of(request)",
        "outgoing = request",
        "the request that the caller made is changed",
    ),
]
