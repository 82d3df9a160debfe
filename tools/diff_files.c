#include "tools/diff_files.h"

#include "store/files.h"
#include "store/wheel_name.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

enum { PIECE = 128 << 10 };

/* Sides -------------------------------------------------------------------------------------------------------- */

static const struct edit_original *find_original(const struct diff *d, uint64_t id)
{
        for (size_t i = 0; i < d->report.original_count; i++)
                if (d->report.originals[i].id == id)
                        return &d->report.originals[i];
        return NULL;
}

struct diff_side diff_old_side(const struct diff *d, uint64_t id)
{
        const struct edit_original *o = find_original(d, id);
        struct diff_side s = { .where = DIFF_UNKNOWN, .id = id };
        struct node n;

        if (o) {
                cleanup_close int fd = edits_ask_open_original(&d->t, id);
                struct stat st;

                s.where = DIFF_ORIGINAL;
                s.mode = o->mode;
                if (fd >= 0 && fstat(fd, &st) == 0)
                        s.size = (uint64_t)st.st_size;
        } else if ((id >> 32 || d->views.base) && view_getattr(d->view, id, &n) == 0) {
                s.where = DIFF_VIEW;
                s.mode = n.st.st_mode;
                s.size = (uint64_t)n.st.st_size;
        }
        return s;
}

static mode_t type_of(char letter)
{
        static const struct {
                char letter;
                mode_t type;
        } types[] = { { 'd', S_IFDIR },  { 'l', S_IFLNK }, { 'p', S_IFIFO },
                      { 's', S_IFSOCK }, { 'c', S_IFCHR }, { 'b', S_IFBLK } };

        for (size_t i = 0; i < ARRAY_LEN(types); i++)
                if (types[i].letter == letter)
                        return types[i].type;
        return S_IFREG;
}

