/* base.h: what every file of fusepkg may use without asking.
 *
 * Errors.  One convention everywhere: an int, 0 or more is success, negative is -errno.  Where a human caused
 * the error (a wheel, a path, an option) the function also takes a struct errtext and fills it, on failure only,
 * with one whole sentence without a final period; libraries never print.  Out-parameters come last, are named
 * ret_..., and are untouched on failure.
 *
 * Resources.  cleanup_free, cleanup_close and cleanup_buf variables are initialised on the line that declares
 * them; steal_ptr() and steal_fd() hand the resource on. */
#ifndef FUSEPKG_BASE_H
#define FUSEPKG_BASE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        ERRTEXT_SIZE = 2048,  /* two long paths and a sentence */
        SHA256_SIZE = 32,     /* bytes */
        SHA256_HEX_SIZE = 65, /* characters with the final NUL */
};

struct errtext {
        char text[ERRTEXT_SIZE];
};

/* Writes the sentence into ERR (which may be NULL) and returns R, so that a failure is one line:
 *     return errtext_set(err, -EINVAL, "'%s' is not a wheel", path);
 * Bytes that a terminal would act upon are written as '?'. */
int errtext_set(struct errtext *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "No such file or directory" for -ENOENT; thread-safe, the returned string is static or in TEXT. */
const char *errno_name(int r, char text[128]);

static inline void cleanup_free_(void *p)
{
        free(*(void **)p);
}

static inline void cleanup_close_(int *fd)
{
        if (*fd >= 0) {
                int saved = errno;

                close(*fd);
                errno = saved;
        }
}

#define cleanup_free __attribute__((cleanup(cleanup_free_)))
#define cleanup_close __attribute__((cleanup(cleanup_close_)))

#define steal_ptr(p)                     \
        ({                               \
                __typeof__(p) p_ = (p);  \
                (p) = NULL;              \
                p_;                      \
        })

static inline int steal_fd(int *fd)
{
        int f = *fd;

        *fd = -1;
        return f;
}

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Little-endian integers on disk: byte arrays, so that a struct of them has no padding and no alignment. */
struct le16 {
        uint8_t b[2];
};
struct le32 {
        uint8_t b[4];
};
struct le64 {
        uint8_t b[8];
};

static inline uint16_t le16_get(struct le16 v)
{
        return (uint16_t)(v.b[0] | v.b[1] << 8);
}

static inline uint32_t le32_get(struct le32 v)
{
        return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 | (uint32_t)v.b[2] << 16 | (uint32_t)v.b[3] << 24;
}

static inline uint64_t le64_get(struct le64 v)
{
        uint64_t n = 0;

        for (int i = 7; i >= 0; i--)
                n = n << 8 | v.b[i];
        return n;
}

static inline struct le16 le16_put(uint16_t n)
{
        return (struct le16){ { (uint8_t)n, (uint8_t)(n >> 8) } };
}

static inline struct le32 le32_put(uint32_t n)
{
        return (struct le32){ { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24) } };
}

static inline struct le64 le64_put(uint64_t n)
{
        struct le64 v;

        for (int i = 0; i < 8; i++)
                v.b[i] = (uint8_t)(n >> (8 * i));
        return v;
}

/* Lower-case hexadecimal.  hex_decode takes exactly 2 * SIZE digits of either case, else -EINVAL. */
void hex_encode(const uint8_t *bytes, size_t size, char *ret_hex);
int hex_decode(const char *hex, size_t length, uint8_t *ret_bytes, size_t size);

/* A view of bytes that belong to somebody else; not NUL-terminated. */
struct span {
        const char *data;
        size_t len;
};

static inline struct span span_of(const char *s)
{
        return (struct span){ s, strlen(s) };
}

static inline bool span_is(struct span s, const char *word)
{
        return s.len == strlen(word) && memcmp(s.data, word, s.len) == 0;
}

#endif
