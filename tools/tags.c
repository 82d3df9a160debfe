#include "tools/tags.h"

#include <stdio.h>

enum {
        GLIBC_MINOR_LAST = 50,    /* of majors before the running one; nobody has one yet */
        GLIBC_MINOR_OLDEST_X86 = 5,
        GLIBC_MINOR_OLDEST = 17,
        WHEEL_TAG_MAX = 512,      /* bytes of one tag; a file name has 255 */
};

struct strings {
        char **list;
        size_t count;
        size_t room;
};

struct rank {
        const char *tag;
        size_t place;
};

struct tags {
        struct strings all;   /* the best first */
        struct rank *sorted;  /* by tag */
};

static int add_string(struct strings *s, const char *a, const char *b, const char *c)
{
        char *text;

        if (s->count == s->room) {
                char **list = reallocarray(s->list, s->room * 2 + 64, sizeof(*list));

                if (!list)
                        return -ENOMEM;
                s->list = list;
                s->room = s->room * 2 + 64;
        }
        if (asprintf(&text, "%s%s%s%s%s", a, b ? "-" : "", b ? b : "", c ? "-" : "", c ? c : "") < 0)
                return -ENOMEM;
        s->list[s->count++] = text;
        return 0;
}

static void release_strings(struct strings *s)
{
        for (size_t i = 0; i < s->count; i++)
                free(s->list[i]);
        free(s->list);
        *s = (struct strings){ 0 };
}

static int add_platform(struct strings *s, const char *kind, unsigned major, unsigned minor, const char *arch)
{
        char text[256];

        snprintf(text, sizeof(text), "%s_%u_%u_%s", kind, major, minor, arch);
        return add_string(s, text, NULL, NULL);
}

/* The names that manylinux had before it took glibc's version for one. */
static int add_legacy(struct strings *s, unsigned major, unsigned minor, const char *arch)
{
        char text[256];
        const char *name = major != 2    ? NULL :
                           minor == 17   ? "manylinux2014" :
                           minor == 12   ? "manylinux2010" :
                           minor == 5    ? "manylinux1" :
                                           NULL;

        if (!name)
                return 0;
        snprintf(text, sizeof(text), "%s_%s", name, arch);
        return add_string(s, text, NULL, NULL);
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (!strcmp(word, words[i]))
                        return true;
        return false;
}

/* manylinux is defined for these; on 32 bits for hard-float ARM and x86. */
static bool has_manylinux(const struct interpreter_facts *f, const char *arch)
{
        static const char *const archs[] = { "x86_64", "aarch64",     "ppc64",  "ppc64le",
                                             "s390x",  "loongarch64", "riscv64" };

        if (!strcmp(arch, "armv7l") || !strcmp(arch, "armv8l"))
                return f->pointer_bits == 32 && f->hard_float;
        if (!strcmp(arch, "i686"))
                return f->pointer_bits == 32;
        return is_one_of(arch, archs, ARRAY_LEN(archs));
}

static int add_manylinux(const struct interpreter_facts *f, const char *arch, struct strings *s)
{
        bool x86 = !strcmp(arch, "x86_64") || !strcmp(arch, "i686");
        int r = 0;

        if (strcmp(f->libc, "glibc") || !has_manylinux(f, arch))
                return 0;
        for (unsigned major = f->libc_major; major >= 2 && r >= 0; major--) {
                unsigned oldest = major > 2 ? 0 : x86 ? GLIBC_MINOR_OLDEST_X86 : GLIBC_MINOR_OLDEST;
                unsigned newest = major == f->libc_major ? f->libc_minor : GLIBC_MINOR_LAST;

                for (unsigned minor = newest + 1; minor-- > oldest && r >= 0;) {
                        r = add_platform(s, "manylinux", major, minor, arch);
                        r = r < 0 ? r : add_legacy(s, major, minor, arch);
                }
        }
        return r;
}

