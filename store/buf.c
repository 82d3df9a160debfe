#include "store/buf.h"

#include <stdio.h>

void buf_release(struct buf *b)
{
        free(b->data);
        *b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
        b->len = 0;
        if (b->data)
                b->data[0] = '\0';
}

int buf_reserve(struct buf *b, size_t more)
{
        size_t need, cap;
        char *data;

        if (__builtin_add_overflow(b->len, more, &need) || need >= SIZE_MAX / 2)
                return -ENOMEM;
        if (b->data && need < b->cap)
                return 0;
        cap = b->cap < 64 ? 64 : b->cap + b->cap / 2;
        if (cap <= need)
                cap = need + 1;
        data = realloc(b->data, cap);
        if (!data)
                return -ENOMEM;
        b->data = data;
        b->cap = cap;
        b->data[b->len] = '\0';
        return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
        int r = buf_reserve(b, len);

        if (r < 0)
                return r;
        if (len > 0)
                memcpy(b->data + b->len, data, len);
        b->len += len;
        b->data[b->len] = '\0';
        return 0;
}

int buf_add_str(struct buf *b, const char *s)
{
        return buf_add(b, s, strlen(s));
}

int buf_add_char(struct buf *b, char c)
{
        return buf_add(b, &c, 1);
}

int buf_printf(struct buf *b, const char *format, ...)
{
        va_list ap;
        int n, r;

        va_start(ap, format);
        n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n < 0)
                return -ENOMEM;
        r = buf_reserve(b, (size_t)n);
        if (r < 0)
                return r;
        va_start(ap, format);
        vsnprintf(b->data + b->len, (size_t)n + 1, format, ap);
        va_end(ap);
        b->len += (size_t)n;
        return 0;
}

char *buf_steal(struct buf *b)
{
        char *data;

        if (buf_reserve(b, 0) < 0)
                return NULL;
        data = b->data;
        *b = (struct buf){ 0 };
        return data;
}

int buf_add_escaped(struct buf *b, const char *data, size_t len)
{
        size_t old = b->len;

        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)data[i];
                int r = c <= ' ' || c == '%' || c == 0x7f ? buf_printf(b, "%%%02X", c) : buf_add(b, &data[i], 1);

                if (r < 0) {
                        b->len = old;
                        if (b->data)
                                b->data[old] = '\0';
                        return r;
                }
        }
        return 0;
}

/* Decodes one character of DATA; returns how many bytes it took, or -EINVAL. */
static int unescape_one(const char *data, size_t len, char *ret)
{
        uint8_t byte;

        if (data[0] != '%') {
                *ret = data[0];
                return 1;
        }
        if (len < 3 || hex_decode(data + 1, 2, &byte, 1) < 0 || byte == 0)
                return -EINVAL;
        *ret = (char)byte;
        return 3;
}

int buf_add_unescaped(struct buf *b, const char *data, size_t len)
{
        size_t end = b->len;
        int r = buf_reserve(b, len);

        if (r < 0)
                return r;
        for (size_t i = 0; i < len; i += (size_t)r) {
                char c;

                r = unescape_one(data + i, len - i, &c);
                if (r < 0) {
                        b->data[b->len] = '\0';
                        return r;
                }
                b->data[end++] = c;
        }
        b->len = end;
        b->data[end] = '\0';
        return 0;
}
