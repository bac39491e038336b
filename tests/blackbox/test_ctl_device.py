"""iotpushctl device: list, show, delete, import; and the admin API below it."""

import csv
import json
import os
import pty
import stat
import subprocess

import pytest

from helpers.errors import expect_empty
from helpers.nouns import new_name
from helpers.platform import CTL, clean_environment


def ctl(platform, *arguments, code=0, **how):
    done = platform.ctl(*arguments, **how)
    assert done.returncode == code, done
    return done


def rows_of(platform, *arguments):
    return [json.loads(line) for line in ctl(platform, "--json", *arguments).stdout.splitlines()]


# --- list, show, delete


def test_devices_are_listed_newest_first_with_filters_and_pages(platform, application):
    gateway = application.register_device(info={"name": "hall", "deviceType": "Gateway"})
    children = [application.register_device(gateway=gateway, info={"name": f"meter {n}",
                                                                   "deviceType": "Meter"})
                for n in range(3)]
    listed = rows_of(platform, "device", "list", "--app", application.id)
    assert [row["id"] for row in listed] == [d.id for d in [*children[::-1], gateway]]
    assert listed[0] == {"id": children[2].id, "nodeId": children[2].node_id, "name": "meter 2",
                         "type": "Meter", "status": "INACTIVE", "gateway": gateway.id,
                         "createTime": children[2].query()["createTime"]}
    assert listed[3]["gateway"] is None
    for options, wanted in ((["--type", "Gateway"], [gateway]), (["--name", "meter 1"], [children[1]]),
                            (["--gateway", gateway.id, "--type", "Meter"], children[::-1]),
                            (["--status", "online"], []),
                            (["--page", "1", "--size", "3"], [gateway])):
        listed = rows_of(platform, "device", "list", "--app", application.id, *options)
        assert [row["id"] for row in listed] == [d.id for d in wanted], options


def test_a_list_is_a_table_that_says_how_many_there_are(platform, application):
    device = application.register_device(info={"name": "hall"})
    application.register_device()
    shown = ctl(platform, "device", "list", "--app", application.id, "--size", "1", "--page", "1").stdout
    heading, row, total = shown.splitlines()
    assert heading.split("  ")[0] == "ID" and device.id in row and "hall" in row
    assert total == "1 of 2 devices"
    quiet = ctl(platform, "-q", "device", "list", "--app", application.id, "--name", "hall").stdout
    assert quiet == device.id + "\n"
    assert ctl(platform, "device", "list", "--app", application.id, "--name", "x").stdout == \
        "0 of 0 devices\n"


def test_the_only_application_need_not_be_named(start_platform):
    platform = start_platform()
    ctl(platform, "device", "list", code=2)
    device = platform.application().register_device()
    assert ctl(platform, "-q", "device", "list").stdout == device.id + "\n"
    platform.application()
    assert "--app APP is needed" in ctl(platform, "device", "list", code=2).stderr


def test_a_device_is_shown_without_credentials(platform, application):
    device = application.register_device(by_code=True, imsi="460011234567890", info={"name": "hall"})
    shown, = rows_of(platform, "device", "show", device.id)
    assert shown["id"] == device.id and shown["application"] == application.id
    assert (shown["name"], shown["status"], shown["activated"]) == ("hall", "INACTIVE", False)
    text = json.dumps(shown)
    assert device.verify_code not in text and "psk" not in text
    other = application.register_device()
    other.report({"litres": 7})
    shown, = rows_of(platform, "device", "show", other.id)
    assert shown["services"][0]["data"] == {"litres": 7}
    assert other.secret not in json.dumps(shown)
    assert "litres" in ctl(platform, "device", "show", other.id).stdout
    assert "no such device" in ctl(platform, "device", "show", "nothing", code=1).stderr


def test_a_device_is_deleted_after_a_question(platform, application):
    device = application.register_device()
    assert "--yes" in ctl(platform, "device", "delete", device.id, code=1).stderr
    assert not device.is_gone()
    assert "is deleted" in ctl(platform, "-y", "device", "delete", device.id).stdout
    assert device.is_gone()
    ctl(platform, "-y", "device", "delete", device.id, code=1)