static int add_musllinux(const struct interpreter_facts *f, const char *arch, struct strings *s)
{
        int r = 0;

        if (strcmp(f->libc, "musl"))
                return 0;
        for (unsigned minor = f->libc_minor + 1; minor-- > 0 && r >= 0;)
                r = add_platform(s, "musllinux", f->libc_major, minor, arch);
        return r;
}

static void underscores(const char *from, char *ret, size_t size)
{
        snprintf(ret, size, "%s", from);
        for (char *p = ret; *p; p++)
                if (*p == '.' || *p == '-' || *p == ' ')
                        *p = '_';
}

/* What the interpreter's platform is called, the newest libc first, the plain name last. */
static int list_platforms(const struct interpreter_facts *f, struct strings *ret)
{
        const char *archs[2] = { NULL, NULL };
        char platform[128];
        int r = 0;

        underscores(f->sysconfig_platform, platform, sizeof(platform));
        if (strncmp(platform, "linux_", 6))
                return add_string(ret, platform, NULL, NULL);
        archs[0] = platform + 6;
        if (f->pointer_bits == 32 && !strcmp(archs[0], "x86_64"))
                archs[0] = "i686";
        if (f->pointer_bits == 32 && !strcmp(archs[0], "aarch64"))
                archs[0] = "armv8l";
        if (!strcmp(archs[0], "armv8l"))
                archs[1] = "armv7l";
        for (size_t i = 0; i < 2 && archs[i] && r >= 0; i++)
                r = add_manylinux(f, archs[i], ret);
        for (size_t i = 0; i < 2 && archs[i] && r >= 0; i++)
                r = add_musllinux(f, archs[i], ret);
        for (size_t i = 0; i < 2 && archs[i] && r >= 0; i++) {
                char text[160];

                snprintf(text, sizeof(text), "linux_%s", archs[i]);
                r = add_string(ret, text, NULL, NULL);
        }
        return r;
}

static int add_each(struct strings *tags, const char *python, const char *abi, const struct strings *platforms)
{
        int r = 0;

        for (size_t i = 0; i < platforms->count && r >= 0; i++)
                r = add_string(tags, python, abi, platforms->list[i]);
        return r;
}

static int add_cpython(const struct interpreter_facts *f, const struct strings *platforms, struct strings *tags)
{
        const char *threads = f->free_threaded ? "t" : "";
        bool stable = f->major == 3 && f->minor >= (f->free_threaded ? 15 : 2);
        const char *stable_abi = f->free_threaded ? "abi3t" : "abi3";
        char python[64], abi[80];
        int r = 0;

        snprintf(python, sizeof(python), "cp%u%u", f->major, f->minor);
        if (f->debug) {
                snprintf(abi, sizeof(abi), "%s%sd%s", python, threads, f->minor < 8 ? "m" : "");
                r = add_each(tags, python, abi, platforms);
        }
        if (!f->debug || f->minor >= 8) {
                snprintf(abi, sizeof(abi), "%s%s%s", python, threads, f->minor < 8 ? "m" : "");
                r = r < 0 ? r : add_each(tags, python, abi, platforms);
        }
        if (r >= 0 && stable)
                r = add_each(tags, python, stable_abi, platforms);
        r = r < 0 ? r : add_each(tags, python, "none", platforms);
        for (unsigned minor = f->minor; stable && minor-- > 2 && r >= 0;) {
                snprintf(python, sizeof(python), "cp%u%u", f->major, minor);
                r = add_each(tags, python, stable_abi, platforms);
        }
        return r;
}

/* The ABI in ".pypy310-pp73-x86_64-linux-gnu.so": the first words of its middle. */
static void abi_of_suffix(const char *suffix, char *ret, size_t size)
{
        const char *middle = suffix[0] == '.' ? suffix + 1 : "";
        size_t words = !strncmp(middle, "pypy", 4) ? 2 : !strncmp(middle, "graalpy", 7) ? 3 : SIZE_MAX;
        size_t len = 0;

        ret[0] = 0;
        if (!strchr(middle, '.'))
                return;
        for (; middle[len] && middle[len] != '.'; len++)
                if (middle[len] == '-' && !--words)
                        break;
        if (len < size) {
                snprintf(ret, size, "%.*s", (int)len, middle);
                for (char *p = ret; *p; p++)
                        if (*p == '-' || *p == ' ')
                                *p = '_';
        }
}

