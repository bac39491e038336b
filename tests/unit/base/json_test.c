#include "base/json.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena *arena;
static struct json_writer *writer;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    writer = json_writer_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_writer_free(writer);
    arena_free(arena);
    return 0;
}

static const struct json *parse(const char *text)
{
    return json_parse(arena, str_of(text), NULL);
}

static void assert_str(struct str actual, const char *expected)
{
    assert_non_null(actual.p);
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.p, expected, actual.len);
}

static void assert_refused_n(const char *bytes, size_t len, const char *expected)
{
    const char *error = NULL;

    assert_null(json_parse(arena, str_n(bytes, len), &error));
    assert_non_null(error);
    if (!strstr(error, expected))
        fail_msg("\"%s\" does not say \"%s\"", error, expected);
}

static void assert_refused(const char *text, const char *expected)
{
    assert_refused_n(text, strlen(text), expected);
}

static void assert_rewritten(const char *text, const char *expected)
{
    const struct json *value = parse(text);

    assert_non_null(value);
    json_writer_reset(writer);
    json_value(writer, value);
    assert_str(json_writer_text(writer), expected);
}

/* -- reader ----------------------------------------------------------------------------------- */

static void every_type_is_read(void **state)
{
    const struct json *root =
        parse(" {\"a\":null,\"b\":true,\"c\":false,\"d\":-1.50e+3,\"e\":\"x\","
              "\"f\":[1,[]],\"g\":{}} \r\n");

    (void)state;
    assert_non_null(root);
    assert_int_equal(root->type, JSON_OBJECT);
    assert_int_equal(root->count, 7);
    assert_null(root->key.p);
    assert_int_equal(json_get(root, "a")->type, JSON_NULL);
    assert_true(json_get(root, "b")->boolean);
    assert_int_equal(json_get(root, "c")->type, JSON_BOOL);
    assert_false(json_get(root, "c")->boolean);
    assert_str(json_get(root, "d")->text, "-1.50e+3");
    assert_str(json_get_str(root, "e"), "x");
    assert_int_equal(json_get(root, "f")->count, 2);
    assert_int_equal(json_get(root, "g")->type, JSON_OBJECT);
    assert_str(json_get(root, "g")->key, "g");
    assert_int_equal(json_get(root, "g")->count, 0);
}

static void a_scalar_alone_is_a_document(void **state)
{
    (void)state;
    assert_str(parse("42")->text, "42");
    assert_str(parse(" -0.10 ")->text, "-0.10");
    assert_str(parse("\"a\"")->text, "a");
    assert_str(parse("\"\\n\"")->text, "\n");
    assert_int_equal(parse("null")->type, JSON_NULL);
    assert_true(parse("true")->boolean);
}

static void numbers_keep_their_text(void **state)
{
    (void)state;
    assert_rewritten("[9007199254740993, 0.10,1E400 ,-0, 123456789012345678901234567890]",
                     "[9007199254740993,0.10,1E400,-0,123456789012345678901234567890]");
}

static void strings_are_decoded_and_end_with_a_nul(void **state)
{
    const struct json *root =
        parse("{\"k\\u0065y\\/\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u00e4\\u20ac\\uD83D\\uDE00/\"}");

    (void)state;
    assert_str(root->first->key, "key/");
    assert_int_equal(root->first->key.p[4], '\0');
    assert_str(root->first->text, "\"\\\b\f\n\r\t\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/");
    assert_int_equal(root->first->text.p[root->first->text.len], '\0');
    assert_str(parse("[\"\"]")->first->text, "");
}

static void containers_remember_exactly_their_source(void **state)
{
    const char *text = " \n{ \"a\" : [ 1 , {\"b\\\"\":[ ] } ] ,\t\"c\":{ } , \"d\":[[]]} ";
    const struct json *root = parse(text);
    const struct json *array = json_get(root, "a");

    (void)state;
    assert_str(root->text, "{ \"a\" : [ 1 , {\"b\\\"\":[ ] } ] ,\t\"c\":{ } , \"d\":[[]]}");
    assert_ptr_equal(root->text.p, text + 2);
    assert_str(array->text, "[ 1 , {\"b\\\"\":[ ] } ]");
    assert_str(array->first->next->text, "{\"b\\\"\":[ ] }");
    assert_str(array->first->next->first->text, "[ ]");
    assert_str(json_get(root, "c")->text, "{ }");
    assert_str(json_get(root, "d")->text, "[[]]");
    assert_str(json_get(root, "d")->first->text, "[]");
}

