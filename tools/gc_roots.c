#include "tools/gc_roots.h"

#include "fs/environment.h"
#include "store/files.h"
#include "store/place.h"
#include "tools/mounts.h"
#include "tools/target.h"

#include <fcntl.h>
#include <stdio.h>

/* Clocks are set back and forth: so much later than a use has ended must a mount have been made to know nothing of it.
 * */
enum { CLOCK_MARGIN_S = 3600 };

const char *gc_user_state_name(enum gc_user_state s)
{
        switch (s) {
        case GC_USER_MOUNTED:
                return "mounted";
        case GC_USER_ABSENT:
                return "absent";
        case GC_USER_UNKNOWN:
                return "unknown";
        case GC_USER_MISSING:
                return "missing";
        case GC_USER_MOVED:
                return "moved";
        case GC_USER_DELETED:
                return "deleted";
        case GC_USER_UNMOUNTED:
                break;
        }
        return "unmounted";
}

struct finding {
        const struct store *store;
        struct index *index;
        struct gc *gc;
        const struct gc_roots_options *options;
        struct gc_roots roots;

        /* of the user that is looked at */
        struct gc_user *user;
        struct buf named;   /* struct naming: what its environment and history name */
        int64_t since;      /* of its mount */
};

static struct index_lease lease_of(const struct gc_user *u)
{
        return (struct index_lease){ u->venv, u->device, u->inode, u->environment, u->place, u->missing };
}

static int set_state(struct gc_user *u, enum gc_user_state state, const char *detail)
{
        char *copy = detail ? strdup(detail) : NULL;

        if (detail && !copy)
                return -ENOMEM;
        free(u->detail);
        u->detail = copy;
        u->state = state;
        return 0;
}

static int add_user(const struct index_lease *lease, void *user)
{
        struct finding *f = user;
        struct gc_user *list = reallocarray(f->roots.list, f->roots.count + 1, sizeof(*list));
        struct gc_user u = { .device = lease->device, .inode = lease->inode, .missing = lease->missing };

        if (!list)
                return -ENOMEM;
        f->roots.list = list;
        u.venv = strdup(lease->venv);
        u.environment = strdup(lease->environment);
        u.place = strdup(lease->place);
        list[f->roots.count++] = u;
        return u.venv && u.environment && u.place ? 0 : -ENOMEM;
}

void gc_roots_release(struct gc_roots *roots)
{
        for (size_t i = 0; i < roots->count; i++) {
                free(roots->list[i].venv);
                free(roots->list[i].environment);
                free(roots->list[i].place);
                free(roots->list[i].detail);
                buf_release(&roots->list[i].ended);
        }
        free(roots->list);
        *roots = (struct gc_roots){ 0 };
}

static int need(struct finding *f, const uint8_t image[SHA256_SIZE], enum gc_why why, uint64_t generation)
{
        const struct gc_reason reason = { why, (size_t)(f->user - f->roots.list), generation };

        return gc_need(f->gc, image, &reason);
}

/* --- an environment that is there --- */

struct naming {
        uint8_t image[SHA256_SIZE];
        uint64_t generation;
        bool current;
};

static struct naming naming_at(const struct finding *f, size_t i)
{
        struct naming n;

        memcpy(&n, f->named.data + i, sizeof n);
        return n;
}

static int note_naming(const uint8_t image[SHA256_SIZE], uint64_t generation, bool current, void *user)
{
        struct finding *f = user;
        struct naming n;

        memset(&n, 0, sizeof n);
        memcpy(n.image, image, SHA256_SIZE);
        n.generation = generation;
        n.current = current;
        return buf_add(&f->named, &n, sizeof n);
}

static int need_named(struct finding *f)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < f->named.len; i += sizeof(struct naming)) {
                struct naming n = naming_at(f, i);

                r = need(f, n.image, n.current ? GC_CURRENT : GC_HISTORY, n.generation);
        }
        return r;
}

