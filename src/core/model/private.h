/* Between model.c, which uses a model, and parse.c, which makes it. */
#ifndef CORE_MODEL_PRIVATE_H
#define CORE_MODEL_PRIVATE_H

#include "core/model/model.h"

int model_compare(struct str a, struct str b); /* the order of the lists of a model */

/* A number of JSON, or one that was written as a string: false when it is none, or too long. */
bool model_number_read(struct str text, struct model_number *number);
int model_number_compare(const struct model_number *a, const struct model_number *b);

/* Fill in service->texts, out of a file that has been checked, and out of its entry in
 * serviceTypeCapabilities. */
void model_texts_of_type(struct arena *arena, const struct json *file,
                         struct model_service *service);
void model_texts_of_service(struct arena *arena, const struct json *entry,
                            struct model_service *service);

#endif
