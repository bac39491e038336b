#include "store/redis_request.h"

struct str redis_reply_str(const redisReply *reply)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return STR_NONE;
    return str_n(reply->str, reply->len);
}

const redisReply *redis_reply_at(const redisReply *reply, size_t index)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || index >= reply->elements)
        return NULL;
    return reply->element[index];
}

int64_t redis_reply_i64(const redisReply *reply)
{
    struct str text = redis_reply_str(reply);
    bool is_negative = text.len && text.p[0] == '-';
    uint64_t value;

    if (reply && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    if (is_negative)
        text = str_n(text.p + 1, text.len - 1);
    if (!str_to_u64(text, INT64_MAX, &value))
        return 0;
    return is_negative ? -(int64_t)value : (int64_t)value;
}

bool redis_reply_is(const redisReply *reply, const char *text)
{
    struct str s = redis_reply_str(reply);

    return s.p && str_eq(s, str_of(text));
}

struct str redis_reply_field(const redisReply *reply, const char *name)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return STR_NONE;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        if (redis_reply_is(reply->element[i], name))
            return redis_reply_str(reply->element[i + 1]);
    }
    return STR_NONE;
}

bool redis_reply_is_error(const redisReply *reply, const char *code)
{
    size_t len = strlen(code);

    return reply->len > len && memcmp(reply->str, code, len) == 0 && reply->str[len] == ' ';
}

enum redis_status redis_reply_status(const redisReply *reply)
{
    static const struct {
        const char *code;
        enum redis_status status;
    } table[] = {
        {"OOM", REDIS_NO_MEMORY}, {"MISCONF", REDIS_NO_MEMORY}, {"NOREPLICAS", REDIS_NO_MEMORY},
        {"LOADING", REDIS_LOST},  {"READONLY", REDIS_LOST},     {"MASTERDOWN", REDIS_LOST},
        {"NOAUTH", REDIS_LOST},   {"BUSY", REDIS_BUSY},
    };

    if (reply->type != REDIS_REPLY_ERROR)
        return REDIS_DONE;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (redis_reply_is_error(reply, table[i].code))
            return table[i].status;
    }
    return REDIS_ERROR;
}

bool redis_status_has_reply(enum redis_status status)
{
    return status == REDIS_DONE || status == REDIS_ERROR || status == REDIS_NO_MEMORY;
}
