/*
 * device import: a file of comma-separated values, whose first line names the columns, becomes
 * registrations, some hundreds per request. Credentials go to a file of their own. What fails is said
 * with its line, and does not stop the rest; a node id that exists is left as it is, so a run that broke
 * off is continued by the same command.
 */
#include "ctl/device.h"

#include "base/mem.h"
#include "ctl/app.h"
#include "ctl/client.h"
#include "ctl/csv.h"
#include "ctl/progress.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH_ROWS    500             /* the server's own limit */
#define BATCH_BYTES   (512 * 1024)    /* half of what limits.body_bytes allows by default */
#define COMPLAINT_MAX 1000            /* lines; more are only counted */

/* What may stand in the first line. timeout is a number. */
static const char *const column_names[] = {
    "nodeId",       "name",       "deviceType",   "manufacturerId", "manufacturerName",
    "model",        "protocolType", "productId",  "mode",           "secret",
    "verifyCode",   "psk",        "timeout",      "gatewayId",      "description",
    "location",     "mac",        "swVersion",    "fwVersion",      "hwVersion",
    "sigVersion",   "serialNumber", "supportedSecurity", "isSecurity", "endUserId",
    "imsi",         "organization", "region",     "timezone",       "account",
};
#define COLUMN_NAMES (sizeof(column_names) / sizeof(*column_names))

struct row {
    uint64_t line;
    struct str node_id;
};

struct import {
    struct ctl *ctl;
    const char *path, *file, *out_file;
    struct csv csv;
    FILE *out;
    uint64_t file_bytes;
    const char *columns[CSV_FIELDS_MAX];
    size_t column_count, node_id_column;
    struct arena *arena; /* of a batch */
    struct json_writer *body;
    struct row rows[BATCH_ROWS];
    size_t count;
    uint64_t registered, existing, failed;
    struct progress progress;
};

/* ---- complaints ---- */

static void row_failed(struct import *import, uint64_t line, struct str node_id,
                       const char *code, const char *problem)
{
    if (import->failed++ >= COMPLAINT_MAX)
        return;
    progress_clear(&import->progress);
    fprintf(stderr, "%s:%" PRIu64 ": ", import->file, line);
    for (size_t i = 0; i < node_id.len; i++)
        fputc((unsigned char)node_id.p[i] < 0x20 ? '?' : node_id.p[i], stderr);
    fprintf(stderr, "%s%s%s%s\n", node_id.len ? ": " : "", code, *code ? " " : "", problem);
    if (import->failed == COMPLAINT_MAX)
        fputs("more failures are only counted\n", stderr);
}

/* ---- the first line ---- */

static const char *column_of(struct str name)
{
    for (size_t i = 0; i < COLUMN_NAMES; i++) {
        if (str_eq_nocase(name, str_of(column_names[i])))
            return column_names[i];
    }
    return NULL;
}

static void say_unknown_column(const struct import *import, const char *name)
{
    const char *best = NULL;
    size_t best_distance = strlen(name) / 2 + 1;

    for (size_t i = 0; strlen(name) <= 40 && i < COLUMN_NAMES; i++) {
        size_t distance = str_distance(name, column_names[i]);

        if (distance < best_distance) {
            best = column_names[i];
            best_distance = distance;
        }
    }
    ctl_complain("%s:1: the column %s is not known%s%s%s", import->file, name,
                 best ? ": did you mean " : "", best ? best : "", best ? "?" : "");
}

static bool is_repeated(const struct import *import, const char *column)
{
    for (size_t i = 0; i < import->column_count; i++) {
        if (import->columns[i] == column)
            return true;
    }
    return false;
}

/* false: it was said what is wrong with it. */
static bool read_heading(struct import *import)
{
    struct str fields[CSV_FIELDS_MAX];
    size_t count = 0;

    import->node_id_column = CSV_FIELDS_MAX;
    if (csv_read(&import->csv, import->ctl->arena, fields, &count) != CSV_ROW) {
        ctl_complain("%s: the first line must name the columns: nodeId,name,...", import->file);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct str name = str_trim(fields[i]);
        const char *column = column_of(name);

        if (!column || is_repeated(import, column)) {
            if (column)
                ctl_complain("%s:1: the column %s is there twice", import->file, column);
            else
                say_unknown_column(import, arena_dup0(import->ctl->arena, name));
            return false;
        }
        if (strcmp(column, "nodeId") == 0)
            import->node_id_column = i;
        import->columns[import->column_count++] = column;
    }
    if (import->node_id_column == CSV_FIELDS_MAX)
        ctl_complain("%s:1: there is no column nodeId", import->file);
    return import->node_id_column < CSV_FIELDS_MAX;
}

