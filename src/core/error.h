/*
 * Outcomes of the domain, and how each protocol says them: the table is errors.def.
 *
 * A code may travel with another HTTP status at some endpoints; such exceptions are rows of their
 * own, with a name that says where.
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include <stdbool.h>

enum error {
#define ERROR(id, v1_status, v1_code, v1_text, v5_status, v5_code, v5_text) id,
#include "core/errors.def"
#undef ERROR
    ERROR_COUNT
};

struct error_form {
    int status;
    const char *code, *text; /* some v5 texts have a %s, for the limit that was reached */
};

const struct error_form *error_v1(enum error error);
const struct error_form *error_v5(enum error error); /* devices over HTTPS, and the v5 API */

/* What a request is told that HTTP itself refuses (404, 413, 503 ...). */
enum error error_of_http_status(int status);

/* v1 only: raised by the gateway layer, whose envelope has other member names. */
bool error_is_gateway(enum error error);

#endif
