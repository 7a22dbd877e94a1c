"""Which requests an untrusted server led to."""

from __future__ import annotations

from requests import PreparedRequest, Request, Response

from cave_auth_adapter.asked import note_answer, trail_of

STRANGER, CAVE = "http://stranger.example/0", "https://global.daf-apis.com/x"


def is_led(request: PreparedRequest) -> bool:
    trail = trail_of(request)
    return trail is not None and trail.leads(request)


def redirect(request: PreparedRequest, url: str) -> PreparedRequest:
    """The hop that an untrusted server's redirect leads to, as ``requests`` makes it."""
    answer = Response()
    answer.status_code, answer.headers["Location"] = 302, url
    note_answer(request, answer, None, lambda url: None)
    hop = request.copy()
    hop.url = url
    return hop


def test_an_endless_redirect_keeps_few_marks() -> None:
    start = hop = Request("GET", STRANGER).prepare()
    for n in range(1, 100):
        hop = redirect(hop, f"http://stranger.example/{n}")
    trail = trail_of(start)
    assert trail is not None
    assert len(trail.__reduce__()[1][0]) == 1
    assert is_led(redirect(hop, CAVE))
    assert not is_led(start)


def test_the_upgrade_of_a_url_counts_as_asked_for_after_redirects_to_itself() -> None:
    hop = Request("GET", STRANGER).prepare()
    for _ in range(100):
        hop = redirect(hop, "".join(STRANGER))
    assert not is_led(redirect(hop, STRANGER.replace("http:", "https:")))
    assert is_led(redirect(hop, CAVE))