static bool is_named(const struct finding *f, const uint8_t image[SHA256_SIZE])
{
        for (size_t i = 0; i < f->named.len; i += sizeof(struct naming))
                if (memcmp(naming_at(f, i).image, image, SHA256_SIZE) == 0)
                        return true;
        return false;
}

/* A use that the environment itself does not show any more. */
static int see_use(const uint8_t image[SHA256_SIZE], int64_t ended, void *user)
{
        struct finding *f = user;

        if (is_named(f, image))
                return 0;
        if (f->user->state == GC_USER_MOUNTED && (ended == 0 || ended + CLOCK_MARGIN_S >= f->since))
                return need(f, image, GC_MOUNT, 0);
        if (f->user->state == GC_USER_MOUNTED || f->user->state == GC_USER_UNMOUNTED)
                return buf_add(&f->user->ended, image, SHA256_SIZE);
        return need(f, image, GC_ABSENT, 0);
}

static int see_uses(struct finding *f)
{
        const struct index_lease lease = lease_of(f->user);

        return index_each_use(f->index, &lease, see_use, f);
}

/* -ENOENT: the environment of the lease is not in that folder.  Else its state is set, and what it names is needed. */
static int see_environment(struct finding *f, int venv_fd)
{
        cleanup_close int state_fd = file_open_beneath(venv_fd, ENVIRONMENT_DIR, O_RDONLY | O_DIRECTORY, 0);
        struct mount_info info = { .state = MOUNT_NONE };
        struct gc_environment e;
        bool whole = false;
        char text[128];
        int r = state_fd < 0 ? state_fd : gc_environment_read(state_fd, note_naming, f, &e, &whole);

        if (r == -ENOENT || r == -ENOMEM)
                return r;
        if (r < 0)
                return set_state(f->user, GC_USER_UNKNOWN, errno_name(r, text));
        if (e.id[0] && strcmp(e.id, f->user->environment) != 0)
                return -ENOENT;
        if (e.store_id[0] && strcmp(e.store_id, f->store->id) != 0)
                return set_state(f->user, GC_USER_DELETED, "it uses another store now");
        r = need_named(f);
        if (r < 0)
                return r;
        if (e.damaged)
                return set_state(f->user, GC_USER_UNKNOWN, "its list of packages is damaged");
        if (!whole)
                return set_state(f->user, GC_USER_UNKNOWN, "not all of its history can be read");
        /* Only the lock is of interest: the mount may be one that cannot be seen from here. */
        r = mount_examine(f->user->venv, state_fd, &info);
        f->since = r < 0 ? 0 : info.since;
        return set_state(f->user, r < 0 || info.locked ? GC_USER_MOUNTED : GC_USER_UNMOUNTED, NULL);
}

/* --- one that is not --- */

/* `.fusepkg` may have been removed under a mount. */
static bool is_mounted(const char *venv)
{
        cleanup_target struct target t = TARGET_INIT;
        struct mount_info info = { .state = MOUNT_NONE };

        return target_open_path(venv, &t, NULL) == 0 && mount_examine(t.site, t.state_fd, &info) == 0 &&
               info.state == MOUNT_LIVE;
}

static int judge_missing(struct finding *f)
{
        struct gc_user *u = f->user;
        const struct gc_roots_options *o = f->options;
        int64_t missing = u->missing && u->missing <= o->now ? u->missing : o->now;
        int64_t left_s = missing + o->grace_s - o->now;
        char text[200];

        if (left_s <= 0 && u->missing)
                return set_state(u, GC_USER_DELETED, "it has been missing for the time of grace");
        if (left_s <= 0)
                return set_state(u, GC_USER_DELETED, "it is not there any more");
        snprintf(text, sizeof text, "it was deleted or moved; a gc in %lld hours or more forgets it",
                 (long long)(left_s + 3599) / 3600);
        return set_state(u, GC_USER_MISSING, text);
}

