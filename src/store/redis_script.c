#include "store/redis.h"
#include "store/scripts.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void redis_scripts_init(void)
{
    for (size_t i = 0; all_scripts[i]; i++) {
        struct script *script = all_scripts[i];
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len;

        /* Redis names a script by the SHA1 of its body; there is no choice of hash here. */
        if (!EVP_Digest(script->body, script->body_len, digest, &len, EVP_sha1(), NULL)) {
            fputs("iotpush: libcrypto has no SHA1\n", stderr);
            abort();
        }
        for (unsigned k = 0; k < len; k++)
            snprintf(script->sha + 2 * (size_t)k, 3, "%02x", digest[k]);
    }
}