static int fill(const struct diff *d, const struct diff_side *s, int fd)
{
        cleanup_free char *data = malloc(PIECE);
        struct errtext ignored;
        ssize_t n;

        if (!data)
                return -ENOMEM;
        for (uint64_t at = 0; (n = view_read(d->view, s->id, data, PIECE, at, &ignored)) != 0; at += (uint64_t)n) {
                int r = n < 0 ? (int)n : file_write_full(fd, data, (size_t)n);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_link(const struct diff *d, const struct diff_side *s)
{
        cleanup_close int fd = memfd_create("link", MFD_CLOEXEC);
        cleanup_buf struct buf target = { 0 };
        int r = fd < 0 ? -errno : 0;

        if (r == 0 && s->where == DIFF_VIEW)
                r = view_readlink(d->view, s->id, &target);
        else if (r == 0)
                r = s->target ? buf_add_str(&target, s->target) : -ENODATA;
        if (r == 0)
                r = file_write_full(fd, target.data, target.len);
        return r < 0 ? r : steal_fd(&fd);
}

int diff_side_open(const struct diff *d, const struct diff_side *s)
{
        const struct edit_change c = { .id = s->id };
        cleanup_close int fd = -1;
        int r;

        if (s->where == DIFF_ORIGINAL)
                return edits_ask_open_original(&d->t, s->id);
        if (S_ISLNK(s->mode))
                return open_link(d, s);
        if (s->where == DIFF_DATA)
                return edits_ask_open(&d->t, &c);
        if (s->where == DIFF_NOWHERE)
                return open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (s->where == DIFF_UNKNOWN)
                return -ENODATA;
        fd = memfd_create("old", MFD_CLOEXEC);
        r = fd < 0 ? -errno : fill(d, s, fd);
        if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = -errno;
        return r < 0 ? r : steal_fd(&fd);
}

/* Files -------------------------------------------------------------------------------------------------------- */

int diff_add(struct diff *d, struct diff_file f, const char *path, const char *from)
{
        struct diff_file *more = d->files;

        if (!d->generated && edit_path_is_generated(path))
                return 0;
        if ((d->count & (d->count - 1)) == 0) {
                more = reallocarray(more, d->count ? 2 * d->count : 1, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                d->files = more;
        }
        f.path = strdup(path);
        f.from = from ? strdup(from) : NULL;
        if (!f.path || (from && !f.from)) {
                free(f.path);
                free(f.from);
                return -ENOMEM;
        }
        more[d->count++] = f;
        return 0;
}

struct expanding {
        struct diff *d;
        struct buf path;
        int r;
};

static int add_removed(struct diff *d, uint64_t id, const char *path, char type);

static int expand(const struct view_dirent *e, void *user)
{
        struct expanding *x = user;
        size_t len = x->path.len;

        if (diff_own_has(x->d, e->id))
                return 0;
        x->r = buf_printf(&x->path, "/%.*s", (int)e->name.len, e->name.data);
        if (x->r == 0)
                x->r = add_removed(x->d, e->id, x->path.data, S_ISDIR(e->type) ? 'd' : S_ISLNK(e->type) ? 'l' : 'f');
        x->path.len = len;
        x->path.data[len] = '\0';
        return x->r < 0;
}

/* Of a folder that was removed all that was in it then. */
static int add_removed(struct diff *d, uint64_t id, const char *path, char type)
{
        struct diff_file f = { .kind = CHANGE_REMOVED,
                               .owned = edit_owned_has(&d->owned, CHANGE_REMOVED, id, path, type) };
        struct expanding x = { .d = d };
        int r;

        if (type != 'd') {
                f.old = diff_old_side(d, id);
                if (!f.old.mode)
                        f.old.mode = type_of(type) | 0644;
                return diff_add(d, f, path, NULL);
        }
        r = buf_add_str(&x.path, path);
        if (r == 0)
                r = view_readdir(d->view, id, 0, expand, &x);
        buf_release(&x.path);
        return r == -ENOENT ? 0 : r < 0 ? r : x.r;
}

/* A folder of the bare site-packages cannot be listed under a mount: what was in it is told by the report; and what
 * packages had there, by its path, as without the base it has another id. */
static int add_removed_dir(struct diff *d, const struct edit_change *c)
{
        struct node n = { .id = c->id };
        int r = 0;

        for (size_t i = 0; !d->views.base && r == 0 && i < d->report.original_count; i++) {
                const struct edit_original *o = &d->report.originals[i];

                if (edit_path_is_within(o->path, c->path) && !diff_own_has(d, o->id))
                        r = add_removed(d, o->id, o->path, S_ISLNK(o->mode) ? 'l' : 'f');
        }
        if (r < 0 || (c->id >> 32 == 0 && view_find(d->view, c->path, &n) < 0))
                return r;
        return add_removed(d, n.id, c->path, 'd');
}

/* Where the environment has what lies in a folder that was moved; NULL: it was not. */
static int origin_of(const struct diff *d, const char *path, struct buf *ret)
{
        const struct edit_change *best = NULL;

        for (size_t i = 0; i < d->report.change_count; i++) {
                const struct edit_change *c = &d->report.changes[i];

                if (c->kind == CHANGE_MOVED && edit_path_is_within(path, c->path) &&
                    (!best || strlen(c->path) > strlen(best->path)))
                        best = c;
        }
        return best ? buf_printf(ret, "%s%s", best->origin, path + strlen(best->path)) : 0;
}

static struct diff_side made_side(const struct edit_change *c)
{
        return (struct diff_side){ DIFF_DATA, c->id, type_of(c->type) | c->mode, c->size, c->target };
}

/* What has another name now: another row says whether it was changed, too, or what it is, if it was made here. */
static struct diff_side new_side(const struct diff *d, const struct edit_change *c, const struct diff_side *old)
{
        struct diff_side s = *old;

        for (size_t i = 0; c->kind == CHANGE_LINKED && i < d->report.change_count; i++) {
                const struct edit_change *other = &d->report.changes[i];

                if (other->kind == CHANGE_ADDED && other->id == c->id)
                        return made_side(other);
                if (other->kind != CHANGE_MODIFIED || other->id != c->id)
                        continue;
                s.mode = (old->mode & S_IFMT) | other->mode;
                if (other->data) {
                        s.where = DIFF_DATA;
                        s.size = other->size;
                }
        }
        return s;
}

static int add_change(struct diff *d, const struct edit_change *c)
{
        struct diff_file f = { .kind = c->kind, .owned = edit_owned_has(&d->owned, c->kind, c->id, c->path, c->type) };
        cleanup_buf struct buf from = { 0 };
        int r;

        switch (c->kind) {
        case CHANGE_REMOVED:
                return c->type == 'd' ? add_removed_dir(d, c) : add_removed(d, c->id, c->path, c->type);
        case CHANGE_MODIFIED:
                f.old = diff_old_side(d, c->id);
                f.new = f.old;
                f.new.mode = (f.old.mode ? f.old.mode & S_IFMT : S_IFREG) | c->mode;
                f.new.size = c->size;
                if (c->data)
                        f.new.where = DIFF_DATA;
                r = origin_of(d, c->path, &from);
                return r < 0 ? r : diff_add(d, f, c->path, from.data);
        case CHANGE_MOVED:
        case CHANGE_LINKED:
                f.old = diff_old_side(d, c->id);
                if (!f.old.mode)
                        f.old.mode = type_of(c->type);
                f.new = new_side(d, c, &f.old);
                if (c->kind == CHANGE_LINKED && f.old.where == DIFF_UNKNOWN)
                        f.old = (struct diff_side){ 0 };
                return diff_add(d, f, c->path, c->origin);
        case CHANGE_ADDED:
                f.new = made_side(c);
                return diff_add(d, f, c->path, NULL);
        }
        return 0;
}

/* What is in a folder follows it at once: "a", "a/x", "a-1.0". */
int diff_path_order(const char *a, const char *b)
{
        while (*a && *a == *b) {
                a++;
                b++;
        }
        return (*a == '/' ? 1 : (unsigned char)*a) - (*b == '/' ? 1 : (unsigned char)*b);
}

static int by_path(const void *a, const void *b)
{
        const struct diff_file *x = a, *y = b;
        int order = diff_path_order(x->path, y->path);

        return order ? order : (int)x->kind - (int)y->kind;
}

/* A file that another took the place of is one that was changed. */
static void join(struct diff *d)
{
        size_t n = 0;

        for (size_t i = 0; i < d->count; i++) {
                struct diff_file *f = &d->files[i], *last = n ? &d->files[n - 1] : NULL;

                if (last && last->kind == CHANGE_REMOVED && f->kind == CHANGE_ADDED && last->owned == f->owned &&
                    strcmp(last->path, f->path) == 0 && (last->old.mode & S_IFMT) == (f->new.mode & S_IFMT)) {
                        last->kind = CHANGE_MODIFIED;
                        last->new = f->new;
                        free(f->path);
                        free(f->from);
                } else {
                        d->files[n++] = *f;
                }
        }
        d->count = n;
}

void diff_sort(struct diff *d)
{
        if (d->count)
                qsort(d->files, d->count, sizeof(*d->files), by_path);
        join(d);
}

/* When all is known: what was removed may be another package's than what is there now. */
static void choose(struct diff *d)
{
        size_t n = 0;

        for (size_t i = 0; i < d->count; i++) {
                struct diff_file *f = &d->files[i];

                if ((f->old.id && edit_filter_wants(&d->filter, f->old.id, f->path, f->from)) ||
                    (f->new.id && edit_filter_wants(&d->filter, f->new.id, f->path, f->from))) {
                        d->files[n++] = *f;
                } else {
                        free(f->path);
                        free(f->from);
                }
        }
        d->count = n;
}

bool diff_is_shown(const struct diff *d, size_t i)
{
        const struct diff_file *f = &d->files[i];

        if (f->owned)
                return false;
        if (f->kind != CHANGE_ADDED || !S_ISDIR(f->new.mode))
                return true;
        return !(i + 1 < d->count && edit_path_is_within(d->files[i + 1].path, f->path));
}

/* --- */

static int ask(struct diff *d, const char *more, struct errtext *err)
{
        cleanup_buf struct buf request = { 0 };
        int r;

        if (!edits_ask_needed(&d->t))
                return 0;
        r = buf_printf(&request, "report\noriginals\n%s", more);
        if (r == 0)
                r = target_lock(&d->t, err);
        return r < 0 ? r : edits_ask(&d->t, request.data, &d->report, err);
}

static int collect(struct diff *d, bool each_once, struct errtext *err)
{
        int r = diff_own_load(d);

        for (size_t i = 0; r == 0 && i < d->report.change_count; i++)
                r = add_change(d, &d->report.changes[i]);
        if (r == 0)
                diff_sort(d);
        if (r == 0 && each_once)
                r = diff_replaced(d);
        if (r < 0)
                return errtext_set(err, r, "cannot compare with what was installed: %s",
                                   errno_name(r, (char[128]){ 0 }));
        choose(d);
        return 0;
}

int diff_open(const struct options *o, unsigned flags, const char *more, struct diff *ret, struct errtext *err)
{
        int r = target_open(o, &ret->t, err);

        ret->generated = flags & DIFF_GENERATED;
        ret->views.target = &ret->t;
        if (r == 0 && !ret->t.environment)
                r = errtext_set(err, -ENOENT, "fusepkg has installed nothing in '%s'", ret->t.venv);
        if (r == 0)
                r = ask(ret, more, err);
        if (r == 0)
                r = edit_dists_load(&ret->t, &ret->report, &ret->dists, err);
        if (r == 0)
                r = edit_owned_load(&ret->dists, &ret->owned, err);
        if (r == 0)
                r = edit_filter_load(&ret->dists, &ret->views, o, &ret->filter, err);
        if (r == 0)
                r = edit_view_for(&ret->views, &ret->report, &ret->view, err);
        return r < 0 ? r : collect(ret, flags & DIFF_EACH_ONCE, err);
}

void diff_close(struct diff *d)
{
        if (d->t.lock_fd >= 0)
                edits_ask_done(&d->t);
        for (size_t i = 0; i < d->count; i++) {
                free(d->files[i].path);
                free(d->files[i].from);
        }
        free(d->files);
        free(d->own);
        edit_filter_release(&d->filter);
        edit_owned_release(&d->owned);
        edit_dists_release(&d->dists);
        edit_report_release(&d->report);
        edit_view_release(&d->views);
        target_close(&d->t);
        *d = (struct diff)DIFF_INIT;
}

bool diff_wants_dist(const struct diff *d, const struct edit_dist *dist)
{
        return edit_filter_wants(&d->filter, dist->slot ? (uint64_t)dist->slot->number << 32 : 0, dist->dist_info,
                                 NULL);
}
