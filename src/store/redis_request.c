/*
 * Commands as Redis reads them (RESP): "*COUNT\r\n", then "$LENGTH\r\nBYTES\r\n" for each word.
 * hiredis can write this too, but needs the words' pointers and lengths in arrays of their own.
 */
#include "store/redis_request.h"

#include "base/mem.h"

#include <stdio.h>

static size_t words_header_size(size_t number)
{
    size_t size = 4; /* kind, one digit, CR LF */

    while (number >= 10) {
        number /= 10;
        size++;
    }
    return size;
}

static size_t words_size(size_t count, const struct str *words)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += words_header_size(words[i].len) + words[i].len + 2;
    return size;
}

static char *words_put_header(char *to, char kind, size_t number)
{
    size_t size = words_header_size(number);

    to[0] = kind;
    for (size_t i = size - 3; i > 0; i--) {
        to[i] = (char)('0' + number % 10);
        number /= 10;
    }
    to[size - 2] = '\r';
    to[size - 1] = '\n';
    return to + size;
}

/* Returns the place behind what it wrote; the caller has made room by the sizes above. */
static char *words_put(char *to, size_t count, const struct str *words)
{
    for (size_t i = 0; i < count; i++) {
        to = words_put_header(to, '$', words[i].len);
        if (words[i].len)
            memcpy(to, words[i].p, words[i].len);
        to += words[i].len;
        *to++ = '\r';
        *to++ = '\n';
    }
    return to;
}

struct redis_request *redis_request_new(size_t size, redis_cb cb, void *arg)
{
    struct redis_request *request = xmalloc(sizeof(*request) + size);

    memset(request, 0, sizeof(*request));
    request->cb = cb;
    request->arg = arg;
    request->len = size;
    return request;
}

struct redis_request *redis_request_of_words(size_t count, const struct str *words, redis_cb cb,
                                             void *arg)
{
    struct redis_request *request =
        redis_request_new(words_header_size(count) + words_size(count, words), cb, arg);

    words_put(words_put_header(request->bytes, '*', count), count, words);
    return request;
}

struct redis_request *redis_request_of_script(const struct script *script, size_t key_count,
                                              const struct str *keys, size_t arg_count,
                                              const struct str *args, redis_cb cb, void *arg)
{
    char digits[24];
    struct str key_number = {digits, (size_t)snprintf(digits, sizeof(digits), "%zu", key_count)};
    bool has_sha = script->sha[0];
    const struct str head[] = {has_sha ? STR("EVALSHA") : STR("EVAL"),
                               has_sha ? str_of(script->sha)
                                       : str_n(script->body, script->body_len)};
    size_t count = 3 + key_count + arg_count;
    size_t head_size = words_header_size(count) + words_size(2, head);
    struct redis_request *request =
        redis_request_new(head_size + words_size(1, &key_number) + words_size(key_count, keys) +
                              words_size(arg_count, args),
                          cb, arg);
    char *to = words_put_header(request->bytes, '*', count);

    to = words_put(to, 2, head);
    to = words_put(to, 1, &key_number);
    to = words_put(to, key_count, keys);
    words_put(to, arg_count, args);
    request->script = has_sha ? script : NULL;
    request->word_count = count;
    request->common = head_size;
    return request;
}

struct redis_request *redis_request_as_eval(const struct redis_request *request)
{
    const struct script *script = request->script;
    const struct str head[] = {STR("EVAL"), str_n(script->body, script->body_len)};
    size_t common_size = request->len - request->common;
    struct redis_request *eval = redis_request_new(words_header_size(request->word_count) +
                                                       words_size(2, head) + common_size,
                                                   request->cb, request->arg);
    char *to = words_put_header(eval->bytes, '*', request->word_count);

    memcpy(words_put(to, 2, head), request->bytes + request->common, common_size);
    return eval;
}
