#include "tools/add_select.h"

#include "tools/edits_ask.h"
#include "tools/find_links.h"
#include "tools/mounts.h"
#include "tools/pep440.h"
#include "tools/requirements.h"
#include "tools/ui.h"

#include <stdio.h>
#include <sys/stat.h>

void add_select_release(struct selection *s)
{
        for (size_t i = 0; i < s->count; i++) {
                free(s->list[i].path);
                free(s->list[i].hashes);
                wheel_name_release(&s->list[i].name);
        }
        free(s->list);
        buf_release(&s->hint);
        *s = (struct selection){ 0 };
}

/* What one call works with. */
struct selecting {
        const struct options *options;
        const struct target *target;
        struct interpreter *interpreter;
        const char **folders;
        size_t folder_count;
        bool require_hashes;
        struct selection *ret;
        struct errtext *err;
};

static int no_memory(struct selecting *s)
{
        return errtext_set(s->err, -ENOMEM, "out of memory");
}

static bool ends_with(const char *s, const char *end)
{
        size_t len = strlen(s), n = strlen(end);

        return len > n && strcmp(s + len - n, end) == 0;
}

static bool is_name_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-", c);
}

int add_select_parse(const char *text, char **ret_name, char **ret_specifiers, struct errtext *err)
{
        const char *p = text + strspn(text, " "), *name = p, *end;
        cleanup_free char *n = NULL;

        while (*p && is_name_char(*p))
                p++;
        n = strndup(name, (size_t)(p - name));
        if (!n)
                return errtext_set(err, -ENOMEM, "out of memory");
        if (p == name || strchr("._-", name[0]) || strchr("._-", p[-1]))
                return errtext_set(err, -EINVAL, "'%s' is neither a wheel nor the name of a package", text);
        p += strspn(p, " ");
        if (*p == '[') { /* extras: what is installed is what is named */
                p = strchr(p, ']');
                if (!p)
                        return errtext_set(err, -EINVAL, "'%s': a bracket is never closed", text);
                p++;
        }
        p += strspn(p, " ");
        for (end = p + strlen(p); end > p && end[-1] == ' '; end--)
                ;
        if (*p == '@')
                return errtext_set(err, -EINVAL, "'%s' is a URL: fusepkg takes wheels that are files", text);
        if (*p && !strchr("=<>!~", *p))
                return errtext_set(err, -EINVAL, "'%s' is neither a wheel nor the name of a package", text);
        if (*p) {
                *ret_specifiers = strndup(p, (size_t)(end - p));
                if (!*ret_specifiers)
                        return errtext_set(err, -ENOMEM, "out of memory");
        } else {
                *ret_specifiers = NULL;
        }
        *ret_name = steal_ptr(n);
        return 0;
}

/* One wheel for a name; the same file twice is once, two different files of one name are an error.  (Whether two
 * files of one version are the same archive is seen after they were read.) */
static int check_twice(struct selecting *s, const struct selected *w, bool *ret_same)
{
        *ret_same = false;
        for (size_t i = 0; i < s->ret->count; i++) {
                const struct selected *other = &s->ret->list[i];
                struct stat a, b;

                if (!name_equal(other->name.distribution, w->name.distribution))
                        continue;
                if (stat(other->path, &a) == 0 && stat(w->path, &b) == 0 && a.st_dev == b.st_dev &&
                    a.st_ino == b.st_ino) {
                        *ret_same = true;
                        return 0;
                }
                if (strcmp(other->base, w->base) != 0)
                        return errtext_set(s->err, -ENOTUNIQ, "two wheels of '%s' are asked for: '%s' and '%s'",
                                           w->name.distribution, other->path, w->path);
        }
        return 0;
}

