/* Certificates that HTTPS callbacks are checked by, and the platform's own. */
#include "base/buf.h"
#include "base/crypto.h"
#include "ctl/app.h"
#include "ctl/client.h"
#include "ctl/file.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1024 * 1024) /* the server's own limit is far below */

/* ---- which one ---- */

/* false: what is missing has been said. */
static bool has_options(const struct ctl *ctl, bool needs_host)
{
    if (!ctl->options[CTL_APP])
        ctl_complain("--app APP is needed: its id, or its name");
    else if (needs_host && !ctl->options[CTL_HOST])
        ctl_complain("--host HOST:PORT is needed, as in the callback URL");
    else
        return true;
    return false;
}

/* The path of the entry that --app and --host name. */
static enum ctl_exit find_entry(struct ctl *ctl, const char **path)
{
    const struct json *app;
    enum ctl_exit result;

    if (!has_options(ctl, true))
        return CTL_USAGE;
    result = ctl_find_app(ctl, ctl->options[CTL_APP], &app);
    if (result == CTL_DONE)
        *path = ctl_app_path(
            ctl, json_get_str(app, "appId"),
            arena_printf(ctl->arena, "/certificates/%s",
                         client_encode(ctl->client, ctl->arena, ctl->options[CTL_HOST])));
    return result;
}

/* ---- showing ---- */

static const struct {
    const char *key, *words;
} switches[] = {{"checkCn", "CN checked"},
                {"sni", "SNI"},
                {"platformCertificate", "platform certificate shown"},
                {"ignoreAnchorExpiry", "expired anchors allowed"}};

static bool is_on(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    return value && value->type == JSON_BOOL && value->boolean;
}

static void add_text(struct buf *text, struct str more)
{
    if (text->len)
        buf_add_text(text, ", ");
    buf_add_str(text, more);
}

static struct str take_text(struct ctl *ctl, struct buf *text)
{
    struct str copy = str_of(arena_dup0(ctl->arena, buf_str(text)));

    buf_clear(text);
    return copy.len ? copy : STR("-");
}

static struct str rules_of(struct ctl *ctl, const struct json *entry)
{
    struct buf text = {0};

    if (!is_on(entry, "nameCheck"))
        add_text(&text, STR("no name checked"));
    for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
        if (is_on(entry, switches[i].key))
            add_text(&text, str_of(switches[i].words));
    }
    return take_text(ctl, &text);
}

static struct str joined(struct ctl *ctl, const struct json *list)
{
    struct buf text = {0};

    JSON_FOREACH (item, list)
        add_text(&text, item->text);
    return take_text(ctl, &text);
}

static struct str number(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    return value ? value->text : STR_NONE;
}

static void print_entry(struct ctl *ctl, const struct json *entry)
{
    struct table *table = table_new(2, NULL, NULL);
    const struct {
        const char *name;
        struct str value;
    } lines[] = {{"application", json_get_str(entry, "app")},
                 {"host", json_get_str(entry, "endpoint")},
                 {"expires (UTC)", ctl_show_time(ctl, json_get_str(entry, "expires"))},
                 {"days left", number(entry, "daysLeft")},
                 {"CN", json_get_str(entry, "cn")},
                 {"rules", rules_of(ctl, entry)},
                 {"stored (UTC)", ctl_show_time(ctl, json_get_str(entry, "createTime"))},
                 {"version", json_get_str(entry, "version")},
                 {"warnings", joined(ctl, json_get(entry, "warnings"))}};

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        table_add(table, str_of(lines[i].name));
        table_add(table, lines[i].value.len ? lines[i].value : STR("-"));
    }
    table_print_take(table, 0);
}

/* One certificate after the other: names are long. */
static void print_chain(struct ctl *ctl, const struct json *chain)
{
    int position = 1;

    JSON_FOREACH (one, chain) {
        struct table *table = table_new(2, NULL, NULL);

        printf("certificate %d\n", position++);
        JSON_FOREACH (fact, one) {
            struct str value = fact->type == JSON_BOOL    ? fact->boolean ? STR("yes") : STR("no")
                                  : fact->type == JSON_ARRAY ? joined(ctl, fact)
                                                          : fact->text;

            table_add(table, fact->key);
            table_add(table, ctl_show_time(ctl, value.len ? value : STR("-")));
        }
        table_print_take(table, 2);
    }
}

