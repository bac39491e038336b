"""
What the protocols say when they refuse: one row per outcome, and the one function that compares an
answer with it.

v1 has two envelopes. The gateway's carries both pairs of members, so that clients of either kind
find what they look for.
"""

from typing import NamedTuple


class Refusal(NamedTuple):
    status: int
    code: str
    text: str
    envelope: str = "service"


NOT_FOUND = Refusal(404, "100225", "The resource is not found")
INTERNAL = Refusal(500, "50252", "Internal server error.")
INPUT_INVALID = Refusal(400, "50400", "The input is invalid.")
METHOD_NOT_ALLOWED = Refusal(405, "50400", "The method is not allowed.")
TIMED_OUT = Refusal(408, "50400", "The request was not complete in time.")
LENGTH_REQUIRED = Refusal(411, "50400", "Content-Length is missing.")
BODY_TOO_LARGE = Refusal(413, "50400", "The request body is too large.")
HEAD_TOO_LARGE = Refusal(431, "50400", "The request header is too large.")
ENCODING_UNSUPPORTED = Refusal(501, "50400", "The transfer encoding is not supported.")
OVERLOADED = Refusal(503, "50252", "Internal server error.")

NO_APP_KEY = Refusal(500, "100220", "Get AppKey from header failed.")
TOKEN_INVALID = Refusal(403, "1010005", "Invalid access token or appId.", "gateway")
THROTTLED = Refusal(403, "1010009", "app throttle exceed.", "gateway")
LOGIN_INCOMPLETE = Refusal(400, "102202", "Required Parameter is null or empty.")
LOGIN_WRONG = Refusal(401, "100208", "AppId or secret is not right.")
APP_FROZEN = Refusal(400, "100247", "Operation not allowed. The application has been frozen.")
APP_UNKNOWN = Refusal(403, "100203", "The application is not existed.")
APP_NOT_AUTHORIZED = Refusal(403, "100217", "The application hasn't been authorized.")

BAD_MESSAGE = Refusal(400, "100007", "Bad request message.")
DEVICE_PARAMETER = Refusal(400, "100022", "The input is invalid.")
QUERY_PARAMETER = Refusal(400, "100405", "The request parameter is invalid.")
APPLICATION_INPUT = Refusal(400, "100216", "The application input is invalid.")
GATEWAY_AND_PAGE_MISSING = Refusal(400, "100218", "The gatewayId and pageNo can't be both null.")
VERIFY_CODE = Refusal(400, "100003", "Invalid verify code.")
DEVICE_BOUND = Refusal(400, "100416", "The device has already been binded.")
NODE_ID_DUPLICATE = Refusal(400, "100426", "The nodeId is duplicated.")
DEVICE_QUOTA = Refusal(500, "100412", "The amount of device has reached the limit.")
DEVICE_UNKNOWN = Refusal(404, "100403", "The device is not existed.")
DEVICE_NOT_ACTIVE = Refusal(400, "100610", "Device is not active.")
DEVICE_ONLINE = Refusal(400, "100611", "Device is online.")
IS_SECURE_INVALID = Refusal(400, "100440", "The isSecure is invalid.")

DATA_UNKNOWN = Refusal(404, "100418", "The deviceData is not existed.")
HISTORY_UNKNOWN = Refusal(200, "100418", "The deviceData is not existed.")
NO_CAPABILITY = Refusal(200, "100425", "The special deviceCapability is not exist.")
SERVICE_UNKNOWN = Refusal(200, "100431", "The serviceType is not exist.")
NO_PROPERTIES = Refusal(400, "107002", "The properties is empty in database.")
PROPERTY_UNKNOWN = Refusal(400, "107003", "The request properties is unknown.")
PROPERTY_READ_ONLY = Refusal(403, "100443", "The property is forbidden to write.")
DEVICE_OR_GATEWAY = Refusal(400, "100419", "The deviceId and gatewayId can't be both null.")
GROUP_FULL = Refusal(200, "100601", "The number of device in the group has reach the max.")
GROUP_NAME_USED = Refusal(200, "100602", "The device group name has been used.")
GROUP_UNKNOWN = Refusal(200, "100603", "The device group is not existed.")
GROUP_PARAMETER = Refusal(400, "100604", "The device group request parameter is invalid.")
GROUP_QUOTA = Refusal(200, "100607", "The devGroup has reached the limit.")
GROUP_TOO_MANY = Refusal(400, "100609", "Too much devices to add.")
APP_UNKNOWN_200 = APP_UNKNOWN._replace(status=200)
APP_NOT_AUTHORIZED_200 = APP_NOT_AUTHORIZED._replace(status=200)
PRODUCT_UNKNOWN = Refusal(403, "600002", "The product not existed.")

