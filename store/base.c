#include "store/base.h"

#include <stdio.h>

static size_t utf8_length(unsigned char first)
{
        if (first >= 0xc2 && first <= 0xdf)
                return 2;
        if (first >= 0xe0 && first <= 0xef)
                return 3;
        return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The length of the well-formed UTF-8 character at S that a terminal only shows, else 0.  S ends with a NUL, which is
 * no continuation byte, so that a character cut short is never read beyond. */
static size_t printable_length(const char *s)
{
        const unsigned char *u = (const unsigned char *)s;

        if (u[0] < 0x80)
                return u[0] >= 0x20 && u[0] != 0x7f ? 1 : 0;

        size_t len = utf8_length(u[0]);

        for (size_t i = 1; i < len; i++)
                if ((u[i] & 0xc0) != 0x80)
                        return 0;
        /* C1 controls (U+0080 to U+009F) are escape sequences of one character; U+202A to U+202E and U+2066 to U+2069
         * turn the direction of what follows, so that a name can pass for another. */
        if (len == 2 && u[0] == 0xc2 && u[1] < 0xa0)
                return 0;
        if (len == 3 && u[0] == 0xe2 &&
            ((u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9)))
                return 0;
        return len;
}

int errtext_set(struct errtext *err, int r, const char *format, ...)
{
        char text[ERRTEXT_SIZE]; /* apart from ERR: its old text may be among the arguments */
        va_list ap;

        if (!err)
                return r;
        va_start(ap, format);
        if (vsnprintf(text, sizeof text, format, ap) < 0)
                snprintf(text, sizeof text, "unknown error");
        va_end(ap);
        for (char *p = text; *p;) {
                size_t len = printable_length(p);

                if (len == 0) {
                        *p = '?';
                        len = 1;
                }
                p += len;
        }
        memcpy(err->text, text, strlen(text) + 1);
        return r;
}

const char *errno_name(int r, char text[128])
{
        return strerror_r(r < 0 ? -r : r, text, 128);
}

void hex_encode(const uint8_t *bytes, size_t size, char *ret_hex)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size; i++) {
                ret_hex[2 * i] = digits[bytes[i] >> 4];
                ret_hex[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret_hex[2 * size] = '\0';
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int hex_decode(const char *hex, size_t length, uint8_t *ret_bytes, size_t size)
{
        if (length % 2 != 0 || length / 2 != size)
                return -EINVAL;
        for (size_t i = 0; i < length; i++)
                if (hex_digit(hex[i]) < 0)
                        return -EINVAL;
        for (size_t i = 0; i < size; i++)
                ret_bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
        return 0;
}
