/* What queries of histories share: their parameters, and their answer. */
#ifndef API_V1_HISTORY_QUERY_H
#define API_V1_HISTORY_QUERY_H

#include "api/v1/v1.h"
#include "core/data/history.h"

struct history_form {
    enum history_kind kind;
    uint64_t default_page_size, max_page_size;
    const char *list_name, *data_name; /* members of the answer */
};

/* For a route: reads the parameters, asks, and answers. */
void v1_query_history(struct call *call, const struct history_form *form);

#endif