COMMAND_DEVICE_UNKNOWN = Refusal(200, "100418", "The deviceData is not existed.")
DEVICE_NOT_ONLINE = Refusal(200, "100428", "The device is not online.")
CALL_SERVICE_UNKNOWN = Refusal(404, "100444", "The serviceType is not exist.")
COMMAND_MUTED = Refusal(200, "100432", "The device command is muted.")
COMMAND_UNKNOWN = Refusal(200, "100434", "The device command is not existed.")
COMMAND_OVER = Refusal(
    200, "100435", "The device command already canceled, expired or executed, Cannot cancel.")
COMMAND_QUOTA = Refusal(400, "100223", "Command counts has reached the upLimit.")
COMMAND_NAME = Refusal(400, "102203", "CommandName is invalid.")
DEVICE_FROZEN = Refusal(400, "100449", "The device is freezed cant operate.")
GATEWAY_NOT_ONLINE = Refusal(403, "100450", "The gateway is not online.")
DEVICE_ZOMBIE = Refusal(403, "100612", "Device is zombie.")

CALLBACK_ILLEGAL = Refusal(400, "100222", "The request callbackurl is illegal.")
CALLBACK_OF_ANOTHER_HOST = CALLBACK_ILLEGAL._replace(status=403)
ALREADY_SUBSCRIBED = Refusal(409, "100227", "The resource is conflicted.")
MANAGEMENT_PARAMETER = Refusal(400, "100228", "The application input is invalid.")

DEVICE_INPUT_INVALID = Refusal(400, "IOTDA.000006", "Invalid input data.", "device")
DEVICE_PATH_UNKNOWN = Refusal(404, "IOTDA.000006", "The resource is not found.", "device")
DEVICE_METHOD = Refusal(405, "IOTDA.000006", "The method is not allowed.", "device")
DEVICE_INTERNAL = Refusal(500, "IOTDA.000001", "Internal server error.", "device")
DEVICE_AUTH_FAILED = Refusal(401, "IOTDA.000002", "Authentication failed.", "device")
DEVICE_TOKEN_INVALID = Refusal(403, "IOTDA.000004", "Invalid access token.", "device")
DEVICE_RATE = Refusal(403, "IOTDA.021101", "Request reached the maximum rate limit.", "device")
TENANT_RATE = Refusal(403, "IOTDA.021102",
                      "The request rate has reached the upper limit of the tenant, limit 3.", "device")
TOO_MANY_CHILDREN = Refusal(
    403, "IOTDA.021103",
    "The number of child devices in the request has reached the upper limit (50).", "device")
CHILD_UNKNOWN = Refusal(
    400, "IOTDA.021104",
    "Subdevices in the request does not exist or does not belong to the gateway.", "device")
REPORT_TOO_LARGE = Refusal(
    403, "IOTDA.021105", "The content reported in a single request cannot exceed 1 MB.", "device")


def envelope_of(refusal):
    if refusal.envelope == "device":
        return {"error_code": refusal.code, "error_msg": refusal.text}
    body = {"error_code": refusal.code, "error_desc": refusal.text}
    if refusal.envelope == "gateway":
        body.update({"resultcode": refusal.code, "resultmsg": refusal.text})
    return body


def expect_refusal(response, *possible):
    """
    The answer is this refusal, exactly. Several, where the protocol leaves open which check is first;
    returns the one it was.
    """
    refusal = next((r for r in possible
                    if (response.status, response.json.get("error_code")) == (r.status, r.code)),
                   possible[0])
    assert (response.status, response.json) == (refusal.status, envelope_of(refusal)), response
    assert response.headers["Content-Type"] == "application/json"
    return refusal


def expect_empty(response, status):
    """A success without a body still carries the content type: clients look at it."""
    assert (response.status, response.body) == (status, b""), response
    assert response.headers["Content-Type"] == "application/json"
    if status != 204:
        assert response.headers["Content-Length"] == "0"


def expect_json(response, status, body):
    assert (response.status, response.json) == (status, body), response
    assert response.headers["Content-Type"] == "application/json"
