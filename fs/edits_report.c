#include "fs/edits_report.h"

#include "fs/edits_exchange.h"
#include "fs/edits_originals.h"
#include "fs/edits_revert.h"
#include "fs/tree_copy.h"
#include "fs/view_private.h"
#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>

enum { REQUEST_MAX = 16 << 20 /* bytes */ };

struct request {
        bool report;
        bool check;
        bool originals;
        bool conflicts;
        bool base;
        bool blocked;
        char **paths;    /* to be reverted */
        size_t count;
        char **removals;
        size_t removal_count;
};

/* Reading ------------------------------------------------------------------------------------------------------ */

static void request_release(struct request *q)
{
        for (size_t i = 0; i < q->count; i++)
                free(q->paths[i]);
        free(q->paths);
        for (size_t i = 0; i < q->removal_count; i++)
                free(q->removals[i]);
        free(q->removals);
}

/* Relative, without ".", ".." or doubled slashes; "" is all. */
static bool is_tidy(const char *path)
{
        for (const char *p = path; *p;) {
                size_t len = strcspn(p, "/");

                if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += len;
                if (*p == '/' && !*++p)
                        return false;
        }
        return true;
}

static int take_path(char ***list, size_t *count, const char *word, struct errtext *err)
{
        char **more = reallocarray(*list, *count + 1, sizeof(*more));
        cleanup_buf struct buf path = { 0 };
        int r = more ? 0 : -ENOMEM;

        if (more)
                *list = more;
        if (r == 0)
                r = buf_add_unescaped(&path, word, strlen(word));
        if (r == 0 && path.data && !is_tidy(path.data))
                r = -EINVAL;
        if (r == 0) {
                more[*count] = path.len ? buf_steal(&path) : strdup("");
                r = more[*count] ? 0 : -ENOMEM;
        }
        if (r == 0)
                ++*count;
        return r < 0 ? errtext_set(err, r, "a request for the edits names a wrong path: '%.500s'", word) : 0;
}

static int take_line(struct request *q, const char *line, struct errtext *err)
{
        if (strcmp(line, "report") == 0)
                q->report = true;
        else if (strcmp(line, "check") == 0)
                q->check = true;
        else if (strcmp(line, "originals") == 0)
                q->originals = true;
        else if (strcmp(line, "conflicts") == 0)
                q->conflicts = true;
        else if (strcmp(line, "base") == 0)
                q->base = true;
        else if (strcmp(line, "blocked") == 0)
                q->blocked = true;
        else if (strncmp(line, "revert ", 7) == 0)
                return take_path(&q->paths, &q->count, line + 7, err);
        else if (strncmp(line, "remove ", 7) == 0)
                return take_path(&q->removals, &q->removal_count, line + 7, err);
        else
                return errtext_set(err, -EINVAL, "a request for the edits has a line that is not known: '%.500s'",
                                   line);
        return 0;
}

/* *RET_FD: the folder that it is in, where the report belongs as well. */
static int open_request(struct tree *t, int state_fd, int *ret_fd, struct buf *ret)
{
        cleanup_close int fd = dup(state_fd);
        int r = fd < 0 ? -errno : file_read_at(fd, EDITS_REQUEST_FILE, REQUEST_MAX, ret);

        if (r == -ENOENT) {
                struct view_ref *ref = tree_view(t);
                cleanup_close int other = edits_exchange_open(state_fd, view_environment(ref->view)->id);

                tree_view_done(t, ref);
                if (other < 0)
                        return other;
                r = file_read_at(other, EDITS_REQUEST_FILE, REQUEST_MAX, ret);
                if (r == 0) {
                        *ret_fd = steal_fd(&other);
                        return 0;
                }
        }
        if (r == 0)
                *ret_fd = steal_fd(&fd);
        return r;
}

static int read_request(struct tree *t, int state_fd, struct request *q, int *ret_fd, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        char *line, *save = NULL;
        bool ended = false;
        int r = open_request(t, state_fd, ret_fd, &text);

        if (r < 0)
                return errtext_set(err, r, "cannot read the request for the edits: %s",
                                   errno_name(r, (char[128]){ 0 }));
        line = text.data ? strtok_r(text.data, "\n", &save) : NULL;
        if (!line || strcmp(line, EDITS_REQUEST_HEAD) != 0)
                return errtext_set(err, -EINVAL, "the request for the edits is none, or of another version");
        while (r == 0 && !ended && (line = strtok_r(NULL, "\n", &save))) {
                ended = strcmp(line, "end") == 0;
                if (!ended)
                        r = take_line(q, line, err);
        }
        if (r == 0 && !ended)
                r = errtext_set(err, -EINVAL, "the request for the edits is not complete");
        return r;
}

/* Writing ------------------------------------------------------------------------------------------------------ */

static char type_letter(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFDIR:
                return 'd';
        case S_IFLNK:
                return 'l';
        case S_IFIFO:
                return 'p';
        case S_IFSOCK:
                return 's';
        case S_IFCHR:
                return 'c';
        case S_IFBLK:
                return 'b';
        default:
                return 'f';
        }
}

