"""scripts/bench: that it runs, what it writes, that it ends what it started. Not how fast anything is."""

import json
import re
import shutil
import subprocess

from helpers.platform import BUILD, ROOT, clean_environment

STEPS = ["drainHttp", "drainHttps", "pushMax", "endpointsAlone", "endpointsHanging"]
TIMES = ["p50Us", "p95Us", "p99Us", "maxUs"]


def processes_in(directory):
    found = subprocess.run(["pgrep", "-f", str(directory)], capture_output=True, text=True)
    return found.stdout.split()


def test_a_tiny_run_writes_all_figures_and_leaves_nothing(workdir):
    run = subprocess.run([ROOT / "scripts/bench", "--tiny", "--build", BUILD, "--out",
                          workdir / "look"], capture_output=True, text=True, timeout=300, cwd=workdir,
                         env=clean_environment(TMPDIR=str(workdir)))
    assert run.returncode == 0, run.stderr
    assert {file.name for file in workdir.iterdir()} == {"look.json", "look.md"}
    assert processes_in(workdir) == []

    result = json.loads((workdir / "look.json").read_text())
    assert result["size"] == "tiny"
    assert {"time", "commit", "cpu", "cores", "memoryMiB", "kernel", "iotpushd", "redis"} <= \
        result["machine"].keys()
    assert result["settings"]["redis.url"] == "embedded:"
    found = result["results"]
    for step in STEPS:
        one = found[step]
        assert one["callbacks"] > 0 and one["callbacksPerSecond"] > 0, step
        assert one["lost"] == one["duplicates"] == one["orderViolations"] == 0, step
        assert {"cpuUsPerCallback", "redisCommandsPerCallback", "residentMostMiB"} == one["server"].keys()
        assert one["server"]["redisCommandsPerCallback"] > 0 and one["server"]["residentMostMiB"] > 0
    for step in STEPS[2:]:
        times = [found[step]["callbackTime"][name] for name in TIMES]
        assert times == sorted(times) and times[0] > 0
    assert found["drainHttp"]["callbacks"] == found["drainHttps"]["callbacks"] == 300
    assert found["endpointsHanging"]["hungRequests"] > 0
    if shutil.which("wrk"):
        assert found["reference"]["sinkPerSecond"] > 0
        assert all(found[step]["toReference"] > 0 for step in STEPS[:3])
    if "systemCalls" in found:  # where strace may look at another process
        calls = found["systemCalls"]
        assert calls["pushes"] == 1000
        assert calls["byCall"]["writev"] >= 1 and calls["byCall"]["readv"] >= 1
        assert abs(sum(calls["byCall"].values()) - calls["perPush"]) < 0.1

    text = (workdir / "look.md").read_text()
    assert run.stdout == text
    for row in ("drain over HTTP", "drain over HTTPS", "push, as many as go", "as many as go",
                "answering endpoints alone", "the same beside 4 times as many that hang", *STEPS):
        assert re.search(rf"^\| {row} \| ", text, re.M), row
    columns = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(columns) == {4, 5, 9}
    assert ("System calls of the server per push" in text) == ("systemCalls" in found)


def test_without_a_build_it_says_so(workdir):
    run = subprocess.run([ROOT / "scripts/bench", "--build", workdir],
                         capture_output=True, text=True, timeout=60, cwd=workdir)
    assert run.returncode == 2 and "build first" in run.stderr
    assert list(workdir.iterdir()) == []
