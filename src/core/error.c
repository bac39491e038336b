#include "core/error.h"

static const struct error_form v1_forms[ERROR_COUNT] = {
#define ERROR(id, v1_status, v1_code, v1_text, v5_status, v5_code, v5_text)                      \
    [id] = {v1_status, v1_code, v1_text},
#include "core/errors.def"
#undef ERROR
};

static const struct error_form v5_forms[ERROR_COUNT] = {
#define ERROR(id, v1_status, v1_code, v1_text, v5_status, v5_code, v5_text)                      \
    [id] = {v5_status, v5_code, v5_text},
#include "core/errors.def"
#undef ERROR
};

const struct error_form *error_v1(enum error error)
{
    return &v1_forms[error];
}

const struct error_form *error_v5(enum error error)
{
    return &v5_forms[error];
}

enum error error_of_http_status(int status)
{
    switch (status) {
    case 404:
        return ERR_NOT_FOUND;
    case 405:
        return ERR_METHOD;
    case 408:
        return ERR_REQUEST_TIMEOUT;
    case 411:
        return ERR_LENGTH_REQUIRED;
    case 413:
        return ERR_TOO_LARGE;
    case 431:
        return ERR_HEAD_TOO_LARGE;
    case 501:
        return ERR_UNSUPPORTED;
    case 503:
        return ERR_OVERLOADED;
    default:
        return status < 500 || status == 505 ? ERR_BAD_REQUEST : ERR_INTERNAL;
    }
}

bool error_is_gateway(enum error error)
{
    return error == ERR_TOKEN_INVALID || error == ERR_THROTTLED;
}
