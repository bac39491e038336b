#include "options.h"

#include <event2/event.h>
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yajl/yajl_version.h>

#define DEFAULT_FILE SYSCONFDIR "/iotpush/iotpushd.conf"

static void print_help(FILE *out)
{
    fputs("usage: iotpushd [-c FILE] [-t] [-f] [-v]... [--set SECTION.KEY=VALUE]...\n"
          "\n"
          "  -c FILE          configuration; default " DEFAULT_FILE "\n"
          "  -t               test the configuration and exit: 0 right, 1 wrong\n"
          "  -f               stay in the foreground (it always does)\n"
          "  -v               write more to the log; twice: everything\n"
          "  --set S.KEY=V    overrides a setting; so does IOTPUSH_S_KEY in the environment\n"
          "  --help-config    all settings, with units, bounds and defaults\n"
          "  --version        version, also of the libraries\n"
          "  --help           this\n"
          "\n"
          "signals: TERM, INT stop (twice: at once), HUP reload, USR1 status into the log\n"
          "exit: 0 stopped, 1 configuration wrong, 2 usage, 3 cannot start, 70 internal error\n",
          out);
}

static void print_version(void)
{
    printf("iotpushd " PACKAGE_VERSION "\nlibevent %s, %s, hiredis %d.%d.%d, yajl %d.%d.%d\n",
           event_get_version(), OpenSSL_version(OPENSSL_VERSION), HIREDIS_MAJOR, HIREDIS_MINOR,
           HIREDIS_PATCH, YAJL_MAJOR, YAJL_MINOR, YAJL_MICRO);
}

enum { OPTION_SET = 256, OPTION_HELP, OPTION_HELP_CONFIG, OPTION_VERSION };

static const struct option long_options[] = {
    {"set", required_argument, NULL, OPTION_SET},
    {"help", no_argument, NULL, OPTION_HELP},
    {"help-config", no_argument, NULL, OPTION_HELP_CONFIG},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static void usage_error(const char *what)
{
    if (what)
        fprintf(stderr, "iotpushd: %s\n", what);
    fputs("iotpushd --help says how it is used\n", stderr);
    exit(2);
}

static void take_option(struct options *options, int option)
{
    switch (option) {
    case 'c':
        options->file = optarg;
        options->is_file_given = true;
        break;
    case 't':
        options->tests_only = true;
        break;
    case 'f':
        break;
    case 'v':
        options->verbosity++;
        break;
    case OPTION_SET:
        if (options->override_count == MAX_OVERRIDES)
            usage_error("too many --set");
        options->overrides[options->override_count++] = optarg;
        break;
    case OPTION_HELP:
        print_help(stdout);
        exit(0);
    case OPTION_HELP_CONFIG:
        settings_print_help(settings_table, stdout);
        exit(0);
    case OPTION_VERSION:
        print_version();
        exit(0);
    default:
        usage_error(NULL);
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    int option;

    *options = (struct options){0};
    while ((option = getopt_long(argc, argv, "c:tfv", long_options, NULL)) != -1)
        take_option(options, option);
    if (optind < argc)
        usage_error("takes no arguments besides its options");
    if (!options->file && access(DEFAULT_FILE, F_OK) == 0)
        options->file = DEFAULT_FILE;
}

static void complain(const char *line, void *arg)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

int options_load_settings(const struct options *options, struct settings *settings,
                          struct settings_source **source)
{
    struct settings_input input = {
        .program = "IOTPUSH",
        .file = options->file,
        .environment = environ,
        .overrides = options->overrides,
    };
    int mistakes = settings_load(settings_table, &input, settings, source, complain, NULL);

    /* Settings that belong together are looked at when each is right by itself. */
    if (!mistakes)
        mistakes = settings_check(settings, *source, complain, NULL);
    settings->log.level += options->verbosity;
    if (settings->log.level > LOG_LEVEL_DEBUG)
        settings->log.level = LOG_LEVEL_DEBUG;
    return mistakes;
}
