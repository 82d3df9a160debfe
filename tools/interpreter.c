#include "tools/interpreter.h"

#include "store/files.h"
#include "tools/interpreter_ask.h"
#include "tools/tags.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>

enum {
        CACHE_MAX = 128 * 1024, /* bytes */
};

static const char cache_head[] = "fusepkg python 1\n";

struct interpreter {
        char *executable;
        int state_fd;
        bool known;
        struct interpreter_facts facts;
        struct tags *tags;
};

/* How the lines of an answer become a struct. */
enum kind { TEXT, NUMBER, FLAG };
static const struct field {
        const char *key;
        enum kind kind;
        size_t offset;
} fields[] = {
#define FIELD(name, kind) { #name, kind, offsetof(struct interpreter_facts, name) }
        FIELD(implementation_name, TEXT),
        FIELD(implementation_version, TEXT),
        FIELD(platform_python_implementation, TEXT),
        FIELD(python_version, TEXT),
        FIELD(python_full_version, TEXT),
        FIELD(os_name, TEXT),
        FIELD(sys_platform, TEXT),
        FIELD(platform_system, TEXT),
        FIELD(platform_machine, TEXT),
        FIELD(sysconfig_platform, TEXT),
        FIELD(extension_suffix, TEXT),
        FIELD(version_nodot, TEXT),
        FIELD(major, NUMBER),
        FIELD(minor, NUMBER),
        FIELD(free_threaded, FLAG),
        FIELD(debug, FLAG),
        FIELD(hard_float, FLAG),
        FIELD(pointer_bits, NUMBER),
        FIELD(libc, TEXT),
        FIELD(libc_major, NUMBER),
        FIELD(libc_minor, NUMBER),
#undef FIELD
};

static void *field_of(struct interpreter_facts *f, size_t i)
{
        return (char *)f + fields[i].offset;
}

void interpreter_release_facts(struct interpreter_facts *f)
{
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
                if (fields[i].kind == TEXT)
                        free(*(char **)field_of(f, i));
        free(f->platform_release);
        free(f->platform_version);
        *f = (struct interpreter_facts){ 0 };
}

static int parse_number(struct span s, unsigned *ret)
{
        unsigned n = 0;

        if (!s.len || s.len > 6)
                return -EBADMSG;
        for (size_t i = 0; i < s.len; i++) {
                if (s.data[i] < '0' || s.data[i] > '9')
                        return -EBADMSG;
                n = n * 10 + (unsigned)(s.data[i] - '0');
        }
        *ret = n;
        return 0;
}

static int parse_value(struct span value, enum kind kind, void *ret)
{
        struct buf text cleanup_buf = { 0 };
        unsigned n = 0;
        int r;

        if (kind == TEXT) {
                r = buf_add_unescaped(&text, value.data, value.len);
                if (r < 0)
                        return r == -ENOMEM ? r : -EBADMSG;
                *(char **)ret = buf_steal(&text);
                return *(char **)ret ? 0 : -ENOMEM;
        }
        r = parse_number(value, &n);
        if (r < 0 || (kind == FLAG && n > 1))
                return -EBADMSG;
        if (kind == FLAG)
                *(bool *)ret = n;
        else
                *(unsigned *)ret = n;
        return 0;
}

/* Finds "KEY value\n"; the value's bytes. */
static bool find_line(const char *text, size_t len, const char *key, struct span *ret)
{
        size_t key_len = strlen(key);

        for (const char *p = text, *end = text + len; p < end;) {
                const char *newline = memchr(p, '\n', (size_t)(end - p));
                const char *stop = newline ? newline : end;

                if ((size_t)(stop - p) > key_len && !memcmp(p, key, key_len) && p[key_len] == ' ') {
                        *ret = (struct span){ p + key_len + 1, (size_t)(stop - p) - key_len - 1 };
                        return true;
                }
                p = stop + 1;
        }
        return false;
}

/* The kernel's, as it runs now: a cached answer outlives a reboot. */
static int add_kernel(struct interpreter_facts *f)
{
        struct utsname u;

        if (uname(&u) < 0)
                return -errno;
        f->platform_release = strdup(u.release);
        f->platform_version = strdup(u.version);
        return f->platform_release && f->platform_version ? 0 : -ENOMEM;
}

