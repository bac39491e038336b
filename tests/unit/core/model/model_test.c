#include "core/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;
static struct model *model;

#define DEVICE                                                                                     \
    "{\"manufacturerId\":\"ACME01\",\"manufacturerName\":\"Acme\",\"protocolType\":\"CoAP\","      \
    "\"deviceType\":\"Meter\",\"model\":\"M1\",\"serviceTypeCapabilities\":["                      \
    "{\"serviceId\":\"S\",\"serviceType\":\"T\"},{\"serviceId\":\"A\",\"serviceType\":\"T\","      \
    "\"option\":null}]}"

static int start(void **state)
{
    (void)state;
    arena = arena_new();
    model = NULL;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    model_release(model);
    arena_free(arena);
    return 0;
}

/* The members of the only service's file behind serviceType. */
static void given_service(const char *members)
{
    const char *problem = NULL;
    const char *content = arena_printf(
        arena, "{\"device\":" DEVICE ",\"services\":{\"T\":{\"serviceType\":\"T\",%s}}}", members);

    model = model_parse(arena, str_of(content), &problem);
    if (!model)
        fail_msg("%s", problem);
}

static const struct model_value *given_property(const char *members)
{
    const struct model_value *property;

    model_release(model);
    given_service(arena_printf(arena, "\"properties\":[{\"propertyName\":\"p\",%s}]", members));
    property = model_find_property(model_find_service(model, STR("S")), STR("p"));
    assert_non_null(property);
    return property;
}

static enum model_verdict verdict_on(const struct model_value *property, const char *value)
{
    const struct json *json = json_parse(arena, str_of(value), NULL);

    assert_non_null(json);
    return model_check_value(property, json, true);
}

struct expectation {
    const char *value;
    enum model_verdict verdict;
};

static void assert_verdicts(const char *members, const struct expectation *expected)
{
    const struct model_value *property = given_property(members);

    for (; expected->value; expected++) {
        enum model_verdict verdict = verdict_on(property, expected->value);

        if (verdict != expected->verdict)
            fail_msg("%s of %s: %d", expected->value, members, verdict);
    }
}

static void an_int_is_a_whole_number_within_its_bounds(void **state)
{
    (void)state;
    assert_verdicts("\"dataType\":\"int\",\"min\":-1,\"max\":\"100\"",
                    (struct expectation[]){{"-1", MODEL_GOOD},
                                           {"100", MODEL_GOOD},
                                           {"1e2", MODEL_GOOD},
                                           {"100.0", MODEL_GOOD},
                                           {"-0", MODEL_GOOD},
                                           {"-2", MODEL_OUT_OF_RANGE},
                                           {"101", MODEL_OUT_OF_RANGE},
                                           {"1e300", MODEL_OUT_OF_RANGE},
                                           {"1e999", MODEL_OUT_OF_RANGE},
                                           {"9223372036854775808", MODEL_OUT_OF_RANGE},
                                           {"0.5", MODEL_WRONG_TYPE},
                                           {"\"5\"", MODEL_WRONG_TYPE},
                                           {"true", MODEL_WRONG_TYPE},
                                           {"null", MODEL_WRONG_TYPE},
                                           {"[5]", MODEL_WRONG_TYPE},
                                           {0}});
}

static void a_long_is_compared_exactly(void **state)
{
    (void)state;
    assert_verdicts("\"dataType\":\"long\",\"min\":0,\"max\":9007199254740993",
                    (struct expectation[]){{"9007199254740993", MODEL_GOOD},
                                           {"9007199254740994", MODEL_OUT_OF_RANGE},
                                           {0}});
}

static void a_decimal_is_any_number_within_its_bounds(void **state)
{
    (void)state;
    assert_verdicts("\"dataType\":\"decimal\",\"min\":\"-0.5\",\"max\":0.5",
                    (struct expectation[]){{"0.5", MODEL_GOOD},
                                           {"-5e-1", MODEL_GOOD},
                                           {"0", MODEL_GOOD},
                                           {"0.50000001", MODEL_OUT_OF_RANGE},
                                           {"1", MODEL_OUT_OF_RANGE},
                                           {"-1e400", MODEL_OUT_OF_RANGE},
                                           {"\"0.1\"", MODEL_WRONG_TYPE},
                                           {0}});
}

static void without_bounds_every_number_is_within(void **state)
{
    static const char *const none[] = {
        "\"dataType\":\"int\"", "\"dataType\":\"int\",\"min\":null,\"max\":null",
        "\"dataType\":\"int\",\"min\":0,\"max\":0", "\"dataType\":\"int\",\"min\":\"\",\"max\":\"0\""};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_verdicts(none[i], (struct expectation[]){{"-9223372036854775808", MODEL_GOOD},
                                                        {"9223372036854775807", MODEL_GOOD},
                                                        {0}});
    assert_verdicts(none[3], (struct expectation[]){{"-5", MODEL_GOOD},
                                                    {"1", MODEL_OUT_OF_RANGE},
                                                    {0}});
}

