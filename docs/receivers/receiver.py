#!/usr/bin/python3
"""A sample receiver of notifications: verifies the signature, handles each notification once.

    receiver.py PORT KEY_FILE      KEY_FILE: its first line is what `iotpushctl app signing-key` shows

Listens on 127.0.0.1; put it behind whatever ends your TLS. It answers 200 when the notification has
been handled, now or earlier, and 401 when it is not from our server.
"""
import base64
import hashlib
import hmac
import http.server
import sys
import threading
import time
from collections import OrderedDict

TOLERANCE = 300  # seconds that the two clocks may differ
REMEMBERED = 10_000  # ids: more than arrive within the sender's cache time
MAX_BODY = 4 * 1024 * 1024


def is_signed(key, headers, body):
    notify_id = headers.get("X-Notify-Id", "")
    timestamp = headers.get("X-Notify-Timestamp", "")
    if not notify_id or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    text = f"{notify_id}.{timestamp}.".encode("latin-1") + body
    wanted = b"v1=" + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest())
    # Several while a key is being replaced: one of them must be ours.
    given = headers.get("X-Notify-Signature", "").encode("latin-1").split(b",")
    return any([hmac.compare_digest(wanted, one.strip()) for one in given])


def handle(notify_id, body):
    """Your work: quick, or put into a queue that survives. An exception here makes the server try again."""
    print("new", notify_id, flush=True)


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept and used again
    timeout = 120
    lock = threading.Lock()
    seen = OrderedDict()
    key = b""

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True  # the body stays unread
            self.answer(413 if length.isdigit() else 411)
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True  # the sender has gone
        elif not is_signed(self.key, self.headers, body):
            print("refused", flush=True)
            self.answer(401)
        else:
            self.handle_once(self.headers["X-Notify-Id"], body)
            self.answer(200)

    def handle_once(self, notify_id, body):
        with self.lock:
            if notify_id in self.seen:
                print("again", notify_id, flush=True)
                return
            handle(notify_id, body)
            self.seen[notify_id] = True  # only now: what failed must come again
            if len(self.seen) > REMEMBERED:
                self.seen.popitem(last=False)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    if len(sys.argv) != 3 or not sys.argv[1].isdigit():
        sys.exit(__doc__)
    with open(sys.argv[2], encoding="ascii") as file:
        Receiver.key = base64.b64decode(file.readline().strip(), validate=True)
    if len(Receiver.key) != 32:
        sys.exit("the key is not 32 bytes in Base64")
    # Threads, because each kept connection occupies one.
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print("listening on port", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
