/*
 * Words from node to node, by a list in Redis for each, which lives for a moment only: nobody may be
 * there to read it. Few and small; a word may be lost, and may be heard twice.
 */
#ifndef CORE_MAILBOX_H
#define CORE_MAILBOX_H

#include "core/core.h"

struct mailbox;

/* heard() is called for each word: "<what> <device> <about>". redis is for blocking reads, this
 * mailbox's alone, and not owned. */
struct mailbox *mailbox_new(struct core *core, struct redis *redis, struct str node,
                            void (*heard)(struct core *core, struct str word));
void mailbox_start(struct mailbox *mailbox); /* Redis can be used (again) */
void mailbox_free(struct mailbox *mailbox);  /* after its connection; NULL is allowed */

void mailbox_tell(struct core *core, struct str node, const char *what, struct str device_id,
                  struct str about);

#endif
