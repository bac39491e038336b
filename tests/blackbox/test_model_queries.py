"""What applications and the administrator read of product models: capabilities, device types, service
types; and iotpushctl model."""

import json

import pytest

from helpers.errors import (APP_NOT_AUTHORIZED, APP_UNKNOWN, DEVICE_PARAMETER, expect_json,
                            expect_refusal)
from helpers.models import (FLOW, METER_INFO, VALVE, files, pack, package, path_of, service,
                            upload)
from helpers.nouns import DEVICES

CAPABILITIES = "/iocm/app/data/v1.1.0/deviceCapabilities"
TYPES = "/iocm/app/profile/v1.1.0/allDeviceTypes"


def as_shown(value):
    """A property or parameter of a file, in the types of the query."""
    shown = dict(value)
    for name in ("min", "max"):
        if shown.get(name) is not None:
            shown[name] = str(shown[name])
    if shown.get("step") is not None:
        shown["step"] = float(shown["step"])
    return shown


def capability(service_id, content, option):
    whole = content["services"][0]
    return {"serviceId": service_id, "serviceType": whole["serviceType"], "option": option,
            "description": whole["description"],
            "commands": [{"commandName": c["commandName"],
                          "paras": [as_shown(p) for p in c["paras"]],
                          "responses": [{"responseName": r["responseName"],
                                         "paras": [as_shown(p) for p in r["paras"]]}
                                        for r in c["responses"]]} for c in whole["commands"]],
            "properties": [as_shown(p) for p in whole["properties"]]}


METER_CAPABILITIES = [capability("Flow", FLOW, "Mandatory"), capability("Valve", VALVE, "Optional"),
                      capability("Bypass", VALVE, "Optional")]


def capabilities(application, query=""):
    response = application.get(CAPABILITIES + query)
    assert response.status == 200, response
    return {d["deviceId"]: d["serviceCapabilities"] for d in response.json["deviceCapabilities"]}


# ---- capabilities


def test_a_devices_capabilities_are_those_of_its_model(application):
    upload(application)
    device = application.register_device(info=METER_INFO)
    application.register_device(info=METER_INFO)
    expect_json(application.get(f"{CAPABILITIES}?deviceId={device.id}"), 200, {"deviceCapabilities": [
        {"deviceId": device.id, "serviceCapabilities": METER_CAPABILITIES}]})


def test_the_text_has_strings_for_bounds_and_a_fraction_in_step(application):
    upload(application)
    device = application.register_device(info=METER_INFO)
    text = application.get(f"{CAPABILITIES}?deviceId={device.id}").text
    assert ('{"propertyName":"position","dataType":"int","required":true,"min":"0","max":"100","step":1.0,'
            '"maxLength":0,"method":"RWE","unit":"%","enumList":null}') in text


def test_null_and_absent_are_told_apart(application):
    bare = {"services": [{"serviceType": "Flow", "properties": [
        {"propertyName": "a", "dataType": "int", "min": None, "unit": None, "method": None},
        {"propertyName": "b", "dataType": "int"}]}]}
    upload(application, package(services={"Flow": bare}, serviceTypeCapabilities=[
        {"serviceId": "Flow", "serviceType": "Flow"},
        {"serviceId": "Other", "serviceType": "Flow", "option": None}]))
    device = application.register_device(info=METER_INFO)
    properties = [{"propertyName": "a", "dataType": "int", "min": None, "method": None, "unit": None},
                  {"propertyName": "b", "dataType": "int"}]
    assert capabilities(application, f"?deviceId={device.id}")[device.id] == [
        {"serviceId": "Flow", "serviceType": "Flow", "commands": [], "properties": properties},
        {"serviceId": "Other", "serviceType": "Flow", "option": None, "commands": [],
         "properties": properties}]


def test_without_a_device_all_of_the_application_are_meant(platform, application):
    upload(application)
    metered = application.register_device(info=METER_INFO)
    plain = application.register_device()
    platform.application().register_device()
    assert capabilities(application) == {metered.id: METER_CAPABILITIES, plain.id: []}


def test_a_gateways_devices_are_asked_for_together(application):
    upload(application)
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, info=METER_INFO)
    application.register_device(info=METER_INFO)
    assert capabilities(application, f"?gatewayId={gateway.id}") == {
        gateway.id: [], child.id: METER_CAPABILITIES}


