#include "bench/ledger.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

enum { SENT = 1, ACCEPTED = 2, FAILED = 4, ARRIVED = 8 };

struct book {
    uint8_t *marks; /* by number */
    uint64_t capacity;
    uint64_t next; /* behind the highest number that has arrived */
};

struct ledger {
    size_t devices;
    uint64_t missing;
    struct book books[];
};

struct ledger *ledger_new(size_t devices)
{
    struct ledger *ledger = xcalloc(1, sizeof(*ledger) + devices * sizeof(struct book));

    ledger->devices = devices;
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    for (size_t i = 0; i < ledger->devices; i++)
        free(ledger->books[i].marks);
    free(ledger);
}

void ledger_sent(struct ledger *ledger, size_t device, uint64_t number)
{
    struct book *book = &ledger->books[device];

    if (number >= book->capacity) {
        uint64_t capacity = book->capacity ? book->capacity * 2 : 64;

        book->marks = xrealloc(book->marks, capacity);
        memset(book->marks + book->capacity, 0, capacity - book->capacity);
        book->capacity = capacity;
    }
    book->marks[number] = SENT;
}

void ledger_accepted(struct ledger *ledger, size_t device, uint64_t number)
{
    uint8_t *mark = &ledger->books[device].marks[number];

    *mark |= ACCEPTED;
    if (!(*mark & ARRIVED))
        ledger->missing++;
}

bool ledger_failed(struct ledger *ledger, size_t device, uint64_t number)
{
    uint8_t *mark = &ledger->books[device].marks[number];

    *mark |= FAILED;
    return !(*mark & ARRIVED);
}

enum arrival ledger_arrived(struct ledger *ledger, size_t device, uint64_t number,
                            bool *was_failed)
{
    struct book *book;
    uint8_t *mark;

    if (device >= ledger->devices)
        return ARRIVAL_UNKNOWN;
    book = &ledger->books[device];
    if (number >= book->capacity || !(book->marks[number] & SENT))
        return ARRIVAL_UNKNOWN;
    mark = &book->marks[number];
    if (*mark & ARRIVED)
        return ARRIVAL_AGAIN;
    *was_failed = *mark & FAILED;
    *mark |= ARRIVED;
    if (*mark & ACCEPTED)
        ledger->missing--;
    if (number < book->next)
        return ARRIVAL_LATE;
    book->next = number + 1;
    return ARRIVAL_FIRST;
}

uint64_t ledger_missing(const struct ledger *ledger)
{
    return ledger->missing;
}
