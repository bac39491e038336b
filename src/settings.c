#include "settings.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/netpolicy.h"
#include "net/tls.h"
#include "push/result.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static const char *check_listen(const char *value)
{
    return *value ? http_address_check(value) : NULL;
}

static const char *check_instance_id(const char *value)
{
    return !*value || str_is_id(str_of(value), 100) ? NULL
                                                    : "1 to 100 letters, digits, - and _";
}

static const char *check_times(const char *value)
{
    int64_t times[8];

    return setting_parse_times(value, times, 8) < 0 ? "a list of times: 10s, 60s" : NULL;
}

static const char *check_addresses(const char *value)
{
    struct str rest = str_of(value);
    unsigned char unused[sizeof(struct in6_addr)];

    while (str_trim(rest).len) {
        char *text = str_dup(str_trim(str_split(rest, ',', &rest)));
        bool is_address =
            inet_pton(AF_INET, text, unused) == 1 || inet_pton(AF_INET6, text, unused) == 1;

        free(text);
        if (!is_address)
            return "a list of addresses: 198.51.100.7, 2001:db8::7";
    }
    return NULL;
}

#define MS        1ll
#define SECOND    1000ll
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define KIB       1024ll
#define MIB       (1024 * KIB)
#define AT(field) offsetof(struct settings, field)