/* ---- the credentials' file ---- */

/* Behind what an earlier run has written. */
static bool open_out(struct import *import)
{
    int fd = open(import->out_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat facts;

    if (fd < 0 || fstat(fd, &facts) < 0) {
        ctl_complain("%s: %s", import->out_file, strerror(errno));
    } else if (!S_ISREG(facts.st_mode) || facts.st_mode & (S_IRWXG | S_IRWXO)) {
        ctl_complain("%s: others than its owner may use this file; it is not for credentials",
                     import->out_file);
    } else {
        import->out = fdopen(fd, "a");
        if (facts.st_size == 0)
            fputs("nodeId,deviceId,secret,verifyCode,psk\n", import->out);
        return true;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

static void write_field(FILE *out, struct str text, char end)
{
    bool is_quoted = memchr(text.p ? text.p : "", ',', text.len) ||
                     memchr(text.p ? text.p : "", '"', text.len) ||
                     memchr(text.p ? text.p : "", '\n', text.len);

    if (is_quoted)
        fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '"')
            fputc('"', out);
        fputc(text.p[i], out);
    }
    if (is_quoted)
        fputc('"', out);
    fputc(end, out);
}

static void write_credentials(struct import *import, struct str node_id, const struct json *made)
{
    write_field(import->out, node_id, ',');
    write_field(import->out, json_get_str(made, "deviceId"), ',');
    write_field(import->out, json_get_str(made, "secret"), ',');
    write_field(import->out, json_get_str(made, "verifyCode"), ',');
    write_field(import->out, json_get_str(made, "psk"), '\n');
}

/* ---- batches ---- */

static void begin_batch(struct import *import)
{
    arena_reset(import->arena);
    json_writer_reset(import->body);
    json_object(import->body);
    json_key(import->body, "devices");
    json_array(import->body);
    import->count = 0;
}

static void take_result(struct import *import, const struct row *row, const struct json *result)
{
    struct str problem = json_get_str(result, "problem"), code = json_get_str(result, "code");

    if (!json_get_str(result, "deviceId").p) {
        row_failed(import, row->line, row->node_id, code.p ? code.p : "",
                   problem.p ? (code.p ? problem.p
                                       : arena_printf(import->arena, "%s is not right", problem.p))
                             : "no answer");
    } else if (json_get(result, "exists")) {
        import->existing++;
    } else {
        import->registered++;
        write_credentials(import, row->node_id, result);
    }
}

/* Registers the batch. What it got is on the disk before the next one is sent. */
static enum ctl_exit send_batch(struct import *import)
{
    struct client_answer answer;
    const struct json *results;
    enum ctl_exit result;
    size_t taken = 0;

    json_array_end(import->body);
    json_object_end(import->body);
    result = client_request(import->ctl->client, import->arena, "POST", import->path,
                            json_writer_text(import->body).p, false, &answer);
    if (result != CTL_DONE)
        return result;
    results = json_get(answer.json, "results");
    JSON_FOREACH (one, results) {
        if (taken < import->count)
            take_result(import, &import->rows[taken++], one);
    }
    while (taken < import->count)
        take_result(import, &import->rows[taken++], NULL);
    if (fflush(import->out) != 0) {
        ctl_complain("%s: %s", import->out_file, strerror(errno));
        return CTL_REFUSED;
    }
    progress_show(&import->progress, import->csv.bytes, import->file_bytes,
                  import->registered + import->existing + import->failed);
    return CTL_DONE;
}

/* Writes a row into the body; false: it was counted as failed. */
static bool add_row(struct import *import, const struct str *fields, size_t count)
{
    struct json_writer *w = import->body;
    struct str node_id = import->node_id_column < count ? fields[import->node_id_column] : STR_NONE;
    uint64_t number;

    if (count > import->column_count) {
        row_failed(import, import->csv.line, node_id, "", "more fields than columns");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const char *problem = !str_is_utf8(fields[i]) ? " is not UTF-8"
                              : strcmp(import->columns[i], "timeout") == 0 && fields[i].len &&
                                      !str_to_u64(fields[i], INT32_MAX, &number)
                                  ? " is not a number of seconds"
                                  : NULL;

        if (problem) {
            row_failed(import, import->csv.line, i == import->node_id_column ? STR_NONE : node_id, "",
                       arena_printf(import->arena, "%s%s", import->columns[i], problem));
            return false;
        }
    }
    json_object(w);
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].len)
            continue;
        if (strcmp(import->columns[i], "timeout") == 0)
            json_member_raw(w, "timeout", fields[i]);
        else
            json_member_str(w, import->columns[i], fields[i]);
    }
    json_object_end(w);
    import->rows[import->count++] = (struct row){import->csv.line, node_id};
    return true;
}