static int add_word(struct buf *b, const char *word, char end)
{
        int r = buf_add_escaped(b, word, strlen(word));

        return r < 0 ? r : buf_add_char(b, end);
}

static int add_target(const struct tree *t, uint64_t id, struct buf *b)
{
        cleanup_buf struct buf target = { 0 };
        int r = edits_target_get(t->edits, id, &target);

        return r < 0 ? r : add_word(b, target.data ? target.data : "", '\n');
}

static int write_item(const struct tree *t, const struct edit_item *item, struct buf *b)
{
        unsigned long long id = item->id, size = item->size;
        unsigned mode = item->mode & 07777;
        uint32_t newest;
        int r = -EINVAL;

        switch (item->kind) {
        case EDIT_REMOVED:
                r = buf_printf(b, "removed %llx %c ", id, type_letter(item->mode));
                return r < 0 ? r : add_word(b, item->origin, '\n');
        case EDIT_MODIFIED:
                r = buf_printf(b, "modified %llx %o %llu %d ", id, mode, size, item->data);
                return r < 0 ? r : add_word(b, item->path, '\n');
        case EDIT_ADDED:
                r = buf_printf(b, "added %llx %c %o %llu ", id, type_letter(item->mode), mode, size);
                if (r == 0)
                        r = add_word(b, item->path, S_ISLNK(item->mode) ? ' ' : '\n');
                return r < 0 || !S_ISLNK(item->mode) ? r : add_target(t, item->id, b);
        case EDIT_MOVED:
                r = buf_printf(b, "moved %llx %c ", (unsigned long long)item->shows, type_letter(item->mode));
                break;
        case EDIT_LINKED:
                r = buf_printf(b, "linked %llx ", id);
                break;
        }
        if (r == 0)
                r = add_word(b, item->path, ' ');
        if (r == 0 && item->kind == EDIT_MOVED && view_newest(tree_current(t), item->shows, &newest) == 0) {
                r = add_word(b, item->origin, ' ');
                return r < 0 ? r : buf_printf(b, "%u\n", newest);
        }
        return r < 0 ? r : add_word(b, item->origin, '\n');
}

struct listing {
        const struct view *view;
        struct buf path;
        struct buf *lines;
        int r;
};

static int list_base(const char *name, mode_t type, void *user);

static int write_base(struct listing *l)
{
        int r = buf_add_str(l->lines, "base ");

        if (r == 0)
                r = add_word(l->lines, l->path.data, '\n');
        if (r == 0)
                r = base_list(l->view->base, l->view->hidden, l->path.data, list_base, l);
        return r < 0 ? r : l->r;
}

static int list_base(const char *name, mode_t type, void *user)
{
        struct listing *l = user;
        size_t len = l->path.len;

        if (!S_ISDIR(type))
                return 0;
        l->r = buf_printf(&l->path, "/%s", name);
        if (l->r == 0)
                l->r = write_base(l);
        l->path.len = len;
        l->path.data[len] = '\0';
        return l->r < 0;
}