const struct setting settings_table[] = {
    {"instance", "id", SETTING_TEXT, AT(instance.id), "", 0, 0, NULL, false,
     "Name of this instance, letters, digits, - and _; empty: host name and a random part, kept in the data directory", check_instance_id},

    {"redis", "url", SETTING_TEXT, AT(redis.url), "embedded:", 0, 0, NULL, false,
     "embedded: for a Redis of our own, redis://[user:password@]host:port/db, or unix:/path", redis_url_check},
    {"redis", "password_file", SETTING_TEXT, AT(redis.password_file), "", 0, 0, NULL, false,
     "File whose first line is Redis' password", NULL},
    {"redis", "embedded_dir", SETTING_TEXT, AT(redis.embedded_dir), "", 0, 0, NULL, false,
     "Data directory of the embedded Redis; empty: LOCALSTATEDIR/lib/iotpush as root, else "
     "$XDG_STATE_HOME/iotpush or ./iotpush-data", NULL},
    {"redis", "embedded_program", SETTING_TEXT, AT(redis.embedded_program), "redis-server", 0, 0, NULL, false,
     "Program of the embedded Redis", NULL},
    {"redis", "embedded_fsync", SETTING_CHOICE, AT(redis.embedded_fsync), "everysec", 0, 0, "everysec always", false,
     "When the embedded Redis writes through to the disk: everysec survives any crash of programs, "
     "always also a power cut", NULL},
    {"redis", "connect_timeout", SETTING_TIME, AT(redis.connect_timeout_ms), "2s", 10, MINUTE, NULL, false,
     "Longest wait for a connection to Redis", NULL},
    {"redis", "command_timeout", SETTING_TIME, AT(redis.command_timeout_ms), "5s", 10, 10 * MINUTE, NULL, false,
     "Longest wait for a reply; then callers get the protocol's error", NULL},
    {"redis", "strict", SETTING_BOOL, AT(redis.strict), "off", 0, 0, NULL, false,
     "Refuse to start when Redis' persistence or eviction settings could lose data", NULL},
    {"redis", "max_in_flight", SETTING_INT, AT(redis.max_in_flight), "20000", 16, 10000000, NULL, false,
     "Commands that may wait for their reply; more are refused", NULL},

    {"api", "listen_http", SETTING_TEXT, AT(api.listen_http), "127.0.0.1:8080", 0, 0, NULL, false,
     "Address of the application API over HTTP; empty: none", check_listen},
    {"api", "listen_https", SETTING_TEXT, AT(api.listen_https), "", 0, 0, NULL, false,
     "Address of the application API over HTTPS, usually 0.0.0.0:8743; empty: none", check_listen},
    {"api", "tls_certificate", SETTING_TEXT, AT(api.tls_certificate), "", 0, 0, NULL, false,
     "Server certificate and its chain, PEM; the file is read again at SIGHUP", NULL},
    {"api", "tls_key", SETTING_TEXT, AT(api.tls_key), "", 0, 0, NULL, false,
     "Private key of the server certificate, PEM; the file is read again at SIGHUP", NULL},
    {"api", "tls_client_ca", SETTING_TEXT, AT(api.tls_client_ca), "", 0, 0, NULL, false,
     "CA file that client certificates are verified against; empty: none are asked for", NULL},
    {"api", "tls_client_required", SETTING_BOOL, AT(api.tls_client_required), "off", 0, 0, NULL, false,
     "Refuse clients without a certificate", NULL},
    {"api", "tls_min_version", SETTING_CHOICE, AT(api.tls_min_version), "1.2", 0, 0, "1.2 1.3", false,
     "Oldest TLS version offered", NULL},

    {"device", "listen_https", SETTING_TEXT, AT(device.listen_https), "", 0, 0, NULL, false,
     "Address for devices over HTTPS, usually 0.0.0.0:8943; empty: none", check_listen},
    {"device", "listen_http", SETTING_TEXT, AT(device.listen_http), "", 0, 0, NULL, false,
     "Address for devices over plain HTTP (behind a TLS proxy, or for tests); empty: none", check_listen},
    {"device", "listen_mqtt", SETTING_TEXT, AT(device.listen_mqtt), "", 0, 0, NULL, false,
     "Address for devices over plain MQTT, usually 0.0.0.0:1883; empty: none", check_listen},
    {"device", "listen_mqtts", SETTING_TEXT, AT(device.listen_mqtts), "", 0, 0, NULL, false,
     "Address for devices over MQTT with TLS, usually 0.0.0.0:8883; empty: none", check_listen},
    {"device", "tls_certificate", SETTING_TEXT, AT(device.tls_certificate), "", 0, 0, NULL, false,
     "Server certificate for devices; empty: the one of [api]", NULL},
    {"device", "tls_key", SETTING_TEXT, AT(device.tls_key), "", 0, 0, NULL, false,
     "Its private key; empty: the one of [api]", NULL},
    {"device", "report_limit", SETTING_INT, AT(core.report_limit), "100", 0, 1000000000, NULL, true,
     "Requests of one device per report_interval; 0: no limit", NULL},
    {"device", "app_report_limit", SETTING_INT, AT(core.app_report_limit), "0", 0, 1000000000, NULL, true,
     "Reports of all devices of one application per report_interval; 0: no limit", NULL},
    {"device", "report_interval", SETTING_TIME, AT(core.report_interval_ms), "1s", 1, DAY, NULL, true,
     "Interval of the two limits above", NULL},
    {"device", "register_timeout", SETTING_TIME, AT(core.register_timeout_default_ms), "0", 0, 365 * DAY, NULL, true,
     "Life of a registration that names none and is not activated; 0: for ever", NULL},
    {"device", "abnormal_after", SETTING_TIME, AT(core.abnormal_after_ms), "25h", 0, 3650 * DAY, NULL, true,
     "Without a report for so long a device becomes ABNORMAL; 0: never", NULL},
    {"device", "offline_after", SETTING_TIME, AT(core.offline_after_ms), "49h", 0, 3650 * DAY, NULL, true,
     "Without a report for so long a device becomes OFFLINE; 0: never", NULL},
    {"device", "per_application", SETTING_INT, AT(core.devices_per_app), "1000000", 0, 1000000000, NULL, true,
     "Devices an application may register; 0: no limit", NULL},
    {"device", "children_per_gateway", SETTING_INT, AT(core.children_per_gateway), "1000", 1, 100000, NULL, true,
     "Devices that may be registered behind one gateway", NULL},
    {"device", "per_query", SETTING_INT, AT(core.devices_per_query), "1000", 1, 100000, NULL, true,
     "Devices that a query without pages answers at most, and that a query by ids may name", NULL},
    {"device", "shadow_properties", SETTING_INT, AT(core.shadow_properties), "2000", 1, 100000, NULL, true,
     "Reported properties kept per device; a report that needs more is refused", NULL},
    {"device", "sign_time_tolerance", SETTING_TIME, AT(core.sign_time_tolerance_ms), "1h", 0, DAY, NULL, true,
     "How far the hour of a signed login (sign_type 1) may be off", NULL},
    {"device", "old_status_set", SETTING_BOOL, AT(core.has_old_status_set), "on", 0, 0, NULL, true,
     "Say OFFLINE with NOT_ACTIVE of devices that never connected; off: INACTIVE", NULL},

    {"device", "location_service", SETTING_TEXT, AT(core.location_service), "Location", 0, 0, NULL, true,
     "Service whose reported latitude, longitude and radius are a device's position", NULL},
    {"device", "muted_commands", SETTING_INT, AT(core.muted_commands), "100", 0, 1000, NULL, true,
     "Commands that may be muted for one service of a device", NULL},
    {"device", "max_connections", SETTING_INT, AT(mqtt.connections), "50000", 1, 10000000, NULL, true,
     "Open MQTT connections; more are closed at once", NULL},
    {"device", "mqtt_keep_alive_min", SETTING_INT, AT(mqtt.keep_alive_min_s), "30", 1, 65535, NULL, true,
     "Shortest keep-alive time (s) that a device may ask for", NULL},
    {"device", "mqtt_keep_alive_max", SETTING_INT, AT(mqtt.keep_alive_max_s), "1200", 1, 65535, NULL, true,
     "Longest keep-alive time (s); 0 and what is outside of the two is refused with CONNACK 2", NULL},
    {"device", "mqtt_messages", SETTING_INT, AT(mqtt.messages), "50", 0, 1000000000, NULL, true,
     "Messages and requests to subscribe that are read from one MQTT connection per second; 0: no limit", NULL},
    {"device", "mqtt_bytes", SETTING_SIZE, AT(mqtt.message_bytes), "1m", 0, 1024 * MIB, NULL, true,
     "Their bytes per second; 0: no limit", NULL},
    {"device", "mqtt_payload_bytes", SETTING_SIZE, AT(mqtt.payload_bytes), "1m", 1 * KIB, 100 * MIB, NULL, true,
     "Largest payload of an MQTT message; the sender of a larger one is closed", NULL},
    {"device", "mqtt_unpacked_bytes", SETTING_SIZE, AT(device_mqtt.unpacked_bytes), "1m", 1 * KIB, 100 * MIB, NULL, true,
     "Largest payload that was packed with gzip, unpacked", NULL},
    {"device", "mqtt_in_flight", SETTING_INT, AT(mqtt.in_flight), "64", 1, 65535, NULL, true,
     "Messages of one MQTT connection that may wait for Redis; then it is not read from", NULL},
    {"device", "mqtt_bytes_in_flight", SETTING_SIZE, AT(mqtt.bytes_in_flight), "64m", 1 * MIB, 64 * 1024 * MIB, NULL, true,
     "Memory of the messages of all MQTT connections that come in or wait for Redis", NULL},
    {"device", "mqtt_output_bytes", SETTING_SIZE, AT(mqtt.output_bytes), "256k", 1 * KIB, 1024 * MIB, NULL, true,
     "Bytes that may wait for one device to take them; then it is closed", NULL},
    {"device", "mqtt_window", SETTING_INT, AT(device_mqtt.window), "16", 1, 30000, NULL, true,
     "Messages sent to one device with QoS 1 that may wait for its PUBACK", NULL},
    {"device", "answer_timeout", SETTING_TIME, AT(device_mqtt.answer_timeout_ms), "20s", 10, HOUR, NULL, true,
     "How long the answer of a device to a request over MQTT is waited for", NULL},
    {"device", "mqtt_decide_time", SETTING_TIME, AT(device_mqtt.decide_ms), "2s", 0, MINUTE, NULL, true,
     "How long a device that has logged in may take to use a topic or to subscribe to one, before commands go to it on topics of v5, which need no subscription", NULL},
    {"device", "mqtt_awaited_answers", SETTING_INT, AT(device_mqtt.awaited_answers), "100", 1, 100000, NULL, true,
     "Desired values sent over one MQTT connection whose answers are waited for; more wait in the shadow", NULL},
    {"device", "mqtt_gateway_offers", SETTING_INT, AT(device_mqtt.gateway_offers), "64", 1, 100000, NULL, true,
     "Questions to Redis under way for what waits for devices behind MQTT gateways, of all gateways together", NULL},
    {"device", "mqtt_subscriptions", SETTING_INT, AT(device_mqtt.subscriptions), "100", 1, 10000, NULL, true,
     "Topic filters that one MQTT connection may subscribe to", NULL},
    {"device", "mqtt_unstored_close", SETTING_TIME, AT(mqtt.unstored_close_ms), "5s", 10, HOUR, NULL, true,
     "A connection whose message could not be stored is closed after that, so that the device sends it again", NULL},
    {"device", "login_limit", SETTING_INT, AT(device_mqtt.login_limit), "30", 0, 1000000000, NULL, true,
     "MQTT logins of one device per login_interval, or ends that its gateway tells of; 0: no limit", NULL},
    {"device", "login_interval", SETTING_TIME, AT(device_mqtt.login_interval_ms), "60s", 1, DAY, NULL, true,
     "Interval of login_limit", NULL},
    {"device", "login_failures", SETTING_INT, AT(device_mqtt.failure_limit), "100", 0, 1000000000, NULL, true,
     "Failed MQTT logins of one address per login_failure_interval; then all of its logins are refused; 0: no limit", NULL},
    {"device", "login_failure_interval", SETTING_TIME, AT(device_mqtt.failure_interval_ms), "60s", 1, DAY, NULL, true,
     "Interval of login_failures", NULL},

    {"history", "max_entries", SETTING_INT, AT(core.history_entries), "1000", 0, 1000000, NULL, true,
     "Reports kept per device, about; 0: none", NULL},
    {"history", "max_bytes", SETTING_SIZE, AT(core.history_bytes), "4m", 1 * KIB, 1024 * MIB, NULL, true,
     "Bytes of reports kept per device: a report of so many bytes leaves room for as many as fit", NULL},
    {"history", "max_age", SETTING_TIME, AT(core.history_age_ms), "7d", SECOND, 3650 * DAY, NULL, true,
     "How long reports and desired values are kept; a device's dataAgingTime goes before it for its reports", NULL},
    {"history", "gateway_devices", SETTING_INT, AT(core.history_gateway_devices), "100", 0, 10000, NULL, true,
     "Devices behind a gateway whose history can be read together; with more 100216, and one has to be named", NULL},
    {"history", "answer_bytes", SETTING_SIZE, AT(core.history_answer_bytes), "16m", 1 * KIB, 1024 * MIB, NULL, true,
     "Largest answer with history; a page that has more ends early", NULL},

    {"shadow", "needs_model", SETTING_BOOL, AT(core.shadow_needs_model), "on", 0, 0, NULL, true,
     "Desired values are for devices with a product model; off: a device without one takes any", NULL},
    {"shadow", "lwm2m_only", SETTING_BOOL, AT(core.shadow_is_lwm2m_only), "off", 0, 0, NULL, true,
     "Desired values are for devices with protocolType LWM2M, as the vendor has it", NULL},
    {"shadow", "desired_properties", SETTING_INT, AT(core.shadow_desired_properties), "100", 1, 1000, NULL, true,
     "Properties of a device that may have a desired value; a write that needs more is refused", NULL},
    {"shadow", "desired_bytes", SETTING_SIZE, AT(core.shadow_desired_bytes), "64k", 1 * KIB, 16 * MIB, NULL, true,
     "Bytes of a device's desired values with their names; a write that needs more is refused", NULL},
    {"shadow", "history_entries", SETTING_INT, AT(core.shadow_history_entries), "250", 0, 1000000, NULL, true,
     "Writes of desired values kept per device, about, for history.max_age; 0: none", NULL},
    {"shadow", "resend_after", SETTING_TIME, AT(core.shadow_resend_after_ms), "5m", 10, 30 * DAY, NULL, true,
     "A desired value that was sent and still differs is not sent again before this", NULL},

    {"group", "per_application", SETTING_INT, AT(core.groups_per_app), "1000", 1, 1000000, NULL, true,
     "Device groups an application may have", NULL},
    {"group", "per_device", SETTING_INT, AT(core.groups_per_device), "1", 1, 20, NULL, true,
     "Groups a device may be in; clients of the older API may want more than one", NULL},
    {"group", "ids_per_call", SETTING_INT, AT(core.group_ids_per_call), "1000", 1, 1000, NULL, true,
     "Devices that one request may put into a group, or take out of it", NULL},
    {"limits", "header_bytes", SETTING_SIZE, AT(limits.header_bytes), "16k", 1 * KIB, 1 * MIB, NULL, true,
     "Largest head of a request; more: 431", NULL},
    {"limits", "body_bytes", SETTING_SIZE, AT(limits.body_bytes), "1m", 1 * KIB, 1024 * MIB, NULL, true,
     "Largest body of a request; more: 413", NULL},
    {"limits", "connections", SETTING_INT, AT(limits.connections), "20000", 1, 10000000, NULL, true,
     "Open client connections; more are closed at once", NULL},
    {"limits", "connections_per_address", SETTING_INT, AT(limits.connections_per_address), "1000", 0, 10000000, NULL, true,
     "Open connections of one client address; 0: no limit", NULL},
    {"limits", "requests_in_flight", SETTING_INT, AT(limits.requests_in_flight), "4096", 1, 10000000, NULL, true,
     "Requests that may wait for their answer; more: 503", NULL},
    {"limits", "header_timeout", SETTING_TIME, AT(limits.header_timeout_ms), "10s", 10, HOUR, NULL, true,
     "Longest time from a request's first byte (or the connection) to the end of its head", NULL},
    {"limits", "body_timeout", SETTING_TIME, AT(limits.body_timeout_ms), "30s", 10, HOUR, NULL, true,
     "Longest time for a request's body, and for a client to take its answer", NULL},
    {"limits", "idle_timeout", SETTING_TIME, AT(limits.idle_timeout_ms), "60s", 10, DAY, NULL, true,
     "Longest pause between two requests of one connection", NULL},

    {"auth", "token_life", SETTING_TIME, AT(core.token_life_ms), "3600s", SECOND, 30 * DAY, NULL, true,
     "Life of an application's access token", NULL},
    {"auth", "refresh_life", SETTING_TIME, AT(core.refresh_life_ms), "1d", SECOND, 365 * DAY, NULL, true,
     "Life of an application's refresh token", NULL},
    {"auth", "device_token_life", SETTING_TIME, AT(core.device_token_life_ms), "1d", SECOND, 365 * DAY, NULL, true,
     "Life of a device's access token", NULL},
    {"auth", "device_token_grace", SETTING_TIME, AT(core.device_token_grace_ms), "30s", 0, DAY, NULL, true,
     "How long a device's previous token works after a new login", NULL},
    {"auth", "login_limit", SETTING_INT, AT(core.login_limit), "100", 0, 1000000000, NULL, true,
     "Logins and refreshes per application and login_interval; 0: no limit", NULL},
    {"auth", "login_interval", SETTING_TIME, AT(core.login_interval_ms), "60s", 1, DAY, NULL, true,
     "Interval of login_limit", NULL},
    {"auth", "api_limit", SETTING_INT, AT(core.api_limit), "100", 0, 1000000000, NULL, true,
     "Calls per application and api_interval; 0: no limit", NULL},
    {"auth", "api_interval", SETTING_TIME, AT(core.api_interval_ms), "1s", 1, DAY, NULL, true,
     "Interval of api_limit", NULL},

    {"subscription", "same_type", SETTING_CHOICE, AT(core.same_type), "replace", 0, 0, "replace conflict fanout", true,
     "What a second subscription of one type does", NULL},
    {"subscription", "urls_per_application", SETTING_INT, AT(core.urls_per_app), "100", 1, 1000, NULL, true,
     "Subscriptions an application may have with same_type = fanout", NULL},
    {"subscription", "needs_port_and_path", SETTING_BOOL, AT(core.needs_port_and_path), "on", 0, 0, NULL, true,
     "A callback URL must write its port and have a path", NULL},
    {"subscription", "needs_one_host", SETTING_BOOL, AT(core.needs_one_host), "off", 0, 0, NULL, true,
     "All callback URLs of an application must have the same host and port", NULL},

    {"certificate", "max_bytes", SETTING_SIZE, AT(core.certificate_max_bytes), "64k", 1 * KIB, 512 * KIB, NULL, true,
     "Largest CA file that is taken for a callback", NULL},
    {"certificate", "max_count", SETTING_INT, AT(core.certificate_max_count), "20", 1, 1000, NULL, true,
     "Certificates it may hold", NULL},
    {"certificate", "max_entries", SETTING_INT, AT(core.certificate_max_entries), "100", 1, 1000, NULL, true,
     "Hosts and ports for which an application may have uploaded certificates", NULL},
    {"certificate", "warn_before", SETTING_TIME, AT(core.certificate_warn_before_ms), "30d", 0, 3650 * DAY, NULL, true,
     "How long before a certificate expires this is warned of", NULL},
    {"certificate", "check_interval", SETTING_TIME, AT(core.certificate_check_interval_ms), "1h", 100, DAY, NULL, true,
     "How often all uploaded certificates are looked through for that", NULL},

    {"model", "package_bytes", SETTING_SIZE, AT(core.model_package_bytes), "4m", 1 * KIB, 64 * MIB, NULL, true,
     "Largest package of a product model that is taken, whatever limits.body_bytes says", NULL},
    {"model", "files", SETTING_INT, AT(core.model_files), "1000", 3, 100000, NULL, true,
     "Files and folders it may have", NULL},
    {"model", "unpacked_bytes", SETTING_SIZE, AT(core.model_unpacked_bytes), "16m", 1 * KIB, 1024 * MIB, NULL, true,
     "Largest size of all its files together, as it declares them", NULL},
    {"model", "content_bytes", SETTING_SIZE, AT(core.model_content_bytes), "1m", 1 * KIB, 64 * MIB, NULL, true,
     "Largest size of its capability files together; they alone are unpacked and kept in memory", NULL},
    {"model", "per_application", SETTING_INT, AT(core.models_per_app), "1000", 1, 10000, NULL, true,
     "Product models an application may have", NULL},
    {"model", "answer_bytes", SETTING_SIZE, AT(core.capability_bytes), "16m", 64 * KIB, 1024 * MIB, NULL, true,
     "Largest answer to deviceCapabilities; more is refused, as are more devices than device.per_query", NULL},
    {"model", "required", SETTING_BOOL, AT(core.model_is_required), "off", 0, 0, NULL, true,
     "A manufacturerId and model that a device is registered or modified with must name an installed product model, as a productId always must", NULL},
    {"model", "enforce_enum", SETTING_BOOL, AT(core.model_enforces_enum), "on", 0, 0, NULL, true,
     "Values that a model's enumList does not have are refused", NULL},
    {"command", "pending", SETTING_INT, AT(core.commands_pending), "20", 1, 1000, NULL, true,
     "Commands that may wait for one device; immediate ones don't count", NULL},
    {"command", "cache_time", SETTING_TIME, AT(core.command_cache_time_ms), "48h", SECOND, 30 * DAY, NULL, true,
     "How long a command waits for its device when it has no expireTime", NULL},
    {"command", "max_cache_time", SETTING_TIME, AT(core.command_cache_max_ms), "48h", SECOND, 30 * DAY, NULL, true,
     "Largest expireTime", NULL},
    {"command", "max_bytes", SETTING_SIZE, AT(core.command_max_bytes), "16k", 64, 256 * KIB, NULL, true,
     "Largest parameters of a command, and largest answer of a device; of a larger answer only the outcome is kept", NULL},
    {"command", "model_check", SETTING_CHOICE, AT(core.command_model_check), "lenient", 0, 0, "lenient strict none", true,
     "lenient: the service must be in the device's product model, and known parameters must fit; strict: the method too, and no other parameters; none: no model is asked for", NULL},
    {"command", "zombie_after", SETTING_TIME, AT(core.command_zombie_after_ms), "7d", 0, 3650 * DAY, NULL, true,
     "A device that was not there for so long gets no commands; 0: there is no such limit", NULL},
    {"command", "take_timeout", SETTING_TIME, AT(core.command_take_timeout_ms), "10s", 10, HOUR, NULL, true,
     "How long a command to a connected device may wait to be sent; then it waits for the device's next connection, or fails when it is immediate", NULL},
    {"command", "ack_timeout", SETTING_TIME, AT(core.command_ack_timeout_ms), "180s", 10, DAY, NULL, true,
     "How long the device may take to acknowledge a command", NULL},
    {"command", "answer_timeout", SETTING_TIME, AT(core.command_answer_timeout_ms), "180s", 10, DAY, NULL, true,
     "How long it may take then to answer, if the model says that it does; at least until expireTime", NULL},
    {"command", "retransmit_after", SETTING_TIME, AT(core.command_retransmit_after_ms), "0", 0, HOUR, NULL, true,
     "A command that is not acknowledged is sent again after this, doubled each time, maxRetransmit times at most; 0: never, since a device may carry it out twice", NULL},
    {"command", "requeue", SETTING_BOOL, AT(core.command_is_requeued), "off", 0, 0, NULL, true,
     "A command that is not acknowledged in time is sent again until it is, or its expireTime is over, instead of ending TIMEOUT; a device may carry it out several times", NULL},
    {"command", "keep", SETTING_INT, AT(core.command_keep), "1000", 1, 10000, NULL, true,
     "Commands kept per device, besides those that are under way", NULL},
    {"command", "keep_time", SETTING_TIME, AT(core.command_keep_time_ms), "30d", SECOND, 3650 * DAY, NULL, true,
     "How long commands and cancel tasks are kept", NULL},
    {"command", "per_application", SETTING_INT, AT(core.commands_per_app), "100000", 1, 10000000, NULL, true,
     "Newest commands of an application that a query without deviceId finds", NULL},
    {"command", "cancel_tasks", SETTING_INT, AT(core.command_tasks), "1000", 1, 10000, NULL, true,
     "Cancel tasks kept per application", NULL},
    {"command", "push_end", SETTING_BOOL, AT(core.command_tells_end), "on", 0, 0, NULL, true,
     "EXPIRED and CANCELED are pushed to a command's callback, too", NULL},
    {"command", "old_status_set", SETTING_BOOL, AT(core.command_has_old_status), "off", 0, 0, NULL, true,
     "Say DEFAULT instead of PENDING", NULL},

    {"partition", "count", SETTING_INT, AT(core.partition_count), "16", 1, 1024, NULL, false,
     "Partitions of the deployment; counts at its first start only", NULL},

    {"partition", "lease", SETTING_TIME, AT(core.lease_ms), "8s", 100, 10 * MINUTE, NULL, false,
     "Life of a partition's lease: after a crash another instance takes over when it has run out", NULL},
    {"partition", "heartbeat", SETTING_TIME, AT(core.heartbeat_ms), "2s", 20, MINUTE, NULL, false,
     "How often an instance says that it lives, and renews its leases", NULL},

    {"cache", "life", SETTING_TIME, AT(core.cache_life_ms), "1s", 0, MINUTE, NULL, true,
     "How long a change made at another instance may stay unseen here", NULL},
    {"cache", "applications", SETTING_INT, AT(core.cache_apps), "10000", 1, 10000000, NULL, false,
     "Applications kept in memory", NULL},
    {"cache", "devices", SETTING_INT, AT(core.cache_devices), "100000", 1, 100000000, NULL, false,
     "Devices of which application and product model are kept in memory; each has some 300 bytes", NULL},
    {"cache", "models", SETTING_INT, AT(core.cache_models), "1000", 1, 1000000, NULL, false,
     "Product models kept in memory", NULL},
    {"cache", "model_bytes", SETTING_SIZE, AT(core.cache_model_bytes), "64m", 1 * MIB, 65536 * MIB, NULL, false,
     "Memory for product models, each about three times as large as its capability files", NULL},

    {"push", "timeout", SETTING_TIME, AT(push.timeout_ms), "15s", 10, HOUR, NULL, true,
     "Longest time of a push attempt, to the end of the answer's header", NULL},
    {"push", "connect_timeout", SETTING_TIME, AT(push.connect_timeout_ms), "5s", 10, HOUR, NULL, true,
     "Longest time for connecting; it runs inside timeout and ends with it, if that is shorter", NULL},
    {"push", "stop_timeout", SETTING_TIME, AT(push.stop_timeout_ms), "40s", 10, HOUR, NULL, true,
     "At a stop, pushes under way are waited for as long as timeout and 5 s, but never longer than "
     "this; then Redis is waited for as long as it answers, or for partition.lease; systemd's "
     "TimeoutStopSec must be 20 s longer at least", NULL},
    {"push", "strict200", SETTING_BOOL, AT(push.strict200), "off", 0, 0, NULL, true,
     "Only status 200 counts as delivered; off: every 2xx", NULL},
    {"push", "fail_statuses", SETTING_LIST, AT(push.fail_statuses), "5xx", 0, 0, NULL, true,
     "Statuses of 500 to 599 that are failures: retried until the notification is too old, counted against the callback URL; the others of these are refusals as a 4xx is. 5xx: all of them", result_check_statuses},
    {"push", "follow_same_origin", SETTING_BOOL, AT(push.follows_same_origin), "off", 0, 0, NULL, true,
     "Follow a 307 or 308, once, when scheme, host and port stay the same; off: redirects are never followed", NULL},
    {"push", "retry_first", SETTING_TIME, AT(push.retry_first_ms), "1s", 1, HOUR, NULL, true,
     "Pause after the first failed attempt; it doubles with each further one", NULL},
    {"push", "retry_max", SETTING_TIME, AT(push.retry_max_ms), "60s", 1, DAY, NULL, true,
     "Longest pause between two attempts", NULL},
    {"push", "v1_cache_time", SETTING_TIME, AT(push.v1_cache_time_ms), "10m", 10, 30 * DAY, NULL, true,
     "Age at which an undelivered notification is dropped and counted", NULL},
    {"push", "refused_pauses", SETTING_LIST, AT(push.refused_pauses), "10s, 60s", 0, 0, NULL, true,
     "Pauses between attempts that are answered 3xx or 4xx; after the last the delivery is dropped", check_times},
    {"push", "retry_after_max", SETTING_TIME, AT(push.retry_after_max_ms), "180s", SECOND, DAY, NULL, true,
     "Longest pause that a Retry-After can ask for", NULL},
    {"push", "retry_after_default", SETTING_TIME, AT(push.retry_after_default_ms), "5s", 1, HOUR, NULL, true,
     "Pause after a 429 without Retry-After", NULL},
    {"push", "breaker_scope_v1", SETTING_CHOICE, AT(push.breaker_scope_v1), "url", 0, 0, "url host", false,
     "What is found invalid, probed and drained as one: url, each callback URL of an application for itself; host, all its callback URLs with the same scheme, host and port together", NULL},
    {"push", "fail_limit", SETTING_INT, AT(push.fail_limit), "10", 1, 1000000, NULL, true,
     "Failures in a row that make a callback URL invalid", NULL},
    {"push", "fail_window", SETTING_TIME, AT(push.fail_window_ms), "600s", SECOND, 30 * DAY, NULL, true,
     "A failure older than this no longer counts", NULL},
    {"push", "probe_interval", SETTING_TIME, AT(push.probe_interval_ms), "180s", 10, DAY, NULL, true,
     "Pause between two probes of an invalid callback URL", NULL},
    {"push", "drain_rate", SETTING_INT, AT(push.drain_rate), "800", 1, 1000000000, NULL, true,
     "Pushes a second to a callback URL that has just recovered", NULL},
    {"push", "drain_fail_limit", SETTING_INT, AT(push.drain_fail_limit), "3", 1, 1000000, NULL, true,
     "Failures in a row that make a recovering callback URL invalid again", NULL},
    {"push", "max_connections", SETTING_INT, AT(push.max_connections), "32", 1, 100000, NULL, true,
     "Connections per endpoint (scheme, host and port)", NULL},
    {"push", "rate", SETTING_INT, AT(push.rate), "0", 0, 1000000000, NULL, true,
     "Pushes a second to one endpoint, shared out over the instances; 0: no limit", NULL},
    {"push", "ordering", SETTING_CHOICE, AT(push.ordering), "device", 0, 0, "device none", true,
     "device: a device's notifications go to a subscription one after the other, each when the one before is delivered or given up; none: side by side, in any order", NULL},
    {"push", "source_address", SETTING_LIST, AT(push.source_address), "", 0, 0, NULL, true,
     "Own addresses to connect to callbacks from, one for IPv4 and one for IPv6, for those whose firewalls know us by them; empty: the system chooses", check_addresses},
    {"push", "connections", SETTING_INT, AT(push.connections), "4096", 1, 10000000, NULL, true,
     "Connections to all endpoints together; above half of it an endpoint gets no second one", NULL},
    {"push", "idle_close", SETTING_TIME, AT(push.idle_close_ms), "55s", 10, DAY, NULL, true,
     "An idle connection to a callback is closed after this", NULL},
    {"push", "max_age", SETTING_TIME, AT(push.max_age_ms), "300s", 10, DAY, NULL, true,
     "A connection to a callback is not used beyond this age", NULL},
    {"push", "max_response_header", SETTING_SIZE, AT(push.max_response_header_bytes), "16k", 256, 1 * MIB, NULL, true,
     "Largest header of a callback's answer; more is a failure", NULL},
    {"push", "discard_body", SETTING_SIZE, AT(push.discard_body_bytes), "64k", 0, 1024 * MIB, NULL, true,
     "Bytes of an answer's body that are read and thrown away to keep the connection", NULL},
    {"push", "discard_time", SETTING_TIME, AT(push.discard_time_ms), "2s", 10, HOUR, NULL, true,
     "Longest time for that", NULL},
    {"push", "queue_events", SETTING_INT, AT(push.queue_events), "2500", 1, 100000000, NULL, true,
     "Deliveries in memory for one callback URL that cannot keep up; more are parked in Redis", NULL},
    {"push", "stack_bytes", SETTING_SIZE, AT(push.stack_bytes), "1g", 64 * KIB, 1024 * 1024LL * MIB, NULL, true,
     "Bytes parked for one callback URL, shared out over the partitions; beyond it the oldest are dropped and counted", NULL},
    {"push", "window_events", SETTING_INT, AT(push.window_events), "10000", 16, 100000000, NULL, true,
     "Events in memory; reading the streams pauses above it", NULL},
    {"push", "window_bytes", SETTING_SIZE, AT(push.window_bytes), "16m", 64 * KIB, 1024 * 1024LL * MIB, NULL, true,
     "Bytes of the events in memory, as they are in Redis; reading pauses above it", NULL},
    {"push", "deadletter_entries", SETTING_INT, AT(push.deadletter_entries), "10000", 0, 10000000, NULL, true,
     "Dropped deliveries that are kept for iotpushctl deadletter; 0: none", NULL},
    {"push", "allow_networks", SETTING_LIST, AT(push.allow_networks), "", 0, 0, NULL, false,
     "Networks that callbacks may lie in although they are not public: 10.0.0.0/8, loopback, private, any", netpolicy_check},
    {"push", "deny_networks", SETTING_LIST, AT(push.deny_networks), "", 0, 0, NULL, false,
     "Networks that callbacks may not lie in, besides those that are not public", netpolicy_check},
    {"push", "ca_file", SETTING_TEXT, AT(push.ca_file), "", 0, 0, NULL, false,
     "CAs that HTTPS callbacks are verified against when the application has no certificate entry for them; empty: the system's", NULL},
    {"push", "https_default_trust", SETTING_CHOICE, AT(push.https_default_trust), "system", 0, 0, "system none", true,
     "HTTPS callbacks without a certificate entry: system verifies them against ca_file or the system's CAs, none lets every push fail", NULL},
    {"push", "tls_min_version", SETTING_CHOICE, AT(push.tls_min_version), "1.2", 0, 0, "1.2 1.3", false,
     "Oldest TLS version used with callbacks", NULL},
    {"push", "platform_certificate", SETTING_TEXT, AT(push.platform_certificate), "", 0, 0, NULL, true,
     "Certificate of the platform and its chain, PEM, shown to callbacks whose entry says so; the file is read again at SIGHUP; empty: none", NULL},
    {"push", "platform_key", SETTING_TEXT, AT(push.platform_key), "", 0, 0, NULL, true,
     "Its private key, PEM; the file is read again at SIGHUP", NULL},
    {"push", "trust_profiles", SETTING_INT, AT(push.trust_profiles), "1000", 1, 1000000, NULL, false,
     "Certificate entries kept in memory ready for handshakes; more are read again when they are needed", NULL},
    {"push", "tls_sessions", SETTING_INT, AT(push.tls_sessions), "2000", 0, 1000000, NULL, true,
     "TLS sessions with callbacks kept in memory to be resumed; 0: none", NULL},
    {"push", "tls_session_life", SETTING_TIME, AT(push.tls_session_life_ms), "1h", 1, DAY, NULL, true,
     "How long a session may be resumed; certificates are verified at its begin only", NULL},
    {"push", "user_agent", SETTING_TEXT, AT(push.user_agent), "", 0, 0, NULL, false,
     "User-Agent of pushes; empty: iotpush/VERSION", NULL},
    {"push", "notify_id", SETTING_BOOL, AT(push.sends_id), "on", 0, 0, NULL, true,
     "Pushes carry X-Notify-Id, by which receivers know repetitions; off: nor X-Notify-Signature, which is made of it", NULL},
    {"push", "signature", SETTING_BOOL, AT(push.signs), "on", 0, 0, NULL, true,
     "Pushes of applications that have a signing key carry X-Notify-Signature", NULL},
    {"push", "signature_overlap", SETTING_TIME, AT(core.signature_overlap_ms), "1d", 0, 30 * DAY, NULL, true,
     "How long a signing key that was renewed signs together with the new one; 0: not at all", NULL},
    {"push", "send_node_id", SETTING_BOOL, AT(push.sends_node_id), "off", 0, 0, NULL, true,
     "deviceInfoChanged carries nodeId also when it did not change", NULL},
    {"push", "timer_interval", SETTING_TIME, AT(push.timer_interval_ms), "1s", 10, MINUTE, NULL, true,
     "How often durable timers (registrations, presence) are looked at", NULL},

    {"admin", "socket", SETTING_TEXT, AT(admin.socket), "", 0, 0, NULL, false,
     "Unix socket of the admin listener; empty: RUNSTATEDIR/iotpush/admin.sock as root, else "
     "admin.sock in the data directory", NULL},
    {"admin", "listen_http", SETTING_TEXT, AT(admin.listen_http), "", 0, 0, NULL, false,
     "Address of the admin listener over HTTP, for loopback only, with a token; empty: none", check_listen},
    {"admin", "token_file", SETTING_TEXT, AT(admin.token_file), "", 0, 0, NULL, false,
     "File whose first line is the token that admin.listen_http asks for", NULL},

    {"watch", "max_open", SETTING_INT, AT(core.watches), "16", 0, 1000, NULL, true,
     "Watches of devices (iotpushctl device watch) that are open at this instance; 0: none", NULL},
    {"watch", "events", SETTING_INT, AT(core.watch_events), "1000", 1, 100000, NULL, true,
     "Events that wait in Redis for one watch; beyond it the oldest are dropped and counted", NULL},
    {"watch", "bytes", SETTING_SIZE, AT(core.watch_bytes), "1m", 1 * KIB, 64 * MIB, NULL, true,
     "Bytes of these; when events are large fewer of them wait", NULL},
    {"watch", "life", SETTING_TIME, AT(core.watch_life_ms), "30s", SECOND, HOUR, NULL, true,
     "A watch that nobody has asked for its events for so long ends", NULL},

    {"metrics", "listen_http", SETTING_TEXT, AT(metrics.listen_http), "", 0, 0, NULL, false,
     "Address that serves /metrics, /healthz and /readyz only; empty: none", check_listen},

    {"log", "level", SETTING_CHOICE, AT(log.level), "info", 0, 0, "error warn info debug", true,
     "Least important lines that are written", NULL},
    {"log", "format", SETTING_CHOICE, AT(log.format), "text", 0, 0, "text json", true,
     "Form of the lines", NULL},
    {"log", "file", SETTING_TEXT, AT(log.file), "", 0, 0, NULL, true,
     "File to write to, opened again at SIGHUP; empty: stderr", NULL},
    {"log", "requests", SETTING_BOOL, AT(log.requests), "off", 0, 0, NULL, true,
     "A line for each answered request, whatever the level: no query, no header, no body", NULL},
    {"log", "audit_file", SETTING_TEXT, AT(log.audit_file), "", 0, 0, NULL, true,
     "File with a line for each change by the administrator or of a subscription, and each failed login "
     "of an application; opened again at SIGHUP; empty: none", NULL},
    {0},
};

