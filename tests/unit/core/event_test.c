#include "core/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void an_event_is_written_as_its_header_says(void **state)
{
    struct event_facts facts = {EVENT_DEVICE_BOUND, STR("app1"),   STR("dev1"),
                                STR("gw1"),         1566438240000, STR("{\"result\":\"expired\"}")};
    struct buf out = {0};

    (void)state;
    event_write(&out, &facts);
    assert_string_equal(out.p,
                        "1 device.bound app1 dev1 gw1 1566438240000 {\"result\":\"expired\"}");
    buf_clear(&out);
}

static void every_kind_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        struct event_facts written = {(enum event_kind)kind,
                                      STR("Qx7a_Plant-01"),
                                      STR("3b0f6a52-91cc-4d5e-8f77-0a6d2b41e9c8"),
                                      STR("c4d1a7e0-5a0e-4b0c-a3e6-1f9f7720bb10"),
                                      INT64_MAX - kind,
                                      STR("{\"text\":\"with blanks  and \xc3\xa9 {}\"}")};
        struct event_facts read;
        struct buf out = {0};

        event_write(&out, &written);
        assert_true(event_read(buf_str(&out), &read));
        assert_int_equal(read.kind, written.kind);
        assert_true(str_eq(read.app_id, written.app_id));
        assert_true(str_eq(read.device_id, written.device_id));
        assert_true(str_eq(read.gateway_id, written.gateway_id));
        assert_int_equal(read.time_ms, written.time_ms);
        assert_true(str_eq(read.payload, written.payload));
        buf_clear(&out);
    }
}

static void what_is_read_points_into_the_entry(void **state)
{
    static const char entry[] = "1 device.deleted app1 dev1 gw1 0 {}";
    struct event_facts facts;

    (void)state;
    assert_true(event_read(STR(entry), &facts));
    assert_ptr_equal(facts.app_id.p, entry + 17);
    assert_ptr_equal(facts.payload.p + facts.payload.len, entry + sizeof(entry) - 1);
}

static void writing_adds_to_what_is_in_the_buffer(void **state)
{
    struct event_facts facts = {EVENT_DEVICE_DELETED, STR("a"), STR("d"), STR("g"), 0, STR("{}")};
    struct buf out = {0};

    (void)state;
    buf_add_text(&out, "before:");
    event_write(&out, &facts);
    assert_string_equal(out.p, "before:1 device.deleted a d g 0 {}");
    buf_clear(&out);
}

static void kinds_have_names_of_their_own(void **state)
{
    (void)state;
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        const char *name = event_kind_name((enum event_kind)kind);

        assert_null(strchr(name, ' '));
        for (int other = 0; other < kind; other++)
            assert_string_not_equal(name, event_kind_name((enum event_kind)other));
    }
}

static void an_entry_that_is_not_an_event_is_refused(void **state)
{
    static const char *const entries[] = {
        "",
        " ",
        "1",
        "1 device.deleted",
        "1 device.deleted app1 dev1 gw1",
        "1 device.deleted app1 dev1 gw1 0",
        "1 device.deleted app1 dev1 gw1 0 ",
        "1 device.deleted app1 dev1 gw1 0 {",
        "1 device.deleted app1 dev1 gw1 0 []",
        "1 device.deleted app1 dev1 gw1 0 x{}",
        "1 device.deleted app1 dev1 gw1 0  {}",
        "1 device.deleted app1 dev1 gw1  {}",
        "1 device.deleted app1 dev1 gw1 x {}",
        "1 device.deleted app1 dev1 gw1 -1 {}",
        "1 device.deleted app1 dev1 gw1 +1 {}",
        "1 device.deleted app1 dev1 gw1 1.5 {}",
        "1 device.deleted app1 dev1 gw1 9223372036854775808 {}",
        "1 device.deleted app1 dev1 0 {}",
        "1 device.deleted  dev1 gw1 0 {}",
        "1 device.deleted app1  gw1 0 {}",
        "1 device.delete app1 dev1 gw1 0 {}",
        "1 DEVICE.DELETED app1 dev1 gw1 0 {}",
        "1  app1 dev1 gw1 0 {}",
        "2 device.deleted app1 dev1 gw1 0 {}",
        "11 device.deleted app1 dev1 gw1 0 {}",
        " device.deleted app1 dev1 gw1 0 {}",
        "device.deleted app1 dev1 gw1 0 {}",
        "{}",
    };
    struct event_facts facts;

    (void)state;
    for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
        if (event_read(str_of(entries[i]), &facts))
            fail_msg("'%s' was read", entries[i]);
    }
    assert_false(event_read(STR_NONE, &facts));
}

static void an_entry_without_a_gateway_is_refused(void **state)
{
    struct event_facts facts;

    (void)state;
    assert_false(event_read(STR("1 device.deleted app1 dev1  0 {}"), &facts));
}

static void an_entry_that_was_cut_off_before_its_payload_is_refused(void **state)
{
    static const char entry[] = "1 property.reported app1 dev1 gw1 1566438240000 {}";
    struct event_facts facts;

    (void)state;
    for (size_t len = 0; len < sizeof(entry) - 1; len++) {
        char *cut = malloc(len + 1); /* of just that size, for what reads beyond it */

        memcpy(cut, entry, len);
        assert_false(event_read(str_n(cut, len), &facts));
        free(cut);
    }
    assert_true(event_read(STR(entry), &facts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_written_as_its_header_says),
        cmocka_unit_test(every_kind_is_read_as_it_was_written),
        cmocka_unit_test(what_is_read_points_into_the_entry),
        cmocka_unit_test(writing_adds_to_what_is_in_the_buffer),
        cmocka_unit_test(kinds_have_names_of_their_own),
        cmocka_unit_test(an_entry_that_is_not_an_event_is_refused),
        cmocka_unit_test(an_entry_without_a_gateway_is_refused),
        cmocka_unit_test(an_entry_that_was_cut_off_before_its_payload_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
