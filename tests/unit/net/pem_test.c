/*
 * What people upload as CA file, and what is said when it is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/pem.h"
#include "net/x509_facts.h"

#include "certificates.h"

static const struct pem_limits limits = {.max_bytes = 64 * 1024, .max_count = 20};

static struct identity ca, server;

static int start(void **state)
{
    (void)state;
    ca = identity_new(NULL, NULL, 100);
    server = identity_new(&ca, "DNS:a.example", 50);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    identity_clear(&ca);
    identity_clear(&server);
    return 0;
}

static void add_pem(struct buf *out, X509 *certificate)
{
    struct certificates one = {&certificate, 1};

    pem_write(&one, out);
}

static void replace(struct buf *text, const char *what, const char *with)
{
    struct buf out = {0};
    const char *p = text->p, *found;

    while ((found = strstr(p, what))) {
        buf_add(&out, p, (size_t)(found - p));
        buf_add_text(&out, with);
        p = found + strlen(what);
    }
    buf_add_text(&out, p);
    buf_clear(text);
    *text = out;
}

/* Clears the file. */
static void assert_gives(struct buf *file, X509 *first, X509 *second)
{
    char *error;
    struct certificates *certificates = pem_read(buf_str(file), &limits, &error);

    if (!certificates)
        fail_msg("%s", error);
    assert_int_equal(certificates->count, second ? 2 : 1);
    assert_int_equal(X509_cmp(certificates->list[0], first), 0);
    if (second)
        assert_int_equal(X509_cmp(certificates->list[1], second), 0);
    certificates_free(certificates);
    buf_clear(file);
}

/* Clears the file. */
static void assert_refused(struct buf *file, const char *reason)
{
    char *error = NULL;

    assert_null(pem_read(buf_str(file), &limits, &error));
    assert_string_equal(error, reason);
    free(error);
    buf_clear(file);
}

static struct buf both(void)
{
    struct buf file = {0};

    add_pem(&file, server.certificate);
    add_pem(&file, ca.certificate);
    return file;
}

static void one_or_several_in_any_order_are_read(void **state)
{
    struct buf file = {0};

    (void)state;
    add_pem(&file, ca.certificate);
    assert_gives(&file, ca.certificate, NULL);
    file = both();
    assert_gives(&file, server.certificate, ca.certificate);
    add_pem(&file, ca.certificate);
    add_pem(&file, server.certificate);
    assert_gives(&file, ca.certificate, server.certificate);
}

static void blocks_may_follow_each_other_on_one_line(void **state)
{
    struct buf file = both();

    (void)state;
    replace(&file, "-----\n-----BEGIN", "----------BEGIN");
    assert_non_null(strstr(file.p, "-----END CERTIFICATE----------BEGIN CERTIFICATE-----"));
    assert_gives(&file, server.certificate, ca.certificate);
}

static void a_whole_file_may_be_one_line(void **state)
{
    struct buf file = both();

    (void)state;
    replace(&file, "\n", "");
    assert_gives(&file, server.certificate, ca.certificate);
}

static void windows_line_ends_and_a_byte_order_mark_are_read(void **state)
{
    struct buf file = both();

    (void)state;
    replace(&file, "\n", "\r\n");
    replace(&file, "-----BEGIN", "\xef\xbb\xbf-----BEGIN");
    assert_gives(&file, server.certificate, ca.certificate);
}

static void text_around_is_skipped_and_the_last_line_end_may_be_missing(void **state)
{
    struct buf file = both();

    (void)state;
    replace(&file, "-----BEGIN", "subject=/CN=x -----\n \xe9-----BEGIN");
    replace(&file, "CERTIFICATE-----\nsubject", "CERTIFICATE-----subject");
    file.len -= 1;
    assert_gives(&file, server.certificate, ca.certificate);
}

static void other_names_of_certificate_blocks_are_known(void **state)
{
    struct buf file = {0};
    BIO *memory = BIO_new(BIO_s_mem());
    char *text;
    long len;

    (void)state;
    add_pem(&file, ca.certificate);
    replace(&file, " CERTIFICATE", " X509 CERTIFICATE");
    assert_gives(&file, ca.certificate, NULL);

    PEM_write_bio_X509_AUX(memory, server.certificate);
    len = BIO_get_mem_data(memory, &text);
    buf_add(&file, text, (size_t)len);
    BIO_free(memory);
    assert_non_null(strstr(file.p, "TRUSTED CERTIFICATE"));
    assert_gives(&file, server.certificate, NULL);
}

static void other_blocks_are_skipped(void **state)
{
    struct buf file = both();

    (void)state;
    buf_add_text(&file, "-----BEGIN DH PARAMETERS-----\nMIIB\n-----END DH PARAMETERS-----\n");
    assert_gives(&file, server.certificate, ca.certificate);
}

static void duplicates_are_dropped(void **state)
{
    struct buf file = both();

    (void)state;
    add_pem(&file, server.certificate);
    assert_gives(&file, server.certificate, ca.certificate);
}

