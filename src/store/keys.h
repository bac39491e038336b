/*
 * The name of every key in Redis, with its type and life. Each function writes into *key and returns
 * it as a str. Ids must have been checked (str_is_id) before: a name is never built from raw input;
 * what may hold any character (node ids, verify codes) stands in hash fields or as a digest.
 *
 *     {p<N>}:...   what belongs to one device lives in its partition
 *     {a<app>}:... what belongs to one application
 *     {g}:...      what belongs to the deployment
 *     tok:{..}, vc:{..}, nid:{..}   look-ups by digest, each a slot of its own
 *
 * One script touches one hash tag.
 */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "base/str.h"

#define KEY_ID_MAX 128 /* longest id that may stand in a key */

struct key {
    char text[KEY_ID_MAX + 96];
};

/* hash: device record. Life: the device's. */
struct str key_device(struct key *key, uint32_t partition, struct str device_id);
/* hash: reported shadow, r/<service>/<property> -> JSON, rt/<service> -> time in ms, si/<service> -> JSON
 * (core/device/service_info.h). */
struct str key_shadow(struct key *key, uint32_t partition, struct str device_id);
/* stream: what it reported (core/data/history.h), one field `e` each. Life: by number, bytes and age. */
struct str key_history(struct key *key, uint32_t partition, struct str device_id);
/* hash: desired values: d/<service>/<property> -> "<sent in ms, 0: not> <delivery> <JSON>",
 * t/<service> -> "<time of the last write in ms> <version>", a/<service> -> the last delivery that was
 * answered. */
struct str key_desired(struct key *key, uint32_t partition, struct str device_id);
/* stream: writes of desired values, as in the history. */
struct str key_desired_history(struct key *key, uint32_t partition, struct str device_id);
/* set: ids of the devices behind a gateway; in the gateway's partition. */
struct str key_children(struct key *key, uint32_t partition, struct str gateway_id);
/* stream: events, one field `e` each (core/event.h). Entries leave when acknowledged. */
struct str key_events(struct key *key, uint32_t partition);
/* zset: deliveries set aside for one target, by name (push/park.c); all scores are 0. The digest is
 * that of the target's name. */
struct str key_parked(struct key *key, uint32_t partition, struct str digest_hex);
/* hash: which targets have parked deliveries: <digest> -> "<bytes> <application> <url>". */
struct str key_parked_table(struct key *key, uint32_t partition);
/* set: "<application>:<device>" whose index entries are behind the record. */
struct str key_index_marks(struct key *key, uint32_t partition);
/* set: those of them that the partition's owner is working at. */
struct str key_index_working(struct key *key, uint32_t partition);
/* set: nodes that hold connections of devices of the partition (core/session/session.h). */
struct str key_nodes(struct key *key, uint32_t partition);
/* set: devices whose connection a node holds, or held. */
struct str key_on_node(struct key *key, uint32_t partition, struct str node);
/* stream: events of a device that somebody watches (core/device/watch.h), with their ids in the event stream. Expires
 * when nobody reads it. */
struct str key_watch(struct key *key, uint32_t partition, struct str watch_id);
/* zset: "<watch id> <device id>" of the partition's watches, by their end in ms of Redis' clock. */
struct str key_watched(struct key *key, uint32_t partition);
/* zset: durable timers, "<kind>:<device>" by due time in ms. */
struct str key_timers(struct key *key, uint32_t partition);

/* hash: a device's commands (command.lua): <id> -> what was ordered, <id>/s its state, <id>/e what each
 * of its events says, <id>/r the answer; @order, @mid, @flight, @taken. Life: the device's. */
struct str key_commands(struct key *key, uint32_t partition, struct str device_id);
/* zset: ids of a device's commands by time of creation in ms. */
struct str key_command_order(struct key *key, uint32_t partition, struct str device_id);
/* zset: ids of those that are to be sent, in their order. */
struct str key_command_queue(struct key *key, uint32_t partition, struct str device_id);
/* zset: ids of those that are not over, by the time in ms at which something happens to them. */
struct str key_command_deadlines(struct key *key, uint32_t partition, struct str device_id);
/* hash: command id -> device id, of all devices of the partition. */
struct str key_command_devices(struct key *key, uint32_t partition);

/* string: lease: "<instance>:<epoch>" of the partition's owner. Expires unless renewed. */
struct str key_lease(struct key *key, uint32_t partition);
/* integer: epoch of the last lease. */
struct str key_epoch(struct key *key, uint32_t partition);

