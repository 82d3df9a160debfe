#include "tools/change.h"

#include "fs/edits_report.h"
#include "store/files.h"
#include "store/place.h"
#include "store/wheel_name.h"
#include "tools/bare_seen.h"
#include "tools/eject.h"
#include "tools/identity.h"
#include "tools/interpreter.h"
#include "tools/outside.h"
#include "tools/outside_list.h"
#include "tools/python_start.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <stdio.h>

int change_open(const struct options *o, struct change *ret, struct errtext *err)
{
        return target_open(o, &ret->t, err);
}

int change_open_store(struct change *c, struct errtext *err)
{
        struct errtext why = { "" };
        int r = target_store(&c->t, STORE_CREATE, &c->store, &why);

        /* What it has can be installed from a store that cannot be written to, too. */
        if ((r == -EROFS || r == -EACCES) && target_store(&c->t, STORE_READ, &c->store, err) == 0) {
                c->use_fd = store_use(c->store); /* where it has locks: gc waits, as for who opens the index for writing */
                r = 0;
        } else if (r < 0) {
                *err = why;
        }
        if (r == 0)
                r = index_open(c->store, &c->index, err);
        if (r == 0 && image_pool_new(c->store, &c->pool) < 0)
                r = errtext_set(err, -ENOMEM, "out of memory");
        return r;
}

/* Not mounted: the bare distributions can be seen, so their scripts are to be where they were. */
static void settle(struct change *c)
{
        struct mount_info info = { .state = MOUNT_NONE };
        struct errtext err;

        c->unsettled = false;
        if (mount_examine(c->t.site, c->t.state_fd, &info) < 0 || info.state == MOUNT_LIVE)
                return;
        if (outside_bare_restore(&c->t, &err) < 0)
                ui_warning("%s", err.text);
}

void change_release(struct change *c)
{
        if (c->unsettled)
                settle(c);
        /* Notes go, but then only an empty folder: one that a commit has filled, somebody else's too, stays. */
        if (c->made_state && !c->committed && c->t.lock_fd >= 0 && !c->t.environment) {
                outside_bare_sweep(&c->t);
                (void)unlinkat(c->t.venv_fd, ENVIRONMENT_DIR, AT_REMOVEDIR);
        }
        for (size_t i = 0; i < c->line_count; i++) {
                free(c->lines[i].name);
                free(c->lines[i].version);
        }
        free(c->lines);
        change_edits_release(&c->edits);
        environment_free(c->next);
        image_pool_free(c->pool);
        index_close(c->index);
        if (c->use_fd >= 0)
                close(c->use_fd);
        store_close(c->store);
        target_close(&c->t);
        *c = (struct change)CHANGE_INIT;
}

static unsigned current_umask(void)
{
        mode_t mask = umask(022);

        umask(mask);
        return mask & 0777;
}

/* The store's folder may have been moved: then its new place is recorded, its id being the same. */
static int prepare_next(struct change *c, struct errtext *err)
{
        struct environment *e = c->t.environment;
        char *path;
        int r;

        r = e ? environment_copy(e, &c->next)
              : environment_new(c->t.site_rel, c->t.python, c->store, current_umask(), &c->next);
        if (r < 0)
                return errtext_set(err, r, "cannot prepare the environment: %s", strerror(-r));
        if (strcmp(c->next->store_path, c->store->path) == 0)
                return 0;
        path = strdup(c->store->path);
        if (!path)
                return errtext_set(err, -ENOMEM, "out of memory");
        free(c->next->store_path);
        c->next->store_path = path;
        return 0;
}

static bool is_one_of(struct span name, const char *const *names, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (span_is(name, names[i]))
                        return true;
        return false;
}

/* Files that are only written with the venv's lock held, or of whose loss nobody would hear; and, unless somebody is
 * mounting, those that a mount writes without that lock. */
