"""Applications and devices, as the protocol speaks of them."""

import hashlib
import hmac
import itertools
import json
import os
from urllib.parse import urlencode

from . import http

# Unique over all workers and runs that may share a Redis.
_numbers = itertools.count(1)


def new_name(prefix="node"):
    return f"{prefix}-{os.getpid()}-{os.urandom(3).hex()}-{next(_numbers)}"


def device_password(secret, timestamp):
    """The timestamp is the key and the secret is the message, not the other way round."""
    return hmac.new(timestamp.encode(), secret.encode(), hashlib.sha256).hexdigest()


def ids_of(devices):
    """Of devices, or of what are ids already."""
    return [d if isinstance(d, str) else d.id for d in devices]


CREDENTIALS_BY_CODE = "/iocm/app/reg/v1.1.0/deviceCredentials"
CREDENTIALS_BY_SECRET = "/iocm/app/reg/v2.0.0/deviceCredentials"
DEVICES = "/iocm/app/dm/v1.4.0/devices"
GROUPS = "/iocm/app/devgroup/v1.3.0/devGroups"
GROUP_MEMBERS = "/iocm/app/dm/v1.2.0/devices/ids"
ADD_TO_GROUP = "/iocm/app/dm/v1.1.0/devices/addDevGroupTagToDevices"
REMOVE_FROM_GROUP = "/iocm/app/dm/v1.1.0/devices/deleteDevGroupTagFromDevices"
SUBSCRIPTIONS = "/iocm/app/sub/v1.2.0/subscriptions"
COMMANDS = "/iocm/app/cmd/v1.4.0/deviceCommands"
CANCEL_TASKS = "/iocm/app/cmd/v1.4.0/deviceCommandCancelTasks"
CALLS = "/iocm/app/signaltrans/v1.1.0/devices"
LOGIN = "/iocm/app/sec/v1.1.0/login"
REFRESH = "/iocm/app/sec/v1.1.0/refreshToken"
LOGOUT = "/iocm/app/sec/v1.1.0/logout"


class Application:
    def __init__(self, platform, created):
        self.platform = platform
        self.id = created["appId"]
        self.secret = created["secret"]
        self.name = created["name"]
        self._token = None
        self.refresh_token = None

    # --- access

    def try_login(self, secret=None, **how):
        form = urlencode({"appId": self.id, "secret": self.secret if secret is None else secret})
        return self.platform.api("POST", LOGIN, form,
                                 {"Content-Type": "application/x-www-form-urlencoded"}, **how)

    def login(self):
        response = self.try_login()
        assert response.status == 200, response
        self._token = response.json["accessToken"]
        self.refresh_token = response.json["refreshToken"]
        return self._token

    def try_refresh(self, refresh_token=None, **members):
        return self.platform.api("POST", REFRESH, {
            "appId": self.id, "secret": self.secret,
            "refreshToken": refresh_token or self.refresh_token, **members})

    @property
    def token(self):
        return self._token or self.login()

    @property
    def headers(self):
        return {"app_key": self.id, "Authorization": f"Bearer {self.token}"}

    def call(self, method, target, body=None, headers=None, **how):
        return self.platform.api(method, target, body, {**self.headers, **(headers or {})}, **how)

    def get(self, target, **how):
        return self.call("GET", target, **how)

    def post(self, target, body=None, **how):
        return self.call("POST", target, body, **how)

    def put(self, target, body=None, **how):
        return self.call("PUT", target, body, **how)

    def delete(self, target, **how):
        return self.call("DELETE", target, **how)

    def try_probe(self, token=None):
        """Any call that needs a token; without one given, the newest."""
        headers = {"app_key": self.id, "Authorization": f"Bearer {token or self.token}"}
        return self.platform.api("GET", f"{SUBSCRIPTIONS}?pageNo=0", None, headers)

    def freeze(self):
        self._administer("freeze")

    def unfreeze(self):
        self._administer("unfreeze")

    def _administer(self, action):
        response = self.platform.admin("POST", f"/admin/v1/apps/{self.id}/{action}")
        assert response.status in (200, 204), response

    # --- devices

    def try_register(self, path=CREDENTIALS_BY_SECRET, query="", **body):
        return self.post(path + query, body)

    def register_device(self, node_id=None, gateway=None, by_code=False, info=None, **members):
        """A device in secret mode, or by_code; info: members of deviceInfo."""
        node_id = node_id or new_name()
        body = dict(members)
        if gateway:
            body["gatewayId"] = gateway.id
        if by_code:
            body["nodeId"] = node_id
            if info:
                body["deviceInfo"] = info
        else:
            body["deviceInfo"] = {"nodeId": node_id, **(info or {})}
        response = self.try_register(CREDENTIALS_BY_CODE if by_code else CREDENTIALS_BY_SECRET, **body)
        assert response.status == 200 and "deviceId" in response.json, response
        return Device(self, node_id, gateway, response.json)

    def query(self, device_id, query=""):
        response = self.get(f"{DEVICES}/{device_id}{query}")
        assert response.status == 200, response
        return response.json

    # --- groups

    def try_create_group(self, name=None, **members):
        return self.post(GROUPS, {"name": name or new_name("g").replace("-", ""), **members})

    def create_group(self, name=None, *devices, **members):
        if devices:
            members["deviceIds"] = [d.id for d in devices]
        response = self.try_create_group(name, **members)
        assert response.status == 200 and "id" in response.json, response
        return response.json

    def try_add(self, group, *devices):
        return self.post(ADD_TO_GROUP, {"devGroupId": group["id"], "deviceIds": ids_of(devices)})

    def try_remove(self, group, *devices):
        return self.post(REMOVE_FROM_GROUP, {"devGroupId": group["id"], "deviceIds": ids_of(devices)})

    def members(self, group, size=1000, page=0):
        """Ids, in the order they are answered."""
        response = self.get(f"{GROUP_MEMBERS}?devGroupId={group['id']}&pageSize={size}&pageNo={page}")
        assert response.status == 200 and "deviceIds" in response.json, response
        return response.json["deviceIds"]

    # --- commands

    def try_command(self, device, service="Valve", method="SET_VALVE", paras=None, path=COMMANDS, **members):
        device_id = device if isinstance(device, str) else device.id
        command = {"serviceId": service, "method": method, "paras": paras or {}}
        return self.post(path, {"deviceId": device_id, "command": command, **members})

    def command(self, device, **how):
        response = self.try_command(device, **how)
        assert response.status == 201 and "commandId" in response.json, response
        return response.json

    def command_now(self, command):
        response = self.get(f"{COMMANDS}/{command['commandId']}")
        assert response.status == 200 and "commandId" in response.json, response
        return response.json

    def commands(self, query=""):
        response = self.get(COMMANDS + query)
        assert response.status == 200 and "data" in response.json, response
        return response.json

    def try_cancel(self, command):
        return self.put(f"{COMMANDS}/{command['commandId']}", {"status": "CANCELED"})

    def try_cancel_all(self, device):
        return self.post(CANCEL_TASKS, {"deviceId": device.id})

    def try_call(self, device, service="Valve", method="SET_VALVE", body=None, **header):
        device_id = device if isinstance(device, str) else device.id
        return self.post(f"{CALLS}/{device_id}/services/{service}/sendCommand",
                         {"header": {"mode": "ACK", "method": method, **header}, "body": body or {}})

    # --- subscriptions

    def try_subscribe(self, notify_type, url, path=SUBSCRIPTIONS, **members):
        return self.post(path, {"notifyType": notify_type, "callbackUrl": url, **members})

    def subscribe(self, notify_type, url, **members):
        response = self.try_subscribe(notify_type, url, **members)
        assert response.status == 201, response
        return response.json

    def unsubscribe(self, subscription):
        response = self.delete(f"{SUBSCRIPTIONS}/{subscription['subscriptionId']}")
        assert response.status == 204, response


