/*
 * Reading commands: one by its id, or a page of a device's or of all of an application's. A list gives
 * the ids; what the commands are is read from their devices' hashes, one command of Redis for each
 * run of ids of the same device.
 */
#include "core/command/private.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "core/partition.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define UNLIST_MAX   200   /* per script */
#define RUN_MAX      250   /* per command of Redis */
#define MAKING_MS    60000 /* longer than any command of Redis can take */
#define READS_MAX    20    /* of one page */

/* ---- the application's list ---- */

struct str command_listed(struct arena *arena, struct str device_id, struct str id)
{
    return str_of(arena_printf(arena, "%.*s %.*s", STR_ARG(device_id), STR_ARG(id)));
}

void command_unlist(struct core *core, struct str app_id, int64_t before_ms,
                    const struct str *members, size_t count)
{
    struct str args[1 + UNLIST_MAX];
    struct decimal before;
    struct key key;

    args[0] = decimal_str(&before, before_ms);
    while (count > 0) {
        size_t some = count < UNLIST_MAX ? count : UNLIST_MAX;

        memcpy(args + 1, members, some * sizeof(*members));
        redis_script(core->redis, &script_command_unlist, 1,
                     (struct str[]){key_app_commands(&key, app_id)}, 1 + some, args, NULL, NULL);
        members += some;
        count -= some;
    }
}

/* ---- records by their ids ---- */

struct command_reading {
    struct core *core;
    struct arena *arena;
    struct command *list; /* in the order of the ids; without an id: not there */
    size_t waiting;
    enum error error;
    void (*done)(struct command_reading *reading, void *arg);
    void *arg;
};

struct run { /* commands of one device */
    struct command_reading *reading;
    size_t first, count;
};

static void one_less(struct command_reading *reading, enum error error)
{
    if (error)
        reading->error = error;
    if (--reading->waiting == 0)
        reading->done(reading, reading->arg);
}

static void run_read(enum redis_status status, const redisReply *reply, void *arg)
{
    const struct run *run = arg;
    struct command_reading *reading = run->reading;

    for (size_t i = 0; status == REDIS_DONE && i < run->count; i++) {
        struct command *command = &reading->list[run->first + i];
        struct str fields[COMMAND_FIELDS];

        for (size_t n = 0; n < COMMAND_FIELDS; n++)
            fields[n] = redis_reply_str(redis_reply_at(reply, i * COMMAND_FIELDS + n));
        if (!command_from(reading->arena, command->id, fields, command))
            command->id = STR_NONE;
    }
    one_less(reading, core_error_of(status));
}

static void read_run(struct command_reading *reading, size_t first, size_t count)
{
    struct run *run = arena_alloc(reading->arena, sizeof(*run));
    struct str *words = arena_alloc(reading->arena, (2 + count * COMMAND_FIELDS) * sizeof(*words));
    struct str device_id = reading->list[first].device_id;
    struct key key;

    *run = (struct run){reading, first, count};
    words[0] = STR("HMGET");
    words[1] = key_commands(&key, partition_of(reading->core, device_id), device_id);
    for (size_t i = 0; i < count; i++)
        command_field_names(reading->arena, reading->list[first + i].id,
                            words + 2 + i * COMMAND_FIELDS);
    reading->waiting++;
    redis_command(reading->core->redis, 2 + count * COMMAND_FIELDS, words, run_read, run);
}

/* list has ids and devices; the rest is filled in. At least one. */
static void read_all(struct command_reading *reading, size_t count)
{
    size_t first = 0;

    reading->waiting = 1; /* until all is sent */
    for (size_t i = 1; i <= count; i++) {
        if (i < count && i - first < RUN_MAX &&
            str_eq(reading->list[i].device_id, reading->list[first].device_id))
            continue;
        read_run(reading, first, i - first);
        first = i;
    }
    reading->waiting--;
}

static struct command_reading *reading_new(struct core *core, struct arena *arena, size_t count,
                                           void (*done)(struct command_reading *, void *),
                                           void *arg)
{
    struct command_reading *reading = arena_zalloc(arena, sizeof(*reading));

    reading->core = core;
    reading->arena = arena;
    reading->list = arena_zalloc(arena, (count + 1) * sizeof(*reading->list));
    reading->done = done;
    reading->arg = arg;
    return reading;
}