static bool is_left(struct span name, const void *nobody_mounts)
{
        static const char *const locked[] = {
                OUTSIDE_FILE, EDITS_REQUEST_FILE, EDITS_REPORT_FILE, EJECT_FILE, INTERPRETER_FILE,
        };
        static const char *const mounting[] = { BARE_SEEN_FILE, BARE_NEW_FILE, IDENTITY_FILE };

        return is_one_of(name, locked, ARRAY_LEN(locked)) ||
               (*(const bool *)nobody_mounts && is_one_of(name, mounting, ARRAY_LEN(mounting)));
}

/* What killed commands left in .fusepkg. */
static void sweep(const struct target *t)
{
        cleanup_close int lock = -1;
        const bool nobody_mounts = mount_try_lock(t, &lock);

        environment_sweep(t->state_fd);
        file_replace_sweep(t->state_fd, ".", is_left, &nobody_mounts);
}

/* --- the lease --- */

struct lease {
        struct index_lease row;
        struct buf place;
        uint8_t (*images)[SHA256_SIZE];
        size_t count;
};

static void lease_release(struct lease *l)
{
        buf_release(&l->place);
        free(l->images);
}

static int lease_init(const struct change *c, const struct environment *e, struct lease *ret)
{
        struct lease l = { .images = reallocarray(NULL, e->slot_count + 1, SHA256_SIZE) };
        struct stat st;
        int r = l.images ? 0 : -ENOMEM;

        if (r == 0 && fstat(c->t.venv_fd, &st) < 0)
                r = -errno;
        if (r == 0)
                r = place_describe(c->t.venv_fd, &l.place);
        if (r < 0) {
                lease_release(&l);
                return r;
        }
        for (; l.count < e->slot_count; l.count++)
                memcpy(l.images[l.count], e->slots[l.count].image, SHA256_SIZE);
        l.row = (struct index_lease){ .venv = c->t.venv, .device = st.st_dev, .inode = st.st_ino,
                                      .environment = e->id, .place = l.place.data ? l.place.data : "" };
        *ret = l;
        return 0;
}

/* A store that cannot be written to learns nothing: whoever owns it must see to it that gc leaves what is used
 * (packaging/container/README.md). */
static bool is_read_only(const struct change *c)
{
        return c->store->lock_fd < 0;
}

/* The store learns who uses it, and what.  For NEXT that is before the commit: an environment of which the store knows
 * nothing would lose its packages to gc. */
static int lease_put(struct change *c, const struct environment *e)
{
        struct lease l;
        int r;

        if (is_read_only(c))
                return 0;
        r = lease_init(c, e, &l);
        if (r < 0)
                return r;
        r = index_put_lease(c->index, &l.row, (const uint8_t (*)[SHA256_SIZE])l.images, l.count);
        lease_release(&l);
        return r;
}

/* After the commit: what has left, and when. */
static int lease_end(struct change *c)
{
        struct lease l;
        int r;

        if (is_read_only(c))
                return 0;
        r = lease_init(c, c->t.environment, &l);
        if (r < 0)
                return r;
        r = index_end_uses(c->index, &l.row, (const uint8_t (*)[SHA256_SIZE])l.images, l.count);
        if (r == 0)
                r = index_touch(c->index, (const uint8_t (*)[SHA256_SIZE])l.images, l.count);
        lease_release(&l);
        return r;
}

static int lease_failed(const struct change *c, int r, struct errtext *err)
{
        char text[128];

        return r == 0 ? 0 : errtext_set(err, r, "the store '%s' could not note that '%s' uses it: %s", c->store->path,
                                        c->t.venv, errno_name(r, text));
}

/* It may have been moved, or the index lost.  The store is told before the venv notes where it is: by that note every
 * later mount would take the store to know, and gc might forget the venv. */
static int settle_place(struct change *c, struct errtext *err)
{
        struct errtext why;
        int r = identity_check(&c->t, err);

        if (r == 0 && c->t.environment && lease_failed(c, lease_put(c, c->t.environment), &why) < 0) {
                ui_warning("%s", why.text);
                return 0;
        }
        return r < 0 ? r : identity_settle(&c->t, err);
}

