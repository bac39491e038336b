/*
 * A run over the whole path: applications with a callback URL each at our own receiver, devices that
 * report, and the ledger of what became of each report. push and drain are such runs.
 */
#ifndef BENCH_TRIAL_H
#define BENCH_TRIAL_H

#include "bench/ledger.h"
#include "bench/load.h"
#include "bench/receiver.h"
#include "bench/summary.h"

struct trial {
    const struct options *options;
    struct loop *loop;
    struct fleet fleet;
    struct tls_server *tls;
    struct receiver *receiver;
    struct load *load;
    struct ledger *ledger;
    char path[24];          /* of all callback URLs */
    size_t answering;       /* endpoints; those behind them hang */
    struct histogram times; /* from report to callback */
    uint64_t arrived, duplicates, order_violations, foreign, repeated_attempts;
    uint64_t hung;                /* requests at hanging endpoints */
    uint64_t accepted_unheard;    /* accepted reports whose callback hangs */
    int64_t started_us, load_ended_us;
    int64_t first_arrival_us, last_arrival_us;
    uint64_t shown_arrived, shown_accepted;
    bool stops_when_quiet;  /* ends the loop when nothing is missing */
};

/* Everything up to the load, which is made but not started. What was made is to be closed also after
 * a failure. */
enum bench_exit trial_open(struct trial *trial, const struct options *options, uint64_t rate);
void trial_close(struct trial *trial);

/* Sends reports for at most time_ms (0 = until all are sent), to the last one's answer. */
void trial_send(struct trial *trial, int64_t time_ms);
/* Waits, at most time_ms, until what was accepted has arrived. */
void trial_settle(struct trial *trial, int64_t time_ms);

/* The figures of both verbs; the caller adds its own before or after. */
void trial_summarize(struct trial *trial, struct summary *summary);

#endif