static void print_users(struct ctl *ctl, const struct json *users)
{
    static const char *const headings[] = {"SUBSCRIPTION", "NOTIFY TYPE", "CALLBACK"};
    struct table *table;

    (void)ctl;
    if (!users || !users->first) {
        puts("no subscription leads there");
        return;
    }
    table = table_new(3, headings, NULL);
    JSON_FOREACH (user, users) {
        table_add(table, json_get_str(user, "subscriptionId"));
        table_add(table, json_get_str(user, "notifyType"));
        table_add(table, json_get_str(user, "callbackUrl"));
    }
    table_print_take(table, 0);
}

static void print_pem(const struct json *answer)
{
    struct str pem = json_get_str(answer, "pem");

    fwrite(pem.p, 1, pem.len, stdout);
}

static enum ctl_exit show(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    const char *path = NULL;
    enum ctl_exit result = find_entry(ctl, &path);

    (void)arguments;
    if (result == CTL_DONE)
        result = client_request(ctl->client, ctl->arena, "GET", path, NULL, false, &answer);
    if (result != CTL_DONE)
        return result;
    if (ctl->wants_json) {
        ctl_print_json(answer.json);
    } else if (ctl->is_quiet) {
        print_pem(answer.json);
    } else {
        print_entry(ctl, answer.json);
        print_chain(ctl, json_get(answer.json, "certificates"));
        print_users(ctl, json_get(answer.json, "usedBy"));
    }
    return CTL_DONE;
}

static size_t length_of(const struct json *list)
{
    size_t count = 0;

    JSON_FOREACH (item, list)
        count++;
    return count;
}

static void add_row(struct ctl *ctl, struct table *table, const struct json *app,
                    const struct json *entry)
{
    table_add(table, json_get_str(app, "name"));
    table_add(table, json_get_str(entry, "endpoint"));
    table_add(table, number(entry, "count"));
    table_add(table, ctl_show_time(ctl, json_get_str(entry, "expires")));
    table_add(table, number(entry, "daysLeft"));
    table_add(table, str_of(arena_printf(ctl->arena, "%zu", length_of(json_get(entry, "usedBy")))));
    table_add(table, rules_of(ctl, entry));
    table_add(table, joined(ctl, json_get(entry, "warnings")));
}

/* Into the table, or on stdout with --json and -q; *count is added to. */
static enum ctl_exit list_of_app(struct ctl *ctl, const struct json *app, struct table *table,
                                 size_t *count)
{
    struct client_answer answer;
    enum ctl_exit result = client_request(
        ctl->client, ctl->arena, "GET",
        ctl_app_path(ctl, json_get_str(app, "appId"), "/certificates"), NULL, false, &answer);

    if (result != CTL_DONE)
        return result;
    JSON_FOREACH (entry, json_get(answer.json, "certificates")) {
        ++*count;
        if (ctl->wants_json)
            ctl_print_json(entry);
        else if (ctl->is_quiet)
            printf("%.*s\n", STR_ARG(json_get_str(entry, "endpoint")));
        else
            add_row(ctl, table, app, entry);
    }
    return CTL_DONE;
}

static enum ctl_exit list(struct ctl *ctl, char **arguments)
{
    static const char *const headings[] = {"APPLICATION", "HOST",    "CERTS", "EXPIRES (UTC)",
                                           "DAYS LEFT",   "USED BY", "RULES", "WARNINGS"};
    static const bool is_right[] = {false, false, true, false, true, true, false, false};

    (void)arguments;
    return ctl_list_of_apps(
        ctl,
        &(struct ctl_list){headings, is_right, 8, list_of_app,
                           "There are no certificate entries: iotpushctl cert add makes one."});
}

/* ---- changing ---- */

static const char *upload_body(struct ctl *ctl, const struct buf *file)
{
    struct json_writer *w = json_writer_new();
    char *encoded = crypto_base64(file->p, file->len);
    const char *body;

    json_object(w);
    json_member_text(w, "caBase64", encoded);
    if (ctl->options[CTL_CN])
        json_member_text(w, "cn", ctl->options[CTL_CN]);
    json_member_bool(w, "checkCn", ctl->options[CTL_CHECK_CN]);
    json_member_bool(w, "sni", ctl->options[CTL_SNI]);
    json_member_bool(w, "nameCheck", !ctl->options[CTL_NO_NAME_CHECK]);
    json_member_bool(w, "platformCertificate", ctl->options[CTL_PLATFORM_CERTIFICATE]);
    json_member_bool(w, "ignoreAnchorExpiry", ctl->options[CTL_IGNORE_ANCHOR_EXPIRY]);
    json_object_end(w);
    body = arena_dup0(ctl->arena, json_writer_text(w));
    json_writer_free(w);
    free(encoded);
    return body;
}