static bool is_base_dir(const struct view *v, const char *path, size_t len)
{
        struct stat st;

        return base_stat(v->base, v->hidden, path, len, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What the base has where an item was taken from: the directories above it, which may be another's now as well, and all
 * below it. */
static int write_taken(const struct view *v, const struct edit_item *item, struct buf *b)
{
        struct listing l = { .view = v, .lines = b };
        const char *slash = item->origin;
        int r = 0;

        if (!v->base || (item->kind != EDIT_REMOVED && item->kind != EDIT_MOVED))
                return 0;
        while (r == 0 && (slash = strchr(slash, '/')) && is_base_dir(v, item->origin, (size_t)(slash - item->origin))) {
                r = buf_add_str(b, "base ");
                if (r == 0)
                        r = buf_add_escaped(b, item->origin, (size_t)(slash++ - item->origin));
                if (r == 0)
                        r = buf_add_char(b, '\n');
        }
        if (r < 0 || slash || !S_ISDIR(item->mode) || !is_base_dir(v, item->origin, strlen(item->origin)))
                return r;
        r = buf_add_str(&l.path, item->origin);
        if (r == 0)
                r = write_base(&l);
        buf_release(&l.path);
        return r;
}

static int write_report(struct tree *t, int io_fd, const struct request *q, struct buf *b, struct errtext *err)
{
        cleanup_edit_items struct edit_items items = { 0 };
        int r = edit_items_load(t, &items, err);

        for (size_t i = 0; q->report && r == 0 && i < items.count; i++)
                r = write_item(t, &items.list[i], b);
        for (size_t i = 0; q->base && r == 0 && i < items.count; i++)
                r = write_taken(tree_current(t), &items.list[i], b);
        if (r == 0 && q->originals)
                r = edits_originals(&items, io_fd, b, err);
        return r;
}

static int write_bad(const char *sentence, void *user)
{
        struct buf *b = user;
        int r = buf_add_str(b, "bad ");

        return r < 0 ? r : add_word(b, sentence, '\n');
}

static int write_conflict(const char *path, const char *loser, const char *winner, void *user)
{
        struct buf *b = user;
        int r = buf_add_str(b, "conflicting ");

        if (r == 0)
                r = add_word(b, path, ' ');
        if (r == 0)
                r = add_word(b, loser, ' ');
        return r < 0 ? r : add_word(b, winner, '\n');
}

/* Files are compared: not under the tree's lock. */
static int write_conflicts(struct tree *t, struct buf *b)
{
        struct view_ref *ref = tree_view(t);
        int r = view_conflicts(ref->view, 0, write_conflict, b);

        tree_view_done(t, ref);
        return r;
}

/* It belongs to the venv's owner, who may not be us. */
static int replace_report(int io_fd, const struct buf *b)
{
        struct stat st;
        int r = file_replace(io_fd, EDITS_REPORT_FILE, b->data, b->len, 0644, false);

        if (r == 0 && geteuid() == 0 && fstat(io_fd, &st) == 0) {
                int ignored = fchownat(io_fd, EDITS_REPORT_FILE, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);

                (void)ignored;
        }
        return r;
}

/* Like a program of the venv's owner; each is a change of its own.  Of a name that is not there the kernel is told as
 * well: a process before this one may have removed it, and died before it could. */
static int remove_path(struct tree *t, const char *path, struct tree_changes *ret)
{
        const struct tree_call who = { .cell = NO_CELL };
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        cleanup_free char *folder = strndup(path, slash ? (size_t)(slash - path) : 0);
        struct node dir, n = { 0 };
        int r = folder ? tree_find(t, folder, &dir) : -ENOMEM;

        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (r == 0)
                r = tree_lookup(t, dir.id, name, strlen(name), &n);
        if (r == 0)
                r = S_ISDIR(n.st.st_mode) ? tree_rmdir(t, &who, dir.id, name) : tree_unlink(t, &who, dir.id, name);
        if (r == -ENOTDIR || r == -ENOTEMPTY || r == -EBUSY) /* the last: the data folder, which is not a package's */
                return 0;
        if (r == 0 || r == -ENOENT)
                r = tree_changes_add(ret, dir.id, name);
        if (r == 0)
                r = tree_changes_add(ret, dir.id, NULL);
        return r < 0 || n.id == 0 ? r : tree_changes_add(ret, n.id, NULL);
}

static int serve(struct tree *t, int state_fd, int io_fd, const struct request *q, struct tree_changes *ret,
                 struct buf *b, struct errtext *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < q->removal_count; i++)
                r = remove_path(t, q->removals[i], ret);
        if (r < 0)
                return errtext_set(err, r, "cannot remove what a package has: %s", errno_name(r, (char[128]){ 0 }));
        tree_copies_stop(t);
        pthread_mutex_lock(&t->lock);
        r = buf_printf(b, EDITS_REPORT_HEAD "\ngeneration %llu\n",
                       (unsigned long long)view_environment(tree_current(t))->generation);
        if (r == 0 && q->blocked)
                r = edits_blocked(t, q->paths, q->count, b, err);
        else if (r == 0 && q->count)
                r = edits_revert(t, state_fd, q->paths, q->count, ret, b, err);
        if (r == 0 && (q->report || q->originals) && t->edits)
                edits_read_begin(t->edits);
        if (r == 0 && (q->report || q->originals))
                r = write_report(t, io_fd, q, b, err);
        if (t->edits && (q->report || q->originals))
                edits_read_end(t->edits);
        pthread_mutex_unlock(&t->lock);
        tree_copies_go_on(t);
        if (r == 0 && q->check)
                r = tree_check(t, write_bad, b);
        if (r == 0 && q->conflicts)
                r = write_conflicts(t, b);
        return r < 0 ? r : buf_add_str(b, "end\n");
}

/* The ioctl gives a number alone. */
static void report_error(int io_fd, const char *sentence)
{
        cleanup_buf struct buf text = { 0 };

        if (buf_add_str(&text, EDITS_REPORT_HEAD "\nerror ") == 0 && add_word(&text, sentence, '\n') == 0 &&
            buf_add_str(&text, "end\n") == 0)
                (void)replace_report(io_fd, &text);
}

int edits_serve_request(struct tree *t, int state_fd, struct tree_changes *ret, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        cleanup_close int io_fd = -1;
        struct errtext why = { "" };
        struct request q = { 0 };
        int r = read_request(t, state_fd, &q, &io_fd, &why);

        if (r == 0)
                r = serve(t, state_fd, io_fd, &q, ret, &text, &why);
        if (r == 0)
                r = replace_report(io_fd, &text);
        request_release(&q);
        if (r < 0) {
                errtext_set(err, r, "%s", why.text[0] ? why.text : errno_name(r, (char[128]){ 0 }));
                if (why.text[0])
                        report_error(io_fd < 0 ? state_fd : io_fd, why.text);
        }
        return r;
}
