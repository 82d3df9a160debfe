/* buf.h: a growable run of bytes on the heap.
 *
 * An all-zero struct buf is empty and valid.  data is always followed by a NUL that len does not count (or is
 * NULL while nothing was ever added).  Functions return 0 or -ENOMEM; a failed call leaves the buffer as it was. */
#ifndef FUSEPKG_BUF_H
#define FUSEPKG_BUF_H

#include "store/base.h"

struct buf {
        char *data;
        size_t len;
        size_t cap;
};

void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* len becomes 0, the memory stays */
int buf_reserve(struct buf *b, size_t more);
int buf_add(struct buf *b, const void *data, size_t len);
int buf_add_str(struct buf *b, const char *s);
int buf_add_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hands the memory to the caller, who frees it; never NULL but when out of memory; B is empty afterwards. */
char *buf_steal(struct buf *b);

/* Percent-encoding for words in line-based files: '%', space, DEL, and all below space become %XX; other bytes
 * stay.  buf_add_unescaped refuses (-EINVAL) a broken escape and an escaped NUL. */
int buf_add_escaped(struct buf *b, const char *data, size_t len);
int buf_add_unescaped(struct buf *b, const char *data, size_t len);

static inline void cleanup_buf_(struct buf *b)
{
        buf_release(b);
}

#define cleanup_buf __attribute__((cleanup(cleanup_buf_)))

#endif