def test_devices_behind_a_gateway_are_deleted_when_that_is_wanted(platform, application):
    gateway, other = application.register_device(), application.register_device()
    child, kept = (application.register_device(gateway=g) for g in (gateway, other))
    ctl(platform, "-y", "device", "delete", gateway.id, "--cascade")
    ctl(platform, "-y", "device", "delete", other.id)
    assert child.is_gone() and gateway.is_gone() and other.is_gone()
    assert kept.query()["gatewayId"] == kept.id


@pytest.mark.parametrize("query, word", [("page=-1", "page"), ("size=0", "size"), ("size=1001", "size"),
                                         ("status=ASLEEP", "status")])
def test_wrong_lists_are_refused_with_the_word_that_is_wrong(platform, application, query, word):
    answer = platform.admin("GET", f"/admin/v1/apps/{application.id}/devices?{query}")
    assert (answer.status, answer.json["error_msg"].split(":")[0]) == (400, word)


def test_unknown_applications_and_devices_are_not_found(platform):
    assert platform.admin("GET", "/admin/v1/apps/nobody/devices").status == 404
    assert platform.admin("POST", "/admin/v1/apps/nobody/devices", {"devices": []}).status == 404
    assert platform.admin("GET", "/admin/v1/devices/nothing").status == 404
    assert platform.admin("DELETE", "/admin/v1/devices/nothing").status == 404


def test_the_admin_api_deletes_a_device(platform, application, device):
    expect_empty(platform.admin("DELETE", f"/admin/v1/devices/{device.id}"), 204)
    assert device.is_gone()


# --- import over the admin API


def import_devices(platform, application, *devices):
    answer = platform.admin("POST", f"/admin/v1/apps/{application.id}/devices",
                            {"devices": list(devices)})
    assert answer.status == 200, answer
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json["results"]


def test_each_device_of_a_request_has_its_result(platform, application):
    there = application.register_device()
    code = new_name()
    results = import_devices(
        platform, application,
        {"nodeId": "a", "name": "first", "secret": "0123456789abcdef0123"},
        {"nodeId": "b", "mode": "code", "verifyCode": code, "psk": "0a" * 8, "timeout": 60},
        {"nodeId": there.node_id},
        {"nodeId": "c", "mode": "CODE"},
        {"nodeId": "d", "verifyCode": code},
        {"nodeId": "e", "gatewayId": there.id, "deviceType": "Meter"},
        {"nodeId": "f", "gatewayId": "nothing"},
        {"nodeId": "g", "productId": "0123456789abcdef01234567"})
    assert results[0] == {"deviceId": results[0]["deviceId"], "secret": "0123456789abcdef0123"}
    assert results[1] == {"deviceId": results[1]["deviceId"], "verifyCode": code, "psk": "0a" * 8}
    assert results[2] == {"deviceId": there.id, "exists": True}
    assert set(results[3]) == {"deviceId", "verifyCode", "psk"}
    assert results[4] == {"code": "100003", "problem": "Invalid verify code."}
    assert set(results[5]) == {"deviceId", "secret"}
    assert results[6]["code"] == "100403"
    assert results[7] == {"code": "600002", "problem": "The product not existed."}
    assert application.query(results[0]["deviceId"])["deviceInfo"]["name"] == "first"
    child = application.query(results[5]["deviceId"])
    assert (child["gatewayId"], child["deviceInfo"]["deviceType"]) == (there.id, "Meter")


