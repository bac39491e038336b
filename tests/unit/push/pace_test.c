#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "push/pace.h"

#include <stdlib.h>

#define START_MS 123456

/* Sends whenever it may, looking every look_ms; the times go to sent_ms. */
static size_t send_greedily(struct pace *pace, int64_t rate, int64_t for_ms, int64_t look_ms,
                            int64_t *sent_ms, size_t max)
{
    size_t count = 0;

    for (int64_t now_ms = START_MS; now_ms < START_MS + for_ms; now_ms += look_ms) {
        while (count < max && pace_allows(pace, now_ms)) {
            pace_count(pace, rate, now_ms);
            sent_ms[count++] = now_ms;
        }
    }
    return count;
}

static void no_second_has_many_more_than_the_rate(void **state)
{
    static const int64_t rates[] = {1, 7, 100, 800, 5000};
    static int64_t sent_ms[20000];

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        struct pace pace = {0};
        size_t count = send_greedily(&pace, rates[i], 3000, 1, sent_ms, 20000), begin = 0;

        assert_in_range(count, (size_t)rates[i] * 3, (size_t)rates[i] * 3 * 51 / 50 + 1);
        for (size_t end = 0; end < count; end++) {
            while (sent_ms[end] - sent_ms[begin] >= 1000)
                begin++;
            assert_in_range(end - begin + 1, 1, (size_t)rates[i] * 51 / 50 + 1);
        }
    }
}

static void what_was_not_used_is_not_made_up_for(void **state)
{
    struct pace pace = {0};
    int64_t sent_ms[1000];

    (void)state;
    pace_count(&pace, 100, START_MS - 60000);
    assert_in_range(send_greedily(&pace, 100, 1000, 1, sent_ms, 1000), 100, 103);
}

static void the_wait_is_until_the_next_is_allowed(void **state)
{
    struct pace pace = {0};
    int64_t now_ms = START_MS;

    (void)state;
    for (int i = 0; i < 100; i++) {
        while (pace_allows(&pace, now_ms))
            pace_count(&pace, 10, now_ms);
        assert_false(pace_allows(&pace, now_ms + pace_wait_ms(&pace, now_ms) - 1));
        now_ms += pace_wait_ms(&pace, now_ms);
        assert_true(pace_allows(&pace, now_ms));
    }
    assert_in_range(now_ms - START_MS, 9900, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_second_has_many_more_than_the_rate),
        cmocka_unit_test(what_was_not_used_is_not_made_up_for),
        cmocka_unit_test(the_wait_is_until_the_next_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
