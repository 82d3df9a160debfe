/* What was written again with the bytes that it had (`sed -i` that found nothing, `git checkout`) is no difference. */
#include "tools/diff_files.h"

#include <unistd.h>

bool diff_same_bytes(int a, int b)
{
        char x[4096], y[4096];
        struct stat s, t;

        if (fstat(a, &s) < 0 || fstat(b, &t) < 0 ||
            (S_ISREG(s.st_mode) && S_ISREG(t.st_mode) && s.st_size != t.st_size))
                return false;
        for (off_t at = 0;; at += (off_t)sizeof(x)) {
                ssize_t n = pread(a, x, sizeof(x), at), m = pread(b, y, sizeof(y), at);

                if (n != m || n < 0 || memcmp(x, y, (size_t)n) != 0)
                        return false;
                if (n < (ssize_t)sizeof(x))
                        return true;
        }
}

bool diff_is_same(const struct diff *d, const struct diff_file *f)
{
        cleanup_close int old = -1, new = -1;

        if (f->kind != CHANGE_MODIFIED || f->from || !diff_is_other(f) || f->old.mode != f->new.mode ||
            f->old.size != f->new.size)
                return false;
        old = diff_side_open(d, &f->old);
        new = old < 0 ? -1 : diff_side_open(d, &f->new);
        return old >= 0 && new >= 0 && diff_same_bytes(old, new);
}
