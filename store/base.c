#include "store/base.h"
#include "store/utf8.h"

#include <stdio.h>

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
                uint32_t c = 0;
                size_t len = utf8_decode(p, strlen(p), &c);

                /* Escape sequences, and what turns the direction of the text so that a name can pass for another. */
                if (len == 0 || !utf8_is_printable(c)) {
                        memset(p, '?', len ? len : 1);
                        len = len ? len : 1;
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
