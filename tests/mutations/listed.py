"""What is broken, and who would suffer."""

from __future__ import annotations

from typing import NamedTuple

ROOMS = "tests/unit"
DOORS = "tests/integration/test_doors.py"
MATRIX = "tests/security/test_leak_matrix.py"
#: The tests of a file, the most likely ones first; the next are run only if all before pass.
TESTS = {
    "origins.py": (
        "tests/unit/test_origins.py tests/unit/test_host_spec.py",
        ROOMS,
        f"{DOORS} {MATRIX}",
    ),
    "hosts.py": ("tests/unit/test_origins.py tests/unit/test_known_hosts.py", ROOMS, DOORS),
    "exchange.py": (
        "tests/unit/test_auth.py tests/unit/test_auth_refusals.py tests/unit/test_adapter.py",
        ROOMS,
        f"{DOORS} tests/integration/test_rotation.py",
        MATRIX,
    ),
    "headers.py": ("tests/unit/test_headers.py", ROOMS, DOORS),
    "sources/search.py": ("tests/unit/test_sources.py tests/unit/test_stale_files.py", ROOMS),
}


class Mutation(NamedTuple):
    """One line of one file, broken."""

    file: str  # below cave_auth_adapter/
    right: str
    wrong: str
    harm: str

    @property
    def tests(self) -> tuple[str, ...]:
        return TESTS[self.file]


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
        "return origin if origin is not None and self.include(origin) else None",
        "return origin",
        "every URL with a usual authority is trusted",
    ),
    Mutation(
        "origins.py",
        "return not is_retired(host) and (",
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
        "if known is None or not known.is_current():",
        "if known is None:",
        "a host that is saved or named later is not noticed",
    ),
    Mutation(
        "hosts.py",
        "if not isinstance(_parsed(entry), InvalidHostSpec):",
        "if True:",
        "one bad entry of CAVE_AUTH_HOSTS stops every request",
    ),
    Mutation(
        "hosts.py",
        "    except TokenFileError:\n",
        "    except ZeroDivisionError:\n",
        "a directory that can't be read stops requests to other hosts",
    ),
    Mutation(
        "hosts.py",
        'if trust.by == "CAVE_AUTH_HOSTS")',
        ")",
        "every trusted host counts as named, and gets the token of cave-secret.json",
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
        "twin.headers = SignedHeaders(request.headers, token)",
        "sign(request.headers, token.value)",
        "the caller's own request is signed",
    ),
    Mutation(
        "headers.py",
        "return CaseInsensitiveDict, (dict(self.bare().items()),)",
        "return CaseInsensitiveDict, (dict(self.items()),)",
        "the token is in the pickle of an error",
    ),
    Mutation(
        "headers.py",
        "return repr(self.bare())",
        "return repr(dict(self.items()))",
        "the token is in the repr of what is sent",
    ),
    Mutation(
        "headers.py",
        "if self.follows else self.bare()",
        "",
        "a session that keeps auth on a redirect takes the token along",
    ),
    Mutation(
        "headers.py",
        'kept = [line for line in message.get_all("Set-Cookie", []) if token not in line]',
        'kept = message.get_all("Set-Cookie", [])',
        "a server that echoes the token puts it into the caller's jar",
    ),
    Mutation(
        "headers.py",
        "return not (token and isinstance(value, (str, bytes)) and token in _text(value))",
        "return True",
        "a header or a URL that an adapter makes from the token is left in response.request",
    ),
    # --- which token ---
    Mutation(
        "sources/search.py",
        "if server is not None and home in (None, deployment_of(server)):",
        "if server is not None:",
        "a lab's token goes to the known host that its info service names",
    ),
    Mutation(
        "sources/search.py",
        "return whose.may_replace_a_refused_one(self._origin)",
        "return whose.serves(self._origin, is_named=self._is_named)",
        "a server that refuses its token gets another deployment's",
    ),
    # --- one exchange ---
    Mutation(
        "exchange.py",
        "return None if proxied else origin",
        "return origin",
        "a proxy reads the token of a request over plain http",
    ),
    Mutation(
        "exchange.py",
        "        elif self._may_be_replaced():",
        "        else:",
        "the caller's own Authorization is replaced",
    ),
    Mutation(
        "exchange.py",
        "        if self._led:\n            self.sent",
        "        if False:\n            self.sent",
        "a stranger's redirect has a signed logout made in the caller's name",
    ),
    Mutation(
        "exchange.py",
        "if self._led or not (self.token or self._bears_nothing()):",
        "if not (self.token or self._bears_nothing()):",
        "a stranger's redirect is signed after the refusal",
    ),
    Mutation(
        "exchange.py",
        "if self._led or not (self.token or self._bears_nothing()):",
        "if self._led:",
        "a caller who tries a token of their own gets another's answer",
    ),
    Mutation(
        "exchange.py",
        'if "Authorization" not in self.sent.headers:\n                    self.sent',
        "if False:\n                    self.sent",
        "without a token the answer is a login page",
    ),
    Mutation(
        "exchange.py",
        "if not rewind(self.sent):",
        "if False:",
        "a body that is spent is sent again",
    ),
    Mutation(
        "exchange.py",
        "if signed.headers.get(PROGRAMMATIC[0]) == PROGRAMMATIC[1]:",
        "if False:",
        "a request that is signed late says it is a program",
    ),
    Mutation(
        "exchange.py",
        "discard(response)",
        "pass",
        "the connection of a refusal stays open",
    ),
    Mutation(
        "exchange.py",
        "return page is not None and self.auth.trusts(page)",
        "return page is not None",
        "a foreign login page has a request sent again",
    ),
    Mutation(
        "exchange.py",
        "return comes_from_netrc(self.sent)",
        "return False",
        "a netrc entry that requests applies on a redirect is a 400",
    ),
    Mutation(
        "exchange.py",
        "trace.request = self.request\n",
        "pass\n",
        "response.request and errors hold the token",
    ),
    Mutation(
        "exchange.py",
        "keep_out_of_jars(response, self.token.value)",
        "pass",
        "a token that the server echoes goes to other ports of the host",
    ),
    Mutation(
        "exchange.py",
        "raise_for_auth(response)",
        "pass",
        "raise_errors= raises nothing",
    ),
    Mutation(
        "exchange.py",
        "warn_once(verdict.sentence, *verdict.key)",
        "pass",
        "a refusal is not explained",
    ),
    Mutation(
        "exchange.py",
        "            if not self._lenient:\n                raise\n",
        "            if False:\n                raise\n",
        "a bad secret file is not reported where somebody can do something about it",
    ),
]
