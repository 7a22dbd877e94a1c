"""The tests of another tool use the kit; they pass, and fail when that tool is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import run_pytest

TOOL = Path(__file__).parent / "thirdparty" / "neuron_size"

WITH_A_TOKEN = {
    "test_a_neuron_has_a_size",
    "test_without_permission_it_fails",
    "test_the_neurons_of_the_sandbox_have_a_size",
}
# What is broken in neuron_size.py, and the tests that have to fail then.
BREAKS = {
    "the token goes to the page too": (
        "requests.post(url, json=sizes,",
        "requests.post(url, json=sizes, headers=_headers(),",
        {"test_my_own_page_gets_the_sizes_and_no_token"},
    ),
    # As CAVEclient does it: a cookie without a domain goes wherever a redirect leads.
    "the token is a cookie": (
        "requests.get(url, headers=_headers(), timeout=60)",
        "requests.get(url, headers=(h := _headers()), timeout=60, cookies="
        "{'middle_auth_token': h.pop('Authorization', '').removeprefix('Bearer ')})",
        {"test_a_redirect_that_leaves_cave_takes_no_token_along"},
    ),
    "no token is sent": ("if path.exists():", "if False:", WITH_A_TOKEN),
    "it passes for a browser": (
        '{"X-Requested-With": "neuron-size"}',
        "{}",
        {"test_without_a_token_it_says_where_to_put_one"},
    ),
    "a refusal is not looked at": (
        "response.status_code == 401",
        "False",
        {
            "test_without_a_token_it_says_where_to_put_one",
            "test_an_expired_token_is_reported_too",
        },
    ),
}


def test_the_tools_tests_pass() -> None:
    outcome = run_pytest(TOOL)
    assert outcome.counts == {"passed": 7}, outcome.out
    assert f"rootdir: {TOOL}" in outcome.out  # our own conftest.py plays no part


@pytest.mark.parametrize("what", BREAKS)
def test_the_tools_tests_fail_when(what: str, tmp_path: Path) -> None:
    right, wrong, tell = BREAKS[what]
    tool = tmp_path / "tool"
    shutil.copytree(TOOL, tool, ignore=shutil.ignore_patterns("__pycache__"))
    source = (tool / "neuron_size.py").read_text()
    assert source.count(right) == 1
    (tool / "neuron_size.py").write_text(source.replace(right, wrong))

    outcome = run_pytest(tool)

    assert outcome.failed >= tell, outcome.out
    assert outcome.counts["passed"] == 7 - len(outcome.failed), outcome.out
