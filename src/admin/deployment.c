#include "admin/deployment.h"

#include "admin/answer.h"
#include "core/deployment.h"

/* ---- who is alive, who owns what ---- */

static void answer_instances(enum error error, const struct deployment_instance *instances,
                             size_t count, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_key(w, "instances");
    json_array(w);
    for (size_t i = 0; i < count; i++) {
        json_object(w);
        json_member_str(w, "id", instances[i].id);
        json_member_bool(w, "self",
                         str_eq(instances[i].id, str_of(admin_context_of(call)->instance_id)));
        json_member_i64(w, "silentMs", instances[i].silent_ms);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void list_instances(struct call *call)
{
    deployment_instances(admin_core_of(call), call_arena(call), answer_instances, call);
}

static void answer_partitions(enum error error, const struct deployment_partition *partitions,
                              size_t count, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_key(w, "partitions");
    json_array(w);
    for (size_t i = 0; i < count; i++) {
        json_object(w);
        json_member_i64(w, "partition", partitions[i].number);
        json_member_str(w, "owner", partitions[i].owner);
        json_member_i64(w, "backlog", partitions[i].backlog);
        json_member_i64(w, "oldestSeconds", partitions[i].oldest_ms / 1000);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void list_partitions(struct call *call)
{
    if (core_is_ready(admin_core_of(call)))
        deployment_partitions(admin_core_of(call), call_arena(call), answer_partitions, call);
    else
        admin_fail_error(call, ERR_INTERNAL);
}

const struct route admin_deployment_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/instances", 0, list_instances},
    {EVHTTP_REQ_GET, "/admin/v1/partitions", 0, list_partitions},
    {0},
};
