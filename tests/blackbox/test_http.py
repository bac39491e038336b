"""Hostile and malformed HTTP, slow clients, limits: what a listener takes, refuses, and survives."""

import os
import random
import socket
import time

import pytest

from helpers.errors import (BODY_TOO_LARGE, ENCODING_UNSUPPORTED, HEAD_TOO_LARGE, INPUT_INVALID,
                            LENGTH_REQUIRED, LOGIN_INCOMPLETE, LOGIN_WRONG, METHOD_NOT_ALLOWED,
                            NO_APP_KEY, NOT_FOUND, OVERLOADED, TIMED_OUT, TOKEN_INVALID, expect_refusal)
from helpers.http import RawConnection, request
from helpers.nouns import DEVICES, LOGIN, SUBSCRIPTIONS
from helpers.waiting import wait_until

FORM = "appId=nobody&secret=wrong"


def head(method, target, *fields):
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *fields, "", ""])


def login_request(form=FORM, *fields):
    return head("POST", LOGIN, f"Content-Length: {len(form)}", *fields) + form


@pytest.fixture
def raw(platform):
    with RawConnection(platform.api_address) as connection:
        yield connection


def expect_closed(connection, refusal):
    """The refusal, Connection: close, and not one byte more: nothing else was taken for a request."""
    response = connection.read_response()
    expect_refusal(response, refusal)
    assert response.headers["Connection"] == "close"
    assert connection.read_to_end() == b""


# --- what has more than one meaning is refused

SMUGGLED = head("GET", "/smuggled", "Content-Length: 0")


@pytest.mark.parametrize("fields", [
    ("Content-Length: 0", "Content-Length: 25"),
    ("Content-Length: 25", "Content-Length: 25"),
    ("Content-Length: 25, 25",),
    ("Content-Length: +25",), ("Content-Length: -1",), ("Content-Length: 0x19",),
    ("Content-Length: 25 5",), ("Content-Length:",), ("Content-Length: 99999999999999999999",),
    ("Content-Length : 25",), ("Content-Length: 25", "Transfer-Encoding : chunked"),
    ("Content-Length: 25", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ("Content-Length: 25", " folded: line"), ("Content-Length: 25", "X: a\r\n b"),
    ("Content-Length: 25", "no colon"), ("Content-Length: 25", ": no name"),
    ("Content-Length: 25", "X: \x01"), ("Content-Length: 25", "X\x00: a"),
    ("Content-Length: 25", "Host: another"), ("Content-Length: 25", "X: a\nY: b"),
], ids=repr)
def test_an_ambiguous_head_is_refused(raw, fields):
    raw.send(head("POST", LOGIN, *fields) + FORM + SMUGGLED)
    expect_closed(raw, INPUT_INVALID)


@pytest.mark.parametrize("bytes_", [
    b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"GET  / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nHost: localhost\n\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTPT/1.1\r\n\r\n",
    b"GET relative HTTP/1.1\r\nHost: a\r\n\r\n", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
], ids=repr)
def test_a_broken_request_line_is_refused(raw, bytes_):
    raw.send(bytes_)
    expect_closed(raw, INPUT_INVALID)


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/x.y"])
def test_other_versions_of_http_are_not_spoken(raw, version):
    raw.send(f"GET /nothing {version}\r\nHost: localhost\r\n\r\n")
    assert raw.read_response().status in (400, 505)
    assert raw.read_to_end() == b""


# --- bodies


def chunked(*chunks):
    return "".join(f"{len(c):x}\r\n{c}\r\n" for c in chunks)


def test_a_chunked_body_is_taken(raw, application):
    form = f"appId={application.id}&secret={application.secret}"
    raw.send(head("POST", LOGIN, "Transfer-Encoding: chunked")
             + chunked(form[:5], form[5:]) + "0\r\n\r\n")
    assert raw.read_response().status == 200
    raw.send(login_request())
    assert raw.read_response().status == 401


@pytest.mark.parametrize("body", [
    "x\r\n", "-1\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5;name=value\r\nhello\r\n0\r\n\r\n",
    "5\r\nhelloX0\r\n\r\n", "5\nhello\n0\n\n", "\r\n", "fffffffffffffffffff\r\n",
    "0\r\napp_key: trailer\r\n\r\n"])
def test_a_broken_chunk_is_refused(raw, body):
    raw.send(head("POST", LOGIN, "Transfer-Encoding: chunked") + body)
    expect_closed(raw, INPUT_INVALID)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, chunked", "identity", "chunked, chunked",
                                      "xchunked"])
