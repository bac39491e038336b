/*
 * iotpush-bench: measures a running iotpushd, and is the callback that it is measured with. Finds the
 * verb in a table; bench/ has a file per verb.
 */
#include "bench/bench.h"

#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    enum verb verb;
    enum bench_exit (*run)(const struct options *options);
    const char *help;
} verbs[] = {
    {"sink", VERB_SINK, sink_run, "receive callbacks, count them, fail as told"},
    {"report", VERB_REPORT, report_run, "devices that report, to their answers"},
    {"push", VERB_PUSH, push_run, "the whole path, from report to callback"},
    {"drain", VERB_DRAIN, drain_run, "a backlog that was held back, pushed as fast as it goes"},
    {"connect", VERB_CONNECT, connect_run, "idle connections over MQTT, made, held and counted"},
    {"store", VERB_STORE, store_run, "messages of any MQTT broker, written to Redis: to compare with"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(*verbs))

void bench_complain(const char *format, ...)
{
    va_list args;

    fputs("iotpush-bench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void print_usage(FILE *out)
{
    fputs("usage: iotpush-bench VERB [OPTIONS]\n\n", out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].help);
    fputs("\niotpush-bench VERB --help lists a verb's options. Times are written 500ms, 15s, 10m, "
          "sizes 400, 64k.\n"
          "Exit: 0 done, 1 not as expected or not done, 2 wrong usage, 3 server not reachable.\n",
          out);
}

static enum bench_exit run(size_t which, int argc, char **argv)
{
    struct options options;
    enum bench_exit result = BENCH_DONE;

    switch (options_parse(&options, verbs[which].verb, argc, argv)) {
    case OPTIONS_OK:
        result = verbs[which].run(&options);
        break;
    case OPTIONS_HELP:
        printf("usage: iotpush-bench %s [OPTIONS]: %s\n\n", verbs[which].name, verbs[which].help);
        options_print(verbs[which].verb, stdout);
        break;
    case OPTIONS_WRONG:
        bench_complain("iotpush-bench %s --help lists the options", verbs[which].name);
        result = BENCH_USAGE;
        break;
    }
    options_clear(&options);
    return result;
}

int main(int argc, char **argv)
{
    enum bench_exit result = BENCH_USAGE;
    const char *word = argc > 1 ? argv[1] : "";
    size_t which = 0;

    while (which < VERB_COUNT && strcmp(verbs[which].name, word) != 0)
        which++;
    if (which < VERB_COUNT) {
        result = run(which, argc - 1, argv + 1);
    } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_usage(stdout);
        result = BENCH_DONE;
    } else if (strcmp(word, "--version") == 0) {
        puts("iotpush-bench " PACKAGE_VERSION);
        result = BENCH_DONE;
    } else {
        if (*word)
            bench_complain("%s is not known", word);
        print_usage(stderr);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        bench_complain("cannot write the summary: %m");
        return BENCH_FAILED;
    }
    return result;
}
