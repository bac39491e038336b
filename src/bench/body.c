#include "bench/body.h"

#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>

/* Where the data stands in a report: v5 and v1 differ in the names only, but for v1's msgType. */
static const struct {
    const char *list, *service, *data;
} words[] = {
    [DIALECT_V5] = {"services", "service_id", "properties"},
    [DIALECT_V1] = {"data", "serviceId", "serviceData"},
};

struct body {
    enum dialect dialect;
    size_t size_bytes, bare_bytes; /* bare: with three zeros and no filler */
    char *filler;
    struct json_writer *json;
};

static struct str write_json(struct body *body, size_t device, uint64_t number, int64_t due_us,
                             size_t filler)
{
    struct json_writer *w = body->json;

    json_writer_reset(w);
    json_object(w);
    if (body->dialect == DIALECT_V1)
        json_member_text(w, "msgType", "deviceReq");
    json_key(w, words[body->dialect].list);
    json_array(w);
    json_object(w);
    json_member_text(w, words[body->dialect].service, "Bench");
    json_key(w, words[body->dialect].data);
    json_object(w);
    json_member_i64(w, "device", (int64_t)device);
    json_member_i64(w, "seq", (int64_t)number);
    json_member_i64(w, "sentUs", due_us);
    json_member_str(w, "filler", str_n(body->filler, filler));
    json_object_end(w);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
    return json_writer_text(w);
}

/* The filler makes up for the numbers' length: all bodies are of one size. */
struct str body_write(struct body *body, size_t device, uint64_t number, int64_t due_us)
{
    char digits[64];
    size_t bare = body->bare_bytes +
                  (size_t)snprintf(digits, sizeof(digits), "%zu%llu%lld", device,
                                   (unsigned long long)number, (long long)due_us) -
                  3;

    return write_json(body, device, number, due_us,
                      body->size_bytes > bare ? body->size_bytes - bare : 0);
}

struct body *body_new(enum dialect dialect, size_t size_bytes)
{
    struct body *body = xcalloc(1, sizeof(*body));

    body->dialect = dialect;
    body->size_bytes = size_bytes;
    body->filler = xmalloc(size_bytes + 1);
    memset(body->filler, 'x', size_bytes + 1);
    body->json = json_writer_new();
    body->bare_bytes = write_json(body, 0, 0, 0, 0).len;
    return body;
}

void body_free(struct body *body)
{
    if (!body)
        return;
    json_writer_free(body->json);
    free(body->filler);
    free(body);
}
