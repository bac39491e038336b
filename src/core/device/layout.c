#include "core/device/layout.h"

#include "base/crypto.h"
#include <stdlib.h>

static const char *const status_names[INDEX_STATUSES] = {"ONLINE", "OFFLINE", "INACTIVE",
                                                         "ABNORMAL"};
static const char *const node_type_names[] = {"GATEWAY", "ENDPOINT"};

/* Texts, in the order of their digests in a row. */
enum text { TEXT_TYPE, TEXT_NAME, TEXT_LOCATION, TEXT_GATEWAY, TEXT_MODEL };
static const char *const text_names[INDEX_TEXTS] = {"type", "name", "location", "gateway", "model"};

/* ---- digests ---- */

static uint64_t digest_of(struct str text)
{
    char hex[CRYPTO_SHA256_HEX_SIZE];
    uint64_t digest;

    if (!text.len)
        return 0;
    crypto_sha256_hex(text, hex);
    hex[INDEX_DIGEST_BITS / 4] = '\0';
    digest = strtoull(hex, NULL, 16);
    return digest ? digest : 1;
}

/* Manufacturers' names for models are not unique without the manufacturer. */
static uint64_t model_digest_of(struct str manufacturer_id, struct str model)
{
    char text[2 * 1024 + 1];

    if (!manufacturer_id.len || !model.len || manufacturer_id.len + model.len >= sizeof(text))
        return 0;
    memcpy(text, manufacturer_id.p, manufacturer_id.len);
    text[manufacturer_id.len] = '\x1f';
    memcpy(text + manufacturer_id.len + 1, model.p, model.len);
    return digest_of(str_n(text, manufacturer_id.len + 1 + model.len));
}

/* ---- rows ---- */

static char *put_number(char *out, uint64_t number, unsigned bytes)
{
    while (bytes-- > 0)
        *out++ = (char)(number >> 8 * bytes);
    return out;
}

/* From 1; 0: none of them */
static unsigned status_number(struct str status)
{
    for (unsigned i = 0; i < INDEX_STATUSES; i++) {
        if (str_eq(status, str_of(status_names[i])))
            return i + 1;
    }
    return 0;
}

void index_row_write(char row[INDEX_ROW_BYTES], const struct index_facts *facts)
{
    char *out = row;

    out = put_number(out, facts->version, 4);
    out = put_number(out, (uint64_t)facts->created_ms, 6);
    out = put_number(out, status_number(facts->status), 1);
    out = put_number(out, str_eq(facts->device_id, facts->gateway_id) ? 1 : 2, 1);
    out = put_number(out, digest_of(facts->device_type), 6);
    out = put_number(out, digest_of(facts->name), 6);
    out = put_number(out, digest_of(facts->location), 6);
    out = put_number(out, digest_of(facts->gateway_id), 6);
    put_number(out, model_digest_of(facts->manufacturer_id, facts->model), 6);
}

bool index_row_has(const char *row, unsigned number)
{
    unsigned bit;

    if (number < 2)
        return number == 0;
    if (number < 2 + INDEX_STATUSES)
        return row[10] == (char)(number - 1);
    if (number < INDEX_KEYS_FEW)
        return row[11] == (char)(number - 1 - INDEX_STATUSES);
    bit = number - INDEX_KEYS_FEW;
    return (unsigned char)row[12 + bit / 8] >> bit % 8 & 1;
}

/* ---- keys ---- */

struct str index_key(struct key *key, struct str app_id, uint64_t block, unsigned number)
{
    unsigned bit;

    if (number == 0)
        return key_index_live(key, app_id, block);
    if (number == 1)
        return key_index_rows(key, app_id, block);
    if (number < 2 + INDEX_STATUSES)
        return key_index_value(key, app_id, block, str_of(status_names[number - 2]));
    if (number < INDEX_KEYS_FEW)
        return key_index_value(key, app_id, block,
                               str_of(node_type_names[number - 2 - INDEX_STATUSES]));
    bit = number - INDEX_KEYS_FEW;
    return key_index_bit(key, app_id, block, str_of(text_names[bit / INDEX_DIGEST_BITS]),
                         bit % INDEX_DIGEST_BITS);
}

