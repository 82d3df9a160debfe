#include "store/utf8.h"

size_t utf8_decode(const char *p, size_t left, uint32_t *ret)
{
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        unsigned char first = (unsigned char)p[0];
        size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;

        if (len == 0 || len > left)
                return 0;
        if (len == 1) {
                *ret = first;
                return 1;
        }

        uint32_t c = first & (0x7fu >> len);

        for (size_t i = 1; i < len; i++) {
                if (((unsigned char)p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | ((unsigned char)p[i] & 0x3f);
        }
        if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return len;
}

bool utf8_is_valid(const char *text, size_t len)
{
        uint32_t c = 0;

        for (size_t i = 0; i < len;) {
                size_t n = utf8_decode(text + i, len - i, &c);

                if (n == 0)
                        return false;
                i += n;
        }
        return true;
}
