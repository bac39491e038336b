#include "base/cache.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int freed;

static void free_and_count(void *value)
{
    freed++;
    free(value);
}

static void *number(int n)
{
    int *value = malloc(sizeof(*value));

    assert_non_null(value);
    *value = n;
    return value;
}

static void put(struct cache *cache, const char *key, int n)
{
    cache_put(cache, str_of(key), number(n), 1000);
}

/* -1: not there. */
static int get(struct cache *cache, const char *key)
{
    int *value = cache_get(cache, str_of(key));

    return value ? *value : -1;
}

static int start(void **state)
{
    freed = 0;
    clock_freeze(0, 5000);
    *state = cache_new(3, free_and_count);
    return 0;
}

static int stop(void **state)
{
    cache_free(*state);
    clock_use_system();
    return 0;
}

static void cache_gives_back_what_was_put(void **state)
{
    struct cache *cache = *state;

    put(cache, "a", 1);
    put(cache, "b", 2);
    assert_int_equal(get(cache, "a"), 1);
    assert_int_equal(get(cache, "b"), 2);
    assert_int_equal(get(cache, "c"), -1);
    assert_int_equal(cache_count(cache), 2);
    assert_int_equal(freed, 0);
}

static void cache_keys_are_bytes_with_a_length(void **state)
{
    struct cache *cache = *state;

    cache_put(cache, STR("a\0b"), number(1), 1000);
    cache_put(cache, STR("a\0c"), number(2), 1000);
    cache_put(cache, STR(""), number(3), 1000);
    assert_int_equal(*(int *)cache_get(cache, STR("a\0b")), 1);
    assert_int_equal(*(int *)cache_get(cache, STR("a\0c")), 2);
    assert_int_equal(*(int *)cache_get(cache, STR_NONE), 3);
    assert_null(cache_get(cache, STR("a")));
}

static void cache_copies_its_keys(void **state)
{
    struct cache *cache = *state;
    char key[] = "a";

    put(cache, key, 1);
    key[0] = 'b';
    assert_int_equal(get(cache, "a"), 1);
    assert_int_equal(get(cache, "b"), -1);
}

static void cache_evicts_the_oldest_when_nothing_was_used(void **state)
{
    struct cache *cache = *state;

    put(cache, "a", 1);
    put(cache, "b", 2);
    put(cache, "c", 3);
    put(cache, "d", 4);
    assert_int_equal(cache_count(cache), 3);
    assert_int_equal(freed, 1);
    assert_int_equal(get(cache, "a"), -1);
    assert_int_equal(get(cache, "d"), 4);
}

static void cache_evicts_the_least_recently_used(void **state)
{
    struct cache *cache = *state;

    put(cache, "a", 1);
    put(cache, "b", 2);
    put(cache, "c", 3);
    assert_int_equal(get(cache, "a"), 1);
    put(cache, "d", 4);
    assert_int_equal(get(cache, "b"), -1);
    put(cache, "c", 33);
    put(cache, "e", 5);
    assert_int_equal(get(cache, "a"), -1);
    assert_int_equal(get(cache, "c"), 33);
    assert_int_equal(get(cache, "d"), 4);
    assert_int_equal(get(cache, "e"), 5);
}

static void cache_frees_what_is_replaced(void **state)
{
    struct cache *cache = *state;

    put(cache, "a", 1);
    put(cache, "a", 2);
    assert_int_equal(freed, 1);
    assert_int_equal(get(cache, "a"), 2);
    assert_int_equal(cache_count(cache), 1);
}

static void cache_put_of_the_same_value_only_prolongs_its_life(void **state)
{
    struct cache *cache = *state;
    void *value = number(1);

    cache_put(cache, STR("a"), value, 1000);
    clock_advance(900);
    cache_put(cache, STR("a"), value, 1000);
    clock_advance(900);
    assert_int_equal(freed, 0);
    assert_int_equal(get(cache, "a"), 1);
}

static void cache_entries_end_with_their_life(void **state)
{
    struct cache *cache = *state;

    put(cache, "a", 1);
    clock_advance(999);
    assert_int_equal(get(cache, "a"), 1);
    clock_advance(1);
    assert_int_equal(get(cache, "a"), -1);
    assert_int_equal(freed, 1);
    assert_int_equal(cache_count(cache), 0);
}

static void cache_use_does_not_prolong_a_life(void **state)
{
    struct cache *cache = *state;

    put(cache, "a", 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get(cache, "a"), 1);
        clock_advance(100);
    }
    assert_int_equal(get(cache, "a"), -1);
}

static void cache_lives_may_be_endless_or_nothing(void **state)
{
    struct cache *cache = *state;

    cache_put(cache, STR("a"), number(1), INT64_MAX);
    cache_put(cache, STR("b"), number(2), 0);
    clock_advance(INT64_C(1000000000000));
    assert_int_equal(get(cache, "a"), 1);
    assert_int_equal(get(cache, "b"), -1);
}

