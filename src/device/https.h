/*
 * Devices over HTTPS: login for a token, properties, messages, a gateway's report for its children.
 * Uplink only; nothing is delivered to a device this way.
 */
#ifndef DEVICE_HTTPS_H
#define DEVICE_HTTPS_H

#include "net/http_server.h"

extern struct http_api device_https_api; /* context is the struct core */

#endif