@pytest.mark.parametrize("row, problem", [
    ({}, "nodeId"), ({"nodeId": ""}, "nodeId"), ({"nodeId": "n" * 257}, "nodeId"), ([], "not an object"),
    ({"nodeId": "x", "mode": "other"}, "mode"), ({"nodeId": "x", "secret": "short"}, "secret"),
    ({"nodeId": "x", "secret": "z" * 20}, "secret"),
    ({"nodeId": "x", "mode": "secret", "verifyCode": "c"}, "verifyCode"),
    ({"nodeId": "x", "mode": "code", "secret": "0" * 20}, "secret"),
    ({"nodeId": "x", "psk": "no hex digits"}, "psk"), ({"nodeId": "x", "timeout": -1}, "timeout"),
    ({"nodeId": "x", "gatewayId": "{}"}, "gatewayId"), ({"nodeId": "x", "name": 1}, "name"),
    ({"nodeId": "x", "imsi": "1" * 65}, "imsi"), ({"nodeId": "x", "tags": "t"}, "tags"),
    ({"nodeId": "x", "customFields": {}}, "customFields"),
    ({"nodeId": "x", "deviceName": 5}, "deviceName"),
    ({"nodeId": "x", "location": "l" * 2049}, "location")])
def test_a_wrong_row_says_what_is_wrong_and_stops_nobody(platform, application, row, problem):
    bad, good = import_devices(platform, application, row, {"nodeId": "good"})
    assert bad == {"problem": problem}
    assert application.query(good["deviceId"])["deviceInfo"]["nodeId"] == "good"


@pytest.mark.parametrize("body", [b"no json", {}, {"devices": 1}, {"devices": [{}] * 501}])
def test_what_is_no_list_of_devices_is_refused(platform, application, body):
    answer = platform.admin("POST", f"/admin/v1/apps/{application.id}/devices", body)
    assert answer.status == 400 and "devices" in answer.json["error_msg"]


# --- import from a file


def run_import(platform, application, path, *options, code=0):
    return ctl(platform, "--json", "device", "import", "--app", application.id, path, *options, code=code)


def counts(done):
    summary = json.loads(done.stdout)
    return summary["registered"], summary["existing"], summary["failed"]