struct complaints {
    const struct settings *settings;
    const struct settings_source *source;
    void (*complain)(const char *line, void *arg);
    void *arg;
    int count;
};

static void complain_about(struct complaints *complaints, const char *section, const char *key,
                           const char *what)
{
    char *line = xasprintf("%s: %s",
                           settings_where(complaints->source, settings_table,
                                          complaints->settings, section, key),
                           what);

    complaints->complain(line, complaints->arg);
    complaints->count++;
    free(line);
}

static void check_file(struct complaints *complaints, const char *section, const char *key,
                       const char *file)
{
    if (*file && access(file, R_OK) < 0)
        complain_about(complaints, section, key, strerror(errno));
}

static bool is_loopback_address(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0;
}

static void check_tls(struct complaints *complaints, const char *section, const char *certificate,
                      const char *key)
{
    const struct settings *settings = complaints->settings;
    struct tls_server_config config = {
        .certificate_file = certificate,
        .key_file = key,
        .client_ca_file = settings->api.tls_client_ca,
        .requires_client_certificate = settings->api.tls_client_required,
        .min_version = settings->api.tls_min_version ? TLS1_3_VERSION : TLS1_2_VERSION,
    };
    struct tls_server *tls;
    char *error = NULL;

    if (!*certificate || !*key) {
        complain_about(complaints, section, "listen_https",
                       "HTTPS needs tls_certificate and tls_key, PEM files");
        return;
    }
    tls = tls_server_new(&config, &error);
    if (!tls) {
        complain_about(complaints, section, "tls_certificate", error);
        free(error);
    }
    tls_server_free(tls);
}