def test_other_transfer_encodings_are_not_supported(raw, encoding):
    raw.send(head("POST", LOGIN, f"Transfer-Encoding: {encoding}") + "0\r\n\r\n")
    expect_closed(raw, ENCODING_UNSUPPORTED)


@pytest.mark.parametrize("method, target", [("POST", LOGIN), ("PUT", f"{DEVICES}/x")])
def test_a_body_needs_a_length(raw, method, target):
    raw.send(head(method, target))
    expect_closed(raw, LENGTH_REQUIRED)


def test_a_body_over_the_limit_is_refused_before_it_is_sent(raw):
    raw.send(head("POST", LOGIN, f"Content-Length: {1024 * 1024 * 1024}"))
    expect_closed(raw, BODY_TOO_LARGE)


def test_a_chunked_body_over_the_limit_is_refused(raw):
    raw.send(head("POST", LOGIN, "Transfer-Encoding: chunked"))
    raw.try_to_send(chunked("x" * 600_000, "x" * 600_000))
    expect_refusal(raw.read_response(), BODY_TOO_LARGE)


def test_the_limits_of_head_and_body_are_settings(start_platform):
    platform = start_platform(limits__header_bytes="1k", limits__body_bytes="2k")
    for size, expected in ((2048 - len(FORM), 401), (2049 - len(FORM), 413)):
        assert platform.api("POST", LOGIN, FORM + "&" + "x" * (size - 1)).status == expected
    assert platform.api("GET", "/nothing", None, {"X": "x" * 700}).status == 404
    expect_refusal(platform.api("GET", "/nothing", None, {"X": "x" * 1000}), HEAD_TOO_LARGE)


@pytest.mark.parametrize("write_head", [
    lambda: head("GET", "/nothing", "X: " + "x" * 17_000),
    lambda: head("GET", "/nothing", *[f"X-{n}: x" for n in range(3000)]),
    lambda: head("GET", "/" + "x" * 17_000),
    lambda: "x" * 20_000,
], ids=["one field", "many fields", "target", "no line"])
def test_a_head_over_the_limit_is_refused(raw, write_head):
    raw.try_to_send(write_head())
    response = raw.read_response()
    expect_refusal(response, HEAD_TOO_LARGE, INPUT_INVALID)
    raw.read_to_end()


@pytest.mark.parametrize("body", [
    "[" * 100_000, '{"a":' * 1000 + "1" + "}" * 1000, '{"notifyType":"\\u0000"}',
    b'{"a":"\xff\xfe"}', b'{"a":"\xed\xa0\x80"}', '{"a":1}{"b":2}', '{"a":NaN}', "{'a':1}",
    '{"a":1,}', "\ufeff{}",
], ids=lambda b: repr(b)[:20])
def test_hostile_json_is_refused(application, body):
    expect_refusal(application.post(SUBSCRIPTIONS, body), INPUT_INVALID)


# --- paths and methods


@pytest.mark.parametrize("target", ["/", "/iocm", "/iocm/app", LOGIN + "/", LOGIN + "/x", "//iocm/app",
                                    LOGIN.upper(), "/iocm/../" + LOGIN, f"{SUBSCRIPTIONS}//"])
def test_an_unknown_path_is_not_found(platform, target):
    expect_refusal(platform.api("GET", target), NOT_FOUND)


@pytest.mark.parametrize("segment", ["a%00b", "%00", "%2F", "a%2fb", "%ff", "%c3%28", "%zz", "%", "%2"])
def test_a_strange_segment_names_nothing(application, segment):
    for path in (f"{DEVICES}/{segment}", f"{SUBSCRIPTIONS}/{segment}"):
        assert application.get(path).status in (400, 404)