static int add_generic(const struct interpreter_facts *f, const struct strings *platforms, struct strings *tags)
{
        const char *name = !strcmp(f->implementation_name, "pypy")   ? "pp" :
                           !strcmp(f->implementation_name, "python") ? "py" :
                                                                       f->implementation_name;
        char python[128], abi[128];
        int r = 0;

        snprintf(python, sizeof(python), "%s%s", name, f->version_nodot);
        abi_of_suffix(f->extension_suffix, abi, sizeof(abi));
        if (abi[0])
                r = add_each(tags, python, abi, platforms);
        return r < 0 ? r : add_each(tags, python, "none", platforms);
}

/* py312, py3, py311 … py30. */
static int list_pythons(const struct interpreter_facts *f, struct strings *ret)
{
        char text[64];
        int r;

        snprintf(text, sizeof(text), "py%u%u", f->major, f->minor);
        r = add_string(ret, text, NULL, NULL);
        snprintf(text, sizeof(text), "py%u", f->major);
        r = r < 0 ? r : add_string(ret, text, NULL, NULL);
        for (unsigned minor = f->minor; minor-- > 0 && r >= 0;) {
                snprintf(text, sizeof(text), "py%u%u", f->major, minor);
                r = add_string(ret, text, NULL, NULL);
        }
        return r;
}

static int add_compatible(const struct interpreter_facts *f, const struct strings *platforms, struct strings *tags)
{
        struct strings pythons = { 0 };
        char interpreter[128] = "";
        int r = list_pythons(f, &pythons);

        for (size_t i = 0; i < pythons.count && r >= 0; i++)
                r = add_each(tags, pythons.list[i], "none", platforms);
        if (!strcmp(f->implementation_name, "cpython"))
                snprintf(interpreter, sizeof(interpreter), "cp%s", f->version_nodot);
        else if (!strcmp(f->implementation_name, "pypy"))
                snprintf(interpreter, sizeof(interpreter), "pp3");
        if (interpreter[0] && r >= 0)
                r = add_string(tags, interpreter, "none", "any");
        for (size_t i = 0; i < pythons.count && r >= 0; i++)
                r = add_string(tags, pythons.list[i], "none", "any");
        release_strings(&pythons);
        return r;
}

static int compare_ranks(const void *a, const void *b)
{
        const struct rank *x = a, *y = b;
        int c = strcmp(x->tag, y->tag);

        return c ? c : x->place < y->place ? -1 : x->place > y->place;
}

static int sort_tags(struct tags *t)
{
        t->sorted = calloc(t->all.count + 1, sizeof(*t->sorted));
        if (!t->sorted)
                return -ENOMEM;
        for (size_t i = 0; i < t->all.count; i++) {
                for (char *p = t->all.list[i]; *p; p++)
                        if (*p >= 'A' && *p <= 'Z')
                                *p = (char)(*p - 'A' + 'a');
                t->sorted[i] = (struct rank){ t->all.list[i], i };
        }
        qsort(t->sorted, t->all.count, sizeof(*t->sorted), compare_ranks);
        return 0;
}