struct some {
    command_page_cb cb;
    void *arg;
    size_t count;
};

static size_t drop_missing(struct command *list, size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        if (list[i].id.p)
            list[left++] = list[i];
    }
    return left;
}

static void some_read(struct command_reading *reading, void *arg)
{
    const struct some *some = arg;
    struct command_page page = {0, drop_missing(reading->list, some->count), reading->list};

    page.total = page.count;
    some->cb(reading->error, &page, some->arg);
}

void command_read_some(struct core *core, struct arena *arena, struct str device_id,
                       const struct str *ids, size_t count, command_page_cb cb, void *arg)
{
    struct some *some = arena_alloc(arena, sizeof(*some));
    struct command_reading *reading = reading_new(core, arena, count, some_read, some);

    *some = (struct some){cb, arg, count};
    for (size_t i = 0; i < count; i++) {
        reading->list[i].id = ids[i];
        reading->list[i].device_id = device_id;
    }
    read_all(reading, count);
}

/* ---- one ---- */

bool command_id_is_valid(const struct core *core, struct str id)
{
    char digits[COMMAND_PARTITION_DIGITS + 1];

    if (id.len != COMMAND_ID_DIGITS || strspn(id.p, "0123456789abcdef") < id.len)
        return false;
    memcpy(digits, id.p, COMMAND_PARTITION_DIGITS);
    digits[COMMAND_PARTITION_DIGITS] = '\0';
    return strtoul(digits, NULL, 16) < core->partition_count;
}

static uint32_t partition_of_command(struct str id)
{
    char digits[COMMAND_PARTITION_DIGITS + 1];

    memcpy(digits, id.p, COMMAND_PARTITION_DIGITS);
    digits[COMMAND_PARTITION_DIGITS] = '\0';
    return (uint32_t)strtoul(digits, NULL, 16);
}

struct one {
    struct core *core;
    struct arena *arena;
    struct str app_id, id;
    command_cb cb;
    void *arg;
};

static void one_read(struct command_reading *reading, void *arg)
{
    const struct one *one = arg;
    const struct command *command = reading->list;
    enum error error = reading->error;

    if (!error && (!command->id.p || (one->app_id.p && !str_eq(command->app_id, one->app_id))))
        error = ERR_COMMAND_NOT_FOUND;
    one->cb(error, error ? NULL : command, one->arg);
}

static void device_known(enum redis_status status, const redisReply *reply, void *arg)
{
    struct one *one = arg;
    struct str device_id = redis_reply_str(reply);
    struct command_reading *reading;

    if (status != REDIS_DONE || !str_is_id(device_id, KEY_ID_MAX)) {
        one->cb(status == REDIS_DONE ? ERR_COMMAND_NOT_FOUND : core_error_of(status), NULL,
                one->arg);
        return;
    }
    reading = reading_new(one->core, one->arena, 1, one_read, one);
    reading->list[0].id = one->id;
    reading->list[0].device_id = arena_str(one->arena, device_id);
    read_all(reading, 1);
}

void command_find_device(struct core *core, struct str command_id, redis_cb cb, void *arg)
{
    bool is_valid = command_id_is_valid(core, command_id);
    struct key key;

    redis_command(core->redis, 3,
                  (struct str[]){STR("HGET"),
                                 key_command_devices(&key, is_valid
                                                               ? partition_of_command(command_id)
                                                               : 0),
                                 is_valid ? command_id : STR("-")},
                  cb, arg);
}

void command_read(struct core *core, struct arena *arena, struct str app_id, struct str command_id,
                  command_cb cb, void *arg)
{
    struct one *one = arena_alloc(arena, sizeof(*one));

    *one = (struct one){core, arena, app_id, command_id, cb, arg};
    command_find_device(core, command_id, device_known, one);
}

/* ---- a page ---- */

struct paging {
    struct core *core;
    struct arena *arena;
    struct command_query query;
    struct command_page page;
    struct str *listed; /* members of the application's list that were read */
    size_t reads, missing_count;
    struct str oldest_missing; /* of them; STR_NONE: there is none */
    command_page_cb cb;
    void *arg;
};

static void read_own_list(struct paging *paging);

