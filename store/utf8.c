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

/* The categories Cc, Cf, Cs and Co of Unicode 15.1 and the noncharacters, but for the last two of each plane, which
 * utf8_is_printable() knows by their form.  Sorted. */
static const struct {
        uint32_t first;
        uint32_t last;
} unprintable[] = {
        { 0x0000, 0x001f },   { 0x007f, 0x009f },   { 0x00ad, 0x00ad },   { 0x0600, 0x0605 },   { 0x061c, 0x061c },
        { 0x06dd, 0x06dd },   { 0x070f, 0x070f },   { 0x0890, 0x0891 },   { 0x08e2, 0x08e2 },   { 0x180e, 0x180e },
        { 0x200b, 0x200f },   { 0x202a, 0x202e },   { 0x2060, 0x2064 },   { 0x2066, 0x206f },   { 0xd800, 0xf8ff },
        { 0xfdd0, 0xfdef },   { 0xfeff, 0xfeff },   { 0xfff9, 0xfffb },   { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd },
        { 0x13430, 0x1343f }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0001, 0xe0001 }, { 0xe0020, 0xe007f },
        { 0xf0000, 0x10ffff },
};

bool utf8_is_printable(uint32_t c)
{
        size_t low = 0;
        size_t high = ARRAY_LEN(unprintable);

        if ((c & 0xfffe) == 0xfffe)
                return false;
        while (low < high) {
                size_t middle = (low + high) / 2;

                if (c > unprintable[middle].last)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low == ARRAY_LEN(unprintable) || c < unprintable[low].first;
}
