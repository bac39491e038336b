"""Signatures of notifications, as a receiver checks them."""

import base64
import hashlib
import hmac


def signature(key, notify_id, timestamp, body):
    """key: Base64, as `iotpushctl app signing-key` shows it."""
    text = f"{notify_id}.{timestamp}.".encode() + body
    digest = hmac.new(base64.b64decode(key, validate=True), text, hashlib.sha256).digest()
    return "v1=" + base64.b64encode(digest).decode()


def signature_of(key, request):
    return signature(key, request.headers["X-Notify-Id"], request.headers["X-Notify-Timestamp"],
                     request.body)
