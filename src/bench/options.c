#include "bench/options.h"

#include "base/mem.h"
#include "base/setting_value.h"
#include "bench/bench.h"
#include "bench/faults.h"
#include "net/http_server.h"
#include <getopt.h>
#include <stdlib.h>

#define MINUTE    60000ll
#define DAY       (1440 * MINUTE)
#define AT(field) offsetof(struct options, field)

struct option_row {
    int verbs;
    struct setting value; /* section is not used */
};

#define LOADS   (VERB_REPORT | VERB_PUSH | VERB_DRAIN)
#define PATHS   (VERB_PUSH | VERB_DRAIN)
#define DEVICES (LOADS | VERB_CONNECT)
#define ALL     (VERB_SINK | DEVICES | VERB_STORE)

static const char *check_rate(const char *value)
{
    uint64_t rate;

    if (strcmp(value, "max") == 0 || (str_to_u64(str_of(value), 10000000, &rate) && rate > 0))
        return NULL;
    return "not a rate; write max, or reports a second";
}

#define TEXT(verbs, key, field, fallback, help)                                                    \
    {                                                                                              \
        verbs,                                                                                     \
        {                                                                                          \
            "", key, SETTING_TEXT, AT(field), fallback, 0, 0, NULL, false, help, NULL              \
        }                                                                                          \
    }
#define NUMBER(verbs, key, field, fallback, least, most, help)                                     \
    {                                                                                              \
        verbs,                                                                                     \
        {                                                                                          \
            "", key, SETTING_INT, AT(field), fallback, least, most, NULL, false, help, NULL        \
        }                                                                                          \
    }
#define TIME(verbs, key, field, fallback, least, most, help)                                       \
    {                                                                                              \
        verbs,                                                                                     \
        {                                                                                          \
            "", key, SETTING_TIME, AT(field), fallback, least, most, NULL, false, help, NULL       \
        }                                                                                          \
    }
#define FLAG(verbs, key, field, help)                                                              \
    {                                                                                              \
        verbs,                                                                                     \
        {                                                                                          \
            "", key, SETTING_BOOL, AT(field), "off", 0, 0, NULL, false, help, NULL                 \
        }                                                                                          \
    }
#define CHECKED(verbs, key, type, field, fallback, help, check)                                    \
    {                                                                                              \
        verbs,                                                                                     \
        {                                                                                          \
            "", key, type, AT(field), fallback, 0, 0, NULL, false, help, check                     \
        }                                                                                          \
    }