@pytest.mark.parametrize("method, target, allow", [
    ("GET", LOGIN, {"POST"}), ("DELETE", LOGIN, {"POST"}), ("OPTIONS", LOGIN, {"POST"}),
    ("PATCH", LOGIN, {"POST"}), ("PUT", SUBSCRIPTIONS, {"GET", "POST", "DELETE"}),
    ("POST", f"{DEVICES}/x", {"GET", "PUT", "DELETE"})])
def test_a_wrong_method_is_told_the_right_ones(platform, method, target, allow):
    response = platform.api(method, target, "")
    expect_refusal(response, METHOD_NOT_ALLOWED)
    assert set(response.headers["Allow"].replace(" ", "").split(",")) == allow


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get"])
def test_a_strange_method_is_not_allowed(raw, method):
    raw.send(head(method, SUBSCRIPTIONS, "Content-Length: 0"))
    assert raw.read_response().status in (400, 405, 501)


def test_head_has_no_body_that_could_be_taken_for_an_answer(raw):
    raw.send(head("HEAD", SUBSCRIPTIONS) + head("GET", "/nothing"))
    response = raw.read_response(to_head=True)
    assert response.status == 405
    rest = raw.read_to_end()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 404")


# --- connections


def test_pipelined_requests_are_answered_in_order(raw):
    raw.send(login_request() + head("GET", "/nothing") + login_request("")
             + head("GET", SUBSCRIPTIONS))
    expect_refusal(raw.read_response(), LOGIN_WRONG)
    expect_refusal(raw.read_response(), NOT_FOUND)
    expect_refusal(raw.read_response(), LOGIN_INCOMPLETE)
    expect_refusal(raw.read_response(), NO_APP_KEY)


def test_a_connection_is_kept_until_one_side_wants_its_end(raw):
    for _ in range(3):
        raw.send(head("GET", "/nothing"))
        assert raw.read_response().status == 404
    raw.send(head("GET", "/nothing", "Connection: close"))
    assert raw.read_response().status == 404
    assert raw.read_to_end() == b""


def test_http_1_0_is_answered_and_closed(raw):
    raw.send("GET /nothing HTTP/1.0\r\n\r\n")
    expect_refusal(raw.read_response(), NOT_FOUND)
    assert raw.read_to_end() == b""


def test_expect_continue_is_answered_before_the_body(raw):
    raw.send(head("POST", LOGIN, f"Content-Length: {len(FORM)}", "Expect: 100-continue"))
    assert raw.read_response().status == 100
    raw.send(FORM)
    assert raw.read_response().status == 401


def test_a_client_that_sends_no_more_still_gets_its_answer(raw):
    raw.send(login_request())
    raw.sock.shutdown(socket.SHUT_WR)
    assert raw.read_response().status == 401
    assert raw.read_to_end() == b""


def test_a_request_may_come_byte_by_byte(raw):
    for byte in login_request():
        raw.send(byte)
    assert raw.read_response().status == 401


def test_random_bytes_do_no_harm(platform):
    dice = random.Random(4711)
    words = [b"GET ", b"POST ", b"/iocm/", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Content-Length: ",
             b"Transfer-Encoding: chunked", b"5", b":", b"\x00", b"%00", b"Host: a"]
    for _ in range(300):
        data = b"".join(dice.choice(words) if dice.random() < 0.7
                        else dice.randbytes(dice.randrange(20))
                        for _ in range(dice.randrange(1, 30)))
        with RawConnection(platform.api_address) as connection:
            connection.try_to_send(data)
    assert platform.api("GET", "/nothing").status == 404


# --- slow clients


@pytest.fixture
def strict(start_platform):
    return start_platform(limits__header_timeout="500ms", limits__body_timeout="700ms",
                          limits__idle_timeout="300ms")


def closed_after(connection):
    """Seconds until the server closed the connection, and what it said before."""
    started = time.monotonic()
    data = connection.read_to_end()
    return time.monotonic() - started, data


def test_a_silent_connection_is_closed(strict):
    with RawConnection(strict.api_address) as connection:
        seconds, data = closed_after(connection)
    assert 0.2 < seconds < 5
    assert data == b"" or data.startswith(b"HTTP/1.1 408")


def test_an_idle_connection_is_closed_without_a_word(strict):
    with RawConnection(strict.api_address) as connection:
        connection.send(head("GET", "/nothing"))
        connection.read_response()
        seconds, data = closed_after(connection)
    assert 0.25 < seconds < 5 and data == b""


