#include "net/http_routes.h"

#include "base/mem.h"
#include "base/url.h"

#include <stdio.h>
#include <stdlib.h>

/* A row, at the node where its path ends. */
struct target {
    struct target *next;
    const struct route *route;
    struct str names[ROUTE_MAX_PARAMS];
};

struct node {
    struct node *next; /* sibling */
    struct str text;
    struct node *literals;
    struct node *param;
    struct target *targets;
};

struct route_tree {
    struct node root;
};

struct path {
    size_t count;
    struct str segments[ROUTE_MAX_SEGMENTS];
};

/* Cuts "/a/b" into "a" and "b". false: too many segments, or it does not begin with '/'. */
static bool split_path(struct str text, struct path *path)
{
    struct str rest = text;

    path->count = 0;
    if (str_split(text, '/', &rest).len || !rest.p)
        return false;
    while (rest.p) {
        if (path->count == ROUTE_MAX_SEGMENTS)
            return false;
        path->segments[path->count++] = str_split(rest, '/', &rest);
    }
    return true;
}

static bool is_param(struct str segment)
{
    return segment.len > 2 && segment.p[0] == '{' && segment.p[segment.len - 1] == '}';
}

static struct node *find_literal(const struct node *node, struct str text)
{
    for (struct node *child = node->literals; child; child = child->next)
        if (str_eq(child->text, text))
            return child;
    return NULL;
}

static struct node *add_segment(struct node *node, struct str segment)
{
    struct node *child;

    if (is_param(segment)) {
        if (!node->param)
            node->param = xcalloc(1, sizeof(*node));
        return node->param;
    }
    child = find_literal(node, segment);
    if (!child) {
        child = xcalloc(1, sizeof(*child));
        child->text = segment;
        child->next = node->literals;
        node->literals = child;
    }
    return child;
}

static char *add_route(struct route_tree *tree, const struct route *route)
{
    struct node *node = &tree->root;
    struct target *target;
    struct path path;
    size_t names = 0;

    if (!split_path(str_of(route->path), &path))
        return xasprintf("route %s: not a path of at most %d segments", route->path,
                         ROUTE_MAX_SEGMENTS);
    for (size_t i = 0; i < path.count; i++)
        node = add_segment(node, path.segments[i]);
    for (target = node->targets; target; target = target->next)
        if (target->route->method == route->method)
            return xasprintf("route %s: the same as %s", route->path, target->route->path);

    target = xcalloc(1, sizeof(*target));
    target->route = route;
    target->next = node->targets;
    node->targets = target;
    for (size_t i = 0; i < path.count; i++) {
        struct str segment = path.segments[i];

        if (!is_param(segment))
            continue;
        if (names == ROUTE_MAX_PARAMS)
            return xasprintf("route %s: more than %d params", route->path, ROUTE_MAX_PARAMS);
        target->names[names++] = str_n(segment.p + 1, segment.len - 2);
    }
    return NULL;
}

struct route_tree *route_tree_new(const struct route *const *tables, char **error)
{
    struct route_tree *tree = xcalloc(1, sizeof(*tree));

    for (; *tables; tables++)
        for (const struct route *route = *tables; route->path; route++) {
            *error = add_route(tree, route);
            if (*error) {
                route_tree_free(tree);
                return NULL;
            }
        }
    return tree;
}

static void clear_node(struct node *node)
{
    struct target *target, *next_target;
    struct node *child, *next;

    for (target = node->targets; target; target = next_target) {
        next_target = target->next;
        free(target);
    }
    for (child = node->literals; child; child = next) {
        next = child->next;
        clear_node(child);
        free(child);
    }
    if (node->param)
        clear_node(node->param);
    free(node->param);
}

void route_tree_free(struct route_tree *tree)
{
    if (!tree)
        return;
    clear_node(&tree->root);
    free(tree);
}

/* The node where the path ends, with the values of the params on the way. Going back from a literal
 * that leads nowhere is bounded by the depth of our own tables, not by the request. */
static const struct node *walk(const struct node *node, const struct path *path, size_t depth,
                               struct route_match *match, size_t params)
{
    struct str segment;
    const struct node *found = NULL, *literal;

    if (depth == path->count) {
        match->param_count = params;
        return node->targets ? node : NULL;
    }
    segment = path->segments[depth];
    literal = find_literal(node, segment);
    if (literal)
        found = walk(literal, path, depth + 1, match, params);
    if (!found && node->param && segment.len && params < ROUTE_MAX_PARAMS) {
        found = walk(node->param, path, depth + 1, match, params + 1);
        if (found)
            match->params[params].value = segment;
    }
    return found;
}

static bool decode_segments(struct arena *arena, struct path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        struct str *segment = &path->segments[i];

        if (memchr(segment->p, '%', segment->len)) {
            if (!url_decode(arena, *segment, false, segment))
                return false;
        } else if (!str_is_utf8(*segment)) {
            return false;
        }
    }
    return true;
}

void route_tree_find(const struct route_tree *tree, struct arena *arena,
                     enum evhttp_cmd_type method, struct str text, struct route_match *match)
{
    const struct node *node;
    struct path path;

    match->route = NULL;
    match->status = 404;
    match->allowed = 0;
    match->param_count = 0;
    if (!split_path(text, &path))
        return;
    if (!decode_segments(arena, &path)) {
        match->status = 400;
        return;
    }
    node = walk(&tree->root, &path, 0, match, 0);
    if (!node)
        return;
    match->status = 405;
    for (const struct target *target = node->targets; target; target = target->next) {
        match->allowed |= target->route->method;
        if (target->route->method != method)
            continue;
        match->status = 0;
        match->route = target->route;
        for (size_t i = 0; i < match->param_count; i++)
            match->params[i].name = target->names[i];
    }
}

void route_allow_text(unsigned allowed, char text[ROUTE_ALLOW_SIZE])
{
    static const struct {
        enum evhttp_cmd_type method;
        const char *name;
    } methods[] = {
        {EVHTTP_REQ_GET, "GET"},     {EVHTTP_REQ_POST, "POST"},     {EVHTTP_REQ_PUT, "PUT"},
        {EVHTTP_REQ_PATCH, "PATCH"}, {EVHTTP_REQ_DELETE, "DELETE"}, {EVHTTP_REQ_OPTIONS, "OPTIONS"},
    };
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (allowed & methods[i].method)
            len += (size_t)snprintf(text + len, ROUTE_ALLOW_SIZE - len, "%s%s", len ? ", " : "",
                                    methods[i].name);
}