static void check_platform_certificate(struct complaints *complaints)
{
    const struct push_settings *push = &complaints->settings->push;
    struct tls_identity *identity;
    char *error = NULL;

    if (!*push->platform_certificate && !*push->platform_key)
        return;
    if (!*push->platform_certificate || !*push->platform_key) {
        complain_about(complaints, "push", "platform_certificate",
                       "goes together with push.platform_key");
        return;
    }
    identity = tls_identity_read(push->platform_certificate, push->platform_key, &error);
    if (!identity)
        complain_about(complaints, "push", "platform_certificate", error);
    free(error);
    tls_identity_free(identity);
}

int settings_check(const struct settings *settings, const struct settings_source *source,
                   void (*complain)(const char *line, void *arg), void *arg)
{
    struct complaints complaints = {settings, source, complain, arg, 0};
    const char *device_certificate = *settings->device.tls_certificate
                                         ? settings->device.tls_certificate
                                         : settings->api.tls_certificate;
    const char *device_key =
        *settings->device.tls_key ? settings->device.tls_key : settings->api.tls_key;

    if (*settings->api.listen_https)
        check_tls(&complaints, "api", settings->api.tls_certificate, settings->api.tls_key);
    if (*settings->device.listen_https || *settings->device.listen_mqtts)
        check_tls(&complaints, "device", device_certificate, device_key);
    if (settings->mqtt.keep_alive_min_s > settings->mqtt.keep_alive_max_s)
        complain_about(&complaints, "device", "mqtt_keep_alive_min",
                       "must be at most device.mqtt_keep_alive_max");
    check_file(&complaints, "redis", "password_file", settings->redis.password_file);
    check_file(&complaints, "push", "ca_file", settings->push.ca_file);
    check_platform_certificate(&complaints);
    check_file(&complaints, "admin", "token_file", settings->admin.token_file);
    if (*settings->admin.listen_http && !*settings->admin.token_file)
        complain_about(&complaints, "admin", "listen_http",
                       "needs admin.token_file, a file whose first line is the token");
    if (*settings->admin.listen_http && !is_loopback_address(settings->admin.listen_http))
        complain_about(&complaints, "admin", "listen_http",
                       "is for loopback only; write 127.0.0.1:8090");
    if (settings->core.heartbeat_ms * 2 > settings->core.lease_ms)
        complain_about(&complaints, "partition", "heartbeat",
                       "must be at most half of partition.lease");
    if (settings->core.offline_after_ms && settings->core.abnormal_after_ms &&
        settings->core.offline_after_ms <= settings->core.abnormal_after_ms)
        complain_about(&complaints, "device", "offline_after",
                       "must be longer than device.abnormal_after, or 0");
    return complaints.count;
}