@pytest.mark.parametrize("start", [
    "GET /nothing HTTP/1.1\r\nX: ", head("POST", LOGIN, "Content-Length: 9999")], ids=["head", "body"])
def test_a_dripping_request_is_ended(strict, start):
    with RawConnection(strict.api_address, timeout=0.05) as connection:
        started = time.monotonic()
        connection.send(start)
        while time.monotonic() - started < 10:
            connection.try_to_send("x")
            try:
                response = connection.read_response()
            except TimeoutError:
                continue
            break
        assert 0.4 < time.monotonic() - started < 5
        expect_refusal(response, TIMED_OUT)


def test_slow_clients_do_not_keep_others_waiting(strict):
    slow = [RawConnection(strict.api_address).send("POST ") for _ in range(50)]
    for _ in range(20):
        started = time.monotonic()
        assert strict.api("GET", "/nothing").status == 404
        assert time.monotonic() - started < 2
    for connection in slow:
        connection.close()


# --- limits


def test_connections_over_the_limit_of_an_address_are_closed(start_platform):
    platform = start_platform(limits__connections_per_address="3")
    address = platform.api_address
    held = [RawConnection(address) for _ in range(3)]
    for connection in held:
        connection.send(head("GET", "/nothing"))
        assert connection.read_response().status == 404
    with RawConnection(address) as one_more:
        one_more.try_to_send(head("GET", "/nothing"))
        assert one_more.read_to_end() == b""
    platform.wait_for_metric("connections_refused_total", 1)
    held.pop().close()
    wait_until(lambda: is_served(address), "a free place")
    for connection in held:
        connection.close()


def is_served(address):
    try:
        return request(address, "GET", "/nothing").status == 404
    except OSError:
        return False


def test_connections_over_the_limit_are_closed(start_platform):
    platform = start_platform(limits__connections="4")
    address = platform.api_address
    wait_until(lambda: platform.metric("connections", listener="api") == 0, "no connection")
    held = [RawConnection(address) for _ in range(4)]

    def refused():
        with RawConnection(address) as one_more:
            one_more.try_to_send(head("GET", "/nothing"))
            return one_more.read_to_end() == b""
    wait_until(refused, "a refusal")
    for connection in held:
        connection.close()
    wait_until(lambda: is_served(address), "a free place")


def test_too_many_requests_in_flight_are_refused(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, limits__requests_in_flight="3", redis__command_timeout="2s")
    address = platform.api_address
    redis.freeze()
    waiting = [RawConnection(address).send(login_request()) for _ in range(3)]

    def ask():
        response = request(address, "POST", LOGIN, FORM)
        return response if response.status == 503 else None
    expect_refusal(wait_until(ask, "a refusal"), OVERLOADED)
    redis.thaw()
    for connection in waiting:
        assert connection.read_response().status in (401, 500)
        connection.close()
    wait_until(platform.is_ready, "readiness")
    assert request(address, "POST", LOGIN, FORM).status == 401


def test_clients_that_go_while_redis_works_cost_nothing(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    headers = [f"{k}: {v}" for k, v in application.headers.items()]
    redis.freeze()
    for n in range(100):
        with RawConnection(platform.api_address) as connection:
            connection.send(login_request() if n % 2 else head("GET", f"{DEVICES}/x", *headers))
    redis.thaw()
    # The question is a request, too.
    wait_until(lambda: platform.metric("http_requests_in_flight") <= 1, "the end of all requests")
    wait_until(lambda: platform.metric("connections", listener="api") == 0,
               "the end of all connections")
    expect_refusal(application.try_probe("x"), TOKEN_INVALID)
    application.login()


def test_the_descriptors_of_closed_connections_are_given_back(start_platform):
    platform = start_platform()
    before = len(os.listdir(f"/proc/{platform.process.pid}/fd"))
    connections = [RawConnection(platform.api_address) for _ in range(300)]
    for connection in connections:
        connection.close()
    assert is_served(platform.api_address)
    wait_until(lambda: len(os.listdir(f"/proc/{platform.process.pid}/fd")) <= before + 5,
               "the descriptors to be given back")