/* Of several rows with one field, each verb has one at most. */
static const struct option_row rows[] = {
    CHECKED(VERB_SINK, "listen", SETTING_TEXT, listen, "127.0.0.1:9080",
            "Address to receive callbacks at", http_address_check),
    FLAG(VERB_SINK, "tls", has_tls, "Speak HTTPS; needs --certificate and --key"),
    TIME(VERB_SINK, "delay", delay_ms, "0", 0, 60 * MINUTE, "Answer so much later"),
    NUMBER(VERB_SINK, "status", status, "200", 200, 599, "Status of the answers"),
    CHECKED(VERB_SINK, "fail", SETTING_LIST, fail, "",
            "Failures to give, the first that applies: every=10:503, rate=5%:503, hang=10%, "
            "reset=5%, flap=10s/5s",
            faults_check),
    NUMBER(VERB_SINK, "connections", max_connections, "10000", 1, 1000000,
           "Open connections; more are closed at once"),
    TIME(VERB_SINK, "duration", duration_ms, "0", 0, 30 * DAY, "Stop after this; 0: at a signal"),

    TEXT(DEVICES, "socket", socket, "",
         "Admin socket of the server; empty: as iotpushctl finds it"),
    TEXT(DEVICES, "admin", admin, "", "URL of its admin listener over HTTP instead"),
    TEXT(DEVICES, "token-file", token_file, "", "File whose first line is the token for that"),
    TEXT(PATHS, "api", api, "", "URL of the application API; empty: asked of the server"),
    TEXT(DEVICES, "server", server, "",
         "URL that devices connect to, also mqtt:// or mqtts://; empty: asked of the server"),
    FLAG(DEVICES, "tls", has_tls, "Of the server's listeners for devices that with TLS"),
    TEXT(DEVICES | VERB_STORE, "ca-file", ca_file, "", "CAs that the server is verified against"),

    FLAG(LOADS, "mqtt", has_mqtt, "Devices report over MQTT, each over a connection of its own"),
    TEXT(VERB_REPORT | VERB_CONNECT, "broker", broker, "",
         "URL of any MQTT broker to use instead of a server, without logins"),
    {DEVICES,
     {"", "dialect", SETTING_CHOICE, AT(dialect), "v5", 0, 0, "v5 v1", false,
      "Of devices over MQTT: v5, by device id, or v1, by node id", NULL}},

    TEXT(VERB_REPORT | VERB_CONNECT, "devices-file", devices_file, "",
         "Devices to use, a line is ID SECRET; empty: they are made, and removed at the end"),
    NUMBER(LOADS, "devices", devices, "256", 1, 1000000, "Devices that report"),
    CHECKED(VERB_REPORT | VERB_PUSH, "rate", SETTING_TEXT, rate, "max", "Reports a second, or max",
            check_rate),
    TIME(VERB_REPORT | VERB_PUSH, "duration", duration_ms, "10s", 1, 30 * DAY,
         "How long reports are sent"),
    NUMBER(VERB_REPORT | VERB_PUSH, "events", events, "0", 0, 1000000000,
           "Reports to send, if that is sooner; 0: no limit"),
    NUMBER(VERB_DRAIN, "events", events, "20000", 1, 1000000000, "Reports in the backlog"),
    NUMBER(LOADS, "connections", connections, "32", 1, 100000,
           "Connections that reports go over, with HTTP"),
    NUMBER(LOADS, "outstanding", outstanding, "16", 1, 65535,
           "Reports of one device that may have no PUBACK yet, with MQTT"),
    NUMBER(VERB_CONNECT, "connections", devices, "1000", 1, 1000000,
           "Connections to open, each of a device of its own"),
    CHECKED(VERB_CONNECT, "rate", SETTING_TEXT, rate, "max", "Connections begun a second, or max",
            check_rate),
    NUMBER(DEVICES, "opening", opening, "100", 1, 100000,
           "MQTT connections that may be in the making at a time"),
    TIME(DEVICES, "keep-alive", keep_alive_ms, "120s", 0, 65535000,
         "Keep-alive time of MQTT connections; a ping goes out each half of it; 0: none"),
    TIME(VERB_CONNECT, "duration", duration_ms, "10s", 0, 30 * DAY,
         "How long they are held when all have been made"),
    NUMBER(VERB_CONNECT, "pid", pid, "0", 0, INT32_MAX,
           "Process whose memory is looked at; 0: the server is asked"),
    {LOADS,
     {"", "payload-bytes", SETTING_SIZE, AT(payload_bytes), "200", 0, 512 * 1024, NULL, false,
      "Size of a report's body, when that is more than it needs", NULL}},
    TIME(DEVICES, "timeout", timeout_ms, "10s", 100, 10 * MINUTE,
         "Longest wait for the answer to a report, or to a CONNECT"),
    NUMBER(VERB_PUSH, "window", window, "8", 0, 1000000,
           "Reports of one device that may have no callback yet; 0: no limit"),
    NUMBER(PATHS, "endpoints", endpoints, "1", 1, 10000,
           "Callback URLs, each with a port and an application of its own"),
    NUMBER(VERB_PUSH, "hang-endpoints", hang_endpoints, "0", 0, 10000,
           "So many of them take requests and never answer; needs --rate"),
    TIME(PATHS, "settle", settle_ms, "30s", 1, DAY, "Longest wait for callbacks that are missing"),
    TEXT(PATHS, "callback-host", callback_host, "127.0.0.1",
         "Address to receive callbacks at, as the server reaches it"),
    FLAG(PATHS, "callback-tls", has_callback_tls,
         "Callbacks over HTTPS; needs --certificate and --key, and a server that trusts them"),

    TEXT(VERB_SINK | PATHS, "certificate", certificate, "",
         "The receiver's certificate and its chain, PEM"),
    TEXT(VERB_SINK | PATHS, "key", key, "", "Its private key, PEM"),

    TEXT(VERB_STORE, "broker", broker, "mqtt://127.0.0.1:1883", "URL of the broker"),
    TEXT(VERB_STORE, "filter", filter, "#", "Topics to subscribe to"),
    TEXT(VERB_STORE, "redis", redis, "127.0.0.1:6379", "Redis: HOST:PORT, or the path of a socket"),
    NUMBER(VERB_STORE, "outstanding", outstanding, "1000", 1, 1000000,
           "Messages that may wait for Redis; more are not sent to it before"),
    NUMBER(VERB_STORE, "events", events, "0", 0, 1000000000,
           "Ends when so many are stored; 0: at a signal"),
    TIME(VERB_STORE, "duration", duration_ms, "0", 0, 30 * DAY, "Stop after this; 0: at a signal"),

    NUMBER(
        LOADS | VERB_CONNECT, "expect-rate", expect_rate, "-1", -1, INT32_MAX,
        "Exit 1 below so many a second: callbacks; with report reports, with connect connections"),
    TIME(VERB_REPORT | VERB_PUSH | VERB_CONNECT, "expect-p99", expect_p99_ms, "0", 0, DAY,
         "Exit 1 when p99 is longer"),
    NUMBER(VERB_CONNECT, "expect-refused", expect_refused, "-1", -1, INT32_MAX,
           "Exit 1 when more were refused, or not connected"),
    NUMBER(VERB_CONNECT, "expect-dropped", expect_dropped, "-1", -1, INT32_MAX,
           "Exit 1 when more were closed by the server"),
    {VERB_CONNECT,
     {"", "expect-memory", SETTING_SIZE, AT(expect_memory), "0", 0, INT32_MAX, NULL, false,
      "Exit 1 when the server takes more memory per connection", NULL}},
    NUMBER(PATHS, "expect-loss", expect_loss, "-1", -1, INT32_MAX,
           "Exit 1 when more accepted reports have not arrived"),
    NUMBER(PATHS, "expect-duplicates", expect_duplicates, "-1", -1, INT32_MAX,
           "Exit 1 when more callbacks came again"),
    NUMBER(PATHS, "expect-order-violations", expect_order_violations, "-1", -1, INT32_MAX,
           "Exit 1 when more came after a later one of their device"),
    FLAG(ALL, "json", wants_json, "The summary as one JSON object"),
};

