"""
Fixtures of the black-box tests. One server per worker is shared by all tests that need nothing
special; each test has its own application there, so tests run in parallel and in any order. Tests that
need other settings, or kill things, start a server of their own with start_platform.
"""

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helpers.certificates import Authority  # noqa: E402
from helpers.cluster import Cluster  # noqa: E402
from helpers.platform import DAEMON, Platform, short_directory  # noqa: E402
from helpers.receiver import Receiver  # noqa: E402
from helpers.redis import RedisServer  # noqa: E402

_running = []  # platforms, for their logs in the report of a failed test


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for platform in _running:
            log = "\n".join(platform.log.splitlines()[-60:])
            report.sections.append((f"iotpushd log, {platform.directory}", log))


def _started(platform, wait=True):
    if not DAEMON.exists():
        pytest.exit(f"{DAEMON} is not there: build first, or set IOTPUSH_BUILD", 2)
    return platform.start(wait)


@pytest.fixture(scope="session")
def platform():
    """The shared server."""
    shared = Platform()
    _running.append(shared)
    yield _started(shared)
    shared.close()
    _running.remove(shared)


@pytest.fixture
def start_platform():
    """Starts servers with other settings: start_platform(push__timeout="500ms"). Stopped at the end."""
    with ExitStack() as at_end:
        def start(wait=True, **how):
            mine = Platform(**how)
            _running.append(mine)
            at_end.callback(_running.remove, mine)
            at_end.callback(mine.close)
            return _started(mine, wait)
        yield start


@pytest.fixture
def application(platform):
    return platform.application()


@pytest.fixture
def device(application):
    return application.register_device()


@pytest.fixture
def start_receiver():
    mine = []

    def start(**how):
        mine.append(Receiver(**how))
        return mine[-1]
    yield start
    for one in mine:
        one.close()


@pytest.fixture
def receiver(start_receiver):
    return start_receiver()


@pytest.fixture
def workdir():
    directory = short_directory()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def start_redis():
    """External Redis servers. Asked for before start_platform, they outlive it."""
    mine = []

    def start(*options):
        directory = short_directory()
        mine.append(RedisServer(directory, *options))
        return mine[-1].start()
    yield start
    for one in mine:
        one.stop()
        shutil.rmtree(one.directory, ignore_errors=True)


@pytest.fixture
def cluster(start_redis, start_platform):
    """Starts instances on one Redis: cluster(3, partition__lease="2s")."""
    mine = []

    def start(size=2, redis=None, **settings):
        mine.append(Cluster(start_platform, redis or start_redis(), size, **settings))
        return mine[-1]
    yield start
    for one in mine:
        one.thaw_all()


@pytest.fixture(scope="session")
def authority():
    """A CA that tests trust, and that signs what they ask for."""
    directory = short_directory()
    yield Authority(directory)
    shutil.rmtree(directory, ignore_errors=True)
