#include "api/v1/command_object.h"

#include "base/clock.h"

static struct str status_of(const struct command *command, bool has_old_status)
{
    if (has_old_status && str_eq(command->status, STR("PENDING")))
        return STR("DEFAULT");
    return command->status;
}

static void write_time(struct json_writer *w, const char *name, int64_t time_ms)
{
    char text[CLOCK_COMPACT_SIZE];

    if (time_ms == 0)
        return;
    clock_format_compact(time_ms, text);
    json_member_text(w, name, text);
}

void v1_write_command_result(struct json_writer *w, const struct command *command,
                             bool has_old_status)
{
    json_key(w, "result");
    json_object(w);
    json_member_str(w, "resultCode", status_of(command, has_old_status));
    json_member_raw(w, "resultDetail", command->detail.p ? command->detail : STR("null"));
    json_object_end(w);
}

/* Members without a value are left out: real platforms do so here, other than elsewhere. */
void v1_write_command(struct json_writer *w, const struct command *command, bool has_old_status)
{
    json_object(w);
    json_member_str(w, "commandId", command->id);
    json_member_str(w, "appId", command->app_id);
    json_member_str(w, "deviceId", command->device_id);
    json_key(w, "command");
    json_object(w);
    json_member_str(w, "serviceId", command->service_id);
    json_member_str(w, "method", command->method);
    json_member_raw(w, "paras", command->paras);
    json_object_end(w);
    if (command->callback_url.p)
        json_member_str(w, "callbackUrl", command->callback_url);
    json_member_i64(w, "expireTime", command->expire_s);
    json_member_str(w, "status", status_of(command, has_old_status));
    if (command->has_result)
        v1_write_command_result(w, command, has_old_status);
    write_time(w, "creationTime", command->created_ms);
    write_time(w, "executeTime", command->executed_ms);
    write_time(w, "platformIssuedTime", command->issued_ms);
    write_time(w, "deliveredTime", command->delivered_ms);
    json_member_i64(w, "issuedTimes", command->times_sent);
    if (command->max_retransmit >= 0)
        json_member_i64(w, "maxRetransmit", command->max_retransmit);
    json_object_end(w);
}

void v1_write_command_task(struct json_writer *w, const struct command_task *task,
                           bool has_old_status)
{
    json_object(w);
    json_member_str(w, "taskId", task->id);
    json_member_str(w, "appId", task->app_id);
    json_member_str(w, "deviceId", task->device_id);
    json_member_text(w, "status", task->status);
    json_member_i64(w, "totalCount", (int64_t)task->total);
    json_key(w, "deviceCommands");
    json_array(w);
    for (size_t i = 0; i < task->command_count; i++)
        v1_write_command(w, &task->commands[i], has_old_status);
    json_array_end(w);
    json_object_end(w);
}
