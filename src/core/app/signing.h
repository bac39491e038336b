/*
 * Signing keys: with its key an application can tell our notifications from anybody else's. A
 * notification carries "v1=" and the Base64 of HMAC-SHA256 over "<id>.<time>.<body>".
 *
 * An application has no key until the administrator makes one. When it is renewed, the previous key
 * stays valid for push.signature_overlap: notifications then carry two signatures, so that the
 * receiver may change its key at any moment of that time.
 *
 * The key stands in clear in the application's record, because signing needs it; it is never
 * logged.
 */
#ifndef CORE_APP_SIGNING_H
#define CORE_APP_SIGNING_H

#include "core/core.h"

#define SIGNING_KEY_BYTES   32
#define SIGNATURE_TEXT_SIZE 97 /* two of "v1=" and 44 characters, ", " between them, NUL */

struct crypto_hmac;

struct signing_keys {
    struct crypto_hmac *current;  /* NULL: nothing is signed */
    struct crypto_hmac *previous; /* NULL, or valid until previous_end_ms */
    int64_t previous_end_ms;
};

/* The fields of the application's record, in the order in which signing_keys_take wants them. */
#define SIGNING_FIELDS      STR("signKey"), STR("signKeyOld"), STR("signKeyOldEnd")
#define SIGNING_FIELD_COUNT 3

/* From a reply of HMGET with these fields. A key that cannot be read is none, and is logged. */
void signing_keys_take(struct signing_keys *keys, struct str app_id, const redisReply *reply);
void signing_keys_clear(struct signing_keys *keys);

/* The header's value. Empty when there is no key. */
struct str signing_keys_sign(const struct signing_keys *keys, struct str id, struct str timestamp,
                             struct str body, int64_t now_ms, char text[SIGNATURE_TEXT_SIZE]);

struct signing_key {
    const char *app_id;
    struct str key;          /* Base64; empty: there is none */
    int64_t previous_end_ms; /* until when the previous key signs too; 0: it does not */
};
/* ERR_APP_NOT_FOUND, ERR_INTERNAL. */
typedef void (*signing_key_cb)(enum error error, const struct signing_key *key, void *arg);

void signing_key_show(struct core *core, struct str app_id, signing_key_cb cb, void *arg);
/* Makes the first key, or a new one. */
void signing_key_renew(struct core *core, struct str app_id, signing_key_cb cb, void *arg);
/* Notifications are unsigned from now on. */
void signing_key_remove(struct core *core, struct str app_id, signing_key_cb cb, void *arg);

#endif
