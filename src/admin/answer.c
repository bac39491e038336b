#include "admin/answer.h"

#include "base/clock.h"

struct admin_context *admin_context_of(const struct call *call)
{
    return call_api_context(call);
}

struct core *admin_core_of(const struct call *call)
{
    return admin_context_of(call)->core;
}

void admin_write_time(struct json_writer *w, const char *key, int64_t time_ms)
{
    char text[CLOCK_COMPACT_SIZE];

    clock_format_compact(time_ms, text);
    json_member_text(w, key, text);
}

static const char *error_name(int status)
{
    switch (status) {
    case 401:
        return "unauthorized";
    case 404:
        return "not_found";
    case 405:
        return "method_not_allowed";
    case 409:
        return "conflict";
    case 429:
        return "too_many";
    case 413:
        return "too_large";
    case 503:
        return "unavailable";
    default:
        return status >= 500 ? "internal" : "bad_request";
    }
}

void admin_write_error(struct json_writer *w, int status, const char *text)
{
    json_object(w);
    json_member_text(w, "error_code", error_name(status));
    json_member_text(w, "error_msg", text ? text : error_name(status));
    json_object_end(w);
}

void admin_fail(struct call *call, int status, const char *text)
{
    json_writer_reset(call_json(call));
    admin_write_error(call_json(call), status, text);
    call_reply_json(call, status);
}

void admin_fail_error(struct call *call, enum error error)
{
    switch (error) {
    case ERR_APP_NOT_FOUND:
        admin_fail(call, 404, "no such application");
        break;
    case ERR_DEVICE_NOT_FOUND:
        admin_fail(call, 404, "no such device");
        break;
    case ERR_APP_HAS_DEVICES:
        admin_fail(call, 409, "the application still has devices; delete them too with --cascade");
        break;
    default:
        admin_fail(call, 503, "Redis does not answer");
    }
}
