#include "tools/quote.h"

#include "store/utf8.h"

#include <stdio.h>

/* How many bytes the character at P takes, and whether it stays as it is. */
static size_t look(const char *p, bool *ret_plain)
{
        uint32_t c = 0;
        size_t len = utf8_decode(p, strlen(p), &c);

        *ret_plain = len && utf8_is_printable(c) && c != '"' && c != '\\';
        return len ? len : 1;
}

static bool is_plain(const char *path)
{
        bool plain = true;

        while (plain && *path)
                path += look(path, &plain);
        return plain;
}

static int add_escaped(struct buf *b, const char *bytes, size_t len)
{
        static const char letters[] = "\"\\\a\b\t\n\v\f\r", escapes[] = "\"\\abtnvfr";
        int r = 0;

        for (size_t i = 0; r == 0 && i < len; i++) {
                const char *letter = strchr(letters, bytes[i]);

                r = letter ? buf_printf(b, "\\%c", escapes[letter - letters]) :
                             buf_printf(b, "\\%03o", (unsigned char)bytes[i]);
        }
        return r;
}

int quote_path(struct buf *b, const char *prefix, const char *path)
{
        int r;

        if (is_plain(path))
                return buf_printf(b, "%s%s", prefix, path);
        r = buf_printf(b, "\"%s", prefix);
        while (r == 0 && *path) {
                bool plain;
                size_t len = look(path, &plain);

                r = plain ? buf_add(b, path, len) : add_escaped(b, path, len);
                path += len;
        }
        return r < 0 ? r : buf_add_char(b, '"');
}

int quote_print(const char *before, const char *prefix, const char *path)
{
        cleanup_buf struct buf word = { 0 };
        int r = quote_path(&word, prefix, path);

        if (r == 0)
                printf("%s%s\n", before, word.data);
        return r;
}
