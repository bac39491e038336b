#include "store/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The name comes back as a str, and stands in the key, NUL-terminated. */
static void assert_key(const struct key *key, struct str name, const char *expected)
{
    assert_ptr_equal(name.p, key->text);
    assert_int_equal(name.len, strlen(key->text));
    assert_string_equal(key->text, expected);
}

static void keys_of_a_device_have_their_names(void **state)
{
    struct key key;

    (void)state;
    assert_key(&key, key_device(&key, 7, STR("dev1")), "{p7}:d:dev1");
    assert_key(&key, key_shadow(&key, 7, STR("dev1")), "{p7}:sh:dev1");
    assert_key(&key, key_history(&key, 7, STR("dev1")), "{p7}:h:dev1");
    assert_key(&key, key_desired(&key, 7, STR("dev1")), "{p7}:ds:dev1");
    assert_key(&key, key_desired_history(&key, 7, STR("dev1")), "{p7}:dh:dev1");
    assert_key(&key, key_children(&key, 1023, STR("gw1")), "{p1023}:ch:gw1");
    assert_key(&key, key_commands(&key, 7, STR("dev1")), "{p7}:cmd:dev1");
    assert_key(&key, key_command_order(&key, 7, STR("dev1")), "{p7}:cmdo:dev1");
    assert_key(&key, key_command_queue(&key, 7, STR("dev1")), "{p7}:cmdq:dev1");
    assert_key(&key, key_command_deadlines(&key, 7, STR("dev1")), "{p7}:cmdt:dev1");
}

static void keys_of_a_partition_have_their_names(void **state)
{
    struct key key;

    (void)state;
    assert_key(&key, key_events(&key, 0), "{p0}:q");
    assert_key(&key, key_timers(&key, UINT32_MAX), "{p4294967295}:t");
    assert_key(&key, key_lease(&key, 7), "{p7}:own");
    assert_key(&key, key_nodes(&key, 7), "{p7}:nodes");
    assert_key(&key, key_on_node(&key, 7, STR("host.0a")), "{p7}:on:host.0a");
    assert_key(&key, key_watch(&key, 7, STR("0a")), "{p7}:w:0a");
    assert_key(&key, key_watched(&key, 7), "{p7}:watched");
    assert_key(&key, key_epoch(&key, 7), "{p7}:epoch");
    assert_key(&key, key_command_devices(&key, 7), "{p7}:cmds");
}

static void keys_of_an_application_have_their_names(void **state)
{
    struct key key;

    (void)state;
    assert_key(&key, key_app(&key, STR("app1")), "{aapp1}:app");
    assert_key(&key, key_app_nodes(&key, STR("app1")), "{aapp1}:nodes");
    assert_key(&key, key_app_devices(&key, STR("app1")), "{aapp1}:devs");
    assert_key(&key, key_app_ordinals(&key, STR("app1")), "{aapp1}:ord");
    assert_key(&key, key_app_blocks(&key, STR("app1")), "{aapp1}:blocks");
    assert_key(&key, key_app_subscriptions(&key, STR("app1")), "{aapp1}:sub");
    assert_key(&key, key_app_subscription_index(&key, STR("app1")), "{aapp1}:subkey");
    assert_key(&key, key_app_groups(&key, STR("app1")), "{aapp1}:grp");
    assert_key(&key, key_app_group_names(&key, STR("app1")), "{aapp1}:grpname");
    assert_key(&key, key_app_group_order(&key, STR("app1")), "{aapp1}:grporder");
    assert_key(&key, key_app_group_members(&key, STR("app1")), "{aapp1}:grpmember");
    assert_key(&key, key_app_device_groups(&key, STR("app1")), "{aapp1}:grpof");
    assert_key(&key, key_app_dead_groups(&key, STR("app1")), "{aapp1}:grpdead");
    assert_key(&key, key_app_models(&key, STR("app1")), "{aapp1}:models");
    assert_key(&key, key_app_model_references(&key, STR("app1")), "{aapp1}:modelkeys");
    assert_key(&key, key_app_model_data(&key, STR("app1")), "{aapp1}:modeldata");
    assert_key(&key, key_app_model_packages(&key, STR("app1")), "{aapp1}:packages");
    assert_key(&key, key_app_model_events(&key, STR("app1")), "{aapp1}:modelevents");
    assert_key(&key, key_app_commands(&key, STR("app1")), "{aapp1}:cmds");
    assert_key(&key, key_app_cancel_order(&key, STR("app1")), "{aapp1}:canco");
    assert_key(&key, key_app_cancel_tasks(&key, STR("app1")), "{aapp1}:canc");
}

