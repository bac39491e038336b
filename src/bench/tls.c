#include "bench/tls.h"

#include "bench/bench.h"
#include <stdlib.h>

struct tls_server *bench_tls_server(const struct options *options)
{
    struct tls_server_config config = {
        .certificate_file = options->certificate,
        .key_file = options->key,
        .min_version = TLS1_2_VERSION,
    };
    struct tls_server *tls;
    char *error = NULL;

    if (!*options->certificate || !*options->key) {
        bench_complain("HTTPS needs --certificate and --key, PEM files");
        return NULL;
    }
    tls = tls_server_new(&config, &error);
    if (!tls)
        bench_complain("%s", error);
    free(error);
    return tls;
}
