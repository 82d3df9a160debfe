#include "tools/edits_ask.h"

#include "fs/control.h"
#include "fs/edits_exchange.h"
#include "fs/edits_report.h"
#include "store/files.h"
#include "tools/mounts.h"
#include "tools/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

enum {
        REPORT_MAX = 1 << 30, /* bytes */
        ROOM_MIN = 16 << 20,  /* free bytes below which a report may find none */
};

bool edits_ask_needed(const struct target *t)
{
        return t->environment && t->state_fd >= 0 && faccessat(t->state_fd, EDITS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int edits_ask_add(struct buf *request, const char *verb, const char *path)
{
        int r = buf_printf(request, "%s ", verb);

        if (r == 0)
                r = buf_add_escaped(request, path, strlen(path));
        return r < 0 ? r : buf_add_char(request, '\n');
}

static int ask_mount(const struct target *t, struct errtext *err)
{
        cleanup_close int fd = open(t->site, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        /* What is mapped and was written to may not have reached the mount yet. */
        if (fd >= 0)
                (void)syncfs(fd);
        if (fd < 0 || ioctl(fd, CONTROL_EDITS) < 0)
                return errtext_set(err, -errno, "the mount at %s does not tell its edits: %s (see %s/.fusepkg/log)",
                                   t->site, errno_name(-errno, (char[128]){ 0 }), t->venv);
        return 0;
}

static int ask_program(const struct target *t, struct errtext *err)
{
        cleanup_buf struct buf words = { 0 }, state = { 0 };
        cleanup_free char *program = NULL;
        const char *last;
        int r = mount_program(&program);

        if (r < 0)
                return errtext_set(
                        err, r,
                        "the program fusepkg-mount is missing: it belongs beside fusepkg or into " FUSEPKG_LIBEXEC);
        r = buf_printf(&state, "%s/" ENVIRONMENT_DIR, t->venv);
        if (r == 0)
                r = program_run(
                        (const char *const[]){ program, "--edits", "--site", t->site, "--state", state.data, NULL },
                        &words);
        if (r < 0)
                return errtext_set(err, r, "cannot run %s: %s", program, errno_name(r, (char[128]){ 0 }));
        if (r == 0)
                return 0;
        last = program_last_line(&words);
        if (strncmp(last, "fusepkg-mount: ", 15) == 0)
                last += 15;
        return errtext_set(err, -EIO, "%s", *last ? last : "fusepkg-mount --edits failed");
}

/* Mounted or not; both may change under us, by a mount that a killed command has left behind. */
static int ask_either(const struct target *t, struct errtext *err)
{
        struct mount_info info;
        int r = mount_examine(t->site, t->state_fd, &info);

        if (r < 0)
                return errtext_set(err, r, "cannot tell what is mounted at '%s': %s", t->site,
                                   errno_name(r, (char[128]){ 0 }));
        if (info.state == MOUNT_LIVE || mount_came(t))
                return ask_mount(t, err);
        r = ask_program(t, err);
        return r < 0 && mount_came(t) ? ask_mount(t, err) : r;
}

/* What the mount could not do, in its words. */
static int explain(int io_fd, int r, struct errtext *err)
{
        static const char start[] = EDITS_REPORT_HEAD "\nerror ";
        cleanup_buf struct buf text = { 0 }, sentence = { 0 };

        if (file_read_at(io_fd, EDITS_REPORT_FILE, ERRTEXT_SIZE * 4, &text) < 0 || !text.data ||
            strncmp(text.data, start, strlen(start)) != 0)
                return r;
        (void)unlinkat(io_fd, EDITS_REPORT_FILE, 0);
        if (buf_add_unescaped(&sentence, text.data + strlen(start), strcspn(text.data + strlen(start), "\n")) < 0 ||
            !sentence.len)
                return r;
        return errtext_set(err, r, "%s", sentence.data);
}

static bool is_no_room(int r)
{
        return r == -ENOSPC || r == -EDQUOT || r == -EROFS;
}

/* *RET_AGAIN: it failed, and nothing has been done; in another folder it may succeed. */
static int ask_in(const struct target *t, int io_fd, const struct buf *request, struct buf *ret, bool *ret_again,
                  struct errtext *err)
{
        int r;

        (void)unlinkat(io_fd, EDITS_REPORT_FILE, 0);
        r = file_replace(io_fd, EDITS_REQUEST_FILE, request->data, request->len, 0600, false);
        if (r < 0) {
                *ret_again = is_no_room(r);
                return errtext_set(err, r, "cannot write '%s/" ENVIRONMENT_DIR "/" EDITS_REQUEST_FILE "': %s", t->venv,
                                   errno_name(r, (char[128]){ 0 }));
        }
        if (geteuid() == 0) { /* of the venv's owner, whose mount may read it */
                struct stat owner;
                int ignored = fstat(t->state_fd, &owner) == 0 ?
                                      fchownat(io_fd, EDITS_REQUEST_FILE, owner.st_uid, owner.st_gid, 0) :
                                      -1;

                (void)ignored;
        }
        r = ask_either(t, err);
        (void)unlinkat(io_fd, EDITS_REQUEST_FILE, 0);
        if (r < 0) {
                bool changes = strstr(request->data, "\nrevert ") || strstr(request->data, "\nremove ");

                *ret_again = r == -ENOENT || ((is_no_room(r) || r == -EIO) && !changes);
                return explain(io_fd, r, err);
        }
        r = file_read_at(io_fd, EDITS_REPORT_FILE, REPORT_MAX, ret);
        if (r < 0)
                return errtext_set(err, r, "cannot read '%s/" ENVIRONMENT_DIR "/" EDITS_REPORT_FILE "': %s", t->venv,
                                   errno_name(r, (char[128]){ 0 }));
        (void)unlinkat(io_fd, EDITS_REPORT_FILE, 0);
        return 0;
}

static int ask_elsewhere(const struct target *t, const struct buf *request, struct buf *ret, bool *ret_again,
                         struct errtext *err)
{
        const char *id = t->environment->id;
        cleanup_close int fd = edits_exchange_make(t->state_fd, id);
        int r;

        if (fd < 0) {
                *ret_again = true;
                return errtext_set(err, fd, "cannot make a folder in /dev/shm or /tmp: %s",
                                   errno_name(fd, (char[128]){ 0 }));
        }
        /* A mount looks there when there is none in .fusepkg. */
        (void)unlinkat(t->state_fd, EDITS_REQUEST_FILE, 0);
        r = ask_in(t, fd, request, ret, ret_again, err);
        if (r < 0 || !strstr(request->data, "\noriginals\n"))
                edits_exchange_remove(t->state_fd, id);
        return r;
}

/* On a full disk, or where the venv cannot be written, there is another place. */
int edits_ask(const struct target *t, const char *request, struct edit_report *ret, struct errtext *err)
{
        cleanup_buf struct buf lines = { 0 }, text = { 0 };
        struct statvfs st;
        bool elsewhere = fstatvfs(t->state_fd, &st) == 0 &&
                         (st.f_flag & ST_RDONLY || st.f_bavail * st.f_frsize < ROOM_MIN);
        int r = buf_printf(&lines, EDITS_REQUEST_HEAD "\n%send\n", request);

        if (r < 0)
                return errtext_set(err, r, "out of memory");
        for (int tries = 0; tries < 2; tries++, elsewhere = !elsewhere) {
                struct errtext why = { "" };
                bool again = false;

                buf_clear(&text);
                r = elsewhere ? ask_elsewhere(t, &lines, &text, &again, &why) :
                                ask_in(t, t->state_fd, &lines, &text, &again, &why);
                if (r < 0 && (tries == 0 || !err->text[0]))
                        *err = why;
                if (r == 0 || !again)
                        break;
        }
        if (r < 0)
                return r;
        err->text[0] = '\0';
        return edit_report_parse(text.data ? text.data : "", text.len, ret, err);
}

void edits_ask_done(const struct target *t)
{
        (void)dir_remove_tree(t->state_fd, EDITS_ORIGINALS_DIR);
        edits_exchange_remove(t->state_fd, t->environment->id);
}

int edits_ask_report(struct target *t, struct edit_report *ret, struct errtext *err)
{
        int r = 0;

        if (!edits_ask_needed(t)) {
                *ret = (struct edit_report){ 0 };
                return 0;
        }
        if (t->lock_fd < 0)
                r = target_lock(t, err);
        return r < 0 ? r : edits_ask(t, "report\n", ret, err);
}

static int open_numbered(int dirfd, const char *folder, uint64_t id)
{
        char path[64];

        snprintf(path, sizeof(path), "%s/%016llx", folder, (unsigned long long)id);
        return file_open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
}

int edits_ask_open(const struct target *t, const struct edit_change *c)
{
        return open_numbered(t->state_fd, EDIT_DATA_DIR, c->id);
}

int edits_ask_open_original(const struct target *t, uint64_t id)
{
        int fd = open_numbered(t->state_fd, EDITS_ORIGINALS_DIR, id);

        if (fd == -ENOENT) {
                cleanup_close int other = edits_exchange_open(t->state_fd, t->environment->id);

                if (other >= 0)
                        fd = open_numbered(other, EDITS_ORIGINALS_DIR, id);
        }
        return fd;
}