/* Takes PATH over; HASHES are copied. */
static int select_wheel(struct selecting *s, char *path, bool direct, const uint8_t (*hashes)[SHA256_SIZE],
                        size_t hash_count)
{
        const char *slash = strrchr(path, '/');
        struct selected w = { .path = path, .base = slash ? slash + 1 : path, .direct = direct };
        struct selected *list;
        struct errtext why;
        bool same = false;
        int r = wheel_name_parse(w.base, &w.name, &why);

        if (r < 0)
                r = errtext_set(s->err, r, "%.1500s", why.text); /* which begins with its name */
        else if (s->require_hashes && hash_count == 0)
                r = errtext_set(s->err, -EKEYREJECTED, "cannot add '%s': hashes are required, and none is given for it",
                                path);
        else
                r = check_twice(s, &w, &same);
        if (r == 0 && !same) {
                list = reallocarray(s->ret->list, s->ret->count + 1, sizeof(*list));
                if (list)
                        s->ret->list = list;
                if (hash_count)
                        w.hashes = reallocarray(NULL, hash_count, SHA256_SIZE);
                if (!list || (hash_count && !w.hashes)) {
                        r = no_memory(s);
                } else {
                        if (hash_count)
                                memcpy(w.hashes, hashes, hash_count * SHA256_SIZE);
                        w.hash_count = hash_count;
                        list[s->ret->count++] = w;
                        return 0;
                }
        }
        wheel_name_release(&w.name);
        free(w.hashes);
        free(path);
        return r;
}

static int select_path(struct selecting *s, const char *path, bool direct, const uint8_t (*hashes)[SHA256_SIZE],
                       size_t hash_count)
{
        struct stat st;
        char *copy;

        if (stat(path, &st) < 0)
                return errtext_set(s->err, -errno,
                                   errno == ENOENT ? "there is no wheel '%s'" : "cannot open the wheel '%s'", path);
        if (S_ISDIR(st.st_mode)) {
                (void)buf_printf(&s->ret->hint, "`fusepkg add -f %s NAME` takes packages by name from a folder\n",
                                 path);
                return errtext_set(s->err, -EISDIR, "'%s' is a folder, not a wheel", path);
        }
        if (!ends_with(path, ".whl"))
                return errtext_set(s->err, -EINVAL, "'%s' is not a wheel: its name does not end in .whl", path);
        copy = strdup(path);
        return copy ? select_wheel(s, copy, direct, hashes, hash_count) : no_memory(s);
}

static int note_slot(const char *dist_info, const char *name, const char *version, const struct slot *slot, void *user)
{
        const struct slot **wanted = user;

        (void)dist_info;
        (void)name;
        (void)version;
        if (slot == *wanted)
                *wanted = NULL; /* found */
        return 0;
}

/* pip may have removed it through the mount.  (Without one that is found out too late for this question, and said
 * then.) */
static bool is_still_there(const struct target *t, const struct slot *slot)
{
        cleanup_close int site_fd = -1;

        if (!edits_ask_needed(t) || mount_open_shown(t, &site_fd) <= 0)
                return true;
        return target_each_shown(t, site_fd, note_slot, &slot) < 0 || !slot;
}

/* What is installed already stays as it is, as with pip and uv. */
static bool is_satisfied(const struct selecting *s, const char *name, const char *specifiers,
                         const uint8_t (*hashes)[SHA256_SIZE], size_t hash_count)
{
        const struct slot *slot = s->target->environment ? environment_find(s->target->environment, name) : NULL;
        struct errtext ignored;
        bool fits = true;

        if (!slot || option_count(s->options, "--reinstall"))
                return false;
        if (specifiers && (version_matches(specifiers, slot->version, true, &fits, &ignored) < 0 || !fits))
                return false;
        for (size_t i = 0; i < hash_count; i++)
                if (memcmp(hashes[i], slot->archive, SHA256_SIZE) == 0)
                        return true;
        return hash_count == 0 && is_still_there(s->target, slot);
}

static int not_at_hand(struct selecting *s, const char *name, const char *specifiers, int r)
{
        const char *quote = specifiers ? "'" : "";
        const char *spec = specifiers ? specifiers : "";

        (void)buf_printf(&s->ret->hint,
                         "`pip download --only-binary :all: -d wheels %s%s%s%s` fetches it and what it needs\n", quote,
                         name, spec, quote);
        (void)buf_printf(&s->ret->hint,
                         "then `fusepkg add -f wheels %s%s%s%s`, or `fusepkg add wheels/*.whl` for all of it\n", quote,
                         name, spec, quote);
        return r;
}

