/* What is accepted as a CA file is written so that it reads as the same certificates again. */
#include "net/pem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pem_limits limits = {.max_bytes = 65536, .max_count = 20};
    struct certificates *certificates, *again;
    struct buf text = {0};
    char *error;

    certificates = pem_read(str_n((const char *)data, size), &limits, &error);
    require((certificates == NULL) == (error != NULL));
    free(error);
    if (!certificates)
        return 0;
    pem_write(certificates, &text);
    again = pem_read(buf_str(&text), &(struct pem_limits){INT64_MAX, 20}, &error);
    require(again && again->count == certificates->count);
    for (size_t i = 0; i < again->count; i++)
        require(X509_cmp(again->list[i], certificates->list[i]) == 0);
    certificates_free(again);
    certificates_free(certificates);
    buf_clear(&text);
    return 0;
}
