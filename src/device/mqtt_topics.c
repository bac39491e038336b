#include "device/mqtt_topics.h"

#include "net/mqtt_codec.h"

#define V5 "$oc/devices/"
#define V1 "/huawei/v1/devices/"
#define REQUEST "request_id="

struct row {
    const char *prefix;
    const char *suffix;  /* what follows the id */
    bool has_request_id; /* at its end */
    enum mqtt_topic_kind kind;
};

static const struct row up[] = {
    {V5, "/sys/properties/report", false, TOPIC_PROPERTIES},
    {V5, "/sys/gateway/sub_devices/properties/report", false, TOPIC_CHILDREN},
    {V5, "/sys/messages/up", false, TOPIC_MESSAGE},
    {V5, "/sys/events/up", false, TOPIC_EVENT},
    {V5, "/sys/properties/set/response/", true, TOPIC_SET_RESPONSE},
    {V5, "/sys/properties/get/response/", true, TOPIC_GET_RESPONSE},
    {V5, "/sys/commands/response/", true, TOPIC_COMMAND_RESPONSE},
    {V5, "/sys/shadow/get/", true, TOPIC_SHADOW_GET},
    {V1, "/data/json", false, TOPIC_V1_DATA},
};

static const struct row down[] = {
    {V5, "/sys/properties/set/", true, TOPIC_SET},
    {V5, "/sys/properties/get/", true, TOPIC_GET},
    {V5, "/sys/commands/", true, TOPIC_COMMAND},
    {V5, "/sys/shadow/get/response/", true, TOPIC_SHADOW_RESPONSE},
    {V5, "/sys/messages/down", false, TOPIC_MESSAGE_DOWN},
    {V5, "/sys/events/down", false, TOPIC_EVENT_DOWN},
    {V1, "/command/json", false, TOPIC_V1_COMMAND},
};

#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))

static struct str skip(struct str text, size_t len)
{
    return str_n(text.p + len, text.len - len);
}

/* ---- from devices ---- */

/* "?request_id={id}", "?encoding=gzip", or both with & between: part of the topic's text. */
static void read_query(struct str query, struct mqtt_topic *parts)
{
    while (query.p) {
        struct str part = str_split(query, '&', &query);

        if (str_starts_with(part, STR(REQUEST)))
            parts->request_id = skip(part, strlen(REQUEST));
        else if (str_eq(part, STR("encoding=gzip")))
            parts->is_gzip = true;
    }
}

static bool row_fits(const struct row *row, struct str topic, struct mqtt_topic *parts)
{
    struct str suffix = str_of(row->suffix), rest;

    if (!str_starts_with(topic, str_of(row->prefix)))
        return false;
    topic = skip(topic, strlen(row->prefix));
    parts->id = str_split(topic, '/', &rest);
    if (!rest.p || parts->id.len == 0)
        return false;
    rest = skip(topic, parts->id.len);
    if (!row->has_request_id)
        return str_eq(rest, suffix);
    if (!str_starts_with(rest, suffix) || !str_starts_with(skip(rest, suffix.len), STR(REQUEST)))
        return false;
    parts->request_id = skip(rest, suffix.len + strlen(REQUEST));
    return !memchr(parts->request_id.p, '/', parts->request_id.len);
}

void mqtt_topic_read(struct str topic, struct mqtt_topic *parts)
{
    struct str query;

    *parts = (struct mqtt_topic){TOPIC_UNKNOWN, STR_NONE, STR_NONE, false};
    topic = str_split(topic, '?', &query);
    for (size_t i = 0; i < COUNT(up) && !parts->kind; i++) {
        if (row_fits(&up[i], topic, parts))
            parts->kind = up[i].kind;
    }
    if (parts->kind)
        read_query(query, parts);
}

/* ---- to devices ---- */

static struct str write_topic(struct arena *arena, const struct row *row, struct str id,
                              struct str request_id)
{
    return str_of(arena_printf(arena, "%s%.*s%s%s%.*s", row->prefix, STR_ARG(id), row->suffix,
                               row->has_request_id ? REQUEST : "",
                               row->has_request_id ? (int)request_id.len : 0,
                               request_id.p ? request_id.p : ""));
}

struct str mqtt_topic_down(struct arena *arena, enum mqtt_topic_kind kind, struct str id,
                           struct str request_id)
{
    size_t i = 0;

    while (i + 1 < COUNT(down) && down[i].kind != kind)
        i++;
    return write_topic(arena, &down[i], id, request_id);
}

bool mqtt_topic_is_implicit(enum mqtt_topic_kind kind)
{
    return kind != TOPIC_V1_COMMAND;
}

static bool is_under(struct str filter, const char *prefix, struct str id)
{
    size_t len = strlen(prefix);

    return id.len && filter.len > len + id.len && str_starts_with(filter, str_of(prefix)) &&
           str_starts_with(skip(filter, len), id) && filter.p[len + id.len] == '/';
}

/* The id is written out in the filter, so what it matches is this device's; does it match anything that
 * is sent to devices? */
static bool matches_any(struct str filter, const char *prefix, struct str id)
{
    struct arena *arena = arena_new();
    bool matches = false;

    for (size_t i = 0; i < COUNT(down) && !matches; i++) {
        if (strcmp(down[i].prefix, prefix) == 0)
            matches = mqtt_filter_matches(filter, write_topic(arena, &down[i], id, STR("x")));
    }
    arena_free(arena);
    return matches;
}

/* Topics of an application's own making, "$oc/devices/{device}/user/...": nothing is sent there yet. */
static bool is_custom(struct str filter, struct str device_id)
{
    size_t len = strlen(V5) + device_id.len;

    return filter.len > len + strlen("/user/") &&
           str_starts_with(skip(filter, len), STR("/user/"));
}

bool mqtt_topic_is_subscribable(struct str filter, struct str device_id, struct str node_id)
{
    if (is_under(filter, V5, device_id))
        return matches_any(filter, V5, device_id) || is_custom(filter, device_id);
    return (is_under(filter, V1, device_id) && matches_any(filter, V1, device_id)) ||
           (is_under(filter, V1, node_id) && matches_any(filter, V1, node_id));
}