size_t index_block_keys(struct key *room, struct str *names, struct str app_id, uint64_t block,
                        bool with_bits)
{
    size_t count = with_bits ? INDEX_KEYS_ALL : INDEX_KEYS_FEW;

    for (unsigned i = 0; i < count; i++)
        names[i] = index_key(&room[i], app_id, block, i);
    return count;
}

/* ---- conditions ---- */

/* Whether bit number `bit` (its key's) is set: bytes come highest first, in a byte the lowest bit. */
static bool has_bit(uint64_t digest, unsigned bit)
{
    return digest >> (INDEX_DIGEST_BITS - 8 - bit / 8 * 8 + bit % 8) & 1;
}

static void add_bits(struct index_conditions *conditions, const uint64_t digests[INDEX_TEXTS],
                     bool is_set)
{
    for (unsigned text = 0; text < INDEX_TEXTS; text++) {
        for (unsigned bit = 0; digests[text] && bit < INDEX_DIGEST_BITS; bit++) {
            if (has_bit(digests[text], bit) == is_set)
                conditions->keys[conditions->count++] =
                    INDEX_KEYS_FEW + text * INDEX_DIGEST_BITS + bit;
        }
    }
}

static void add_status(struct index_conditions *conditions, struct str status, bool is_offline_more)
{
    unsigned number = status_number(status);

    if (!status.p || (is_offline_more && str_eq(status, STR("OFFLINE"))))
        return;
    if (number)
        conditions->keys[conditions->count++] = 1 + number;
    else
        conditions->is_never = true;
}

void index_conditions_of(struct index_conditions *conditions, const struct device_filter *filter)
{
    const uint64_t digests[INDEX_TEXTS] = {
        [TEXT_TYPE] = digest_of(filter->device_type),
        [TEXT_NAME] = digest_of(filter->name),
        [TEXT_LOCATION] = digest_of(filter->location),
        [TEXT_GATEWAY] = digest_of(filter->gateway_id),
        [TEXT_MODEL] = model_digest_of(filter->manufacturer_id, filter->model),
    };

    *conditions = (struct index_conditions){.is_never = filter->node_type == NODE_UNKNOWN};
    add_status(conditions, filter->status, filter->never_active_is_offline);
    if (filter->node_type == NODE_GATEWAY || filter->node_type == NODE_ENDPOINT)
        conditions->keys[conditions->count++] =
            2 + INDEX_STATUSES + (filter->node_type == NODE_ENDPOINT);
    add_bits(conditions, digests, true);
    conditions->wanted = conditions->count;
    /* All but OFFLINE and INACTIVE; each device has one of the four. */
    if (filter->never_active_is_offline && str_eq(filter->status, STR("OFFLINE"))) {
        conditions->keys[conditions->count++] = 1 + status_number(STR("ONLINE"));
        conditions->keys[conditions->count++] = 1 + status_number(STR("ABNORMAL"));
    }
    add_bits(conditions, digests, false);
}

/* ---- the same, of a record ---- */

static bool is_text(struct str value, struct str wanted)
{
    return !wanted.len || str_eq(value, wanted);
}

static bool has_status(const struct device *device, const struct device_filter *filter)
{
    struct str status = device_member(device, "status");

    return !filter->status.p || str_eq(status, filter->status) ||
           (filter->never_active_is_offline && str_eq(filter->status, STR("OFFLINE")) &&
            str_eq(status, STR("INACTIVE")));
}

static bool has_node_type(const struct device *device, enum device_node_type type)
{
    bool is_gateway = str_eq(device->id, device->gateway_id);

    return type == NODE_ANY || type == (is_gateway ? NODE_GATEWAY : NODE_ENDPOINT);
}

bool device_matches(const struct device *device, const struct device_filter *filter)
{
    return has_status(device, filter) && has_node_type(device, filter->node_type) &&
           is_text(device->gateway_id, filter->gateway_id) &&
           is_text(device_member(device, "deviceType"), filter->device_type) &&
           is_text(device_member(device, "name"), filter->name) &&
           is_text(device_member(device, "location"), filter->location) &&
           is_text(device_member(device, "manufacturerId"), filter->manufacturer_id) &&
           is_text(device_member(device, "model"), filter->model) &&
           (!filter->created_from_ms || device->created_ms >= filter->created_from_ms) &&
           (!filter->created_to_ms || device->created_ms <= filter->created_to_ms);
}