static void say_added(struct ctl *ctl, const struct json *entry)
{
    struct str expires = ctl_show_time(ctl, json_get_str(entry, "expires"));

    printf("%.*s is checked by %.*s certificates; the first one expires on %.10s.\n",
           STR_ARG(json_get_str(entry, "endpoint")), STR_ARG(number(entry, "count")),
           expires.len >= 10 ? expires.p : "-");
    JSON_FOREACH (warning, json_get(entry, "warnings"))
        ctl_complain("warning: %.*s", STR_ARG(warning->text));
}

static enum ctl_exit add(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    const char *path = NULL, *body;
    struct buf file = {0};
    enum ctl_exit result;

    (void)arguments;
    if (!has_options(ctl, true))
        return CTL_USAGE;
    if (!ctl->options[CTL_CA]) {
        ctl_complain("--ca FILE is needed: the CA's certificates, PEM or DER");
        return CTL_USAGE;
    }
    if (ctl->options[CTL_CN] && !str_is_utf8(str_of(ctl->options[CTL_CN]))) {
        ctl_complain("--cn is not UTF-8");
        return CTL_USAGE;
    }
    if (!ctl_read_file("--ca ", ctl->options[CTL_CA], FILE_MAX, "CA file", &file)) {
        buf_clear(&file);
        return CTL_USAGE;
    }
    body = upload_body(ctl, &file);
    buf_clear(&file);
    result = find_entry(ctl, &path);
    if (result == CTL_DONE)
        result = client_request(ctl->client, ctl->arena, "PUT", path, body, false, &answer);
    if (result == CTL_DONE && ctl->wants_json)
        ctl_print_json(answer.json);
    else if (result == CTL_DONE && !ctl->is_quiet)
        say_added(ctl, answer.json);
    return result;
}

static enum ctl_exit delete_entry(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    const char *path = NULL;
    enum ctl_exit result = find_entry(ctl, &path);

    (void)arguments;
    if (result != CTL_DONE)
        return result;
    if (!ctl_confirm(ctl, arena_printf(ctl->arena, "Delete the certificate entry for %s?",
                                       ctl->options[CTL_HOST])))
        return CTL_REFUSED;
    result = client_request(ctl->client, ctl->arena, "DELETE", path, NULL, false, &answer);
    if (result == CTL_DONE && !ctl->is_quiet && !ctl->wants_json)
        puts("It is gone: callbacks there are checked as without an entry.");
    return result;
}

/* ---- our own ---- */

/* What is said stands between the blocks of a PEM file, so all of it can be stored as one. */
static enum ctl_exit platform(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result = client_request(ctl->client, ctl->arena, "GET",
                                          "/admin/v1/platform-certificate", NULL, false, &answer);

    (void)arguments;
    if (result != CTL_DONE)
        return result;
    if (ctl->wants_json) {
        ctl_print_json(answer.json);
        return CTL_DONE;
    }
    if (!ctl->is_quiet)
        print_chain(ctl, json_get(answer.json, "certificates"));
    print_pem(answer.json);
    return CTL_DONE;
}

#define ENTRY_OPTIONS (CTL_TAKES(CTL_APP) | CTL_TAKES(CTL_HOST))

const struct ctl_command ctl_certificate_commands[] = {
    {"cert", "add", "--app APP --host HOST:PORT --ca FILE", 0, 0,
     ENTRY_OPTIONS | CTL_TAKES(CTL_CA) | CTL_TAKES(CTL_CN) | CTL_TAKES(CTL_CHECK_CN) |
         CTL_TAKES(CTL_SNI) | CTL_TAKES(CTL_NO_NAME_CHECK) | CTL_TAKES(CTL_PLATFORM_CERTIFICATE) |
         CTL_TAKES(CTL_IGNORE_ANCHOR_EXPIRY),
     add,
     "checks that HTTPS callback by these certificates; [--cn NAME [--check-cn] [--sni]] "
     "[--no-name-check] [--platform-certificate] [--ignore-anchor-expiry]"},
    {"cert", "list", "[--app APP]", 0, 0, CTL_TAKES(CTL_APP), list,
     "all entries: what for, until when, used by how many subscriptions"},
    {"cert", "show", "--app APP --host HOST:PORT", 0, 0, ENTRY_OPTIONS, show,
     "one entry, its chain and who uses it; -q: the PEM"},
    {"cert", "delete", "--app APP --host HOST:PORT", 0, 0, ENTRY_OPTIONS, delete_entry,
     "checks it as without an entry again"},
    {"cert", "platform", "", 0, 0, 0, platform,
     "the certificate that the platform shows to callbacks; -q: the PEM alone"},
    {0},
};
