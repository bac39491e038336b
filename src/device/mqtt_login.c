#include "device/mqtt_login.h"

#include "base/crypto.h"

#define CLIENT_ID_MAX 256
#define TIME_MAX      64

/* What follows the last underscore; *rest is what is before it. */
static struct str cut_last(struct str text, struct str *rest)
{
    const char *at = text.len ? memrchr(text.p, '_', text.len) : NULL;

    if (!at) {
        *rest = STR_NONE;
        return text;
    }
    *rest = str_n(text.p, (size_t)(at - text.p));
    return str_n(at + 1, text.len - rest->len - 1);
}

static void refuse(struct mqtt_claim *claim, enum mqtt_connack code, const char *reason)
{
    claim->code = code;
    claim->reason = reason;
}

/* The type and the id before it. */
static void read_type(struct mqtt_claim *claim, struct str type, struct str id)
{
    if (type.len != 1 || id.len == 0)
        refuse(claim, MQTT_BAD_CLIENT_ID, "client_id");
    else if (type.p[0] == '0')
        claim->proof.device_id = id;
    else if (type.p[0] == '2')
        claim->proof.node_id = id;
    else if (type.p[0] == '1')
        refuse(claim, MQTT_NOT_AUTHORIZED, "product_secret");
    else if (type.p[0] == '3')
        refuse(claim, MQTT_NOT_AUTHORIZED, "bridge");
    else
        refuse(claim, MQTT_BAD_CLIENT_ID, "client_id");
}

static void read_client_id(struct mqtt_claim *claim, struct str client_id)
{
    struct str rest, time = cut_last(client_id, &rest), sign = cut_last(rest, &rest);
    struct str type = cut_last(rest, &rest);

    claim->proof.timestamp = time;
    if (client_id.len > CLIENT_ID_MAX || !rest.p || time.len == 0 || time.len > TIME_MAX ||
        sign.len != 1 || sign.p[0] < '0' || sign.p[0] > '2') {
        refuse(claim, MQTT_BAD_CLIENT_ID, "client_id");
        return;
    }
    claim->is_time_checked = sign.p[0] == '1';
    claim->proof.is_sm3 = sign.p[0] == '2';
    read_type(claim, type, rest);
}

void mqtt_claim_read(const struct mqtt_connect *packet, struct mqtt_claim *claim)
{
    struct str id;

    memset(claim, 0, sizeof(*claim));
    claim->proof.device_id = claim->proof.node_id = STR_NONE;
    read_client_id(claim, packet->client_id);
    if (claim->code)
        return;
    id = claim->proof.node_id.p ? claim->proof.node_id : claim->proof.device_id;
    if (!packet->user.p || !str_eq(packet->user, id))
        refuse(claim, MQTT_BAD_LOGIN, "user_name");
    else if (!packet->password.p)
        refuse(claim, MQTT_NOT_AUTHORIZED, "certificate");
    else if (packet->password.len != CRYPTO_SHA256_HEX_SIZE - 1)
        refuse(claim, MQTT_BAD_LOGIN, "password");
    claim->proof.password = packet->password;
}
