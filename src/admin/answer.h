/* What the handlers of the admin API share. */
#ifndef ADMIN_ANSWER_H
#define ADMIN_ANSWER_H

#include "admin/admin.h"

struct admin_context *admin_context_of(const struct call *call);
struct core *admin_core_of(const struct call *call);

void admin_write_time(struct json_writer *w, const char *key, int64_t time_ms); /* UTC */

/* text NULL: the error's name. */
void admin_write_error(struct json_writer *w, int status, const char *text);
void admin_fail(struct call *call, int status, const char *text);
void admin_fail_error(struct call *call, enum error error);

#endif