int interpreter_parse_facts(const char *text, size_t len, struct interpreter_facts *ret)
{
        struct interpreter_facts f = { 0 };
        int r = 0;

        for (size_t i = 0; i < ARRAY_LEN(fields) && !r; i++) {
                struct span value;

                r = find_line(text, len, fields[i].key, &value) ? parse_value(value, fields[i].kind, field_of(&f, i)) :
                                                                  -EBADMSG;
        }
        r = r < 0 ? r : add_kernel(&f);
        if (r < 0) {
                interpreter_release_facts(&f);
                return r;
        }
        *ret = f;
        return 0;
}

int interpreter_new(const char *executable, int state_fd, struct interpreter **ret)
{
        struct interpreter *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->state_fd = state_fd;
        p->executable = strdup(executable);
        if (!p->executable) {
                free(p);
                return -ENOMEM;
        }
        *ret = p;
        return 0;
}

void interpreter_free(struct interpreter *p)
{
        if (!p)
                return;
        tags_free(p->tags);
        interpreter_release_facts(&p->facts);
        free(p->executable);
        free(p);
}

/* What must be the same for a cached answer to hold.  Our own libc's version stands for the system's: a distribution's
 * upgrade may leave the interpreter as it is. */
static int add_identity(const struct interpreter *p, struct buf *ret)
{
        char *path cleanup_free = realpath(p->executable, NULL);
        char libc[64] = "";
        struct stat st;
        int r;

        if (!path || stat(path, &st) < 0)
                return -errno;
#ifdef _CS_GNU_LIBC_VERSION
        if (!confstr(_CS_GNU_LIBC_VERSION, libc, sizeof(libc)))
                libc[0] = 0;
#endif
        r = buf_add_str(ret, cache_head);
        r = r < 0 ? r : buf_add_str(ret, "executable ");
        r = r < 0 ? r : buf_add_escaped(ret, path, strlen(path));
        r = r < 0 ? r : buf_printf(ret, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 ".%09ld ", (uint64_t)st.st_dev,
                                   (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                                   st.st_mtim.tv_nsec);
        r = r < 0 ? r : buf_add_escaped(ret, libc, strlen(libc));
        return r < 0 ? r : buf_add_char(ret, '\n');
}

static bool load_cached(struct interpreter *p, const struct buf *identity)
{
        struct buf text cleanup_buf = { 0 };

        return p->state_fd >= 0 && file_read_at(p->state_fd, INTERPRETER_FILE, CACHE_MAX, &text) >= 0 &&
               text.len > identity->len && !memcmp(text.data, identity->data, identity->len) &&
               interpreter_parse_facts(text.data + identity->len, text.len - identity->len, &p->facts) >= 0;
}

int interpreter_get_facts(struct interpreter *p, const struct interpreter_facts **ret, struct errtext *err)
{
        struct buf text cleanup_buf = { 0 };
        size_t identity_len;
        char why[128];
        int r = p->known ? 0 : add_identity(p, &text);

        if (r < 0)
                return errtext_set(err, r, "cannot find the interpreter '%s': %s", p->executable, errno_name(r, why));
        if (!p->known && !load_cached(p, &text)) {
                identity_len = text.len;
                r = interpreter_ask(p->executable, &text, err);
                if (r < 0)
                        return r;
                r = interpreter_parse_facts(text.data + identity_len, text.len - identity_len, &p->facts);
                if (r < 0)
                        return errtext_set(err, r, "'%s' gave an answer that is none when asked for its tags",
                                           p->executable);
                /* Without the cache it is asked again: not worth an error. */
                if (p->state_fd >= 0)
                        (void)file_replace(p->state_fd, INTERPRETER_FILE, text.data, text.len, 0644, false);
        }
        p->known = true;
        *ret = &p->facts;
        return 0;
}

int interpreter_get_tags(struct interpreter *p, const struct tags **ret, struct errtext *err)
{
        const struct interpreter_facts *f;
        int r = interpreter_get_facts(p, &f, err);

        if (!r && !p->tags)
                r = tags_new(f, &p->tags);
        if (r < 0)
                return r;
        *ret = p->tags;
        return 0;
}
