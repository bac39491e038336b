#include "bench/options.h"

#include "base/mem.h"
#include "base/setting_value.h"
#include "bench/bench.h"
#include "bench/faults.h"
#include "net/http_server.h"
#include <getopt.h>
#include <stdlib.h>

#define MINUTE    60000ll
#define DAY       (1440 * MINUTE)
#define AT(field) offsetof(struct options, field)

struct option_row {
    int verbs;
    struct setting value; /* section is not used */
};

static const struct option_row rows[] = {
    {VERB_SINK,
     {"", "listen", SETTING_TEXT, AT(listen), "127.0.0.1:9080", 0, 0, NULL, false,
      "Address to receive callbacks at", http_address_check}},
    {VERB_SINK,
     {"", "tls", SETTING_BOOL, AT(has_tls), "off", 0, 0, NULL, false,
      "Speak HTTPS; needs certificate and key", NULL}},
    {VERB_SINK,
     {"", "certificate", SETTING_TEXT, AT(certificate), "", 0, 0, NULL, false,
      "The receiver's certificate and its chain, PEM", NULL}},
    {VERB_SINK,
     {"", "key", SETTING_TEXT, AT(key), "", 0, 0, NULL, false, "Its private key, PEM", NULL}},
    {VERB_SINK,
     {"", "delay", SETTING_TIME, AT(delay_ms), "0", 0, 60 * MINUTE, NULL, false,
      "Answer so much later", NULL}},
    {VERB_SINK,
     {"", "status", SETTING_INT, AT(status), "200", 200, 599, NULL, false,
      "Status of the answers", NULL}},
    {VERB_SINK,
     {"", "fail", SETTING_LIST, AT(fail), "", 0, 0, NULL, false,
      "Failures to give, the first that applies: every=10:503, rate=5%:503, hang=10%, reset=5%, "
      "flap=10s/5s",
      faults_check}},
    {VERB_SINK,
     {"", "connections", SETTING_INT, AT(max_connections), "10000", 1, 1000000, NULL, false,
      "Open connections; more are closed at once", NULL}},
    {VERB_SINK,
     {"", "duration", SETTING_TIME, AT(duration_ms), "0", 0, 30 * DAY, NULL, false,
      "Stop after this; 0: at a signal", NULL}},
    {VERB_SINK,
     {"", "json", SETTING_BOOL, AT(wants_json), "off", 0, 0, NULL, false,
      "The summary as one JSON object", NULL}},
};

#define ROW_COUNT   (sizeof(rows) / sizeof(*rows))
#define OPTION_BASE 256 /* above all characters: getopt's value of row 0 */

static bool belongs_to(const struct option_row *row, enum verb verb)
{
    return row->verbs & (int)verb;
}

static bool take_value(struct options *options, const struct option_row *row, const char *text)
{
    char *wrong = setting_value_parse(&row->value, text, options);

    if (!wrong)
        return true;
    bench_complain("--%s %s: %s", row->value.key, text, wrong);
    free(wrong);
    return false;
}

static void list_options(enum verb verb, struct option *known)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        int needs = rows[i].value.type == SETTING_BOOL ? no_argument : required_argument;

        if (belongs_to(&rows[i], verb))
            *known++ = (struct option){rows[i].value.key, needs, NULL, OPTION_BASE + (int)i};
    }
    *known++ = (struct option){"help", no_argument, NULL, 'h'};
    *known = (struct option){0};
}

enum options_result options_parse(struct options *options, enum verb verb, int argc, char **argv)
{
    struct option known[ROW_COUNT + 2];
    int option;

    *options = (struct options){0};
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!take_value(options, &rows[i], rows[i].value.fallback))
            return OPTIONS_WRONG;
    }
    list_options(verb, known);
    opterr = 0; /* its words name the verb as if it were the program */
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'h')
            return OPTIONS_HELP;
        if (option < OPTION_BASE) {
            bench_complain("%s: not an option, or without its value", argv[optind - 1]);
            return OPTIONS_WRONG;
        }
        if (!take_value(options, &rows[option - OPTION_BASE], optarg ? optarg : "on"))
            return OPTIONS_WRONG;
    }
    if (optind == argc)
        return OPTIONS_OK;
    bench_complain("%s: takes no arguments besides its options", argv[optind]);
    return OPTIONS_WRONG;
}

void options_clear(struct options *options)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        setting_value_clear(&rows[i].value, options);
}

static const char *placeholder(enum setting_type type)
{
    switch (type) {
    case SETTING_BOOL:
        return "";
    case SETTING_INT:
        return " N";
    case SETTING_SIZE:
        return " SIZE";
    case SETTING_TIME:
        return " TIME";
    default:
        return " TEXT";
    }
}

void options_print(enum verb verb, FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct setting *value = &rows[i].value;
        char *name;

        if (!belongs_to(&rows[i], verb))
            continue;
        name = xasprintf("--%s%s", value->key, placeholder(value->type));
        fprintf(out, "  %-26s %s", name, value->help);
        if (value->type != SETTING_BOOL && *value->fallback)
            fprintf(out, " (%s)", value->fallback);
        fputc('\n', out);
        free(name);
    }
    fputs("  --help                     this\n", out);
}
