#include "tools/identity.h"

#include "store/files.h"
#include "tools/outside_list.h"
#include "tools/ui.h"

#include <fcntl.h>

enum { FILE_MAX = 64 << 10 }; /* bytes */

static int load(const struct target *t, struct buf *ret)
{
        cleanup_buf struct buf text = { 0 };
        int r = file_read_at(t->state_fd, IDENTITY_FILE, FILE_MAX, &text);

        if (r < 0)
                return r;
        r = buf_add_unescaped(ret, text.data ? text.data : "", text.data ? strcspn(text.data, "\n") : 0);
        return r == 0 && ret->len == 0 ? -EBADMSG : r;
}

/* Has the folder at OLD, another one than ours, the same environment? */
static bool is_twin(const struct target *t, int old_fd)
{
        cleanup_close int state = openat(old_fd, ENVIRONMENT_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct environment *e = NULL;
        struct errtext ignored;
        bool twin;

        twin = state >= 0 && environment_load(state, &e, &ignored) == 0 && strcmp(e->id, t->environment->id) == 0;
        environment_free(e);
        return twin;
}

int identity_tell(const struct target *t, enum identity *ret, char **ret_old)
{
        cleanup_buf struct buf old = { 0 };
        cleanup_close int fd = -1;
        struct stat here, there;
        int r = t->environment && t->state_fd >= 0 ? load(t, &old) : -ENOENT;

        *ret = IDENTITY_HERE;
        *ret_old = NULL;
        /* What cannot be read is written again. */
        if (r == -ENOENT || r == -EBADMSG || (r == 0 && strcmp(old.data, t->venv) == 0))
                return 0;
        if (r < 0)
                return r;
        fd = open(old.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &there) == 0 && fstat(t->venv_fd, &here) == 0 && here.st_dev == there.st_dev &&
            here.st_ino == there.st_ino)
                return 0;
        *ret = fd >= 0 && is_twin(t, fd) ? IDENTITY_COPIED : IDENTITY_MOVED;
        *ret_old = buf_steal(&old);
        return 0;
}

static int say_copied(const struct target *t, const char *old, struct errtext *err)
{
        return errtext_set(
                err, -ESTALE,
                "'%s' is a copy of '%s', which is still there: `fusepkg mount --adopt-copy --venv '%s'` makes it an environment "
                "of its own",
                t->venv, old, t->venv);
}

int identity_check(const struct target *t, struct errtext *err)
{
        cleanup_free char *old = NULL;
        enum identity which;
        int r = identity_tell(t, &which, &old);

        if (r < 0)
                return errtext_set(err, r, "cannot read '%s/" ENVIRONMENT_DIR "/" IDENTITY_FILE "': %s", t->venv,
                                   errno_name(r, (char[128]){ 0 }));
        return which == IDENTITY_COPIED ? say_copied(t, old, err) : 0;
}

int identity_note(const struct target *t, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 }, old = { 0 };
        int r = 0;

        if (load(t, &old) == 0 && strcmp(old.data, t->venv) == 0)
                return 0;
        r = buf_add_escaped(&text, t->venv, strlen(t->venv));
        if (r == 0)
                r = buf_add_char(&text, '\n');
        if (r == 0)
                r = file_replace(t->state_fd, IDENTITY_FILE, text.data, text.len, 0644, false);
        return r < 0 ? errtext_set(err, r, "cannot write '%s/" ENVIRONMENT_DIR "/" IDENTITY_FILE "': %s", t->venv,
                                   errno_name(r, (char[128]){ 0 })) :
                       0;
}

bool identity_is_noted(const struct target *t)
{
        return t->state_fd >= 0 && faccessat(t->state_fd, IDENTITY_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int identity_note_first(const struct target *t, struct errtext *err)
{
        return identity_is_noted(t) ? 0 : identity_note(t, err);
}

/* Generation 0: everything outside of site-packages is looked at again.  What scripts we wrote stays known, for no
 * slot that there is, so that those of all slots are worked out anew. */
static int forget_applied(const struct target *t, struct errtext *err)
{
        cleanup_outside_list struct outside_list list = { 0 };
        int r = outside_list_load(t->state_fd, &list);

        if (r == 0) {
                list.generation = 0;
                for (size_t i = 0; i < list.claim_count; i++)
                        list.claims[i].slot = 0;
                if (list.slot_count) {
                        list.slots[0] = 0;
                        list.slot_count = 1;
                }
                r = outside_list_save(t->state_fd, &list);
        }
        return r < 0 ? errtext_set(err, r, "cannot write '%s/" ENVIRONMENT_DIR "/" OUTSIDE_FILE "': %s", t->venv,
                                   errno_name(r, (char[128]){ 0 })) :
                       0;
}

int identity_settle(const struct target *t, struct errtext *err)
{
        cleanup_free char *old = NULL;
        enum identity which;
        int r = identity_check(t, err);

        if (r < 0 || !t->environment)
                return r;
        r = identity_tell(t, &which, &old);
        if (r == 0 && which == IDENTITY_MOVED) {
                r = forget_applied(t, err);
                if (r == 0)
                        ui_say("'%s' was moved here from '%s': scripts of packages are written again; bin/activate still names the old place",
                               t->venv, old);
        }
        if (r == 0)
                r = identity_note(t, err);
        /* A venv that can only be read is shown as it is; whoever would change it is told later. */
        return r == -EROFS ? 0 : r;
}