static int set_place_state(struct finding *f, enum place_state place, const struct buf *where)
{
        cleanup_buf struct buf text = { 0 };
        int r;

        switch (place) {
        case PLACE_GONE:
                return set_state(f->user, GC_USER_DELETED, "it was deleted");
        case PLACE_MISSING:
                return judge_missing(f);
        case PLACE_MOVED:
                r = buf_printf(&text, "it was moved to '%s'; any change there makes it known",
                               where->data ? where->data : "");
                return r < 0 ? r : set_state(f->user, GC_USER_MOVED, text.data);
        case PLACE_UNKNOWN:
                return set_state(f->user, GC_USER_UNKNOWN, where->data ? where->data : "");
        case PLACE_THERE:
        case PLACE_OTHER:
        case PLACE_AWAY:
                break;
        }
        return set_state(f->user, GC_USER_ABSENT, f->user->place[0] ? "its file system is not mounted here"
                                                                    : "its file system cannot be told from others");
}

static int look_for(struct finding *f)
{
        struct gc_user *u = f->user;
        cleanup_buf struct buf where = { 0 };
        enum place_state place = PLACE_UNKNOWN;
        bool there;
        int r = place_judge(u->venv, u->place, false, &place, &where);

        if (r < 0)
                return r;
        there = place == PLACE_THERE || place == PLACE_OTHER;
        if (there) {
                cleanup_close int fd = open(u->venv, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                char text[128];

                if (fd < 0)
                        return set_state(u, GC_USER_UNKNOWN, errno_name(-errno, text));
                r = see_environment(f, fd);
                if (r != -ENOENT)
                        return r;
                if (place == PLACE_THERE && is_mounted(u->venv)) {
                        f->since = 0;
                        return set_state(u, GC_USER_MOUNTED, "its list of packages was removed under the mount");
                }
                buf_clear(&where);
                r = place == PLACE_THERE ? place_judge(u->venv, u->place, true, &place, &where) : 0;
        }
        return r < 0 ? r : set_place_state(f, place, &where);
}

static const struct gc_user *find_at_another_path(const struct gc_roots *roots, const struct gc_user *u)
{
        for (size_t i = 0; i < roots->count; i++) {
                const struct gc_user *other = &roots->list[i];

                if ((other->state == GC_USER_MOUNTED || other->state == GC_USER_UNMOUNTED) &&
                    strcmp(u->environment, other->environment) == 0)
                        return other;
        }
        return NULL;
}

static int ignore_naming(const uint8_t image[SHA256_SIZE], uint64_t generation, bool current, void *user)
{
        (void)image;
        (void)generation;
        (void)current;
        (void)user;
        return 0;
}

/* 1: the environment that is looked for is mounted in VENV. */
static int look_in_mount(const char *venv, void *user)
{
        struct finding *f = user;
        cleanup_close int fd = open(venv, O_RDONLY | O_DIRECTORY | O_CLOEXEC), state_fd = -1;
        cleanup_buf struct buf text = { 0 };
        struct gc_environment e;
        bool whole;
        int r;

        state_fd = fd < 0 ? -1 : file_open_beneath(fd, ENVIRONMENT_DIR, O_RDONLY | O_DIRECTORY, 0);
        if (state_fd < 0 || gc_environment_read(state_fd, ignore_naming, NULL, &e, &whole) < 0 ||
            strcmp(e.id, f->user->environment) != 0)
                return 0;
        buf_clear(&f->named);
        r = see_environment(f, fd);
        if (r == -ENOENT || (r == 0 && f->user->state != GC_USER_MOUNTED))
                return 0;
        if (r == 0)
                r = see_uses(f);
        if (r == 0)
                r = buf_printf(&text, "it is mounted at '%s' now; any change there makes it known", venv);
        if (r == 0)
                r = set_state(f->user, GC_USER_MOUNTED, text.data);
        return r < 0 ? r : 1;
}

/* An environment that was found at another path has been moved there; its lease there holds what it needs.  One that
 * was moved while it was mounted, and not changed since, is where its mount is. */
static int settle_moved(struct finding *f)
{
        for (size_t i = 0; i < f->roots.count; i++) {
                struct gc_user *u = &f->roots.list[i];
                const struct gc_user *other = find_at_another_path(&f->roots, u);
                cleanup_buf struct buf text = { 0 };
                int r = 0;

                if (u->state != GC_USER_MISSING && u->state != GC_USER_MOVED && u->state != GC_USER_DELETED)
                        continue;
                f->user = u;
                if (!other)
                        r = mounts_each(look_in_mount, f);
                else if (u->state != GC_USER_DELETED)
                        r = buf_printf(&text, "it is at '%s' now", other->venv);
                if (r == 0 && text.len)
                        r = set_state(u, GC_USER_DELETED, text.data);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int forget(struct finding *f, struct errtext *err)
{
        bool found = false;

        for (size_t i = 0; f->options->forget && i < f->roots.count; i++) {
                struct gc_user *u = &f->roots.list[i];

                if (strcmp(u->venv, f->options->forget) != 0)
                        continue;
                if (u->state == GC_USER_MOUNTED || u->state == GC_USER_UNMOUNTED)
                        return errtext_set(err, -EBUSY, "'%s' is there and uses the store", u->venv);
                found = true;
                if (set_state(u, GC_USER_DELETED, "as you said") < 0)
                        return errtext_set(err, -ENOMEM, "out of memory");
        }
        return found || !f->options->forget
                       ? 0
                       : errtext_set(err, -ENOENT, "the store knows of no environment in '%s'", f->options->forget);
}

static int find(struct finding *f, struct errtext *err)
{
        int r = index_each_lease(f->index, add_user, f);

        for (size_t i = 0; r == 0 && i < f->roots.count; i++) {
                f->user = &f->roots.list[i];
                buf_clear(&f->named);
                r = look_for(f);
                if (r == 0 && (f->user->state == GC_USER_MOUNTED || f->user->state == GC_USER_UNMOUNTED))
                        r = see_uses(f);
        }
        if (r == 0)
                r = settle_moved(f);
        if (r < 0)
                return r;
        r = forget(f, err);
        for (size_t i = 0; r == 0 && i < f->roots.count; i++) {
                f->user = &f->roots.list[i];
                buf_clear(&f->named);
                if (f->user->state >= GC_USER_ABSENT && f->user->state != GC_USER_DELETED)
                        r = see_uses(f);
        }
        return r;
}

int gc_roots_find(const struct store *s, struct index *x, struct gc *g, const struct gc_roots_options *o,
                  struct gc_roots *ret, struct errtext *err)
{
        struct finding f = { .store = s, .index = x, .gc = g, .options = o };
        char text[128];
        int r;

        err->text[0] = '\0';
        r = find(&f, err);
        buf_release(&f.named);
        if (r < 0) {
                gc_roots_release(&f.roots);
                return err->text[0] ? r
                                    : errtext_set(err, r, "cannot find out who uses the store '%s': %s", s->path,
                                                  errno_name(r, text));
        }
        *ret = f.roots;
        return 0;
}

static int note_one(const struct gc_user *u, struct index *x, int64_t now)
{
        const struct index_lease lease = lease_of(u);
        int64_t missing = u->state == GC_USER_MISSING ? (u->missing && u->missing <= now ? u->missing : now) : 0;
        int r = 0;

        if (u->state == GC_USER_DELETED)
                return index_drop_lease(x, &lease);
        if (missing != u->missing)
                r = index_miss_lease(x, &lease, missing);
        for (size_t i = 0; r == 0 && i < u->ended.len; i += SHA256_SIZE)
                r = index_drop_use(x, &lease, (const uint8_t *)u->ended.data + i);
        return r;
}

int gc_roots_note(const struct gc_roots *roots, struct index *x, const struct gc_roots_options *o, struct errtext *err)
{
        char text[128];
        int r = 0;

        for (size_t i = 0; r == 0 && i < roots->count; i++)
                r = note_one(&roots->list[i], x, o->now);
        return r < 0 ? errtext_set(err, r, "cannot write to the store's index: %s", errno_name(r, text)) : 0;
}
