"""Devices of a product model: how they get one, and what of their reports is taken."""

import json

import pytest

from helpers.errors import DEVICE_UNKNOWN, PRODUCT_UNKNOWN, expect_empty, expect_refusal
from helpers.models import METER, METER_INFO, VALVE, package, path_of, prop, service, upload
from helpers.nouns import CREDENTIALS_BY_CODE, CREDENTIALS_BY_SECRET, DEVICES, new_name
from helpers.waiting import wait_until

METRIC = "report_values_dropped_total"


def info_of(device):
    info = device.query()["deviceInfo"]
    return {key: info[key] for key in METER_INFO}


def services_of(device):
    return {s["serviceId"]: s["data"] for s in device.query()["services"]}


@pytest.fixture
def product(application):
    return upload(application)["productId"]


@pytest.fixture
def meter(application, product):
    return application.register_device(info=METER_INFO)


# ---- registration


@pytest.mark.parametrize("by_code", [True, False])
def test_a_product_id_fills_in_the_model(application, product, by_code):
    device = application.register_device(by_code=by_code, productId=product)
    assert info_of(device) == METER_INFO


def test_a_product_id_wins_over_what_is_said_beside_it(application, product):
    device = application.register_device(productId=product, info={"model": "other", "name": "n"})
    assert info_of(device) == METER_INFO
    assert device.query()["deviceInfo"]["name"] == "n"


@pytest.mark.parametrize("path,body", [
    (CREDENTIALS_BY_SECRET, {"deviceInfo": {"nodeId": "NODE"}}), (CREDENTIALS_BY_CODE, {"nodeId": "NODE"})])
@pytest.mark.parametrize("unknown", ["0" * 24, "revision", "any text"])
def test_an_unknown_product_id_is_refused(application, product, path, body, unknown):
    node_id = new_name()
    body = json.loads(json.dumps(body).replace("NODE", node_id))
    expect_refusal(application.post(path, {**body, "productId": unknown}), PRODUCT_UNKNOWN)
    application.register_device(node_id)  # nothing was kept of it


def test_another_applications_product_is_unknown(platform, application, product):
    expect_refusal(platform.application().try_register(
        productId=product, deviceInfo={"nodeId": new_name()}), PRODUCT_UNKNOWN)


def test_models_that_are_not_installed_are_accepted(application):
    device = application.register_device(info=METER_INFO)
    device.report({"anything": 1}, service="Any")
    assert services_of(device) == {"Any": {"anything": 1}}


def test_the_product_of_another_instance_is_known_at_once(cluster):
    one, two = cluster().members
    application = one.application()
    upload(application)  # the catalogue of `two` may be a second old
    for number in range(3):
        made = upload(application, package(model=f"M{number}"))
        body = {"productId": made["productId"], "deviceInfo": {"nodeId": new_name()}}
        response = two.api("POST", CREDENTIALS_BY_SECRET, body, application.headers)
        assert response.status == 200, response


# ---- modification


def test_a_modification_binds_a_product(application, product):
    device = application.register_device()
    device.modify(productId=product)
    assert info_of(device) == METER_INFO
    device.report({"litres": 5, "unknown": 1})
    assert services_of(device) == {"Flow": {"litres": 5}}


def test_a_modification_with_an_unknown_product_changes_nothing(application, product):
    device = application.register_device(productId=product)
    expect_refusal(device.try_modify(productId="0" * 24, name="new"), PRODUCT_UNKNOWN)
    assert info_of(device) == METER_INFO and device.query()["deviceInfo"]["name"] is None


def test_an_unknown_device_is_not_modified(application, product):
    expect_refusal(application.put(f"{DEVICES}/nothing", {"productId": product}), DEVICE_UNKNOWN)


def test_a_modification_of_the_model_frees_the_device_from_its_product(application, product):
    device = application.register_device(productId=product)
    device.modify(model="other")
    assert device.query()["deviceInfo"]["model"] == "other"
    device.report({"unknown": 1})
    assert services_of(device) == {"Flow": {"unknown": 1}}


def test_an_empty_product_id_leaves_the_model(application, product):
    device = application.register_device(productId=product)
    device.modify(productId="")
    assert info_of(device) == METER_INFO


# ---- with model.required


@pytest.fixture(scope="module")
def strict():
    from helpers.platform import Platform
    platform = Platform(model__required="on").start()
    yield platform
    platform.close()


def test_required_models_must_be_installed(strict):
    application = strict.application()
    body = {"deviceInfo": {"nodeId": new_name(), **METER_INFO}}
    expect_refusal(application.try_register(**body), PRODUCT_UNKNOWN)
    upload(application)
    assert application.try_register(**body).status == 200
    for change in ({"model": "other"}, {"manufacturerId": "other"}, {"deviceType": "other"},
                   {"protocolType": "other"}):
        expect_refusal(application.try_register(
            deviceInfo={"nodeId": new_name(), **METER_INFO, **change}), PRODUCT_UNKNOWN)
    expect_refusal(application.try_register(
        deviceInfo={"nodeId": new_name(), "model": "WM200"}), PRODUCT_UNKNOWN)