int tags_new(const struct interpreter_facts *f, struct tags **ret)
{
        struct tags *t = calloc(1, sizeof(*t));
        struct strings platforms = { 0 };
        int r;

        if (!t)
                return -ENOMEM;
        r = list_platforms(f, &platforms);
        if (r >= 0)
                r = !strcmp(f->implementation_name, "cpython") ? add_cpython(f, &platforms, &t->all) :
                                                                 add_generic(f, &platforms, &t->all);
        r = r < 0 ? r : add_compatible(f, &platforms, &t->all);
        r = r < 0 ? r : sort_tags(t);
        release_strings(&platforms);
        if (r < 0) {
                tags_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

void tags_free(struct tags *t)
{
        if (!t)
                return;
        release_strings(&t->all);
        free(t->sorted);
        free(t);
}

size_t tags_count(const struct tags *t)
{
        return t->all.count;
}

const char *tags_at(const struct tags *t, size_t i)
{
        return t->all.list[i];
}

/* The place of one tag, or SIZE_MAX.  Of equal tags the first in order counts. */
static size_t place_of(const struct tags *t, const char *tag)
{
        size_t low = 0, high = t->all.count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(t->sorted[middle].tag, tag) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < t->all.count && !strcmp(t->sorted[low].tag, tag) ? t->sorted[low].place : SIZE_MAX;
}

/* Cuts the next part off a compressed set: "py2.py3". */
static bool next_part(const char **set, struct span *ret)
{
        size_t len = strcspn(*set, ".");

        if (!len)
                return false;
        *ret = (struct span){ *set, len };
        *set += len + ((*set)[len] == '.');
        return true;
}

/* Calls FN for every tag of the wheel, in lower case, until it returns non-zero, which is returned. */
static bool each_tag(const struct wheel_name *w, bool (*fn)(const char *tag, void *user), void *user)
{
        const char *pythons = w->python, *abis, *platforms;
        struct span python, abi, platform;
        char tag[WHEEL_TAG_MAX];

        while (next_part(&pythons, &python))
                for (abis = w->abi; next_part(&abis, &abi);)
                        for (platforms = w->platform; next_part(&platforms, &platform);) {
                                snprintf(tag, sizeof(tag), "%.*s-%.*s-%.*s", (int)python.len, python.data, (int)abi.len,
                                         abi.data, (int)platform.len, platform.data);
                                for (char *p = tag; *p; p++)
                                        if (*p >= 'A' && *p <= 'Z')
                                                *p = (char)(*p - 'A' + 'a');
                                if (fn(tag, user))
                                        return true;
                        }
        return false;
}

struct match {
        const struct tags *tags;
        size_t best;
};

static bool take_best(const char *tag, void *user)
{
        struct match *m = user;
        size_t place = place_of(m->tags, tag);

        if (place < m->best)
                m->best = place;
        return false;
}

bool tags_match(const struct tags *t, const struct wheel_name *w, size_t *ret_rank)
{
        struct match m = { t, SIZE_MAX };

        each_tag(w, take_best, &m);
        if (m.best == SIZE_MAX)
                return false;
        *ret_rank = m.best;
        return true;
}

static bool is_universal(const char *tag, void *user)
{
        (void)user;
        return !strcmp(tag, "py3-none-any");
}

bool tags_are_universal(const struct wheel_name *w)
{
        return each_tag(w, is_universal, NULL);
}

int tags_describe(const struct tags *t, struct buf *ret)
{
        const char *stable = NULL;
        int r;

        for (size_t i = 0; i < t->all.count && !stable; i++)
                if (strstr(t->all.list[i], "-abi3"))
                        stable = t->all.list[i];
        r = buf_add_str(ret, t->all.list[0]);
        if (stable)
                r = r < 0 ? r : buf_printf(ret, ", %s", stable);
        return r < 0 ? r : buf_add_str(ret, ", ... py3-none-any");
}

int tags_check(struct interpreter *p, const struct wheel_name *w, struct errtext *err)
{
        struct buf fitting cleanup_buf = { 0 };
        const struct tags *t;
        size_t rank;
        int r;

        if (tags_are_universal(w))
                return 0;
        r = interpreter_get_tags(p, &t, err);
        if (r < 0)
                return r;
        if (tags_match(t, w, &rank))
                return 0;
        r = tags_describe(t, &fitting);
        if (r < 0)
                return r;
        return errtext_set(err, -ENOTSUP, "it is for %s-%s-%s, and this Python takes %s", w->python, w->abi,
                           w->platform, fitting.data);
}
