/*
 * A metric without labels has its one series in place. The others have a table from their label
 * values to series, so that counting needs one hash and no allocation once a series exists.
 */
#include "base/metric.h"

#include "base/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define SERIES_MAX      256
#define LABELS_MAX      3
#define LABEL_VALUE_MAX 127

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

static const struct {
    const char *name;
    enum kind kind;
    const char *labels;
    const char *help;
} rows[] = {
#define METRIC(id, name, kind, labels, help) [id] = {"iotpush_" name, kind, labels, help},
#include "base/metrics.def"
#undef METRIC
};

/* Upper ends in seconds; one bucket more takes the rest. */
static const double bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                0.25,   0.5,   1,      2.5,   5,    10,    15};

#define BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

struct histogram {
    uint64_t counts[BOUNDS + 1]; /* each bucket alone, summed up when printed */
    double sum;
};

struct series {
    UT_hash_handle hh;
    union {
        uint64_t count;
        double value;
        struct histogram *histogram;
    };
    size_t key_len;
    char key[]; /* label values, each with its NUL */
};

static struct {
    struct series *alone; /* of a metric without labels */
    struct series *by_labels;
} metrics[METRIC_COUNT];

struct key {
    char text[LABELS_MAX * (LABEL_VALUE_MAX + 1)];
    size_t len;
};

static unsigned label_count(enum metric metric)
{
    const char *p = rows[metric].labels;
    unsigned count = *p != '\0';

    while ((p = strchr(p, ','))) {
        count++;
        p++;
    }
    return count;
}

static void key_add(struct key *key, const char *value)
{
    size_t len = value ? strnlen(value, LABEL_VALUE_MAX) : 0;

    if (len)
        memcpy(key->text + key->len, value, len);
    key->len += len;
    key->text[key->len++] = '\0';
}

static void key_make(struct key *key, enum metric metric, const char *const values[LABELS_MAX])
{
    unsigned labels = label_count(metric);

    key->len = 0;
    for (unsigned i = 0; i < labels && i < LABELS_MAX; i++)
        key_add(key, values[i]);
}

static struct series *series_new(enum metric metric, const struct key *key)
{
    struct series *series = xcalloc(1, sizeof(*series) + key->len);

    if (rows[metric].kind == HISTOGRAM)
        series->histogram = xcalloc(1, sizeof(*series->histogram));
    series->key_len = key->len;
    memcpy(series->key, key->text, key->len);
    return series;
}

static struct series *find(enum metric metric, const struct key *key)
{
    struct series *series = NULL;

    HASH_FIND(hh, metrics[metric].by_labels, key->text, key->len, series);
    return series;
}

/* The last place is kept for "other", which takes all that does not fit. */
static struct series *find_or_add(enum metric metric, struct key *key)
{
    static const char *const other[LABELS_MAX] = {"other", "other", "other"};
    struct series *series = find(metric, key);

    if (!series && HASH_COUNT(metrics[metric].by_labels) >= SERIES_MAX - 1) {
        key_make(key, metric, other);
        series = find(metric, key);
    }
    if (!series) {
        series = series_new(metric, key);
        HASH_ADD_KEYPTR(hh, metrics[metric].by_labels, series->key, series->key_len, series);
    }
    return series;
}

static struct series *series_for(enum metric metric, const char *label1, const char *label2,
                                 const char *label3)
{
    const char *const values[LABELS_MAX] = {label1, label2, label3};
    struct key key;

    key.len = 0;
    if (rows[metric].labels[0] == '\0') {
        if (!metrics[metric].alone)
            metrics[metric].alone = series_new(metric, &key);
        return metrics[metric].alone;
    }
    key_make(&key, metric, values);
    return find_or_add(metric, &key);
}

void metric_add(enum metric metric, uint64_t n, const char *label1, const char *label2,
                const char *label3)
{
    struct series *series = series_for(metric, label1, label2, label3);

    if (rows[metric].kind == COUNTER)
        series->count += n;
    else if (rows[metric].kind == GAUGE)
        series->value += (double)n;
}

void metric_set(enum metric metric, double value, const char *label1)
{
    struct series *series = series_for(metric, label1, NULL, NULL);

    if (rows[metric].kind == GAUGE)
        series->value = value;
    else if (rows[metric].kind == COUNTER && value >= 0)
        series->count = (uint64_t)value;
}

void metric_observe(enum metric metric, double seconds, const char *label1)
{
    struct histogram *histogram;
    size_t bucket = 0;

    if (rows[metric].kind != HISTOGRAM || isnan(seconds))
        return;
    if (seconds < 0)
        seconds = 0;
    histogram = series_for(metric, label1, NULL, NULL)->histogram;
    while (bucket < BOUNDS && seconds > bounds[bucket])
        bucket++;
    histogram->counts[bucket]++;
    histogram->sum += seconds;
}

static uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i <= BOUNDS; i++)
        count += histogram->counts[i];
    return count;
}

uint64_t metric_value(enum metric metric, const char *label1, const char *label2,
                      const char *label3)
{
    const char *const values[LABELS_MAX] = {label1, label2, label3};
    const struct series *series = metrics[metric].alone;
    struct key key;

    if (rows[metric].labels[0] != '\0') {
        key_make(&key, metric, values);
        series = find(metric, &key);
    }
    if (!series)
        return 0;
    switch (rows[metric].kind) {
    case COUNTER:
        return series->count;
    case HISTOGRAM:
        return histogram_count(series->histogram);
    case GAUGE:
        break;
    }
    return series->value > 0 ? (uint64_t)series->value : 0;
}

/* --- the text form --- */

static void write_label_value(struct buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n') {
            buf_add_text(out, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *value);
    }
}

/* {a="x",b="y",le="0.5"}, or nothing when there is neither a label nor le. */
static void write_labels(struct buf *out, enum metric metric, const struct series *series,
                         const char *le)
{
    struct str rest = str_of(rows[metric].labels);
    const char *value = series->key, *before = "{";

    while (rest.len) {
        struct str name = str_split(rest, ',', &rest);

        buf_printf(out, "%s%.*s=\"", before, STR_ARG(name));
        write_label_value(out, value);
        buf_add_char(out, '"');
        value += strlen(value) + 1;
        before = ",";
    }
    if (le)
        buf_printf(out, "%sle=\"%s\"", before, le);
    if (le || rows[metric].labels[0])
        buf_add_char(out, '}');
}

/* As few digits as give the same number back. */
static void write_number(struct buf *out, double number)
{
    char text[32];

    if (isnan(number)) {
        buf_add_text(out, "NaN\n");
        return;
    }
    if (isinf(number)) {
        buf_add_text(out, number > 0 ? "+Inf\n" : "-Inf\n");
        return;
    }
    snprintf(text, sizeof(text), "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, sizeof(text), "%.17g", number);
    buf_printf(out, "%s\n", text);
}

static void write_histogram(struct buf *out, enum metric metric, const struct series *series)
{
    const struct histogram *histogram = series->histogram;
    uint64_t count = 0;
    char le[32];

    for (size_t i = 0; i <= BOUNDS; i++) {
        count += histogram->counts[i];
        if (i < BOUNDS)
            snprintf(le, sizeof(le), "%g", bounds[i]);
        buf_printf(out, "%s_bucket", rows[metric].name);
        write_labels(out, metric, series, i < BOUNDS ? le : "+Inf");
        buf_printf(out, " %" PRIu64 "\n", count);
    }
    buf_printf(out, "%s_sum", rows[metric].name);
    write_labels(out, metric, series, NULL);
    buf_add_char(out, ' ');
    write_number(out, histogram->sum);
    buf_printf(out, "%s_count", rows[metric].name);
    write_labels(out, metric, series, NULL);
    buf_printf(out, " %" PRIu64 "\n", count);
}

static void write_series(struct buf *out, enum metric metric, const struct series *series)
{
    if (rows[metric].kind == HISTOGRAM) {
        write_histogram(out, metric, series);
        return;
    }
    buf_add_text(out, rows[metric].name);
    write_labels(out, metric, series, NULL);
    buf_add_char(out, ' ');
    if (rows[metric].kind == COUNTER)
        buf_printf(out, "%" PRIu64 "\n", series->count);
    else
        write_number(out, series->value);
}

static void write_metric(struct buf *out, enum metric metric)
{
    const char *name = rows[metric].name;

    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, rows[metric].help, name,
               kind_names[rows[metric].kind]);
    if (metrics[metric].alone)
        write_series(out, metric, metrics[metric].alone);
    else if (rows[metric].kind == COUNTER && rows[metric].labels[0] == '\0')
        buf_printf(out, "%s 0\n", name);
    for (struct series *s = metrics[metric].by_labels; s; s = s->hh.next)
        write_series(out, metric, s);
}

void metric_write_all(struct buf *out)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        write_metric(out, (enum metric)i);
}

static void series_free(enum metric metric, struct series *series)
{
    if (series && rows[metric].kind == HISTOGRAM)
        free(series->histogram);
    free(series);
}

void metric_reset_all(void)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        struct series *series, *next;

        series_free((enum metric)i, metrics[i].alone);
        metrics[i].alone = NULL;
        HASH_ITER (hh, metrics[i].by_labels, series, next) {
            HASH_DELETE(hh, metrics[i].by_labels, series);
            series_free((enum metric)i, series);
        }
    }
}