def credentials_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_file_is_imported_and_its_credentials_kept(platform, application, workdir):
    file = workdir / "devices.csv"
    file.write_text("\ufeffNODEID,name,mode,verifyCode,timeout,deviceType\r\n"
                    f'n1,"Pump ""A"", hall",code,{new_name()},0,Pump\r\n'
                    "\r\n"
                    '"n2","two\nlines",,,,\r\n'
                    "n3\r\n")
    done = run_import(platform, application, file)
    assert counts(done) == (3, 0, 0) and done.stderr == ""
    out = workdir / "devices.credentials.csv"
    assert json.loads(done.stdout)["credentials"] == str(out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    made = {row["nodeId"]: row for row in credentials_of(out)}
    assert list(made) == ["n1", "n2", "n3"]
    assert made["n1"]["verifyCode"] and made["n1"]["psk"] and not made["n1"]["secret"]
    assert len(made["n2"]["secret"]) == 20 and not made["n2"]["psk"]
    info = application.query(made["n1"]["deviceId"])["deviceInfo"]
    assert (info["name"], info["deviceType"]) == ('Pump "A", hall', "Pump")
    assert application.query(made["n2"]["deviceId"])["deviceInfo"]["name"] == "two\nlines"
    for row in made.values():
        assert all(secret not in done.stdout for secret in (row["secret"], row["psk"]) if secret)


def test_a_run_that_broke_off_is_continued(platform, application, workdir):
    file, out = workdir / "devices.csv", workdir / "out.csv"
    file.write_text("nodeId\n" + "".join(f"n{i}\n" for i in range(1200)))
    (workdir / "part.csv").write_text("nodeId\n" + "".join(f"n{i}\n" for i in range(700)))
    assert counts(run_import(platform, application, workdir / "part.csv", "--out", out)) == (700, 0, 0)
    assert counts(run_import(platform, application, file, "--out", out)) == (500, 700, 0)
    assert [row["nodeId"] for row in credentials_of(out)] == [f"n{i}" for i in range(1200)]
    assert counts(run_import(platform, application, file, "--out", out)) == (0, 1200, 0)
    listed = platform.admin("GET", f"/admin/v1/apps/{application.id}/devices?size=1").json
    assert (listed["totalCount"], listed["devices"][0]["nodeId"]) == (1200, "n1199")


def test_lines_that_fail_are_said_and_the_rest_goes_on(platform, application, workdir):
    file = workdir / "d.csv"
    file.write_bytes(b"nodeId,timeout,secret\n"
                     b"a,5,\n"
                     b"b,soon,\n"
                     b"c,,short\n"
                     b'd,"1"x,\n'
                     b"e,1,,more\n"
                     b"f\xff,,\n"
                     b",1,\n"
                     b"g,1,\n")
    done = run_import(platform, application, file, code=1)
    assert counts(done) == (2, 0, 6)
    assert sorted(done.stderr.splitlines()) == [
        f"{file}:3: b: timeout is not a number of seconds",
        f"{file}:4: c: secret is not right",
        f"{file}:5: a quote that does not fit, or too much in one line",
        f"{file}:6: e: more fields than columns",
        f"{file}:7: nodeId is not UTF-8",
        f"{file}:8: nodeId is not right"]
    assert [row["nodeId"] for row in credentials_of(workdir / "d.credentials.csv")] == ["a", "g"]


def test_many_failures_are_counted_only(platform, application, workdir):
    file = workdir / "d.csv"
    file.write_text("nodeId,psk\n" + "".join(f"n{i},x\n" for i in range(1100)))
    done = run_import(platform, application, file, code=1)
    assert counts(done) == (0, 0, 1100)
    assert len(done.stderr.splitlines()) == 1001


@pytest.mark.parametrize("heading, complaint", [
    ("nodeid,nam", "did you mean name?"), ("name,model", "no column nodeId"),
    ("nodeId,NODEID", "there twice"), ("", "must name the columns"), ('"nodeId', "must name the columns")])
def test_a_wrong_heading_is_refused(platform, application, workdir, heading, complaint):
    file = workdir / "d.csv"
    file.write_text(heading)
    assert complaint in run_import(platform, application, file, code=2).stderr
    assert not (workdir / "d.credentials.csv").exists()


def test_credentials_are_not_written_where_others_may_read(platform, application, workdir):
    file, out = workdir / "d.csv", workdir / "open.csv"
    file.write_text("nodeId\nn1\n")
    out.touch(mode=0o644)
    assert "not for credentials" in run_import(platform, application, file, "--out", out, code=1).stderr
    link = workdir / "link.csv"
    link.symlink_to(workdir / "target.csv")
    run_import(platform, application, file, "--out", link, code=1)
    run_import(platform, application, file, "--out", workdir / "none" / "x.csv", code=1)
    assert platform.admin("GET", f"/admin/v1/apps/{application.id}/devices").json["totalCount"] == 0


def test_files_and_applications_that_are_not_there_are_named(platform, application, workdir):
    assert "none.csv" in run_import(platform, application, workdir / "none.csv", code=2).stderr
    (workdir / "d.csv").write_text("nodeId\nn\n")
    done = ctl(platform, "device", "import", "--app", "nobody-has-this-name", workdir / "d.csv", code=1)
    assert "nobody-has-this-name" in done.stderr
    assert "--app APP" in ctl(platform, "device", "import", workdir / "d.csv", code=2).stderr


def test_a_terminal_sees_a_bar(platform, application, workdir):
    file = workdir / "d.csv"
    file.write_text("nodeId\n" + "".join(f"n{i}\n" for i in range(1000)))
    screen, terminal = pty.openpty()
    done = subprocess.run([CTL, "-s", platform.admin_socket, "device", "import", "--app", application.id,
                           file], stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=60,
                          env=clean_environment(), cwd=workdir)
    os.close(terminal)
    shown = os.read(screen, 100_000).decode()
    os.close(screen)
    assert done.returncode == 0 and "registered 1000" in done.stdout
    assert "[###" in shown and "devices" in shown and shown.endswith("\r\x1b[K")