def test_required_models_may_be_left_out(strict):
    application = strict.application()
    application.register_device()
    application.register_device(info={"name": "n", "deviceType": "WaterMeter"})


def test_a_required_model_may_be_said_in_two_halves(strict):
    application = strict.application()
    upload(application)
    device = application.register_device(info=METER_INFO)
    expect_refusal(device.try_modify(model="other"), PRODUCT_UNKNOWN)
    expect_refusal(device.try_modify(manufacturerId="other"), PRODUCT_UNKNOWN)
    upload(application, package(model="other"))
    device.modify(model="other")
    expect_refusal(application.put(f"{DEVICES}/nothing", {"model": "other"}), DEVICE_UNKNOWN)


# ---- reports


def test_what_the_model_does_not_have_is_dropped_and_counted(platform, application, meter, receiver):
    application.subscribe("deviceDatasChanged", receiver.url("/all"))
    application.subscribe("deviceDataChanged", receiver.url("/each"))
    before = {reason: platform.metric(METRIC, reason=reason)
              for reason in ("unknown_service", "unknown_property")}
    meter.report_services([
        {"service_id": "Flow", "properties": {"litres": 1204, "colour": "red", "size": 1}},
        {"service_id": "Other", "properties": {"a": 1, "b": 2, "c": 3}},
        {"service_id": "Bypass", "properties": {"position": 40}}])
    assert services_of(meter) == {"Flow": {"litres": 1204}, "Bypass": {"position": 40}}
    services = receiver.wait_for_one("/all").json["services"]
    assert [(s["serviceId"], s["serviceType"], s["data"]) for s in services] == [
        ("Flow", "Flow", {"litres": 1204}), ("Bypass", "Valve", {"position": 40})]
    assert [r.json["service"]["serviceType"] for r in receiver.wait_for(2, "/each")] == [
        "Flow", "Valve"]
    # Other tests share the server and may add to it.
    assert platform.metric(METRIC, reason="unknown_property") >= before["unknown_property"] + 2
    assert platform.metric(METRIC, reason="unknown_service") >= before["unknown_service"] + 3


@pytest.mark.parametrize("properties,kept,reason", [
    ({"litres": "12", "battery": 5}, {"battery": 5}, "wrong_type"),
    ({"litres": 1.5, "battery": 5}, {"battery": 5}, "wrong_type"),
    ({"litres": None, "battery": 5}, {"battery": 5}, "wrong_type"),
    ({"litres": -1, "battery": 100}, {"battery": 100}, "out_of_range"),
    ({"litres": 1000000, "battery": 101}, {"litres": 1000000}, "out_of_range"),
    ({"ratio": 0.51, "battery": 5}, {"battery": 5}, "out_of_range"),
    ({"note": "sechs!", "battery": 5}, {"battery": 5}, "too_long"),
    ({"mode": "AUTO", "battery": 5}, {"battery": 5}, "not_listed")])
def test_values_that_the_model_does_not_allow_are_dropped(platform, meter, properties, kept, reason):
    before = platform.metric(METRIC, reason=reason)
    meter.report(properties)
    assert services_of(meter) == {"Flow": kept}
    assert platform.metric(METRIC, reason=reason) >= before + 1


def test_good_values_are_kept_as_they_came(meter, application, receiver):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    good = '{"litres":1e3,"battery":100.0,"ratio":-5e-1,"note":"äöüßé","mode":"ON"}'
    body = '{"services":[{"service_id":"Flow","properties":' + good + '}]}'
    expect_empty(meter.call("properties/report", body), 200)
    assert f'"data":{good}' in receiver.wait_for_one("/data").text


def test_a_report_of_which_nothing_is_left_is_no_event(application, meter, receiver):
    application.subscribe("deviceDatasChanged", receiver.url("/data"))
    meter.report({"unknown": 1})
    meter.report({"litres": "much"}, service="Flow")
    meter.report({"a": 1}, service="Other")
    assert meter.query()["services"] == []
    assert meter.query()["deviceInfo"]["status"] == "ONLINE"
    meter.report({"litres": 1})
    assert receiver.wait_for_one("/data").json["services"][0]["data"] == {"litres": 1}
    assert len(receiver.requests("/data")) == 1


def test_a_report_of_which_nothing_is_left_counts_as_life(start_platform):
    platform = start_platform(device__abnormal_after="1s", device__offline_after="0")
    application = platform.application()
    upload(application)
    device, silent = (application.register_device(info=METER_INFO) for _ in range(2))
    device.report({"litres": 1})
    silent.report({"litres": 1})

    def silent_is_abnormal():
        device.report({"unknown": 1})
        return silent.query()["deviceInfo"]["status"] == "ABNORMAL"
    wait_until(silent_is_abnormal, "the other device's being missed")
    assert device.query()["deviceInfo"]["status"] == "ONLINE"


