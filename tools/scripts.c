#include "tools/scripts.h"

#include <stdio.h>

enum { SHEBANG_MAX = 127 }; /* bytes that Linux reads of a first line, with "#!" and the newline */

/* In single quotes; one within them as '"'"'. */
static int add_quoted(struct buf *b, const char *s)
{
        int r = buf_add_char(b, '\'');

        for (; r == 0 && *s; s++)
                r = *s == '\'' ? buf_add_str(b, "'\"'\"'") : buf_add_char(b, *s);
        return r < 0 ? r : buf_add_char(b, '\'');
}

int scripts_add_shebang(struct buf *b, const char *interpreter)
{
        int r;

        if (!strpbrk(interpreter, " \t") && strlen(interpreter) + strlen("#!\n") <= SHEBANG_MAX)
                return buf_printf(b, "#!%s\n", interpreter);
        r = buf_add_str(b, "#!/bin/sh\n'''exec' ");
        if (r == 0)
                r = add_quoted(b, interpreter);
        return r < 0 ? r : buf_add_str(b, " \"$0\" \"$@\"\n' '''\n");
}

/* str.removesuffix came with Python 3.9. */
static bool has_removesuffix(const char *python)
{
        return strncmp(python, "3.", 2) == 0 && strtoul(python + 2, NULL, 10) >= 9;
}

int scripts_add_entry_point(struct buf *b, const char *interpreter, const char *python, const struct entry_point *e)
{
        int first = (int)strcspn(e->attr, ".");
        int r = scripts_add_shebang(b, interpreter);

        if (r < 0)
                return r;
        if (has_removesuffix(python))
                return buf_printf(b, "import sys\n"
                                     "from %s import %.*s\n"
                                     "if __name__ == '__main__':\n"
                                     "    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n"
                                     "    sys.exit(%s())\n", e->module, first, e->attr, e->attr);
        return buf_printf(b, "# -*- coding: utf-8 -*-\n"
                             "import re\n"
                             "import sys\n"
                             "from %s import %.*s\n"
                             "if __name__ == '__main__':\n"
                             "    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n"
                             "    sys.exit(%s())\n", e->module, first, e->attr, e->attr);
}

bool scripts_is_python(const char *data, size_t len)
{
        return len >= 8 && memcmp(data, "#!python", 8) == 0;
}

int scripts_add_rewritten(struct buf *b, const char *interpreter, const char *data, size_t len)
{
        const char *end = memchr(data, '\n', len);
        size_t first = end ? (size_t)(end - data) + 1 : len;
        int r = scripts_add_shebang(b, interpreter);

        return r < 0 ? r : buf_add(b, data + first, len - first);
}

bool scripts_is_wrapper(const struct entry_points *e, const char *name, size_t len)
{
        static const char *const endings[] = { "", ".exe", "-script.py", ".pya" };

        for (size_t i = 0; i < e->count; i++) {
                size_t n = strlen(e->points[i].name);

                if (len < n || memcmp(name, e->points[i].name, n) != 0)
                        continue;
                for (size_t k = 0; k < ARRAY_LEN(endings); k++)
                        if (span_is((struct span){ name + n, len - n }, endings[k]))
                                return true;
        }
        return false;
}

static int add_point(struct entry_points *ret, const char *name, const struct entry_point *e)
{
        struct entry_point *points = realloc(ret->points, (ret->count + 1) * sizeof(*points));
        struct entry_point p = { .gui = e->gui };

        if (!points)
                return -ENOMEM;
        ret->points = points;
        for (size_t i = 0; i < ret->count; i++)
                if (strcmp(points[i].name, name) == 0)
                        return 0;
        p.name = strdup(name);
        p.module = strdup(e->module);
        p.attr = strdup(e->attr);
        points[ret->count++] = p; /* half of one is released as well */
        return p.name && p.module && p.attr ? 0 : -ENOMEM;
}

/* Is NAME the versioned form of BASE ("pip3", "pip-3.11", "pip3.12")? */
static bool is_versioned(const char *name, const char *base)
{
        size_t n = strlen(base);

        if (strncmp(name, base, n) != 0)
                return false;
        name += n + (name[n] == '-');
        if (*name < '0' || *name > '9')
                return false;
        return name[strspn(name, "0123456789.")] == '\0';
}

static const struct entry_point *find_point(const struct entry_points *e, const char *name)
{
        for (size_t i = 0; i < e->count; i++)
                if (strcmp(e->points[i].name, name) == 0)
                        return &e->points[i];
        return NULL;
}

int scripts_expand(const struct entry_points *e, const char *python, struct entry_points *ret)
{
        const struct entry_point *pip = find_point(e, "pip"), *easy = find_point(e, "easy_install");
        int digits = (int)(strspn(python, "0123456789."));
        char name[64];
        int r = 0;

        for (size_t i = 0; r == 0 && i < e->count; i++) {
                if ((pip && is_versioned(e->points[i].name, "pip")) ||
                    (easy && is_versioned(e->points[i].name, "easy_install")))
                        continue;
                r = add_point(ret, e->points[i].name, &e->points[i]);
        }
        if (r == 0 && pip) {
                snprintf(name, sizeof(name), "pip%.*s", (int)strcspn(python, "."), python);
                r = add_point(ret, name, pip);
                snprintf(name, sizeof(name), "pip%.*s", digits, python);
                r = r < 0 ? r : add_point(ret, name, pip);
        }
        if (r == 0 && easy) {
                snprintf(name, sizeof(name), "easy_install-%.*s", digits, python);
                r = add_point(ret, name, easy);
        }
        return r;
}