static void unlist_missing(struct paging *paging, const struct command *list, size_t count)
{
    struct str *missing = arena_alloc(paging->arena, (count + 1) * sizeof(*missing));
    size_t missing_count = 0;

    for (size_t i = 0; i < count; i++) {
        if (!list[i].id.p)
            missing[missing_count++] = paging->listed[i];
    }
    command_unlist(paging->core, paging->query.app_id, clock_now_ms() - MAKING_MS, missing,
                   missing_count);
    paging->missing_count = missing_count;
    paging->oldest_missing = missing_count ? missing[missing_count - 1] : STR_NONE;
}

/* Others stand in the place of those that were taken out. If the oldest was not, it is just being made,
 * as those before it are. */
static bool is_to_be_read_again(struct paging *paging, const struct command *list)
{
    struct str before = paging->oldest_missing;

    if (paging->query.device_id.p)
        return false;
    unlist_missing(paging, list, paging->page.count);
    return paging->missing_count > 0 && !str_eq(paging->oldest_missing, before) &&
           ++paging->reads < READS_MAX;
}

static void page_read(struct command_reading *reading, void *arg)
{
    struct paging *paging = arg;

    if (reading->error) {
        paging->cb(reading->error, NULL, paging->arg);
        return;
    }
    if (is_to_be_read_again(paging, reading->list)) {
        paging->page = (struct command_page){0};
        read_own_list(paging);
        return;
    }
    paging->page.list = reading->list;
    paging->page.count = drop_missing(reading->list, paging->page.count);
    paging->page.total -= paging->missing_count;
    paging->cb(ERR_OK, &paging->page, paging->arg);
}

/* A member is "<device id> <command id>", or of a device's own list an id. */
static bool take_member(struct paging *paging, struct str member, struct command *command)
{
    struct str device_id = paging->query.device_id, id = member;

    if (!device_id.p)
        device_id = str_split(member, ' ', &id);
    command->device_id = device_id;
    command->id = id;
    return id.p && str_is_id(device_id, KEY_ID_MAX);
}

static void list_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct paging *paging = arg;
    size_t count = status == REDIS_DONE && reply->elements ? reply->elements - 1 : 0;
    struct command_reading *reading =
        reading_new(paging->core, paging->arena, count, page_read, paging);

    if (status == REDIS_DONE)
        paging->page.total = (uint64_t)redis_reply_i64(redis_reply_at(reply, 0));
    paging->listed = arena_alloc(paging->arena, (count + 1) * sizeof(*paging->listed));
    for (size_t i = 0; i < count; i++) {
        struct str member =
            arena_str(paging->arena, redis_reply_str(redis_reply_at(reply, i + 1)));

        paging->listed[paging->page.count] = member;
        if (take_member(paging, member, &reading->list[paging->page.count]))
            paging->page.count++;
    }
    if (paging->page.count > 0)
        read_all(reading, paging->page.count);
    else
        paging->cb(core_error_of(status), &paging->page, paging->arg);
}

static void read_list(struct paging *paging, struct str list)
{
    const struct command_query *query = &paging->query;
    struct decimal from, before, skip, count;
    struct str end = query->to_ms == INT64_MAX ? STR("+inf")
                                               : decimal_str(&before, query->to_ms + 1);

    redis_script(paging->core->redis, &script_command_page, 1, &list, 4,
                 (struct str[]){decimal_str(&from, query->from_ms), end,
                                decimal_str(&skip, (int64_t)query->skip),
                                decimal_str(&count, (int64_t)query->count)},
                 list_read, paging);
}

static void read_own_list(struct paging *paging)
{
    struct key key;

    read_list(paging, key_app_commands(&key, paging->query.app_id));
}

static void device_found(enum error error, const struct device *device, void *arg)
{
    struct paging *paging = arg;
    struct key key;

    if (error) {
        paging->cb(error == ERR_DEVICE_NOT_FOUND ? ERR_COMMAND_DEVICE : error, NULL, paging->arg);
        return;
    }
    read_list(paging, key_command_order(&key, partition_of(paging->core, device->id), device->id));
}

void command_query(struct core *core, struct arena *arena, const struct command_query *query,
                   command_page_cb cb, void *arg)
{
    struct paging *paging = arena_zalloc(arena, sizeof(*paging));

    paging->core = core;
    paging->arena = arena;
    paging->query = *query;
    paging->cb = cb;
    paging->arg = arg;
    if (query->device_id.p)
        device_read(core, arena, query->app_id, query->device_id, false, device_found, paging);
    else
        read_own_list(paging);
}