def test_an_empty_service_that_the_model_has_is_an_event(application, meter, receiver):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    meter.report({})
    assert receiver.wait_for_one("/data").json["service"]["data"] == {}


def test_lists_need_not_be_enforced(start_platform):
    application = start_platform(model__enforce_enum="off").application()
    upload(application)
    device = application.register_device(info=METER_INFO)
    device.report({"mode": "AUTO", "note": "sechs!"})
    assert services_of(device) == {"Flow": {"mode": "AUTO"}}


def test_a_child_is_checked_by_its_own_model(application, product):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, info=METER_INFO)
    other = application.register_device(gateway=gateway)
    gateway.report_for(child, other, litres=5, colour=1)
    assert services_of(child) == {"Flow": {"litres": 5}}
    assert services_of(other) == {"Flow": {"litres": 5, "colour": 1}}


@pytest.mark.parametrize("change", [{"deviceType": "GasMeter"}, {"protocolType": "MQTT"}])
def test_a_device_that_disagrees_has_no_model(application, product, change):
    device = application.register_device(info={**METER_INFO, **change})
    device.report({"unknown": 1})
    assert services_of(device) == {"Flow": {"unknown": 1}}


def test_a_device_that_says_less_has_the_model(application, product):
    device = application.register_device(
        info={key: METER[key] for key in ("manufacturerId", "model")})
    device.report({"unknown": 1, "litres": 1})
    assert services_of(device) == {"Flow": {"litres": 1}}


def test_a_devices_change_of_model_counts_at_once(application, product):
    """Its facts are in a cache by then: the script finds that they are old."""
    other = service("Flow", [prop("cubic", "int")])
    upload(application, package(model="WM300", services={"Flow": other, "Valve": VALVE}))
    device = application.register_device(info=METER_INFO)
    unchecked = None
    for number, (model, prop_name) in enumerate(
            [("WM200", "litres"), ("WM300", "cubic"), ("WM400", "any")] * 2):
        device.modify(model=model)
        device.report({prop_name: number, "never": number})
        unchecked = number if model == "WM400" else unchecked  # there is no such model
        data = services_of(device)["Flow"]
        assert (data[prop_name], data.get("never")) == (number, unchecked)


def test_the_change_counts_at_another_instance_too(cluster):
    one, two = cluster().members
    application = one.application()
    upload(application)
    device = application.register_device()
    device.login()
    body = {"services": [{"service_id": "Flow", "properties": {"litres": 1, "never": 1}}]}
    headers = {"access_token": device.token}
    target = f"/v5/devices/{device.id}/sys/properties/report"
    assert two.device_api("POST", target, body, headers).status == 200
    assert services_of(device) == {"Flow": {"litres": 1, "never": 1}}
    device.modify(**METER_INFO)  # at `one`; `two` has the device's facts in its cache
    body["services"][0]["service_id"] = "Valve"
    body["services"][0]["properties"] = {"position": 7, "never": 1}
    assert two.device_api("POST", target, body, headers).status == 200
    assert services_of(device)["Valve"] == {"position": 7}


def test_a_model_that_is_installed_later_is_used(application):
    device = application.register_device(info=METER_INFO)
    device.report({"unknown": 1})
    upload(application)
    device.report({"position": 5, "unknown": 1}, service="Valve")
    assert services_of(device) == {"Flow": {"unknown": 1}, "Valve": {"position": 5}}


def test_replaced_and_deleted_models_count_for_the_next_report(platform, application, product):
    device = application.register_device(info=METER_INFO)
    device.report({"litres": 1, "cubic": 1})
    assert services_of(device) == {"Flow": {"litres": 1}}
    upload(application, package(services={"Flow": service("Flow", [prop("cubic")]), "Valve": VALVE}),
           "?replace=true")
    device.report({"litres": 2, "cubic": 2})
    assert services_of(device) == {"Flow": {"litres": 1, "cubic": 2}}
    assert platform.admin("DELETE", path_of(application, product) + "?force=true").status == 204
    device.report({"litres": 3, "cubic": 3, "other": 3})
    assert services_of(device) == {"Flow": {"litres": 3, "cubic": 3, "other": 3}}


def test_a_small_cache_of_models_changes_nothing(start_platform):
    application = start_platform(cache__models="1", cache__devices="1").application()
    upload(application)
    upload(application, package(model="WM300", services={"Flow": service("Flow", [prop("cubic")]),
                                                         "Valve": VALVE}))
    one = application.register_device(info=METER_INFO)
    two = application.register_device(info={**METER_INFO, "model": "WM300"})
    for number in range(1, 4):
        one.report({"litres": number, "cubic": number})
        two.report({"litres": number, "cubic": number})
    assert services_of(one) == {"Flow": {"litres": 3}}
    assert services_of(two) == {"Flow": {"cubic": 3}}


def test_messages_are_not_checked(application, meter, receiver):
    expect_empty(meter.try_message('{"anything": 1}'), 200)


def test_a_stranger_learns_nothing_of_a_model(application, meter):
    response = meter.try_report({"litres": 1}, token="x" * 64)
    assert response.status == 403