static void the_last_of_equal_members_wins(void **state)
{
    const struct json *root =
        parse("{\"a\":1,\"b\":{\"x\":1},\"\\u0061\":[2],\"b\":3,\"a\":\"4\"}");

    (void)state;
    assert_int_equal(root->count, 2);
    assert_rewritten(root->text.p, "{\"a\":\"4\",\"b\":3}");
    assert_rewritten("{\"a\":1,\"a\":2,\"a\":{\"b\":1,\"b\":null}}", "{\"a\":{\"b\":null}}");
    assert_rewritten("{\"\":1,\"\":2}", "{\"\":2}");
}

static void the_last_of_equal_members_wins_in_large_objects(void **state)
{
    struct buf text = {0};
    char *expected;
    size_t count;

    (void)state;
    buf_add_char(&text, '{');
    for (int i = 0; i < 40000; i++)
        buf_printf(&text, "%s\"k%d\":%d", i ? "," : "", i % 1000, i);
    buf_add_char(&text, '}');

    const struct json *root = json_parse(arena, buf_str(&text), NULL);

    count = root->count;
    assert_int_equal(count, 1000);
    count = 0;
    JSON_FOREACH (member, root) {
        expected = arena_printf(arena, "k%zu", count);
        assert_str(member->key, expected);
        expected = arena_printf(arena, "%zu", 39000 + count);
        assert_str(member->text, expected);
        count++;
    }
    assert_int_equal(count, 1000);
    buf_clear(&text);
}

static void an_object_of_many_members_is_read_quickly(void **state)
{
    struct buf text = {0};

    (void)state;
    buf_add_char(&text, '{');
    for (int i = 0; i < 200000; i++)
        buf_printf(&text, "%s\"%05x\":0", i ? "," : "", i);
    buf_add_char(&text, '}');
    assert_int_equal(json_parse(arena, buf_str(&text), NULL)->count, 200000);
    buf_clear(&text);
}

static void nesting_ends_at_the_limit(void **state)
{
    char text[2 * JSON_MAX_DEPTH + 3];

    (void)state;
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    text[2 * JSON_MAX_DEPTH] = '\0';
    assert_rewritten(text, text);
    memset(text, '[', JSON_MAX_DEPTH + 1);
    memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
    text[2 * JSON_MAX_DEPTH + 2] = '\0';
    assert_refused(text, "nested too deeply");
}

static void an_empty_document_is_called_empty(void **state)
{
    const char *error = NULL;

    (void)state;
    assert_null(json_parse(arena, STR_NONE, &error));
    assert_string_equal(error, "the document is empty");
    assert_refused("", "the document is empty");
    assert_refused(" \t\r\n", "the document is empty");
    assert_null(json_parse(arena, STR(""), NULL));
}

static void an_unfinished_document_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"a\":1", "ends too early");
    assert_refused("[1,", "ends too early");
    assert_refused("\"abc", "ends too early");
    assert_null(parse("tru"));
    assert_null(parse("-"));
    assert_null(parse("1."));
}