static void texts_have_a_length_in_characters(void **state)
{
    (void)state;
    assert_verdicts("\"dataType\":\"string\",\"maxLength\":\"3\",\"min\":5,\"max\":6",
                    (struct expectation[]){{"\"\"", MODEL_GOOD},
                                           {"\"abc\"", MODEL_GOOD},
                                           {"\"\xc3\xa4\xc3\xb6\xc3\xbc\"", MODEL_GOOD},
                                           {"\"abcd\"", MODEL_TOO_LONG},
                                           {"3", MODEL_WRONG_TYPE},
                                           {"{}", MODEL_WRONG_TYPE},
                                           {0}});
    assert_verdicts("\"dataType\":\"string\",\"maxLength\":0",
                    (struct expectation[]){{"\"as long as it likes\"", MODEL_GOOD}, {0}});
    assert_verdicts("\"dataType\":\"string list\",\"maxLength\":2",
                    (struct expectation[]){{"[]", MODEL_GOOD},
                                           {"[\"ab\",\"\"]", MODEL_GOOD},
                                           {"[\"ab\",\"abc\"]", MODEL_TOO_LONG},
                                           {"[\"ab\",5]", MODEL_WRONG_TYPE},
                                           {"\"ab\"", MODEL_WRONG_TYPE},
                                           {0}});
}

static void a_text_is_in_its_list(void **state)
{
    (void)state;
    assert_verdicts("\"dataType\":\"enum\",\"enumList\":[\"ON\",\"OFF\"]",
                    (struct expectation[]){{"\"ON\"", MODEL_GOOD},
                                           {"\"on\"", MODEL_NOT_LISTED},
                                           {"\"\"", MODEL_NOT_LISTED},
                                           {"1", MODEL_WRONG_TYPE},
                                           {0}});
    assert_verdicts("\"dataType\":\"string\",\"enumList\":\" ON , OFF,\"",
                    (struct expectation[]){
                        {"\"OFF\"", MODEL_GOOD}, {"\" OFF\"", MODEL_NOT_LISTED}, {0}});
    assert_verdicts("\"dataType\":\"string\",\"enumList\":[]",
                    (struct expectation[]){{"\"any\"", MODEL_GOOD}, {0}});
}

static void lists_can_be_for_information_only(void **state)
{
    const struct model_value *property =
        given_property("\"dataType\":\"enum\",\"enumList\":[\"ON\"]");

    (void)state;
    assert_int_equal(model_check_value(property, json_parse(arena, STR("\"OFF\""), NULL), false),
                     MODEL_GOOD);
}

static void times_have_one_form(void **state)
{
    (void)state;
    assert_verdicts("\"dataType\":\"DateTime\"",
                    (struct expectation[]){{"\"20190822T014400Z\"", MODEL_GOOD},
                                           {"\"20190832T014400Z\"", MODEL_WRONG_TYPE},
                                           {"\"2019-08-22T01:44:00Z\"", MODEL_WRONG_TYPE},
                                           {"\"\"", MODEL_WRONG_TYPE},
                                           {"20190822", MODEL_WRONG_TYPE},
                                           {0}});
}

static void other_types_are_what_json_has(void **state)
{
    (void)state;
    assert_verdicts("\"dataType\":\"jsonObject\"",
                    (struct expectation[]){{"{\"a\":[1]}", MODEL_GOOD},
                                           {"[]", MODEL_WRONG_TYPE},
                                           {"\"{}\"", MODEL_WRONG_TYPE},
                                           {0}});
    assert_verdicts("\"dataType\":\"boolean\"",
                    (struct expectation[]){{"true", MODEL_GOOD},
                                           {"false", MODEL_GOOD},
                                           {"1", MODEL_WRONG_TYPE},
                                           {"\"true\"", MODEL_WRONG_TYPE},
                                           {0}});
}

static bool is_writable(const char *method)
{
    return model_property_is_writable(
        given_property(arena_printf(arena, "\"dataType\":\"int\"%s", method)));
}

static void a_property_is_writable_when_its_method_has_a_w(void **state)
{
    (void)state;
    assert_true(is_writable(",\"method\":\"W\""));
    assert_true(is_writable(",\"method\":\"erw\""));
    assert_false(is_writable(",\"method\":\"RE\""));
    assert_false(is_writable(",\"method\":\"\""));
    assert_false(is_writable(",\"method\":null"));
    assert_false(is_writable(""));
}

