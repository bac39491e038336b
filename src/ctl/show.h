/* Answers of the admin listener, for people. */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "ctl/ctl.h"

/* 20260131T120000Z as people read it; what has another form stays as it is. */
struct str ctl_show_time(struct ctl *ctl, struct str text);
void ctl_show_object(struct ctl *ctl, const struct json *object, size_t indent);

/* GETs a path and shows the member of its answer that is a list of objects: a table, or with --json
 * one object per line. */
enum ctl_exit ctl_show_list(struct ctl *ctl, const char *path, const char *member);

#endif