#define ROW_COUNT   (sizeof(rows) / sizeof(*rows))
#define OPTION_BASE 256 /* above all characters: getopt's value of row 0 */

static bool belongs_to(const struct option_row *row, enum verb verb)
{
    return row->verbs & (int)verb;
}

static bool take_value(struct options *options, const struct option_row *row, const char *text)
{
    char *wrong = setting_value_parse(&row->value, text, options);

    if (!wrong)
        return true;
    bench_complain("--%s %s: %s", row->value.key, text, wrong);
    free(wrong);
    return false;
}

static void list_options(enum verb verb, struct option *known)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        int needs = rows[i].value.type == SETTING_BOOL ? no_argument : required_argument;

        if (belongs_to(&rows[i], verb))
            *known++ = (struct option){rows[i].value.key, needs, NULL, OPTION_BASE + (int)i};
    }
    *known++ = (struct option){"help", no_argument, NULL, 'h'};
    *known = (struct option){0};
}

enum options_result options_parse(struct options *options, enum verb verb, int argc, char **argv)
{
    struct option known[ROW_COUNT + 2];
    int option;

    *options = (struct options){.has_mqtt = verb == VERB_CONNECT};
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (belongs_to(&rows[i], verb) && !take_value(options, &rows[i], rows[i].value.fallback))
            return OPTIONS_WRONG;
    }
    list_options(verb, known);
    opterr = 0; /* its words name the verb as if it were the program */
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'h')
            return OPTIONS_HELP;
        if (option < OPTION_BASE) {
            bench_complain("%s: not an option, or without its value", argv[optind - 1]);
            return OPTIONS_WRONG;
        }
        if (!take_value(options, &rows[option - OPTION_BASE], optarg ? optarg : "on"))
            return OPTIONS_WRONG;
    }
    if (optind == argc)
        return OPTIONS_OK;
    bench_complain("%s: takes no arguments besides its options", argv[optind]);
    return OPTIONS_WRONG;
}

uint64_t options_rate(const struct options *options)
{
    uint64_t rate = 0;

    if (options->rate)
        str_to_u64(str_of(options->rate), INT64_MAX, &rate);
    return rate;
}

void options_clear(struct options *options)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        setting_value_clear(&rows[i].value, options);
}

static const char *placeholder(enum setting_type type)
{
    switch (type) {
    case SETTING_BOOL:
        return "";
    case SETTING_INT:
        return " N";
    case SETTING_SIZE:
        return " SIZE";
    case SETTING_TIME:
        return " TIME";
    default:
        return " TEXT";
    }
}

void options_print(enum verb verb, FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct setting *value = &rows[i].value;
        char *name;

        if (!belongs_to(&rows[i], verb))
            continue;
        name = xasprintf("--%s%s", value->key, placeholder(value->type));
        fprintf(out, "  %-26s %s", name, value->help);
        if (value->type != SETTING_BOOL && *value->fallback && strcmp(value->fallback, "-1") != 0)
            fprintf(out, " (%s)", value->fallback);
        fputc('\n', out);
        free(name);
    }
    fputs("  --help                     this\n", out);
}
