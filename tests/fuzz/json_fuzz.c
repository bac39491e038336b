/*
 * Whatever the reader accepts, the writer can write, and reading that gives the same tree; and the
 * source text that containers remember is a document that reads as the same tree, too.
 */
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void require_same(const struct json *a, const struct json *b)
{
    require(a->type == b->type && a->count == b->count && a->boolean == b->boolean);
    require(str_eq(a->key, b->key));
    if (a->type == JSON_STRING || a->type == JSON_NUMBER)
        require(str_eq(a->text, b->text));
    if (a->type == JSON_STRING)
        require(a->text.p[a->text.len] == '\0' && strlen(a->text.p) == a->text.len);

    const struct json *right = b->first;
    size_t count = 0;

    JSON_FOREACH (left, a) {
        require(right != NULL);
        require_same(left, right);
        right = right->next;
        count++;
    }
    require(!right && count == a->count);
}

static struct str write_tree(struct json_writer *writer, const struct json *tree)
{
    json_writer_reset(writer);
    json_value(writer, tree);
    return json_writer_text(writer);
}

static void require_sources(struct arena *arena, const struct json *tree)
{
    JSON_FOREACH (child, tree) {
        if (child->type == JSON_ARRAY || child->type == JSON_OBJECT) {
            const struct json *again = json_parse(arena, child->text, NULL);
            struct json without_key = *child;

            require(again != NULL);
            without_key.key = STR_NONE;
            require_same(&without_key, again);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct json_writer *writer = json_writer_new();
    const char *error = NULL;
    const struct json *tree = json_parse(arena, str_n((const char *)data, size), &error);

    require((tree == NULL) == (error != NULL));
    if (tree) {
        struct str text = arena_str(arena, write_tree(writer, tree));
        const struct json *again = json_parse(arena, text, NULL);

        require(again != NULL);
        require_same(tree, again);
        require(str_eq(write_tree(writer, again), text));
        require_sources(arena, tree);
    }
    json_writer_free(writer);
    arena_free(arena);
    return 0;
}
