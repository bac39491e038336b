/*
 * What became of each report: one byte per report, by device and number. So a loss, a repetition and
 * a wrong order are known exactly, not by what is likely.
 */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;

enum arrival {
    ARRIVAL_FIRST,
    ARRIVAL_LATE,    /* the first of its number, but a later one has come before */
    ARRIVAL_AGAIN,
    ARRIVAL_UNKNOWN, /* was never sent */
};

struct ledger *ledger_new(size_t devices);
void ledger_free(struct ledger *ledger);

/* The numbers of a device's reports are 0, 1, 2 ... */
void ledger_sent(struct ledger *ledger, size_t device, uint64_t number);
void ledger_accepted(struct ledger *ledger, size_t device, uint64_t number);
/* It was not accepted, or nobody knows: it may still arrive, but need not. false: it has arrived
 * before. */
bool ledger_failed(struct ledger *ledger, size_t device, uint64_t number);
enum arrival ledger_arrived(struct ledger *ledger, size_t device, uint64_t number,
                            bool *was_failed);

/* Accepted reports that have not arrived. */
uint64_t ledger_missing(const struct ledger *ledger);

#endif
