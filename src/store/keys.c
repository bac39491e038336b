#include "store/keys.h"

#include "base/decimal.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static struct str written(struct key *key, int len)
{
    assert(len > 0 && (size_t)len < sizeof(key->text));
    return str_n(key->text, (size_t)len);
}

/* By hand, since three of these are made for each report: printf takes ten times as long. */
static char *put(char *out, struct str text)
{
    memcpy(out, text.p, text.len);
    return out + text.len;
}

/* "{p<N>}:" */
static char *put_partition(char *out, uint32_t partition)
{
    struct decimal number;

    out = put(out, STR("{p"));
    out = put(out, decimal_str(&number, partition));
    return put(out, STR("}:"));
}

static struct str ended(struct key *key, char *end)
{
    *end = '\0';
    return str_n(key->text, (size_t)(end - key->text));
}

static struct str in_partition(struct key *key, uint32_t partition, const char *what, struct str id)
{
    char *end;

    assert(id.len <= KEY_ID_MAX);
    end = put(put_partition(key->text, partition), str_of(what));
    *end++ = ':';
    return ended(key, put(end, id));
}

static struct str of_partition(struct key *key, uint32_t partition, const char *what)
{
    return ended(key, put(put_partition(key->text, partition), str_of(what)));
}

static struct str in_app(struct key *key, struct str app_id, const char *what)
{
    char *end;

    assert(app_id.len <= KEY_ID_MAX);
    end = put(put(key->text, STR("{a")), app_id);
    return ended(key, put(put(end, STR("}:")), str_of(what)));
}

struct str key_device(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "d", device_id);
}

struct str key_shadow(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "sh", device_id);
}

struct str key_history(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "h", device_id);
}

struct str key_desired(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "ds", device_id);
}

struct str key_desired_history(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "dh", device_id);
}

struct str key_children(struct key *key, uint32_t partition, struct str gateway_id)
{
    return in_partition(key, partition, "ch", gateway_id);
}

struct str key_events(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "q");
}

struct str key_parked(struct key *key, uint32_t partition, struct str digest_hex)
{
    return in_partition(key, partition, "park", digest_hex);
}

struct str key_parked_table(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "parked");
}

struct str key_index_marks(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "dirty");
}

struct str key_index_working(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "working");
}

struct str key_nodes(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "nodes");
}

struct str key_on_node(struct key *key, uint32_t partition, struct str node)
{
    return in_partition(key, partition, "on", node);
}

struct str key_watch(struct key *key, uint32_t partition, struct str watch_id)
{
    return in_partition(key, partition, "w", watch_id);
}

struct str key_watched(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "watched");
}

struct str key_timers(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "t");
}

struct str key_commands(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "cmd", device_id);
}

struct str key_command_order(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "cmdo", device_id);
}

struct str key_command_queue(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "cmdq", device_id);
}

struct str key_command_deadlines(struct key *key, uint32_t partition, struct str device_id)
{
    return in_partition(key, partition, "cmdt", device_id);
}

struct str key_command_devices(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "cmds");
}

struct str key_lease(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "own");
}

struct str key_epoch(struct key *key, uint32_t partition)
{
    return of_partition(key, partition, "epoch");
}

struct str key_app(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "app");
}

struct str key_app_nodes(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "nodes");
}

struct str key_app_devices(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "devs");
}

struct str key_app_ordinals(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "ord");
}

struct str key_app_blocks(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "blocks");
}

/* "{a<app>}:x:<block>:<what>", and ":<number>" when there is one */
static struct str in_index(struct key *key, struct str app_id, uint64_t block, struct str what,
                           int64_t number)
{
    struct decimal decimal;
    char *end = key->text + in_app(key, app_id, "x:").len;

    end = put(end, decimal_str(&decimal, (int64_t)block));
    *end++ = ':';
    end = put(end, what);
    if (number >= 0) {
        *end++ = ':';
        end = put(end, decimal_str(&decimal, number));
    }
    return ended(key, end);
}

struct str key_index_live(struct key *key, struct str app_id, uint64_t block)
{
    return in_index(key, app_id, block, STR("live"), -1);
}

struct str key_index_rows(struct key *key, struct str app_id, uint64_t block)
{
    return in_index(key, app_id, block, STR("rows"), -1);
}

struct str key_index_value(struct key *key, struct str app_id, uint64_t block, struct str value)
{
    return in_index(key, app_id, block, value, -1);
}

struct str key_index_bit(struct key *key, struct str app_id, uint64_t block, struct str attribute,
                         unsigned bit)
{
    return in_index(key, app_id, block, attribute, (int64_t)bit);
}

struct str key_index_scratch(struct key *key, struct str app_id, unsigned number)
{
    return in_index(key, app_id, number, STR("scratch"), -1);
}

struct str key_app_subscriptions(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "sub");
}

struct str key_app_subscription_index(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "subkey");
}

struct str key_app_breakers(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "breakers");
}

struct str key_app_certificates(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "certs");
}

struct str key_app_groups(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "grp");
}

struct str key_app_group_names(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "grpname");
}

struct str key_app_group_order(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "grporder");
}

struct str key_app_group_members(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "grpmember");
}

struct str key_app_device_groups(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "grpof");
}

struct str key_app_dead_groups(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "grpdead");
}

struct str key_app_models(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "models");
}

struct str key_app_model_references(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "modelkeys");
}

struct str key_app_model_data(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "modeldata");
}

struct str key_app_model_packages(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "packages");
}

struct str key_app_model_events(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "modelevents");
}

struct str key_app_commands(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "cmds");
}

struct str key_app_cancel_order(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "canco");
}

struct str key_app_cancel_tasks(struct key *key, struct str app_id)
{
    return in_app(key, app_id, "canc");
}

struct str key_apps(struct key *key)
{
    return written(key, snprintf(key->text, sizeof(key->text), "{g}:apps"));
}

struct str key_instances(struct key *key)
{
    return written(key, snprintf(key->text, sizeof(key->text), "{g}:inst"));
}

struct str key_deployment(struct key *key)
{
    return written(key, snprintf(key->text, sizeof(key->text), "{g}:conf"));
}

struct str key_mailbox(struct key *key, struct str node)
{
    assert(node.len <= KEY_ID_MAX);
    return written(key, snprintf(key->text, sizeof(key->text), "{g}:node:%.*s", STR_ARG(node)));
}

struct str key_dead_letters(struct key *key)
{
    return written(key, snprintf(key->text, sizeof(key->text), "{g}:dead"));
}

struct str key_token(struct key *key, struct str digest_hex)
{
    assert(digest_hex.len == 64);
    return written(key, snprintf(key->text, sizeof(key->text), "tok:{%.*s}", STR_ARG(digest_hex)));
}

struct str key_verify_code(struct key *key, struct str digest_hex)
{
    assert(digest_hex.len == 64);
    return written(key, snprintf(key->text, sizeof(key->text), "vc:{%.*s}", STR_ARG(digest_hex)));
}

struct str key_node_holders(struct key *key, struct str digest_hex)
{
    assert(digest_hex.len == 64);
    return written(key, snprintf(key->text, sizeof(key->text), "nid:{%.*s}", STR_ARG(digest_hex)));
}