static void keys_of_the_index_have_their_names(void **state)
{
    struct key key;

    (void)state;
    assert_key(&key, key_index_live(&key, STR("app1"), 0), "{aapp1}:x:0:live");
    assert_key(&key, key_index_rows(&key, STR("app1"), 15), "{aapp1}:x:15:rows");
    assert_key(&key, key_index_value(&key, STR("app1"), 3, STR("ONLINE")), "{aapp1}:x:3:ONLINE");
    assert_key(&key, key_index_bit(&key, STR("app1"), 3, STR("name"), 47), "{aapp1}:x:3:name:47");
    assert_key(&key, key_index_scratch(&key, STR("app1"), 1), "{aapp1}:x:1:scratch");
    assert_key(&key, key_index_marks(&key, 7), "{p7}:dirty");
    assert_key(&key, key_index_working(&key, 7), "{p7}:working");
}

static void keys_of_the_deployment_have_their_names(void **state)
{
    struct key key;

    (void)state;
    assert_key(&key, key_apps(&key), "{g}:apps");
    assert_key(&key, key_deployment(&key), "{g}:conf");
    assert_key(&key, key_instances(&key), "{g}:inst");
}

static void keys_by_digest_have_their_names(void **state)
{
    struct key key;

    (void)state;
    assert_key(&key, key_token(&key, STR(DIGEST)), "tok:{" DIGEST "}");
    assert_key(&key, key_verify_code(&key, STR(DIGEST)), "vc:{" DIGEST "}");
    assert_key(&key, key_node_holders(&key, STR(DIGEST)), "nid:{" DIGEST "}");
}

/* What Redis hashes of a name: between the first brace and the next closing one. */
static void assert_tag(struct str name, const char *tag)
{
    struct str rest, found;

    str_split(name, '{', &rest);
    found = str_split(rest, '}', &rest);
    assert_non_null(rest.p);
    assert_true(str_eq(found, str_of(tag)));
}

static void every_key_of_a_device_carries_its_partitions_tag(void **state)
{
    struct key key;

    (void)state;
    assert_tag(key_device(&key, 63, STR("dev1")), "p63");
    assert_tag(key_shadow(&key, 63, STR("dev1")), "p63");
    assert_tag(key_children(&key, 63, STR("dev1")), "p63");
    assert_tag(key_events(&key, 63), "p63");
    assert_tag(key_timers(&key, 63), "p63");
    assert_tag(key_lease(&key, 63), "p63");
    assert_tag(key_epoch(&key, 63), "p63");
}

static void every_key_of_an_application_carries_its_tag(void **state)
{
    struct key key;

    (void)state;
    assert_tag(key_app(&key, STR("Qx7a-1")), "aQx7a-1");
    assert_tag(key_app_nodes(&key, STR("Qx7a-1")), "aQx7a-1");
    assert_tag(key_app_devices(&key, STR("Qx7a-1")), "aQx7a-1");
    assert_tag(key_app_subscriptions(&key, STR("Qx7a-1")), "aQx7a-1");
    assert_tag(key_app_subscription_index(&key, STR("Qx7a-1")), "aQx7a-1");
}

static void an_id_need_not_end_where_its_name_ends(void **state)
{
    struct key key;

    (void)state;
    assert_key(&key, key_device(&key, 1, str_n("dev1/and/more", 4)), "{p1}:d:dev1");
    assert_key(&key, key_app(&key, str_n("app1?x", 4)), "{aapp1}:app");
}

static void the_longest_ids_fit(void **state)
{
    struct key key;
    char id[KEY_ID_MAX];
    struct str longest = {id, sizeof(id)};

    (void)state;
    memset(id, 'x', sizeof(id));
    assert_int_equal(key_children(&key, UINT32_MAX, longest).len, KEY_ID_MAX + 17);
    assert_int_equal(key_app_subscription_index(&key, longest).len, KEY_ID_MAX + 10);
    assert_true(str_ends_with(key_device(&key, 0, longest), longest));
}

static void no_two_keys_of_one_id_are_the_same(void **state)
{
    struct key keys[12];
    struct str id = STR("x");

    (void)state;
    key_device(&keys[0], 0, id);
    key_shadow(&keys[1], 0, id);
    key_children(&keys[2], 0, id);
    key_events(&keys[3], 0);
    key_timers(&keys[4], 0);
    key_app(&keys[5], id);
    key_app_nodes(&keys[6], id);
    key_app_devices(&keys[7], id);
    key_app_subscriptions(&keys[8], id);
    key_app_subscription_index(&keys[9], id);
    key_lease(&keys[10], 0);
    key_epoch(&keys[11], 0);
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(keys[i].text, keys[j].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_a_device_have_their_names),
        cmocka_unit_test(keys_of_a_partition_have_their_names),
        cmocka_unit_test(keys_of_an_application_have_their_names),
        cmocka_unit_test(keys_of_the_index_have_their_names),
        cmocka_unit_test(keys_of_the_deployment_have_their_names),
        cmocka_unit_test(keys_by_digest_have_their_names),
        cmocka_unit_test(every_key_of_a_device_carries_its_partitions_tag),
        cmocka_unit_test(every_key_of_an_application_carries_its_tag),
        cmocka_unit_test(an_id_need_not_end_where_its_name_ends),
        cmocka_unit_test(the_longest_ids_fit),
        cmocka_unit_test(no_two_keys_of_one_id_are_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
