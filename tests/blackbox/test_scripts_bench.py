"""
scripts/bench and bench-mqtt: that they run, what they write, that they end what they started. Not how fast
anything is.
"""

import json
import re
import shutil
import subprocess

import pytest

from helpers.platform import BUILD, ROOT, clean_environment

STEPS = ["drainHttp", "drainHttps", "pushMax", "pushMqtt", "endpointsAlone",
         "endpointsBeside", "endpointsAnswering", "endpointsHanging"]
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
    assert found["reportMqtt"]["acceptedPerSecond"] > 0 and found["reportMqtt"]["unanswered"] == 0
    assert found["connect"]["open"] == 20 and found["connect"]["bytesPerConnection"] >= 0
    if shutil.which("wrk"):
        assert found["reference"]["sinkPerSecond"] > 0
        assert all(found[step]["toReference"] > 0 for step in STEPS[:4])
    if "systemCalls" in found:  # where strace may look at another process
        calls = found["systemCalls"]
        assert calls["pushes"] == 1000
        assert calls["byCall"]["writev"] >= 1 and calls["byCall"]["readv"] >= 1
        assert abs(sum(calls["byCall"].values()) - calls["perPush"]) < 0.1

    text = (workdir / "look.md").read_text()
    assert run.stdout == text
    for row in ("drain over HTTP", "drain over HTTPS", "push, as many as go", "as many as go",
                "push over MQTT, as many as go", "reports over MQTT, to their PUBACK", "reportMqtt",
                "answering endpoints alone",
                "the same beside 4 times as many that hang, with a fifth of the reports",
                "5 times as many endpoints, all answering", "as many, of which only the first answer", *STEPS):
        assert re.search(rf"^\| {row} \| ", text, re.M), row
    columns = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(columns) == {4, 5, 9}
    assert re.search(r"^20 idle MQTT connections: made at [\d,]+ a second, [\d,]+ bytes", text, re.M)
    assert ("System calls of the server per push" in text) == ("systemCalls" in found)


def test_a_tiny_comparison_writes_all_figures_and_leaves_nothing(workdir):
    run = subprocess.run([ROOT / "scripts/bench-mqtt", "--tiny", "--build", BUILD, "--out",
                          workdir / "look"], capture_output=True, text=True, timeout=300, cwd=workdir,
                         env=clean_environment(TMPDIR=str(workdir)))
    assert run.returncode == 0, run.stderr
    assert {file.name for file in workdir.iterdir()} == {"look.json", "look.md"}
    assert processes_in(workdir) == []
    result = json.loads((workdir / "look.json").read_text())
    assert result["machine"]["mosquitto"].startswith("mosquitto version")
    found = result["results"]
    assert found.keys() == {"iotpushd", "iotpushdNoHistory", "mosquitto", "mosquittoWaiting"}
    for one in found.values():
        assert one["storedPerSecond"] > 0 and one["acknowledgedPerSecond"] > 0
        assert one["cpuUsPerReport"].keys() == {"server", "redis", "subscriber", "load"}
        assert len(one["runs"]) == 1
    for one in result["ratios"]:
        ours, theirs = found[one["of"]]["runs"][0], found[one["to"]]["runs"][0]
        assert abs(one["ratio"] - ours / theirs) < 0.01
    assert len(result["ratios"]) == 4
    assert run.stdout == (workdir / "look.md").read_text()
    assert re.search(r"^\| iotpushd to: mosquitto, subscriber, Redis \| [\d.]+ \|$", run.stdout, re.M)


@pytest.mark.parametrize("script", ["bench", "bench-mqtt"])
def test_without_a_build_it_says_so(workdir, script):
    run = subprocess.run([ROOT / "scripts" / script, "--build", workdir],
                         capture_output=True, text=True, timeout=60, cwd=workdir)
    assert run.returncode == 2 and "build first" in run.stderr
    assert list(workdir.iterdir()) == []
