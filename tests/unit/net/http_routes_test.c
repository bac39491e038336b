#include "net/http_routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void handler(struct call *call)
{
    (void)call;
}

static const struct route device_routes[] = {
    {EVHTTP_REQ_GET, "/devices", 0, handler},
    {EVHTTP_REQ_POST, "/devices", 0, handler},
    {EVHTTP_REQ_GET, "/devices/{id}", 0, handler},
    {EVHTTP_REQ_DELETE, "/devices/{deviceId}", 0, handler},
    {EVHTTP_REQ_POST, "/devices/search", 0, handler},
    {EVHTTP_REQ_GET, "/devices/{id}/shadow", 0, handler},
    {EVHTTP_REQ_GET, "/devices/search/history", 0, handler},
    {0},
};
static const struct route other_routes[] = {
    {EVHTTP_REQ_PUT, "/apps/{app}/groups/{group}", 0, handler},
    {EVHTTP_REQ_GET, "/", 0, handler},
    {0},
};

static struct route_tree *tree;
static struct arena *arena;

static int start(void **state)
{
    static const struct route *const tables[] = {device_routes, other_routes, NULL};
    char *error;

    (void)state;
    tree = route_tree_new(tables, &error);
    arena = arena_new();
    return tree ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    route_tree_free(tree);
    arena_free(arena);
    return 0;
}

static struct route_match find(enum evhttp_cmd_type method, const char *path)
{
    struct route_match match;

    route_tree_find(tree, arena, method, str_of(path), &match);
    return match;
}

static const char *route_of(enum evhttp_cmd_type method, const char *path)
{
    struct route_match match = find(method, path);

    return match.status ? "" : match.route->path;
}

static void a_route_is_found_by_method_and_path(void **state)
{
    (void)state;
    assert_string_equal(route_of(EVHTTP_REQ_GET, "/devices"), "/devices");
    assert_ptr_equal(find(EVHTTP_REQ_POST, "/devices").route, &device_routes[1]);
    assert_string_equal(route_of(EVHTTP_REQ_GET, "/"), "/");
}

static void params_are_known_by_their_routes_names(void **state)
{
    struct route_match get = find(EVHTTP_REQ_GET, "/devices/7");
    struct route_match del = find(EVHTTP_REQ_DELETE, "/devices/7");
    struct route_match put = find(EVHTTP_REQ_PUT, "/apps/a/groups/g");

    (void)state;
    assert_int_equal(get.param_count, 1);
    assert_true(str_eq(get.params[0].name, STR("id")));
    assert_true(str_eq(get.params[0].value, STR("7")));
    assert_true(str_eq(del.params[0].name, STR("deviceId")));
    assert_int_equal(put.param_count, 2);
    assert_true(str_eq(put.params[0].value, STR("a")));
    assert_true(str_eq(put.params[1].name, STR("group")));
    assert_true(str_eq(put.params[1].value, STR("g")));
}

static void a_literal_wins_over_a_param(void **state)
{
    (void)state;
    assert_string_equal(route_of(EVHTTP_REQ_POST, "/devices/search"), "/devices/search");
    assert_int_equal(find(EVHTTP_REQ_GET, "/devices/search").status, 405);
}

static void a_literal_that_leads_nowhere_gives_way_to_a_param(void **state)
{
    (void)state;
    assert_string_equal(route_of(EVHTTP_REQ_GET, "/devices/search/shadow"), "/devices/{id}/shadow");
    assert_string_equal(route_of(EVHTTP_REQ_GET, "/devices/search/history"),
                        "/devices/search/history");
}

static void segments_are_decoded_one_by_one(void **state)
{
    struct route_match match = find(EVHTTP_REQ_GET, "/devices/a%2Fb%20+%C3%A4");

    (void)state;
    assert_int_equal(match.status, 0);
    assert_true(str_eq(match.params[0].value, STR("a/b +\xc3\xa4")));
    assert_string_equal(route_of(EVHTTP_REQ_POST, "/%64evices/s%65arch"), "/devices/search");
}

static void broken_segments_are_400(void **state)
{
    (void)state;
    assert_int_equal(find(EVHTTP_REQ_GET, "/devices/a%00b").status, 400);
    assert_int_equal(find(EVHTTP_REQ_GET, "/devices/%ff").status, 400);
    assert_int_equal(find(EVHTTP_REQ_GET, "/devices/\xff").status, 400);
    assert_int_equal(find(EVHTTP_REQ_GET, "/devices/%4").status, 400);
    assert_int_equal(find(EVHTTP_REQ_GET, "/devices/%zz").status, 400);
}

static void unknown_paths_are_404(void **state)
{
    static const char *const paths[] = {
        "/nothing",        "/devices/",
        "/devices/7/",     "/devices//shadow",
        "//devices",       "/devices/7/shadow/x",
        "/apps/a",         "/apps/a/groups",
        "/apps//groups/g", "",
        "devices",         "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct route_match match = find(EVHTTP_REQ_GET, paths[i]);

        if (match.status != 404)
            fail_msg("%d for %s", match.status, paths[i]);
        assert_int_equal(match.allowed, 0);
    }
}

static void other_methods_are_405_with_the_paths_own(void **state)
{
    struct route_match match = find(EVHTTP_REQ_PUT, "/devices/7");
    char text[ROUTE_ALLOW_SIZE];

    (void)state;
    assert_int_equal(match.status, 405);
    route_allow_text(match.allowed, text);
    assert_string_equal(text, "GET, DELETE");
}

static void all_methods_fit_into_the_text(void **state)
{
    char text[ROUTE_ALLOW_SIZE];

    (void)state;
    route_allow_text(0xffff, text);
    assert_string_equal(text, "GET, POST, PUT, PATCH, DELETE, OPTIONS");
}

static void rows_that_are_the_same_are_an_error(void **state)
{
    static const struct route same[] = {
        {EVHTTP_REQ_GET, "/a/{b}", 0, handler},
        {EVHTTP_REQ_GET, "/a/{c}", 0, handler},
        {0},
    };
    static const struct route *const tables[] = {same, NULL};
    char *error = NULL;

    (void)state;
    assert_null(route_tree_new(tables, &error));
    assert_string_equal(error, "route /a/{c}: the same as /a/{b}");
    free(error);
}

static void rows_that_are_no_paths_are_an_error(void **state)
{
    static const struct route wrong[] = {{EVHTTP_REQ_GET, "a", 0, handler}, {0}};
    static const struct route *const tables[] = {wrong, NULL};
    char *error = NULL;

    (void)state;
    assert_null(route_tree_new(tables, &error));
    assert_non_null(error);
    free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_found_by_method_and_path),
        cmocka_unit_test(params_are_known_by_their_routes_names),
        cmocka_unit_test(a_literal_wins_over_a_param),
        cmocka_unit_test(a_literal_that_leads_nowhere_gives_way_to_a_param),
        cmocka_unit_test(segments_are_decoded_one_by_one),
        cmocka_unit_test(broken_segments_are_400),
        cmocka_unit_test(unknown_paths_are_404),
        cmocka_unit_test(other_methods_are_405_with_the_paths_own),
        cmocka_unit_test(all_methods_fit_into_the_text),
        cmocka_unit_test(rows_that_are_the_same_are_an_error),
        cmocka_unit_test(rows_that_are_no_paths_are_an_error),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