class Device:
    def __init__(self, app, node_id, gateway, made):
        self.app = app
        self.platform = app.platform
        self.node_id = node_id
        self.id = made["deviceId"]
        self.gateway_id = gateway.id if gateway else self.id
        self.secret = made.get("secret")
        self.verify_code = made.get("verifyCode")
        self._token = None

    def try_login(self, timestamp="2025041401", sign_type=0, **members):
        return self.platform.device_api("POST", "/v5/device-auth", {
            "device_id": self.id, "sign_type": sign_type, "timestamp": timestamp,
            "password": device_password(self.secret, timestamp), **members})

    def login(self):
        response = self.try_login()
        assert response.status == 200, response
        self._token = response.json["access_token"]
        return self._token

    @property
    def token(self):
        return self._token or self.login()

    def call(self, path, body, token=None, client=None, headers=None):
        headers = {"access_token": token or self.token, "Content-Type": "application/json",
                   **(headers or {})}
        target = f"/v5/devices/{self.id}/sys/{path}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if client:
            return client.request("POST", target, body, headers)
        return http.request(self.platform.device_address, "POST", target, body, headers)

    def try_report(self, properties, service="Flow", token=None, client=None, **members):
        return self.try_report_services(
            [{"service_id": service, "properties": properties, **members}], token, client)

    def try_report_services(self, services, token=None, client=None):
        return self.call("properties/report", {"services": services}, token, client)

    def report(self, properties, service="Flow", client=None, **members):
        response = self.try_report(properties, service, client=client, **members)
        assert response.status == 200, response

    def report_services(self, services):
        response = self.try_report_services(services)
        assert response.status == 200, response

    def try_message(self, body, token=None):
        return self.call("messages/up", body, token)

    def try_report_children(self, devices, token=None):
        return self.call("gateway/sub-devices/properties/report", {"devices": devices}, token)

    def report_for(self, *children, service="Flow", **properties):
        """As a gateway, one service for each child."""
        response = self.try_report_children([
            {"device_id": child.id, "services": [{"service_id": service, "properties": properties}]}
            for child in children])
        assert response.status == 200, response

    def query(self, query=""):
        return self.app.query(self.id, query)

    def try_modify(self, **members):
        return self.app.put(f"{DEVICES}/{self.id}", members)

    def modify(self, **members):
        response = self.try_modify(**members)
        assert response.status == 204, response

    def try_delete(self, query=""):
        return self.app.delete(f"{DEVICES}/{self.id}{query}")

    def delete(self, query=""):
        response = self.try_delete(query)
        assert response.status == 204, response

    def is_gone(self):
        return self.app.get(f"{DEVICES}/{self.id}").status == 404