static void anything_behind_the_document_is_refused(void **state)
{
    (void)state;
    assert_refused("{} {}", "something follows");
    assert_refused("{} 1", "something follows");
    assert_refused("[]]", "something follows");
    assert_refused("1 2", "something follows");
    assert_null(parse("{}x"));
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    static const char *const texts[] = {
        "{a:1}",       "{'a':1}",  "[1,]",   "{\"a\":1,}", "[01]",       "[+1]",
        "[.5]",        "[NaN]",    "nul",    "[1 2]",      "{\"a\" 1}",  "\"\\x\"",
        "\"\\u12g4\"", "[\"\t\"]", "/**/ 1", "[1e]",       "{\"a\":1]",  "\xef\xbb\xbf{}",
        "{1:2}",       "{,}",      ",",      "]",          "[\"a\nb\"]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_refused(texts[i], "(byte ");
}

static void a_nul_in_any_form_is_refused(void **state)
{
    (void)state;
    assert_refused("[\"a\\u0000b\"]", "\\u0000 is not allowed");
    assert_refused("{\"\\u0000\":1}", "\\u0000 is not allowed");
    assert_refused_n("[\"a\0b\"]", 7, "NUL byte");
    assert_refused_n("{}\0", 3, "NUL byte");
    assert_refused_n("\0\0", 2, "NUL byte");
    assert_non_null(parse("[\"\\\\u0000\"]"));
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    assert_refused("[\"\xff\"]", "UTF-8");
    assert_refused("[\"\xc0\x80\"]", "UTF-8");
    assert_refused("[\"\xed\xa0\x80\"]", "UTF-8");
    assert_refused("[\"\xf4\x90\x80\x80\"]", "UTF-8");
    assert_refused("[\"\xe2\x82\"]", "UTF-8");
}

static void half_a_surrogate_pair_is_refused(void **state)
{
    (void)state;
    assert_refused("[\"\\ud800\"]", "surrogate");
    assert_refused("[\"\\udc00\"]", "surrogate");
    assert_refused("[\"\\ud800x\"]", "surrogate");
    assert_refused("[\"\\ud800\\u0041\"]", "surrogate");
    assert_refused("[\"\\ud800\\\\udc00\"]", "surrogate");
    assert_refused("{\"a\\\"\\\\\\udfff\":1}", "surrogate");
    assert_refused("[\"\\ud83d\\ude00\\ud83d\"]", "surrogate");
    assert_non_null(parse("[\"\\\\ud800\"]"));
    assert_non_null(parse("[\"\\\"\\ud83d\\ude00\\\"\\\\\"]"));
}

static void looking_for_what_is_not_there_finds_nothing(void **state)
{
    const struct json *root = parse("{\"a\":1,\"s\":\"\"}");
    int64_t value = 7;

    (void)state;
    assert_null(json_get(NULL, "a"));
    assert_null(json_get(root, "b"));
    assert_null(json_get(root->first, "a"));
    assert_null(json_get_str(root, "a").p);
    assert_non_null(json_get_str(root, "s").p);
    assert_false(json_get_i64(root, "s", &value));
    assert_false(json_get_i64(NULL, "s", &value));
    assert_int_equal(value, 7);
    JSON_FOREACH (child, (const struct json *)NULL)
        fail();
}

static void only_integers_become_integers(void **state)
{
    static const char *const no_integers[] = {
        "1.0", "1e2", "9223372036854775808", "-9223372036854775809", "\"1\"", "true", "null", "[1]",
    };
    int64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(no_integers) / sizeof(no_integers[0]); i++)
        assert_false(json_to_i64(parse(no_integers[i]), &value));
    assert_int_equal(value, 7);
    assert_true(json_to_i64(parse("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(json_to_i64(parse("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
    assert_true(json_to_i64(parse("-0"), &value));
    assert_true(value == 0);
    assert_true(json_to_i64(parse("-1"), &value));
    assert_true(value == -1);
}

/* -- writer ----------------------------------------------------------------------------------- */

static void everything_is_written_compactly(void **state)
{
    (void)state;
    json_object(writer);
    json_member_str(writer, "s", STR("a/b\"\\\n\x01\xc3\xa4"));
    json_member_str(writer, "none", STR_NONE);
    json_member_text(writer, "t", "x");
    json_member_text(writer, "nil", NULL);
    json_member_i64(writer, "min", INT64_MIN);
    json_member_bool(writer, "yes", true);
    json_member_bool(writer, "no", false);
    json_member_null(writer, "null");
    json_member_raw(writer, "raw", STR("{ \"a\" : 1 }"));
    json_member_raw(writer, "empty", STR(""));
    json_key_str(writer, STR("list"));
    json_array(writer);
    json_i64(writer, 0);
    json_str(writer, STR(""));
    json_object(writer);
    json_object_end(writer);
    json_raw(writer, STR("[1]"));
    json_value(writer, NULL);
    json_array_end(writer);
    json_object_end(writer);
    assert_str(json_writer_text(writer),
               "{\"s\":\"a/b\\\"\\\\\\n\\u0001\xc3\xa4\",\"none\":null,\"t\":\"x\",\"nil\":null,"
               "\"min\":-9223372036854775808,\"yes\":true,\"no\":false,\"null\":null,"
               "\"raw\":{ \"a\" : 1 },\"empty\":null,\"list\":[0,\"\",{},[1],null]}");
}

static void a_writer_writes_many_documents(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++) {
        json_writer_reset(writer);
        json_array(writer);
        if (i % 3 == 0)
            json_object(writer); /* given up half way */
        if (i % 3 == 0)
            continue;
        json_i64(writer, i);
        json_array_end(writer);
        assert_str(json_writer_text(writer), arena_printf(arena, "[%d]", i));
        assert_str(json_writer_text(writer), arena_printf(arena, "[%d]", i));
    }
}

static void a_tree_comes_out_as_it_went_in(void **state)
{
    (void)state;
    assert_rewritten("[ {\"a\" : [true , false,null,\"\\/\\u00e4\" ] } , 1.0 ]",
                     "[{\"a\":[true,false,null,\"/\xc3\xa4\"]},1.0]");
}

static void text_that_is_not_utf8_is_written_as_null(void **state)
{
    (void)state;
    json_object(writer);
    json_member_str(writer, "a", STR("\xff"));
    json_member_str(writer, "b", str_n("a\0b", 3));
    json_key_str(writer, STR("\xc0\x80"));
    json_bool(writer, true);
    json_object_end(writer);
    assert_str(json_writer_text(writer), "{\"a\":null,\"b\":null,\"\xef\xbf\xbd\":true}");
}

static void impossible_orders_make_the_text_null(void **state)
{
    (void)state;
    json_object(writer);
    assert_str(json_writer_text(writer), "null"); /* not closed */
    json_writer_reset(writer);
    assert_str(json_writer_text(writer), "null"); /* nothing written */
    json_writer_reset(writer);
    json_object_end(writer); /* never opened */
    json_array_end(writer);
    json_i64(writer, 1);
    assert_str(json_writer_text(writer), "null");
    json_writer_reset(writer);
    json_object(writer);
    json_i64(writer, 1); /* no key */
    json_object_end(writer);
    assert_str(json_writer_text(writer), "null");
    json_writer_reset(writer);
    for (int i = 0; i < 1000; i++)
        json_array(writer);
    assert_str(json_writer_text(writer), "null");
    json_writer_reset(writer);
    json_i64(writer, 1);
    json_i64(writer, 2);
    assert_str(json_writer_text(writer), "null");
    json_writer_reset(writer);
    json_i64(writer, 1);
    assert_str(json_writer_text(writer), "1");
}

static void freeing_no_writer_is_allowed(void **state)
{
    (void)state;
    json_writer_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_type_is_read),
        TEST(a_scalar_alone_is_a_document),
        TEST(numbers_keep_their_text),
        TEST(strings_are_decoded_and_end_with_a_nul),
        TEST(containers_remember_exactly_their_source),
        TEST(the_last_of_equal_members_wins),
        TEST(the_last_of_equal_members_wins_in_large_objects),
        TEST(an_object_of_many_members_is_read_quickly),
        TEST(nesting_ends_at_the_limit),
        TEST(an_empty_document_is_called_empty),
        TEST(an_unfinished_document_is_refused),
        TEST(anything_behind_the_document_is_refused),
        TEST(what_is_not_json_is_refused_with_its_place),
        TEST(a_nul_in_any_form_is_refused),
        TEST(invalid_utf8_is_refused),
        TEST(half_a_surrogate_pair_is_refused),
        TEST(looking_for_what_is_not_there_finds_nothing),
        TEST(only_integers_become_integers),
        TEST(everything_is_written_compactly),
        TEST(a_writer_writes_many_documents),
        TEST(a_tree_comes_out_as_it_went_in),
        TEST(text_that_is_not_utf8_is_written_as_null),
        TEST(impossible_orders_make_the_text_null),
        TEST(freeing_no_writer_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
