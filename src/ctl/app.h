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

#endif