static enum ctl_exit import_rows(struct import *import)
{
    struct str fields[CSV_FIELDS_MAX];
    enum csv_result read = CSV_ROW;
    size_t count = 0;

    do {
        uint64_t begin = import->csv.bytes;

        begin_batch(import);
        while (import->count < BATCH_ROWS && import->csv.bytes - begin < BATCH_BYTES &&
               (read = csv_read(&import->csv, import->arena, fields, &count)) != CSV_END) {
            if (read == CSV_ROW)
                add_row(import, fields, count);
            else
                row_failed(import, import->csv.line, STR_NONE, "",
                           "a quote that does not fit, or too much in one line");
        }
        if (import->count > 0) {
            enum ctl_exit result = send_batch(import);

            if (result != CTL_DONE)
                return result;
        }
    } while (read != CSV_END);
    return ferror(import->csv.file) ? CTL_REFUSED : CTL_DONE;
}

/* ---- the command ---- */

static void print_summary(const struct import *import)
{
    struct json_writer *w;

    if (import->ctl->wants_json) {
        w = json_writer_new();
        json_object(w);
        json_member_i64(w, "registered", (int64_t)import->registered);
        json_member_i64(w, "existing", (int64_t)import->existing);
        json_member_i64(w, "failed", (int64_t)import->failed);
        json_member_text(w, "credentials", import->out_file);
        json_object_end(w);
        printf("%.*s\n", STR_ARG(json_writer_text(w)));
        json_writer_free(w);
    } else if (!import->ctl->is_quiet) {
        printf("registered %" PRIu64 ", existed already %" PRIu64 ", failed %" PRIu64 "\n",
               import->registered, import->existing, import->failed);
        printf("credentials are in %s\n", import->out_file);
    }
}

static enum ctl_exit run_import(struct import *import)
{
    enum ctl_exit result;
    struct stat facts;

    if (fstat(fileno(import->csv.file), &facts) == 0)
        import->file_bytes = (uint64_t)facts.st_size;
    if (!read_heading(import))
        return CTL_USAGE;
    if (!open_out(import))
        return CTL_REFUSED;
    import->arena = arena_new();
    import->body = json_writer_new();
    progress_start(&import->progress, "devices", !import->ctl->is_quiet);
    result = import_rows(import);
    progress_clear(&import->progress);
    if (fclose(import->out) != 0) {
        ctl_complain("%s: %s", import->out_file, strerror(errno));
        result = CTL_REFUSED;
    }
    print_summary(import);
    json_writer_free(import->body);
    arena_free(import->arena);
    return result == CTL_DONE && import->failed ? CTL_REFUSED : result;
}

/* devices.csv -> devices.credentials.csv */
static const char *out_file_of(struct ctl *ctl, const char *file)
{
    struct str name = str_of(file);

    if (ctl->options[CTL_OUT])
        return ctl->options[CTL_OUT];
    if (str_ends_with(name, STR(".csv")))
        name.len -= 4;
    return arena_printf(ctl->arena, "%.*s.credentials.csv", STR_ARG(name));
}

enum ctl_exit ctl_import_devices(struct ctl *ctl, char **arguments)
{
    struct import *import;
    const struct json *app;
    enum ctl_exit result;
    FILE *file;

    if (!ctl->options[CTL_APP]) {
        ctl_complain("--app APP is needed: its id, or its name");
        return CTL_USAGE;
    }
    file = fopen(arguments[0], "re");
    if (!file) {
        ctl_complain("%s: %s", arguments[0], strerror(errno));
        return CTL_USAGE;
    }
    result = ctl_find_app(ctl, ctl->options[CTL_APP], &app);
    if (result == CTL_DONE) {
        import = xcalloc(1, sizeof(*import));
        import->ctl = ctl;
        import->path = ctl_app_path(ctl, json_get_str(app, "appId"), "/devices");
        import->file = arguments[0];
        import->out_file = out_file_of(ctl, arguments[0]);
        csv_init(&import->csv, file);
        result = run_import(import);
        free(import);
    }
    fclose(file);
    return result;
}
