#include "core/event.h"

static const char *const kind_names[EVENT_KIND_COUNT] = {
#define EVENT(id, name) [id] = name,
#include "core/events.def"
#undef EVENT
};

const char *event_kind_name(enum event_kind kind)
{
    return kind_names[kind];
}

void event_write(struct buf *out, const struct event_facts *facts)
{
    buf_printf(out, "1 %s %.*s %.*s %.*s %lld ", kind_names[facts->kind],
               STR_ARG(facts->app_id), STR_ARG(facts->device_id), STR_ARG(facts->gateway_id),
               (long long)facts->time_ms);
    buf_add_str(out, facts->payload);
}

static bool kind_from_name(struct str name, enum event_kind *kind)
{
    for (int i = 0; i < EVENT_KIND_COUNT; i++) {
        if (str_eq(name, str_of(kind_names[i]))) {
            *kind = (enum event_kind)i;
            return true;
        }
    }
    return false;
}

bool event_read(struct str entry, struct event_facts *facts)
{
    struct str rest;
    struct str version = str_split(entry, ' ', &rest);
    struct str kind = str_split(rest, ' ', &rest);
    uint64_t time_ms;

    facts->app_id = str_split(rest, ' ', &rest);
    facts->device_id = str_split(rest, ' ', &rest);
    facts->gateway_id = str_split(rest, ' ', &rest);
    if (!str_to_u64(str_split(rest, ' ', &rest), INT64_MAX, &time_ms))
        return false;
    facts->time_ms = (int64_t)time_ms;
    facts->payload = rest;
    return str_eq(version, STR("1")) && kind_from_name(kind, &facts->kind) &&
           facts->app_id.len && facts->device_id.len && facts->gateway_id.len && rest.len >= 2 && rest.p[0] == '{';
}