static void what_is_not_in_the_model_is_not_found(void **state)
{
    const struct model_service *service;
    const struct model_command *command;

    (void)state;
    given_service("\"properties\":[{\"propertyName\":\"b\",\"dataType\":\"int\"},"
                  "{\"propertyName\":\"a\",\"dataType\":\"string\"}],\"commands\":[{\"commandName\":"
                  "\"SET\",\"paras\":[{\"paraName\":\"x\",\"dataType\":\"int\",\"required\":true}],"
                  "\"responses\":[{\"responseName\":\"CMD_RSP\",\"paras\":[{\"paraName\":\"y\","
                  "\"dataType\":\"int\"}]}]}]");
    service = model_find_service(model, STR("A"));
    assert_true(str_eq(service->type, STR("T")));
    assert_int_equal(model_find_property(service, STR("a"))->type, MODEL_STRING);
    assert_int_equal(model_find_property(service, STR("b"))->type, MODEL_INT);
    command = model_find_command(service, STR("SET"));
    assert_true(model_find_parameter(command, STR("x"))->is_required);
    assert_int_equal(command->response_count, 1);
    assert_true(str_eq(command->responses[0].parameters.list[0].name, STR("y")));
    assert_null(model_find_service(model, STR("T")));
    assert_null(model_find_service(model, STR("a")));
    assert_null(model_find_property(service, STR("c")));
    assert_null(model_find_property(service, STR("")));
    assert_null(model_find_command(service, STR("set")));
    assert_null(model_find_parameter(command, STR("y")));
    assert_null(model_find_service(NULL, STR("A")));
    assert_null(model_find_property(NULL, STR("a")));
    assert_null(model_find_command(NULL, STR("SET")));
    assert_null(model_find_parameter(NULL, STR("x")));
}

static void capabilities_have_the_querys_types_and_keep_null_from_absent(void **state)
{
    struct json_writer *w = json_writer_new();

    (void)state;
    given_service("\"description\":\"d\",\"extra\":1,\"properties\":[{\"propertyName\":\"p\","
                  "\"dataType\":\"int\",\"required\":\"TRUE\",\"min\":0,\"max\":\"1.50\",\"step\":1,"
                  "\"maxLength\":\"7\",\"unit\":null,\"enumList\":null}],\"commands\":null");
    model_write_capabilities(model, w);
    assert_string_equal(
        json_writer_text(w).p,
        "[{\"serviceId\":\"S\",\"serviceType\":\"T\",\"description\":\"d\",\"commands\":[],"
        "\"properties\":[{\"propertyName\":\"p\",\"dataType\":\"int\",\"required\":true,\"min\":"
        "\"0\",\"max\":\"1.50\",\"step\":1.0,\"maxLength\":7,\"unit\":null,\"enumList\":null}]},"
        "{\"serviceId\":\"A\",\"serviceType\":\"T\",\"option\":null,\"description\":\"d\","
        "\"commands\":[],\"properties\":[{\"propertyName\":\"p\",\"dataType\":\"int\",\"required\":"
        "true,\"min\":\"0\",\"max\":\"1.50\",\"step\":1.0,\"maxLength\":7,\"unit\":null,"
        "\"enumList\":null}]}]");
    assert_true(model_capabilities_bytes(model) >= json_writer_text(w).len);
    json_writer_free(w);
}

static void what_is_no_model_is_refused_with_the_file(void **state)
{
    const char *problem = NULL;

    (void)state;
    assert_null(model_parse(arena, STR("{"), &problem));
    assert_null(model_parse(arena, STR("{\"device\":{}}"), &problem));
    assert_null(model_parse(arena, STR("{\"device\":" DEVICE ",\"services\":{}}"), &problem));
    assert_string_equal(problem, "profile/devicetype-capability.json: serviceTypeCapabilities[0]."
                                 "serviceType: the package has no service/T");
    assert_null(model_parse(arena,
                            STR("{\"device\":" DEVICE ",\"services\":{\"T\":{\"serviceType\":"
                                "\"T\",\"properties\":[{}]}}}"),
                            &problem));
    assert_string_equal(problem, "service/T/profile/servicetype-capability.json: properties[0]."
                                 "propertyName is missing");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(an_int_is_a_whole_number_within_its_bounds),
        TEST(a_long_is_compared_exactly),
        TEST(a_decimal_is_any_number_within_its_bounds),
        TEST(without_bounds_every_number_is_within),
        TEST(texts_have_a_length_in_characters),
        TEST(a_text_is_in_its_list),
        TEST(lists_can_be_for_information_only),
        TEST(times_have_one_form),
        TEST(other_types_are_what_json_has),
        TEST(a_property_is_writable_when_its_method_has_a_w),
        TEST(what_is_not_in_the_model_is_not_found),
        TEST(capabilities_have_the_querys_types_and_keep_null_from_absent),
        TEST(what_is_no_model_is_refused_with_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
