/*
 * iotpushctl: administration from the shell, over the admin listener of iotpushd. Finds the command
 * in the tables of ctl/ and runs it.
 */
#include "ctl/ctl.h"

#include "base/mem.h"
#include "client/server.h"
#include "ctl/client.h"
#include <curl/curl.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct ctl_command *const tables[] = {
    ctl_app_commands,
    ctl_device_commands,
    ctl_watch_commands,
    ctl_status_commands,
    ctl_delivery_commands,
    ctl_certificate_commands,
    ctl_model_commands,
    ctl_group_commands,
    ctl_shadow_commands,
    ctl_command_commands,
};

/* All commands, one after the other; NULL behind the last. */
static const struct ctl_command *command_at(size_t index)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct ctl_command *command = tables[i]; command->noun; command++)
            if (index-- == 0)
                return command;
    return NULL;
}

struct options {
    const char *socket, *url, *token_file;
    bool wants_help, wants_version;
};

void ctl_complain(const char *format, ...)
{
    va_list args;

    fputs("iotpushctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void ctl_print_json(const struct json *value)
{
    struct json_writer *w = json_writer_new();

    if (value)
        json_value(w, value);
    else
        json_null(w);
    printf("%.*s\n", STR_ARG(json_writer_text(w)));
    json_writer_free(w);
}

bool ctl_confirm(const struct ctl *ctl, const char *question)
{
    char line[16];

    if (ctl->has_yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        ctl_complain("this needs --yes, as there is no terminal to ask at");
        return false;
    }
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* --- help */

static void print_command(const struct ctl_command *command, FILE *out)
{
    char *line = xasprintf("%s%s%s %s", command->noun, command->verb ? " " : "",
                           command->verb ? command->verb : "", command->arguments);

    fprintf(out, "  %-30s %s\n", line, command->help);
    free(line);
}

static void print_usage(FILE *out)
{
    const struct ctl_command *command;

    fputs("usage: iotpushctl [-s SOCKET | -u URL --token-file FILE] [--json] [-q] NOUN VERB "
          "[ARGUMENTS]\n\n",
          out);
    for (size_t i = 0; (command = command_at(i)); i++)
        print_command(command, out);
    fputs("  help [NOUN]                    this, or one noun's commands\n"
          "\n"
          "APP is an application's id or its name. Options may stand anywhere:\n"
          "  -s, --socket SOCKET            admin socket of iotpushd; default:\n"
          "                                 $IOTPUSH_ADMIN_SOCKET, ./iotpush-data/admin.sock,\n"
          "                                 " RUNSTATEDIR "/iotpush/admin.sock\n"
          "  -u, --url URL                  its admin listener over HTTP instead\n"
          "      --token-file FILE          file whose first line is the token for that\n"
          "      --json                     answers as JSON: one object, or one a line for lists\n"
          "  -q, --quiet                    values only, no headings and no remarks\n"
          "  -y, --yes                      don't ask\n"
          "  -h, --help   --version\n"
          "\n"
          "Exit: 0 done, 1 refused, 2 wrong usage, 3 server not reachable.\n",
          out);
}

static bool is_noun(const char *word)
{
    const struct ctl_command *command;

    for (size_t i = 0; (command = command_at(i)); i++) {
        if (strcmp(command->noun, word) == 0)
            return true;
    }
    return false;
}

/* The nearest noun, or with a noun its nearest verb; NULL when nothing is near. */
static const char *nearest(const char *word, const char *noun)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 2 + 1;
    const struct ctl_command *command;

    if (strlen(word) > 40)
        return NULL;
    for (size_t i = 0; (command = command_at(i)); i++) {
        const char *candidate = noun ? command->verb : command->noun;
        size_t distance;

        if (!candidate || (noun && strcmp(command->noun, noun) != 0))
            continue;
        distance = str_distance(word, candidate);
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    if (!noun && str_distance(word, "help") < best_distance)
        best = "help";
    return best;
}

static enum ctl_exit say_unknown(const char *what, const char *word, const char *suggestion,
                                 const char *noun)
{
    if (suggestion)
        ctl_complain("%s %s is not known: did you mean %s?", what, word, suggestion);
    else
        ctl_complain("%s %s is not known; see iotpushctl help%s%s", what, word, noun ? " " : "",
                     noun ? noun : "");
    return CTL_USAGE;
}

static enum ctl_exit help(const char *noun)
{
    const struct ctl_command *command;

    if (!noun) {
        print_usage(stdout);
        return CTL_DONE;
    }
    if (!is_noun(noun))
        return say_unknown("noun", noun, nearest(noun, NULL), NULL);
    for (size_t i = 0; (command = command_at(i)); i++) {
        if (strcmp(command->noun, noun) == 0)
            print_command(command, stdout);
    }
    return CTL_DONE;
}

/* --- finding the command */

/* words: NOUN [VERB] [ARGUMENTS], NULL-terminated. NULL when it has been said what is wrong. */
static const struct ctl_command *find_command(char **words, int count, char ***arguments)
{
    const char *noun = words[0], *verb = count > 1 ? words[1] : NULL;
    const struct ctl_command *command;
    int given;

    if (!is_noun(noun)) {
        say_unknown("noun", noun, nearest(noun, NULL), NULL);
        return NULL;
    }
    for (size_t i = 0; (command = command_at(i)); i++) {
        if (strcmp(command->noun, noun) != 0)
            continue;
        if (command->verb && (!verb || strcmp(command->verb, verb) != 0))
            continue;
        given = count - (command->verb ? 2 : 1);
        if (given < command->argument_count ||
            given > command->argument_count + command->optional_count) {
            ctl_complain("usage: iotpushctl %s%s%s %s", noun, command->verb ? " " : "",
                         command->verb ? command->verb : "", command->arguments);
            return NULL;
        }
        *arguments = words + (command->verb ? 2 : 1);
        return command;
    }
    if (verb)
        say_unknown("verb", verb, nearest(verb, noun), noun);
    else
        ctl_complain("a verb is missing; see iotpushctl help %s", noun);
    return NULL;
}

/* --- finding the server */

static struct client *connect_client(struct arena *arena, const struct options *options)
{
    const char *token = NULL, *url = options->url, *error = NULL;

    if (options->token_file) {
        token = server_read_token(arena, options->token_file, &error);
        if (!token) {
            ctl_complain("--token-file %s", error);
            return NULL;
        }
    }
    if (!url)
        return client_new(options->socket ? options->socket : server_default_socket(arena),
                          NULL, token);
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        ctl_complain("-u %s: not a URL; write http://127.0.0.1:8090", url);
        return NULL;
    }
    while (str_ends_with(str_of(url), STR("/")))
        url = arena_dup0(arena, str_n(url, strlen(url) - 1));
    return client_new(NULL, url, token);
}

/* --- options */

/* Those that belong to certain commands stand behind the others, in the order of enum ctl_option. */
enum { OPTION_TOKEN_FILE = 256, OPTION_JSON, OPTION_VERSION, OPTION_OF_COMMANDS };
static const struct option known_options[] = {
    {"socket", required_argument, NULL, 's'},
    {"url", required_argument, NULL, 'u'},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"yes", no_argument, NULL, 'y'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"cascade", no_argument, NULL, OPTION_OF_COMMANDS + CTL_CASCADE},
    {"app", required_argument, NULL, OPTION_OF_COMMANDS + CTL_APP},
    {"failing", no_argument, NULL, OPTION_OF_COMMANDS + CTL_FAILING},
    {"all", no_argument, NULL, OPTION_OF_COMMANDS + CTL_ALL},
    {"host", required_argument, NULL, OPTION_OF_COMMANDS + CTL_HOST},
    {"ca", required_argument, NULL, OPTION_OF_COMMANDS + CTL_CA},
    {"cn", required_argument, NULL, OPTION_OF_COMMANDS + CTL_CN},
    {"check-cn", no_argument, NULL, OPTION_OF_COMMANDS + CTL_CHECK_CN},
    {"sni", no_argument, NULL, OPTION_OF_COMMANDS + CTL_SNI},
    {"no-name-check", no_argument, NULL, OPTION_OF_COMMANDS + CTL_NO_NAME_CHECK},
    {"platform-certificate", no_argument, NULL, OPTION_OF_COMMANDS + CTL_PLATFORM_CERTIFICATE},
    {"ignore-anchor-expiry", no_argument, NULL, OPTION_OF_COMMANDS + CTL_IGNORE_ANCHOR_EXPIRY},
    {"members", no_argument, NULL, OPTION_OF_COMMANDS + CTL_MEMBERS},
    {"replace", no_argument, NULL, OPTION_OF_COMMANDS + CTL_REPLACE},
    {"force", no_argument, NULL, OPTION_OF_COMMANDS + CTL_FORCE},
    {"status", required_argument, NULL, OPTION_OF_COMMANDS + CTL_STATUS},
    {"type", required_argument, NULL, OPTION_OF_COMMANDS + CTL_TYPE},
    {"name", required_argument, NULL, OPTION_OF_COMMANDS + CTL_NAME},
    {"gateway", required_argument, NULL, OPTION_OF_COMMANDS + CTL_GATEWAY},
    {"page", required_argument, NULL, OPTION_OF_COMMANDS + CTL_PAGE},
    {"size", required_argument, NULL, OPTION_OF_COMMANDS + CTL_SIZE},
    {"out", required_argument, NULL, OPTION_OF_COMMANDS + CTL_OUT},
    {"device", required_argument, NULL, OPTION_OF_COMMANDS + CTL_DEVICE},
    {"count", required_argument, NULL, OPTION_OF_COMMANDS + CTL_COUNT},
    {"timeout", required_argument, NULL, OPTION_OF_COMMANDS + CTL_TIMEOUT},
    {0},
};

static const char *name_of_option(int value)
{
    const struct option *option = known_options;

    while (option->name && option->val != value)
        option++;
    return option->name;
}

/* false: getopt has said what is wrong. */
static bool take_option(int option, struct options *options, struct ctl *ctl)
{
    switch (option) {
    case 's':
        options->socket = optarg;
        return true;
    case 'u':
        options->url = optarg;
        return true;
    case OPTION_TOKEN_FILE:
        options->token_file = optarg;
        return true;
    case OPTION_JSON:
        ctl->wants_json = true;
        return true;
    case 'q':
        ctl->is_quiet = true;
        return true;
    case 'y':
        ctl->has_yes = true;
        return true;
    case 'h':
        options->wants_help = true;
        return true;
    case OPTION_VERSION:
        options->wants_version = true;
        return true;
    default:
        if (option < OPTION_OF_COMMANDS)
            return false;
        ctl->options[option - OPTION_OF_COMMANDS] = optarg ? optarg : "";
        return true;
    }
}

static bool parse_options(int argc, char **argv, struct options *options, struct ctl *ctl)
{
    int option;

    while ((option = getopt_long(argc, argv, "s:u:qyh", known_options, NULL)) != -1) {
        if (!take_option(option, options, ctl))
            return false;
    }
    if (options->socket && options->url) {
        ctl_complain("-s and -u exclude each other");
        return false;
    }
    return true;
}

static bool options_belong(const struct ctl *ctl, const struct ctl_command *command)
{
    for (int i = 0; i < CTL_OPTION_COUNT; i++) {
        if (ctl->options[i] && !(command->options & CTL_TAKES(i))) {
            ctl_complain("--%s does not belong to %s%s%s", name_of_option(OPTION_OF_COMMANDS + i),
                         command->noun, command->verb ? " " : "",
                         command->verb ? command->verb : "");
            return false;
        }
    }
    return true;
}

static enum ctl_exit run(struct ctl *ctl, const struct options *options, char **words, int count)
{
    const struct ctl_command *command;
    char **arguments = NULL;
    enum ctl_exit result;

    if (options->wants_version) {
        printf("iotpushctl %s (%s)\n", PACKAGE_VERSION, curl_version());
        return CTL_DONE;
    }
    if (options->wants_help)
        return help(count ? words[0] : NULL);
    if (count == 0) {
        print_usage(stderr);
        return CTL_USAGE;
    }
    if (strcmp(words[0], "help") == 0)
        return help(count > 1 ? words[1] : NULL);
    command = find_command(words, count, &arguments);
    if (!command)
        return CTL_USAGE;
    if (!options_belong(ctl, command))
        return CTL_USAGE;
    ctl->client = connect_client(ctl->arena, options);
    if (!ctl->client)
        return CTL_USAGE;
    result = command->run(ctl, arguments);
    client_free(ctl->client);
    return result;
}

int main(int argc, char **argv)
{
    struct ctl ctl = {.arena = arena_new()};
    struct options options = {0};
    enum ctl_exit result = CTL_USAGE;

    setlocale(LC_CTYPE, "");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (parse_options(argc, argv, &options, &ctl))
        result = run(&ctl, &options, argv + optind, argc - optind);
    arena_free(ctl.arena);
    curl_global_cleanup();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        ctl_complain("cannot write the answer: %m");
        return CTL_REFUSED;
    }
    return result;
}
