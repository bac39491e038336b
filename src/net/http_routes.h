/*
 * The routes of one API, compiled into a tree of path segments. Where a literal and a {param} both
 * fit, the literal wins; the path is decided first, the method second.
 */
#ifndef NET_HTTP_ROUTES_H
#define NET_HTTP_ROUTES_H

#include "net/call.h"

#define ROUTE_MAX_SEGMENTS 16
#define ROUTE_MAX_PARAMS   8
#define ROUTE_ALLOW_SIZE   64

struct route_param {
    struct str name;
    struct str value; /* decoded */
};

struct route_match {
    const struct route *route; /* when status is 0 */
    int status;                /* 0, 400 broken escapes, 404, 405 */
    unsigned allowed;          /* the path's methods (EVHTTP_REQ_...), unless it is unknown */
    size_t param_count;
    struct route_param params[ROUTE_MAX_PARAMS];
};

struct route_tree;

/* tables is NULL-terminated, each table ends in {0}; both are kept by reference. NULL with a text
 * in *error (free() it) when two rows are the same or a row cannot be compiled. */
struct route_tree *route_tree_new(const struct route *const *tables, char **error);
void route_tree_free(struct route_tree *tree);

/* path is as sent, without the query; decoded segments are put into the arena. */
void route_tree_find(const struct route_tree *tree, struct arena *arena,
                     enum evhttp_cmd_type method, struct str path, struct route_match *match);

/* "GET, POST" for the Allow header. */
void route_allow_text(unsigned allowed, char text[ROUTE_ALLOW_SIZE]);

#endif