static struct buf der_of(X509 *certificate)
{
    struct buf file = {0};
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);

    buf_add(&file, der, (size_t)len);
    OPENSSL_free(der);
    return file;
}

static void der_is_known_by_its_first_byte(void **state)
{
    struct buf file = der_of(ca.certificate);

    (void)state;
    assert_gives(&file, ca.certificate, NULL);
    file = der_of(ca.certificate);
    buf_add_char(&file, '\n');
    assert_refused(&file, "the file is neither PEM nor one certificate as DER");
}

static void a_file_without_certificates_is_refused(void **state)
{
    struct buf file = {0};

    (void)state;
    assert_refused(&file, "no certificate is in the file");
    buf_add_text(&file, "hello\n-----BEGIN");
    assert_refused(&file, "no certificate is in the file");
    buf_add_text(&file, "-----BEGIN X-----\nMIIB\n-----END X-----\n");
    assert_refused(&file, "no certificate is in the file");
    buf_add_text(&file, "-----BEGIN ");
    assert_refused(&file, "no certificate is in the file");
}

static void a_broken_block_is_named(void **state)
{
    struct buf file = both();

    (void)state;
    memcpy(strchr(strstr(file.p + 100, "BEGIN"), '\n') + 1, "!!!!", 4);
    assert_refused(&file, "certificate 2 cannot be read");
    file = both();
    memcpy(strchr(file.p, '\n') + 1, "AAAA", 4);
    assert_refused(&file, "certificate 1 cannot be read");
    file = both();
    file.len -= 10;
    assert_refused(&file, "certificate 2 has no END line of its own");
    file = both();
    replace(&file, "-----END CERTIFICATE-----\n-----BEGIN", "-----BEGIN");
    assert_refused(&file, "certificate 1 has no END line of its own");
    buf_add_text(&file, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    assert_refused(&file, "certificate 1 cannot be read");
}

static void private_keys_are_refused(void **state)
{
    static const char reason[] =
        "a private key is in the file; it stays with the server it belongs to";
    struct buf file = both();
    unsigned char *der = NULL;
    int len;

    (void)state;
    buf_add_text(&file, "-----BEGIN EC PRIVATE KEY-----\nMIIB\n-----END EC PRIVATE KEY-----\n");
    assert_refused(&file, reason);
    buf_add_text(&file, "-----BEGIN CERTIFICATE-----\n!\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    assert_refused(&file, reason);

    len = i2d_PrivateKey(server.key, &der);
    buf_add(&file, der, (size_t)len);
    OPENSSL_free(der);
    assert_refused(&file, "the file is a private key; it stays with the server it belongs to");
}

static void files_over_the_limits_are_refused(void **state)
{
    struct buf file = {0};

    (void)state;
    for (int i = 0; i < 21; i++) {
        struct identity one = identity_new(NULL, NULL, 100);

        add_pem(&file, one.certificate);
        identity_clear(&one);
    }
    assert_refused(&file, "more than 20 certificates");

    add_pem(&file, ca.certificate);
    while (file.len <= 64 * 1024)
        buf_add_char(&file, '\n');
    assert_refused(&file, "more than 65536 bytes");
}

static void facts_are_those_of_the_certificate(void **state)
{
    struct arena *arena = arena_new();
    struct x509_facts facts;

    (void)state;
    x509_facts_read(arena, ca.certificate, &facts);
    assert_true(str_starts_with(facts.subject, STR("CN=authority ")));
    assert_true(str_eq(facts.subject, facts.issuer));
    assert_true(facts.is_authority && facts.is_self_signed && !facts.is_key_weak);
    assert_string_equal(facts.key_type, "EC");
    assert_int_equal(facts.key_bits, 256);
    assert_int_equal((facts.not_after_ms - facts.not_before_ms) / 86400000, 110);
    assert_int_equal(strlen(facts.sha256), 64);

    x509_facts_read(arena, server.certificate, &facts);
    assert_false(facts.is_authority || facts.is_self_signed);
    assert_true(strlen(facts.serial) > 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_or_several_in_any_order_are_read),
        cmocka_unit_test(blocks_may_follow_each_other_on_one_line),
        cmocka_unit_test(a_whole_file_may_be_one_line),
        cmocka_unit_test(windows_line_ends_and_a_byte_order_mark_are_read),
        cmocka_unit_test(text_around_is_skipped_and_the_last_line_end_may_be_missing),
        cmocka_unit_test(other_names_of_certificate_blocks_are_known),
        cmocka_unit_test(other_blocks_are_skipped),
        cmocka_unit_test(duplicates_are_dropped),
        cmocka_unit_test(der_is_known_by_its_first_byte),
        cmocka_unit_test(a_file_without_certificates_is_refused),
        cmocka_unit_test(a_broken_block_is_named),
        cmocka_unit_test(private_keys_are_refused),
        cmocka_unit_test(files_over_the_limits_are_refused),
        cmocka_unit_test(facts_are_those_of_the_certificate),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