@pytest.mark.parametrize("query", ["?deviceId=nothing", "?deviceId=%7Bp1%7D:q", "?gatewayId=nothing",
                                   "?gatewayId=a%20b"])
def test_what_is_not_known_has_no_capabilities(platform, application, query):
    application.register_device()
    assert capabilities(application, query) == {}


def test_another_applications_device_has_no_capabilities(platform, application, device):
    assert capabilities(platform.application(), f"?deviceId={device.id}") == {}


def test_more_devices_than_a_query_may_have_are_refused(start_platform):
    application = start_platform(device__per_query="2").application()
    devices = [application.register_device() for _ in range(3)]
    expect_refusal(application.get(CAPABILITIES), DEVICE_PARAMETER)
    assert set(capabilities(application, f"?deviceId={devices[0].id}")) == {devices[0].id}
    devices[0].delete()
    assert set(capabilities(application)) == {d.id for d in devices[1:]}


def test_a_larger_answer_than_allowed_is_refused(start_platform):
    application = start_platform(model__answer_bytes="64k").application()
    upload(application, package(services={"Flow": service("Flow", description="x" * 25_000),
                                          "Valve": VALVE}))
    devices = [application.register_device(info=METER_INFO) for _ in range(3)]
    expect_refusal(application.get(CAPABILITIES), DEVICE_PARAMETER)
    devices[0].delete()
    assert len(capabilities(application)) == 2


@pytest.mark.parametrize("path", [CAPABILITIES, TYPES])
def test_another_applications_models_are_not_shown(platform, application, path):
    expect_refusal(application.get(f"{path}?appId={platform.application().id}"), APP_NOT_AUTHORIZED)
    expect_refusal(application.get(f"{path}?appId=nobody"), APP_UNKNOWN)
    assert application.get(f"{path}?appId={application.id}").status == 200


# ---- device types


def test_all_device_types_are_those_of_the_models(platform, application):
    expect_json(application.get(TYPES), 200, {"deviceTypes": []})
    upload(application, package(model="A", deviceType="WaterMeter"))
    upload(application, package(model="B", deviceType="GasMeter"))
    upload(application, package(model="C", deviceType="WaterMeter"))
    upload(platform.application(), package(deviceType="Other"))
    expect_json(application.get(TYPES), 200, {"deviceTypes": ["GasMeter", "WaterMeter"]})


# ---- service types


def test_queries_show_the_service_type_of_the_model(application):
    upload(application)
    metered = application.register_device(info=METER_INFO)
    plain = application.register_device()
    for device in (metered, plain):
        device.report_services([{"service_id": name, "properties": {"position": 1, "litres": 1}}
                                for name in ("Flow", "Bypass")])

    def types(shown):
        return {s["serviceId"]: s["serviceType"] for s in shown["services"]}
    for shown in (metered.query(), next(d for d in application.get(f"{DEVICES}?pageNo=0").json["devices"]
                                        if d["deviceId"] == metered.id),
                  application.post("/iocm/app/dm/v1.1.0/queryDevicesByIds",
                                   {"deviceIds": [metered.id]}).json["devices"][0]):
        assert types(shown) == {"Flow": "Flow", "Bypass": "Valve"}
    assert types(plain.query()) == {"Flow": "Flow", "Bypass": "Bypass"}


# ---- models in use


def test_a_model_in_use_is_deleted_by_force_only(platform, application):
    made = upload(application)
    device = application.register_device(info=METER_INFO)
    path = path_of(application, made["productId"])
    response = platform.admin("DELETE", path)
    assert response.status == 409 and response.json["error_msg"].startswith("1 devices")
    assert platform.admin("GET", path).status == 200
    assert platform.admin("DELETE", f"{path}?force=true").status == 204
    assert device.query()["deviceInfo"]["model"] == "WM200"
    assert capabilities(application) == {device.id: []}


def test_a_model_whose_devices_are_gone_is_deleted(platform, application):
    made = upload(application)
    devices = [application.register_device(info=METER_INFO) for _ in range(2)]
    devices[0].delete()
    devices[1].modify(model="other")
    assert platform.admin("DELETE", path_of(application, made["productId"])).status == 204


# ---- the command line


@pytest.fixture
def package_file(workdir):
    file = workdir / "WaterMeter_ACME01_WM200.zip"
    file.write_bytes(package())
    return file


def run(platform, *words, code=0):
    result = platform.ctl("model", *words)
    assert result.returncode == code, (result.stdout, result.stderr)
    return result