static int select_name(struct selecting *s, const char *name, const char *specifiers,
                       const uint8_t (*hashes)[SHA256_SIZE], size_t hash_count)
{
        struct find_links_query query = { .name = name, .specifiers = specifiers };
        struct errtext why = { "" };
        char *path = NULL;
        int r;

        if (s->require_hashes && hash_count == 0)
                return errtext_set(s->err, -EKEYREJECTED, "hashes are required, and none is given for '%s'", name);
        if (is_satisfied(s, name, specifiers, hashes, hash_count)) {
                s->ret->satisfied++;
                return 0;
        }
        if (s->folder_count == 0) {
                struct stat st;

                if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
                        (void)buf_printf(&s->ret->hint,
                                         "'%s' is a folder here: `fusepkg add -f %s NAME` takes packages by name "
                                         "from it\n",
                                         name, name);
                errtext_set(s->err, 0, "no wheel of '%s%s' is at hand, and fusepkg does not download", name,
                            specifiers ? specifiers : "");
                return not_at_hand(s, name, specifiers, -ENOENT);
        }
        r = find_links_pick(s->folders, s->folder_count, &query, s->interpreter, &path, &why);
        if (r < 0) {
                errtext_set(s->err, r, "%s", why.text);
                return r == -ENOENT ? not_at_hand(s, name, specifiers, r) : r;
        }
        return select_wheel(s, path, false, hashes, hash_count);
}

static int select_argument(struct selecting *s, const char *text)
{
        cleanup_free char *name = NULL, *specifiers = NULL;
        int r;

        if (strstr(text, "://"))
                return errtext_set(s->err, -EINVAL, "'%s' is a URL: fusepkg takes wheels that are files", text);
        if (strchr(text, '/') || ends_with(text, ".whl") || ends_with(text, ".tar.gz") || ends_with(text, ".zip"))
                return select_path(s, text, true, NULL, 0);
        r = add_select_parse(text, &name, &specifiers, s->err);
        return r < 0 ? r : select_name(s, name, specifiers, NULL, 0);
}

static int select_requirement(struct selecting *s, const struct requirement *q)
{
        cleanup_free char *specifiers = NULL;
        const uint8_t (*hashes)[SHA256_SIZE] = (const uint8_t (*)[SHA256_SIZE])q->hashes;
        struct errtext why;
        int r;

        if (q->path) {
                r = select_path(s, q->path, true, hashes, q->hash_count);
        } else {
                if (asprintf(&specifiers, "==%s", q->version) < 0) {
                        specifiers = NULL;
                        return no_memory(s);
                }
                r = select_name(s, q->name, specifiers, hashes, q->hash_count);
        }
        if (r < 0) {
                why = *s->err;
                errtext_set(s->err, r, "%s:%u: %.1500s", q->file, q->line, why.text);
        }
        return r;
}

/* The folders of -f first, then those of the requirements files. */
static int collect_folders(struct selecting *s, const struct requirements *q)
{
        size_t given = option_count(s->options, "--find-links");
        struct stat st;

        s->folders = calloc(given + q->find_links_count + 1, sizeof(*s->folders));
        if (!s->folders)
                return no_memory(s);
        for (size_t i = 0; i < given; i++)
                s->folders[s->folder_count++] = option_value_at(s->options, "--find-links", i);
        for (size_t i = 0; i < q->find_links_count; i++)
                s->folders[s->folder_count++] = q->find_links[i];
        for (size_t i = 0; i < s->folder_count; i++)
                if (stat(s->folders[i], &st) < 0 || !S_ISDIR(st.st_mode))
                        return errtext_set(s->err, -ENOENT, "there is no folder '%s' to look for wheels in",
                                           s->folders[i]);
        return 0;
}

static int read_requirements(struct selecting *s, struct requirements *q)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < option_count(s->options, "--requirements"); i++)
                r = requirements_read(option_value_at(s->options, "--requirements", i), s->interpreter, q, s->err);
        for (char *line = q->warnings.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
                ui_warning("%.*s", (int)(end - line), line);
        /* As with pip: one hash in a file asks for all. */
        for (size_t i = 0; i < q->count; i++)
                if (q->list[i].hash_count)
                        s->require_hashes = true;
        return r;
}

int add_select(const struct options *o, const struct target *t, struct interpreter *p, struct selection *ret,
               struct errtext *err)
{
        struct selecting s = { .options = o, .target = t, .interpreter = p, .ret = ret, .err = err,
                               .require_hashes = option_count(o, "--require-hashes") > 0 };
        struct requirements q = { 0 };
        int r = read_requirements(&s, &q);

        if (r == 0)
                r = collect_folders(&s, &q);
        for (size_t i = 0; r == 0 && i < argument_count(o); i++)
                r = select_argument(&s, argument_at(o, i));
        for (size_t i = 0; r == 0 && i < q.count; i++)
                r = select_requirement(&s, &q.list[i]);
        requirements_release(&q);
        free(s.folders);
        return r;
}