/* hash: application: name, secret digest, state, current tokens. */
struct str key_app(struct key *key, struct str app_id);
/* hash: node id -> "<device id>:<time of reservation in ms>". */
struct str key_app_nodes(struct key *key, struct str app_id);
/* zset: device ids by their ordinal: the n-th that was registered. */
struct str key_app_devices(struct key *key, struct str app_id);
/* hash: `next` ordinal to be given, `time` in ms of the last registration. */
struct str key_app_ordinals(struct key *key, struct str app_id);
/* set: numbers of the blocks of ordinals that have devices (core/device/index.h). */
struct str key_app_blocks(struct key *key, struct str app_id);
/* The index of devices, by blocks of ordinals. All strings; life: as long as a device of the block.
 * bitmap of devices that are there: */
struct str key_index_live(struct key *key, struct str app_id, uint64_t block);
/* what is indexed of each, in rows of one length: */
struct str key_index_rows(struct key *key, struct str app_id, uint64_t block);
/* bitmap of those where an attribute has a value, of few: */
struct str key_index_value(struct key *key, struct str app_id, uint64_t block, struct str value);
/* bitmap of those where an attribute's digest has this bit set: */
struct str key_index_bit(struct key *key, struct str app_id, uint64_t block, struct str attribute,
                         unsigned bit);
/* bitmap that a script makes and deletes: */
struct str key_index_scratch(struct key *key, struct str app_id, unsigned number);
/* hash: subscription id -> JSON. */
struct str key_app_subscriptions(struct key *key, struct str app_id);
/* hash: "<event app>|<type>|<channel>[|<url>]" -> subscription id. */
struct str key_app_subscription_index(struct key *key, struct str app_id);
/* hash: what is invalid, a callback URL, or "host " and scheme, host and port (push/scope.h) ->
 * "<since> <next probe> <failures> <reason>", times in ms of Redis' clock. */
struct str key_app_breakers(struct key *key, struct str app_id);
/* hash: host:port -> certificate entry (core/app/certificate.h). */
struct str key_app_certificates(struct key *key, struct str app_id);
/* hash: product id -> facts of a product model, and `revision` (core/model/store.h). */
struct str key_app_models(struct key *key, struct str app_id);
/* hash: manufacturer id, 0x1f, model -> product id. */
struct str key_app_model_references(struct key *key, struct str app_id);
/* hash: product id -> version, line end, content of the model. */
struct str key_app_model_data(struct key *key, struct str app_id);
/* hash: product id -> the ZIP file that was uploaded. */
struct str key_app_model_packages(struct key *key, struct str app_id);
/* zset: events of changed models that are in no stream yet, by the time in ms of Redis' clock at which
 * others than their makers append them. */
struct str key_app_model_events(struct key *key, struct str app_id);

/* hash: group id -> "<name> <most devices> <created ms> <description as JSON>". */
struct str key_app_groups(struct key *key, struct str app_id);
/* hash: name -> group id. */
struct str key_app_group_names(struct key *key, struct str app_id);
/* zset: group ids by time of creation. */
struct str key_app_group_order(struct key *key, struct str app_id);
/* zset: "<group id> <device id>", the members of all groups; all scores are 0. */
struct str key_app_group_members(struct key *key, struct str app_id);
/* hash: device id -> ids of its groups, with blanks between. */
struct str key_app_device_groups(struct key *key, struct str app_id);
/* set: ids of groups that are gone and have members to be taken away still. */
struct str key_app_dead_groups(struct key *key, struct str app_id);
/* zset: "<device id> <command id>" by time of creation in ms: may have more than there is, never less,
 * but for the oldest beyond command.per_application. */
struct str key_app_commands(struct key *key, struct str app_id);
/* zset: ids of cancel tasks by time of creation in ms. */
struct str key_app_cancel_order(struct key *key, struct str app_id);
/* hash: id of a cancel task -> JSON (core/command/task.c). */
struct str key_app_cancel_tasks(struct key *key, struct str app_id);

/* zset: application ids by time of creation. */
struct str key_apps(struct key *key);
/* zset: live instances by their last heartbeat, in ms of Redis' clock. */
struct str key_instances(struct key *key);
/* hash: facts of the deployment: partitions, what is paused. */
struct str key_deployment(struct key *key);
/* list: words for a node (core/mailbox.h). Expires when nobody reads it. */
struct str key_mailbox(struct key *key, struct str node);
/* stream: the last deliveries that were dropped. */
struct str key_dead_letters(struct key *key);

/* string: application id; by the SHA-256 of an access token. Expires with the token. */
struct str key_token(struct key *key, struct str digest_hex);
/* set: ids of devices that have a node id, or had it; by the SHA-256 of the node id. */
struct str key_node_holders(struct key *key, struct str digest_hex);
/* string: "<device id>:<time of the claim in ms>"; by the SHA-256 of a verify code. Life: the
 * device's. */
struct str key_verify_code(struct key *key, struct str digest_hex);

#endif
