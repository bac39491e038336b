/*
 * Events as they stand in a partition's stream: neutral facts, out of which each protocol's
 * notification is rendered later. An entry has one field, `e`:
 *
 *     1 <kind> <application> <device> <gateway> <time in ms> <payload: a JSON object>
 *
 * One field, because hiredis allocates per element of a reply; a plain head, because matching and
 * ordering need no JSON. The ids have no blanks (str_is_id).
 *
 * Payloads:
 *   device.created     {"info":{member of DeviceInfo: text, ...}}
 *   device.bound       {"result":"succeeded","info":{...}} or {"result":"expired"}
 *   device.updated     {"info":{changed members},"nodeId":text}
 *   device.status      {"info":{"status":text,"statusDetail":text}}
 *   device.deleted     {}
 *   property.reported  {"services":[{"id":text,"type":text,"data":{...},"time":ms}]}; type only when
 *                      the product model has another one than the id
 *   desired.sent       {"service":text,"properties":{...}}; only while somebody watches (core/device/watch.h)
 *   desired.status     {"service":text,"properties":{...},"status":"DELIVERED"|"FAILED"}
 *   message.reported   {"content":text} or {"base64":text}
 *   model.added, model.updated, model.deleted
 *                      {"deviceType":text,"manufacturerName":text,"manufacturerId":text,"model":text,
 *                      "protocolType":text}; device and gateway are the productId
 *   service.info       {"id":service,"type":text,"info":{"muteCmds":[text]}}; type: of a model
 *   command.status     {"id":text,"service":text,"serviceType":text,"method":text,"to":text,
 *                      "request":text (if it has another name than its id),"url":text (its callback),
 *                      "response":text (the answer's name),"call":true (sendCommand),
 *                      "noConfirmation":true,"status":text,"detail":JSON,"answered":true,"code":number,
 *                      "response":text (as the device said it)}; only what there is
 *   watch.started      {"watch":id}; the device's events behind it are copied to this watch
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "base/buf.h"

enum event_kind {
#define EVENT(id, name) id,
#include "core/events.def"
#undef EVENT
    EVENT_KIND_COUNT
};

struct event_facts {
    enum event_kind kind;
    struct str app_id, device_id, gateway_id;
    int64_t time_ms;
    struct str payload;
};

const char *event_kind_name(enum event_kind kind);

void event_write(struct buf *out, const struct event_facts *facts);
/* false: not an event of ours. The facts point into entry. */
bool event_read(struct str entry, struct event_facts *facts);

#endif
