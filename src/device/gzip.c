#include "device/gzip.h"

#include "base/buf.h"

#include <zlib.h>

#define GZIP_WINDOW  (15 + 16) /* the header must be gzip's */
#define CHUNK_BYTES  16384

/* Z_STREAM_END, or why not. */
static int inflate_all(z_stream *stream, size_t max_bytes, struct buf *out)
{
    char chunk[CHUNK_BYTES];
    int result;

    do {
        stream->next_out = (unsigned char *)chunk;
        stream->avail_out = sizeof(chunk);
        result = inflate(stream, Z_NO_FLUSH);
        buf_add(out, chunk, sizeof(chunk) - stream->avail_out);
    } while (result == Z_OK && out->len <= max_bytes);
    return out->len > max_bytes ? Z_BUF_ERROR : result;
}

bool gzip_unpack(struct arena *arena, struct str packed, size_t max_bytes, struct str *unpacked)
{
    z_stream stream = {0};
    struct buf out = {0};
    bool is_good;

    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return false;
    stream.next_in = (unsigned char *)packed.p;
    stream.avail_in = (unsigned)packed.len;
    is_good = inflate_all(&stream, max_bytes, &out) == Z_STREAM_END && stream.avail_in == 0;
    inflateEnd(&stream);
    if (is_good)
        *unpacked = arena_str(arena, buf_str(&out));
    buf_clear(&out);
    return is_good;
}