int change_lock(struct change *c, struct errtext *err)
{
        int r;

        c->made_state = c->t.state_fd < 0;
        r = c->t.lock_fd >= 0 ? 0 : target_lock(&c->t, err);
        c->started_ns = ui_now_ns();
        if (r == 0)
                r = target_check_store(&c->t, c->store, err);
        if (r == 0 && !c->adopting)
                r = settle_place(c, err);
        if (r == 0) {
                sweep(&c->t);
                outside_bare_sweep(&c->t);
        }
        c->unsettled = r == 0;
        if (r == 0 && c->t.environment)
                r = outside_apply(&c->t, c->t.environment, c->pool, err);
        r = r < 0 ? r : prepare_next(c, err);
        if (r == 0)
                r = change_edits_load(c, err);
        if (r == 0)
                r = bare_seen_adopt(c, err);
        /* Else with the commit. */
        if (r == 0 && c->line_count == 0)
                bare_seen_warn(&c->t);
        return r;
}

int change_note(struct change *c, char sign, const char *name, const char *version, struct errtext *err)
{
        struct change_line *lines = reallocarray(c->lines, c->line_count + 1, sizeof(*lines));
        struct change_line line = { .sign = sign, .name = strdup(name), .version = strdup(version) };

        if (lines)
                c->lines = lines;
        if (!lines || !line.name || !line.version) {
                free(line.name);
                free(line.version);
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        lines[c->line_count++] = line;
        return 0;
}

/* --- the base --- */

struct hiding {
        struct change *change;
        const char *name;
        size_t hidden;
        struct errtext *err;
};

static int hide_one(const char *dist_info, const char *name, const char *version, void *user)
{
        struct hiding *h = user;
        const struct edit_dists *d = &h->change->edits.dists;
        int r;

        /* What the edits brought is not hidden, but removed; what they removed is gone already, and must stay so. */
        for (size_t i = 0; i < d->added_count; i++)
                if (strcmp(d->added[i].dist_info, dist_info) == 0)
                        return 0;
        if (!name_equal(name, h->name))
                return 0;
        r = outside_bare_note(&h->change->t, dist_info, h->err);
        if (r == 0 && environment_hide(h->change->next, dist_info) < 0)
                r = errtext_set(h->err, -ENOMEM, "out of memory");
        if (r == 0 && !edit_dists_is_removed_bare(d, dist_info))
                r = change_note(h->change, '-', name, version, h->err);
        h->hidden++;
        return r;
}

int change_hide(struct change *c, const char *name, size_t *ret_hidden, struct errtext *err)
{
        struct hiding h = { .change = c, .name = name, .err = err };
        size_t removed;
        int r = change_edits_remove(c, name, &removed, err);

        if (r < 0)
                return r;

        errtext_set(err, 0, "cannot read '%s'", c->t.site);
        r = target_each_bare(&c->t, hide_one, &h);
        if (ret_hidden)
                *ret_hidden = h.hidden;
        return r;
}

/* --- the commit --- */

static int commit_environment(struct change *c, struct errtext *err)
{
        const struct image_source images = { image_pool_source, c->pool };
        cleanup_close int site = openat(c->t.venv_fd, c->t.site_rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct site_now now = { site, c->edits.report.base.list, c->edits.report.base.count };
        struct errtext why = { "out of memory" };
        int r;

        if (site < 0)
                return errtext_set(err, -errno, "cannot open '%s': %s", c->t.site, strerror(errno));
        r = environment_commit(c->t.state_fd, c->t.environment, c->next, &images, &now, &why);
        if (r < 0)
                return errtext_set(err, r, "cannot change '%s': %.1000s", c->t.venv, why.text);
        environment_free(c->t.environment);
        c->t.environment = steal_ptr(c->next);
        c->committed = true;
        return 0;
}

static int by_name(const void *a, const void *b)
{
        const struct change_line *x = a, *y = b;
        cleanup_buf struct buf i = { 0 }, k = { 0 };
        int order;

        if (name_normalize(x->name, strlen(x->name), &i) < 0 || name_normalize(y->name, strlen(y->name), &k) < 0)
                return 0;
        order = strcmp(i.data ? i.data : "", k.data ? k.data : "");
        return order ? order : (y->sign == '-') - (x->sign == '-');
}

static void say_count(const char *what, size_t n, uint64_t ns)
{
        char took[32];

        if (n == 0)
                return;
        ui_format_duration(ns, took);
        ui_say("%s %zu package%s in %s", what, n, n == 1 ? "" : "s", took);
}

/* "-" and "+" of one name and version are one line: "~". */
static void say_lines(const struct change *c)
{
        for (size_t i = 0; i < c->line_count; i++) {
                const struct change_line *l = &c->lines[i], *next = i + 1 < c->line_count ? l + 1 : NULL;

                if (next && l->sign == '-' && next->sign == '+' && name_equal(l->name, next->name) &&
                    strcmp(l->version, next->version) == 0) {
                        ui_change('~', next->name, next->version);
                        i++;
                } else {
                        ui_change(l->sign, l->name, l->version);
                }
        }
}

static void say_result(struct change *c, uint64_t removed_ns, uint64_t ns)
{
        size_t removed = 0;

        for (size_t i = 0; i < c->line_count; i++)
                removed += c->lines[i].sign == '-';
        if (c->line_count)
                qsort(c->lines, c->line_count, sizeof(*c->lines), by_name);
        say_count("Uninstalled", removed, removed < c->line_count ? removed_ns : ns);
        say_count("Installed", c->line_count - removed, ns);
        say_lines(c);
}

int change_commit(struct change *c, struct errtext *err)
{
        struct errtext why;
        uint64_t planned_ns = ui_now_ns() - c->started_ns;
        int r = outside_check(&c->t, err);

        if (r == 0)
                r = lease_failed(c, lease_put(c, c->next), err);
        if (r == 0)
                r = change_edits_apply(c, err);
        if (r == 0)
                r = commit_environment(c, err);
        if (r < 0)
                return r;
        bare_seen_warn(&c->t);
        r = outside_apply(&c->t, c->t.environment, c->pool, err);
        say_result(c, planned_ns, ui_now_ns() - c->started_ns);
        target_give_state(&c->t);
        if (r < 0) {
                struct errtext ignored;

                /* It is installed all the same: a mount that is there shows it. */
                (void)change_show(c, false, NULL, &ignored);
                return r;
        }
        if (lease_failed(c, lease_end(c), &why) < 0)
                ui_warning("%s", why.text);
        return 0;
}

int change_show(struct change *c, bool mount, const struct mount_options *how, struct errtext *err)
{
        struct mount_info info = { .state = MOUNT_NONE };
        int r = mount_examine(c->t.site, c->t.state_fd, &info);

        if (r < 0)
                return errtext_set(err, r, "cannot tell what is mounted at '%s': %s", c->t.site, strerror(-r));
        if (info.state == MOUNT_LIVE)
                return mount_reload(&c->t, err);
        if (mount) {
                r = mount_start(&c->t, how, err);
                target_give_state(&c->t);
        } else if (c->committed && info.state == MOUNT_NONE) {
                /* Of a mount that has died the kernel still lists the names: they are not the bare folder's. */
                (void)bare_seen_update(&c->t);
                (void)identity_note_first(&c->t, err);
                if (python_start_write(&c->t, err) < 0)
                        ui_warning("%s", err->text);
                target_give_state(&c->t);
        }
        /* A Python was faster. */
        if (r == -EALREADY || (r < 0 && mount && mount_came(&c->t)))
                return mount_reload(&c->t, err);
        settle(c);
        /* A mount that has been started has done it. */
        if (r == 0 && !mount && c->committed)
                r = change_edits_carry(c, err);
        return r;
}
