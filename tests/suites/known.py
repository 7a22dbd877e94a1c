"""The tests that end otherwise where each host is a trusted one: a closed list, with the reasons.

Any other difference fails ``make suites``, and so does a test of this list that ends alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .comparison import function


class Rule(NamedTuple):
    """Why some tests of a suite end otherwise.

    :ivar tests: the names of test functions, without parameters.
    """

    package: str
    modes: tuple[str, ...]
    why: str
    tests: tuple[str, ...]


SIGNED = ("trusting",)
ALL = ("trusting", "no token")
ADAPTER = "for a CAVE host get_adapter() returns the session's own adapter within a CaveAdapter"

RULES = (
    Rule(
        "requests",
        ALL,
        ADAPTER,
        (
            "tests/test_requests.py::TestRequests::test_session_get_adapter_prefix_matching",
            "tests/test_requests.py::TestRequests::"
            "test_session_get_adapter_prefix_matching_is_case_insensitive",
            "tests/test_requests.py::TestRequests::"
            "test_session_get_adapter_prefix_matching_mixed_case",
            "tests/test_requests.py::TestRequests::"
            "test_session_get_adapter_prefix_with_trailing_slash",
            "tests/test_requests.py::TestRequests::"
            "test_session_get_adapter_prefix_without_trailing_slash",
        ),
    ),
    Rule(
        "requests",
        ALL,
        "the server says the headers back, and the bug that the test expects needs fewer of them",
        ("tests/test_requests.py::TestRequests::test_response_iter_lines_reentrant",),
    ),
    Rule(
        "requests",
        SIGNED,
        "a hop without an Authorization is signed, and the server of the test wants none there",
        ("tests/test_lowlevel.py::test_digestauth_401_count_reset_on_redirect",),
    ),
    Rule(
        "requests",
        SIGNED,
        "the cookie of the signature has the word in its name that must not be in the request",
        ("tests/test_lowlevel.py::test_fragment_not_sent_with_request",),
    ),
    Rule(
        "requests",
        SIGNED,
        "signed requests share connections, and leave the session's own pools empty",
        (
            "tests/test_requests.py::TestPreparingURLs::"
            "test_different_connection_pool_for_tls_settings_verify_True",
            "tests/test_requests.py::TestPreparingURLs::"
            "test_different_connection_pool_for_tls_settings_verify_bundle_expired_cert",
            "tests/test_requests.py::TestPreparingURLs::"
            "test_different_connection_pool_for_tls_settings_verify_bundle_unexpired_cert",
        ),
    ),
    # It mounts an adapter for mutual TLS where type(session.get_adapter(url)) is HTTPAdapter, at
    # hosts of Google's alone, none of which can be a CAVE host.
    Rule(
        "google-auth",
        ALL,
        ADAPTER,
        (
            *(
                f"tests/transport/test_requests.py::TestRequestResponse::test_mtls_{name}"
                for name in (
                    "cert_error_raises_transport_error_and_recovers",
                    "deepcopy",
                    "legacy_pickle",
                    "no_cert_caches_unavailable",
                    "origin_mount_and_reuse",
                    "pickle",
                    "preserves_custom_adapter",
                    "request_verify_false",
                )
            ),
            "tests/transport/test_requests.py::TestAuthorizedSession::"
            "test_configure_mtls_channel_does_not_mutate_adapters_in_place",
        ),
    ),
)


def known(package: str, mode: str) -> dict[str, str]:
    """The test functions of a suite that end otherwise in a mode -> why."""
    rules = (rule for rule in RULES if rule.package == package and mode in rule.modes)
    return {test: rule.why for rule in rules for test in rule.tests}


def unexpected(
    differences: list[str], ran: Mapping[str, str], known: Mapping[str, str]
) -> list[str]:
    """The differences that are not known, and the known ones that are none.

    >>> unexpected(["a[1]", "b"], {"a[1]": "", "b": "", "c": ""}, {"a": "why", "c": "why"})
    ['b', 'c']

    :param ran: the tests that were run; the others are neither.
    """
    different, run = set(map(function, differences)), set(map(function, ran))
    new = [name for name in differences if function(name) not in known]
    return new + [name for name in known if name in run and name not in different]
