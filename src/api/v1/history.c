/* What devices have reported (/iocm/app/data, deviceDataHistory). */
#include "api/v1/history_query.h"

static const struct history_form reported = {HISTORY_REPORTED, 1, 2000, "deviceDataHistoryDTOs",
                                             "data"};

static void query(struct call *call)
{
    v1_query_history(call, &reported);
}

const struct route v1_history_routes[] = {
    {EVHTTP_REQ_GET, "/iocm/app/data/v1.2.0/deviceDataHistory", V1_APP, query},
    {EVHTTP_REQ_GET, "/iocm/app/data/v1.1.0/deviceDataHistory", V1_APP, query},
    {0},
};
