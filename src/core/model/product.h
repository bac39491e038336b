/*
 * What a registration or a modification says of the device's product model, made whole:
 *
 * - a productId must name one of the application's models, and brings manufacturerId,
 *   manufacturerName, deviceType, model and protocolType with it;
 * - without one, any of these clears the record's productId; with the setting model.required a
 *   manufacturerId or a model must name an installed model, together with the other one, or with what
 *   the record has of it.
 *
 * An empty productId clears the record's and says nothing else. Whoever registers or modifies devices
 * goes through here.
 */
#ifndef CORE_MODEL_PRODUCT_H
#define CORE_MODEL_PRODUCT_H

#include "core/device/device.h"

/* As device_register and device_modify, with ERR_PRODUCT_NOT_FOUND besides. */
void product_register(struct core *core, struct arena *arena,
                      const struct device_registration *registration, device_register_cb cb,
                      void *arg);
void product_modify(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                    const struct device_fields *fields, device_done_cb cb, void *arg);

#endif
