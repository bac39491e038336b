/* The facts of an event in a few words. */
#ifndef CTL_FACTS_H
#define CTL_FACTS_H

#include "base/buf.h"
#include "base/json.h"

/* kind and facts as the admin listener gives them: core/event.h has the members. Facts that are not known
 * here are written as they come. */
void facts_write(struct buf *out, struct str kind, const struct json *facts);

#endif
