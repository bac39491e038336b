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

bool error_is_gateway(enum error error)
{
    return error == ERR_TOKEN_INVALID || error == ERR_THROTTLED;
}