static void cache_remove_frees_one_and_empty_frees_all(void **state)
{
    struct cache *cache = *state;

    put(cache, "a", 1);
    put(cache, "b", 2);
    cache_remove(cache, STR("a"));
    cache_remove(cache, STR("x"));
    assert_int_equal(freed, 1);
    assert_int_equal(get(cache, "a"), -1);
    cache_empty(cache);
    assert_int_equal(freed, 2);
    assert_int_equal(cache_count(cache), 0);
    put(cache, "c", 3);
    assert_int_equal(get(cache, "c"), 3);
}

static void cache_of_no_entries_keeps_nothing(void **state)
{
    struct cache *cache = cache_new(0, free_and_count);

    (void)state;
    put(cache, "a", 1);
    assert_int_equal(freed, 1);
    assert_int_equal(get(cache, "a"), -1);
    cache_free(cache);
}

static void cache_of_one_entry_keeps_the_last(void **state)
{
    struct cache *cache = cache_new(1, free_and_count);

    (void)state;
    for (int i = 0; i < 10; i++) {
        put(cache, i % 2 ? "a" : "b", i);
        assert_int_equal(get(cache, i % 2 ? "a" : "b"), i);
        assert_int_equal(get(cache, i % 2 ? "b" : "a"), -1);
    }
    assert_int_equal(freed, 9);
    cache_free(cache);
    assert_int_equal(freed, 10);
}

static void cache_without_free_value_does_not_own_its_values(void **state)
{
    struct cache *cache = cache_new(1, NULL);
    int value = 7;

    (void)state;
    cache_put(cache, STR("a"), &value, 1000);
    cache_put(cache, STR("b"), &value, 1000);
    assert_int_equal(get(cache, "b"), 7);
    cache_free(cache);
    cache_free(NULL);
}

static void cache_stays_bounded_over_many_keys(void **state)
{
    struct cache *cache = cache_new(100, free_and_count);
    char key[32];

    (void)state;
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        put(cache, key, i);
        snprintf(key, sizeof(key), "key-%d", i / 2);
        get(cache, key);
        assert_true(cache_count(cache) <= 100);
    }
    assert_int_equal(get(cache, "key-9999"), 9999);
    cache_free(cache);
    assert_int_equal(freed, 10000);
}

static void put_sized(struct cache *cache, const char *key, size_t size_bytes)
{
    cache_put_sized(cache, str_of(key), number(1), 1000, size_bytes);
}

static void cache_keeps_to_its_bytes(void **state)
{
    struct cache *cache = cache_new(100, free_and_count);

    (void)state;
    cache_limit_bytes(cache, 100);
    put_sized(cache, "a", 40);
    put_sized(cache, "b", 40);
    get(cache, "a");
    put_sized(cache, "c", 40); /* too much: b was not used for longest */
    assert_int_equal(get(cache, "b"), -1);
    assert_int_equal(get(cache, "a"), 1);
    put_sized(cache, "a", 90); /* has grown */
    assert_int_equal(get(cache, "c"), -1);
    cache_remove(cache, STR("a"));
    put_sized(cache, "d", 50);
    put_sized(cache, "e", 50);
    assert_int_equal(cache_count(cache), 2);
    cache_free(cache);
}

static void cache_keeps_one_that_is_larger_than_its_bytes(void **state)
{
    struct cache *cache = cache_new(100, free_and_count);

    (void)state;
    cache_limit_bytes(cache, 100);
    put_sized(cache, "small", 10);
    put_sized(cache, "large", 1000);
    assert_int_equal(cache_count(cache), 1);
    assert_int_equal(get(cache, "large"), 1);
    put_sized(cache, "small", 10);
    assert_int_equal(cache_count(cache), 1);
    assert_int_equal(get(cache, "small"), 1);
    cache_free(cache);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cache_gives_back_what_was_put),
        TEST(cache_keys_are_bytes_with_a_length),
        TEST(cache_copies_its_keys),
        TEST(cache_evicts_the_oldest_when_nothing_was_used),
        TEST(cache_evicts_the_least_recently_used),
        TEST(cache_frees_what_is_replaced),
        TEST(cache_put_of_the_same_value_only_prolongs_its_life),
        TEST(cache_entries_end_with_their_life),
        TEST(cache_use_does_not_prolong_a_life),
        TEST(cache_lives_may_be_endless_or_nothing),
        TEST(cache_remove_frees_one_and_empty_frees_all),
        TEST(cache_of_no_entries_keeps_nothing),
        TEST(cache_of_one_entry_keeps_the_last),
        TEST(cache_without_free_value_does_not_own_its_values),
        TEST(cache_stays_bounded_over_many_keys),
        TEST(cache_keeps_to_its_bytes),
        TEST(cache_keeps_one_that_is_larger_than_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
