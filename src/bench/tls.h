/* The bench's own certificate, and its trust. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include "bench/options.h"
#include "net/tls.h"

/* By --certificate and --key. NULL: what is wrong has been said. */
struct tls_server *bench_tls_server(const struct options *options);

#endif
