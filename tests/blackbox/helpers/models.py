"""Product models and their packages."""

import io
import json
import zipfile


def value(name_key, name, data_type="int", **members):
    return {name_key: name, "dataType": data_type, "required": True, "min": 0, "max": 0, "step": 1,
            "maxLength": 0, "unit": None, "enumList": None, **members}


def prop(name, data_type="int", method="RWE", **members):
    return value("propertyName", name, data_type, method=method, **members)


def para(name, data_type="int", **members):
    return value("paraName", name, data_type, **members)


def service(service_type, properties=(), commands=(), description=""):
    return {"services": [{"serviceType": service_type, "description": description,
                          "commands": list(commands), "properties": list(properties)}]}


FLOW = service("Flow", [
    prop("litres", "int", "RE", max=1000000),
    prop("battery", "int", "RE", max=100),
    prop("ratio", "decimal", "RE", min=-0.5, max=0.5),
    prop("note", "string", "RE", maxLength=5),
    prop("mode", "string", "RE", enumList=["ON", "OFF"])])

VALVE = service("Valve", [
    prop("position", "int", "RWE", max=100, unit="%"),
    prop("label", "string", "RW", required=False, step=0, maxLength=32)],
    [{"commandName": "SET_VALVE", "paras": [para("position", max=100, unit="%")],
      "responses": [{"responseName": "CMD_RSP", "paras": [para("result", max=1)]}]}],
    "shut-off valve")

METER = {"manufacturerId": "ACME01", "manufacturerName": "Acme", "protocolType": "CoAP",
         "deviceType": "WaterMeter", "model": "WM200",
         "serviceTypeCapabilities": [
             {"serviceId": "Flow", "serviceType": "Flow", "option": "Mandatory"},
             {"serviceId": "Valve", "serviceType": "Valve", "option": "Optional"},
             {"serviceId": "Bypass", "serviceType": "Valve", "option": "Optional"}]}

# What a device's registration says of it.
METER_INFO = {key: METER[key] for key in
              ("manufacturerId", "manufacturerName", "deviceType", "model", "protocolType")}


def files(device=METER, services=None, **changes):
    """The files of a package, by path; values that are not text become JSON."""
    services = {"Flow": FLOW, "Valve": VALVE} if services is None else services
    return {"profile/devicetype-capability.json": {"devices": [{**device, **changes}]},
            **{f"service/{name}/profile/servicetype-capability.json": content
               for name, content in services.items()}}


def pack(contents, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in contents.items():
            if not isinstance(content, (str, bytes)):
                content = json.dumps(content)
            archive.writestr(name, content)
    return out.getvalue()


def package(device=METER, services=None, **changes):
    return pack(files(device, services, **changes))


def path_of(application, product_id=""):
    base = f"/admin/v1/apps/{application.id}/models"
    return f"{base}/{product_id}" if product_id else base


def try_upload(application, content, query=""):
    return application.platform.admin("POST", path_of(application) + query, content)


def upload(application, content=None, query=""):
    """The answer: with productId."""
    response = try_upload(application, package() if content is None else content, query)
    assert response.status in (200, 201), response
    return response.json
