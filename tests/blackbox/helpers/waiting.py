"""Waiting for conditions: a test says what it waits for, never how long something might take."""

import time

PATIENCE = 10.0  # seconds; far more than anything here takes, also under a sanitizer


def wait_until(condition, what="the condition", timeout=PATIENCE):
    """Calls condition until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s")
        time.sleep(0.01)


def wait_until_clock(unix_time):
    """Waits until the wall clock has passed a moment that a protocol names in seconds."""
    while time.time() < unix_time:
        time.sleep(max(0.001, unix_time - time.time()))
