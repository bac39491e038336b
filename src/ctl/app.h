/* Applications, for other commands. */
#ifndef CTL_APP_H
#define CTL_APP_H

#include "ctl/ctl.h"

/* An application by its id, or by its name when no other has the same; what is wrong has been said. */
enum ctl_exit ctl_find_app(struct ctl *ctl, const char *id_or_name, const struct json **app);
/* All of them: a JSON array. */
enum ctl_exit ctl_list_apps(struct ctl *ctl, const struct json **apps);
/* Below the path of an application. */
const char *ctl_app_path(struct ctl *ctl, struct str id, const char *rest);
/* Below the path of the application that --app names, which is needed. */
enum ctl_exit ctl_path_of_app(struct ctl *ctl, const char *rest, const char **path);

struct table;

/* A list of what applications have, as a table, or on stdout with --json and -q. */
struct ctl_list {
    const char *const *headings;
    const bool *is_right;
    int columns;
    /* One application's: into the table, or printed; *count is added to. */
    enum ctl_exit (*add)(struct ctl *ctl, const struct json *app, struct table *table,
                         size_t *count);
    const char *none; /* said when there is nothing */
};
/* Of the application that --app names, else of all. */
enum ctl_exit ctl_list_of_apps(struct ctl *ctl, const struct ctl_list *list);

#endif