def test_ctl_stores_lists_shows_exports_and_deletes(platform, application, package_file, workdir):
    stored = run(platform, "add", "--app", application.id, package_file).stdout
    product = stored.split()[-1]
    assert stored == f"ACME01 WM200, 3 services, is stored: product {product}\n"
    heading, row = run(platform, "list", "--app", application.id).stdout.splitlines()
    assert heading.split()[:4] == ["APPLICATION", "PRODUCT", "MANUFACTURER", "MODEL"]
    assert row.split()[1:7] == [product, "ACME01", "WM200", "WaterMeter", "CoAP", "3"]
    assert product in run(platform, "-q", "list").stdout.split()
    shown = run(platform, "show", "--app", application.id, product).stdout
    for words in (["manufacturer", "ACME01"], ["Flow", "Flow", "litres", "int", "0..1000000", "RE", "-"],
                  ["Bypass", "Valve", "SET_VALVE", "command", "-", "-", "-"]):
        assert words in [line.split() for line in shown.splitlines()]
    copy = workdir / "copy.zip"
    run(platform, "export", "--app", application.id, product, copy)
    assert copy.read_bytes() == package_file.read_bytes()
    assert "is gone" in run(platform, "delete", "--app", application.id, product, "--yes").stdout
    assert "no product models" in run(platform, "list", "--app", application.id).stdout


def test_ctl_exports_by_the_packages_own_name_and_overwrites_nothing(platform, application):
    product = upload(application)["productId"]
    assert "WaterMeter_ACME01_WM200.zip" in run(platform, "export", "--app", application.id,
                                               product).stdout
    written = platform.directory / "WaterMeter_ACME01_WM200.zip"
    assert written.read_bytes() == package()
    assert "exists" in run(platform, "export", "--app", application.id, product, code=1).stderr
    written.unlink()


def test_ctl_writes_no_file_whose_name_would_be_a_path(platform, application):
    product = upload(application, package(model="../../WM"))["productId"]
    assert "path" in run(platform, "export", "--app", application.id, product, code=1).stderr


def test_ctl_says_why_a_package_is_refused(platform, application, workdir, package_file):
    wrong = workdir / "Meter_ACME01_WM200.zip"
    wrong.write_bytes(package())
    assert "WaterMeter_ACME01_WM200.zip" in run(platform, "add", "--app", application.id, wrong,
                                               code=1).stderr
    package_file.write_bytes(pack({**files(), "/etc/passwd": "x"}))
    assert "/etc/passwd: absolute paths" in run(platform, "add", "--app", application.id, package_file,
                                                code=1).stderr


def test_ctl_replaces_and_deletes_what_is_used_when_it_is_told_to(platform, application, package_file):
    product = run(platform, "-q", "add", "--app", application.id, package_file).stdout.strip()
    assert "--replace" in run(platform, "add", "--app", application.id, package_file, code=1).stderr
    assert "is replaced" in run(platform, "add", "--app", application.id, package_file,
                                "--replace").stdout
    application.register_device(info=METER_INFO)
    assert "--force" in run(platform, "delete", "--app", application.id, product, "-y", code=1).stderr
    run(platform, "delete", "--app", application.id, product, "-y", "--force")


def test_ctl_answers_as_json(platform, application, package_file):
    made = json.loads(run(platform, "--json", "add", "--app", application.id, package_file).stdout)
    listed = json.loads(run(platform, "--json", "list", "--app", application.id).stdout)
    shown = json.loads(run(platform, "--json", "show", "--app", application.id,
                           made["productId"]).stdout)
    assert made["productId"] == listed["productId"] == shown["productId"]
    assert [s["serviceId"] for s in shown["serviceCapabilities"]] == ["Flow", "Valve", "Bypass"]


def test_ctl_says_what_is_missing(platform, application, workdir):
    assert "--app" in run(platform, "add", workdir / "x.zip", code=2).stderr
    assert "No such file" in run(platform, "add", "--app", application.id, workdir / "x.zip",
                                 code=2).stderr
    (workdir / "empty.zip").touch()
    assert "is empty" in run(platform, "add", "--app", application.id, workdir / "empty.zip",
                             code=2).stderr
    assert "no such product model" in run(platform, "show", "--app", application.id, "0" * 24,
                                          code=1).stderr
    assert "--yes" in run(platform, "delete", "--app", application.id, "0" * 24, code=1).stderr
