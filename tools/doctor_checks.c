#include "tools/doctor_checks.h"

#include "store/files.h"
#include "tools/mounts.h"
#include "tools/program.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

enum {
        SMALL_FILE_MAX = 1 << 20,
        CAP_SYS_ADMIN_BIT = 21, /* linux/capability.h */
};

#define SAY(field, ...) snprintf((field), sizeof(field), __VA_ARGS__)

/* The whole of a file of /proc, /sys or /etc; an empty one when it cannot be read. */
static int read_small(const char *path, struct buf *ret)
{
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        int r = fd < 0 ? -errno : file_read_all(fd, SMALL_FILE_MAX, ret);

        return r < 0 ? r : buf_add(ret, "", 0);
}

static const char *text_of(const struct buf *b)
{
        return b->data ? b->data : "";
}

/* Asked by trying: openat2 is what all safe opening rests on. */
int doctor_check_kernel(const struct doctor_place *p, struct finding *ret)
{
        struct utsname u;
        int fd = file_open_beneath(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);

        (void)p;
        ret->check = "kernel";
        ret->ok = fd != -ENOSYS && fd != -EPERM;
        if (fd >= 0)
                close(fd);
        if (uname(&u) == 0)
                SAY(ret->found, "%s %s %s", u.sysname, u.release, u.machine);
        if (!ret->ok)
                SAY(ret->hint, "the system call openat2 is missing or forbidden here: Linux 5.6 or newer is needed, "
                               "and a sandbox that lets openat2 through");
        return 0;
}

static void first_line(const struct buf *b, char *text, size_t size)
{
        snprintf(text, size, "%.*s", (int)strcspn(text_of(b), "\n"), text_of(b));
}

int doctor_check_libfuse(const struct doctor_place *p, struct finding *ret)
{
        cleanup_free char *program = NULL;
        cleanup_buf struct buf ours = { 0 }, theirs = { 0 };
        const char *helper[] = { "fusermount3", "--version", NULL };
        char line[200], other[200];
        int r = mount_program(&program);

        (void)p;
        ret->check = "libfuse";
        if (r < 0) {
                SAY(ret->found, "the program fusepkg-mount is missing");
                SAY(ret->hint, "install fusepkg as a whole (cmake --install): fusepkg-mount belongs into "
                               FUSEPKG_LIBEXEC);
                return 0;
        }
        const char *mount[] = { program, "--version", NULL };

        r = program_run(mount, &ours);
        ret->ok = r == 0;
        first_line(&ours, line, sizeof line);
        if (!ret->ok) {
                SAY(ret->found, "%s does not run: %s", program, r < 0 ? errno_name(r, (char[128]){ 0 }) : line);
                SAY(ret->hint, "install libfuse 3 (apt install fuse3), or build fusepkg again on this machine");
                return 0;
        }
        if (program_run(helper, &theirs) != 0)
                buf_clear(&theirs);
        first_line(&theirs, other, sizeof other);
        SAY(ret->found, "%s%s%s", line, other[0] ? "; " : "", other);
        return 0;
}

int doctor_check_device(const struct doctor_place *p, struct finding *ret)
{
        struct stat st;
        int fd, why;

        (void)p;
        ret->check = "/dev/fuse";
        if (stat("/dev/fuse", &st) < 0) {
                SAY(ret->found, "missing");
                SAY(ret->hint, "load the kernel module (modprobe fuse); in a container, start it with --device "
                               "/dev/fuse");
                return 0;
        }
        fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        why = errno;
        ret->ok = fd >= 0;
        if (fd >= 0)
                close(fd);
        SAY(ret->found, "mode %04o, owner %u:%u%s%s", st.st_mode & 07777, st.st_uid, st.st_gid, ret->ok ? "" : "; ",
            ret->ok ? "" : errno_name(-why, (char[128]){ 0 }));
        if (ret->ok)
                return 0;
        if (why == EACCES)
                SAY(ret->hint, "you may not open /dev/fuse: let root give it mode 0666, as distributions do (chmod 666 "
                               "/dev/fuse)");
        else if (why == EPERM)
                SAY(ret->hint, "the device is forbidden here: start the container with --device /dev/fuse");
        else
                SAY(ret->hint, "the kernel has no FUSE: load its module (modprobe fuse)");
        return 0;
}

static bool find_in_path(const char *name, char *path, size_t size)
{
        const char *folders = getenv("PATH");

        for (int pass = 0; pass < 2; pass++, folders = "/usr/bin:/bin:/usr/sbin:/sbin") {
                while (folders && *folders) {
                        size_t len = strcspn(folders, ":");

                        snprintf(path, size, "%.*s/%s", (int)len, folders, name);
                        if (len > 0 && access(path, X_OK) == 0)
                                return true;
                        folders += len + (folders[len] == ':');
                }
        }
        return false;
}

int doctor_check_fusermount(const struct doctor_place *p, struct finding *ret)
{
        bool root = geteuid() == 0;
        char path[200];
        struct stat st;

        (void)p;
        ret->check = "fusermount3";
        ret->ok = true;
        if (!find_in_path("fusermount3", path, sizeof path) || stat(path, &st) < 0) {
                ret->ok = root; /* root mounts by itself */
                SAY(ret->found, "missing");
                SAY(ret->hint, root ? "ordinary users need it to mount: apt install fuse3"
                                    : "it is needed to mount without being root: apt install fuse3");
                return 0;
        }
        SAY(ret->found, "%s, mode %04o, owner %u", path, st.st_mode & 07777, st.st_uid);
        if (!(st.st_mode & S_ISUID) || st.st_uid != 0) {
                ret->ok = root;
                SAY(ret->hint, "it must be setuid root for ordinary users to mount (chown root %s; chmod 4755 %s), or "
                               "work in a user namespace (unshare -Urm)", path, path);
        } else if (access(MOUNTS_MTAB, R_OK) < 0) {
                ret->ok = root;
                SAY(ret->hint, "ordinary users can mount, but not unmount: " MOUNTS_MTAB_MISSING);
        }
        return 0;
}

bool doctor_check_conf_allows(const char *text)
{
        static const char word[] = "user_allow_other";

        for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
                const char *start = line + strspn(line, " \t");

                if (strncmp(start, word, sizeof word - 1) == 0 && strchr(" \t\r\n", start[sizeof word - 1]))
                        return true;
        }
        return false;
}

bool doctor_check_others_allowed(void)
{
        cleanup_buf struct buf text = { 0 };

        return read_small("/etc/fuse.conf", &text) == 0 && doctor_check_conf_allows(text_of(&text));
}

int doctor_check_others(const struct doctor_place *p, struct finding *ret)
{
        (void)p;
        ret->check = "user_allow_other";
        ret->ok = true;
        if (geteuid() == 0) {
                SAY(ret->found, "root's mounts are seen by all users");
        } else if (doctor_check_others_allowed()) {
                SAY(ret->found, "allowed by /etc/fuse.conf");
        } else {
                SAY(ret->found, "not allowed");
                SAY(ret->hint, "root and other users do not see your mount; `mount --allow-other` shows it to them "
                               "once root has put the line user_allow_other into /etc/fuse.conf");
        }
        return 0;
}

static bool is_below(const char *path, const char *folder)
{
        size_t len = folder ? strlen(folder) : 0;

        while (len > 0 && folder[len - 1] == '/')
                len--;
        return len > 0 && strncmp(path, folder, len) == 0 && path[len] == '/' && path[len + 1] != '\0';
}

bool doctor_check_apparmor_allows(const char *path, const char *home, const char *runtime_dir)
{
        static const char *const folders[] = { "/mnt", "/media", "/tmp", "/cvmfs" };

        for (size_t i = 0; i < ARRAY_LEN(folders); i++)
                if (is_below(path, folders[i]))
                        return true;
        return is_below(path, home) || is_below(path, runtime_dir);
}

int doctor_check_apparmor(const struct doctor_place *p, struct finding *ret)
{
        cleanup_buf struct buf enabled = { 0 }, profiles = { 0 }, local = { 0 };
        bool profile;

        ret->check = "apparmor";
        ret->ok = true;
        if (read_small("/sys/module/apparmor/parameters/enabled", &enabled) < 0 || text_of(&enabled)[0] != 'Y') {
                SAY(ret->found, "not active");
                return 0;
        }
        /* Only root may read which profiles are loaded. */
        if (read_small("/sys/kernel/security/apparmor/profiles", &profiles) == 0)
                profile = strstr(text_of(&profiles), "fusermount3") != NULL;
        else
                profile = access("/etc/apparmor.d/fusermount3", F_OK) == 0;
        if (!profile) {
                SAY(ret->found, "active, without a profile for fusermount3");
                return 0;
        }
        if (geteuid() == 0) {
                SAY(ret->found, "limits fusermount3, which root does not need");
                return 0;
        }
        if (!p->site || doctor_check_apparmor_allows(p->site, getenv("HOME"), getenv("XDG_RUNTIME_DIR"))) {
                SAY(ret->found, "lets fusermount3 mount below $HOME, /mnt, /media, /tmp and $XDG_RUNTIME_DIR only");
                return 0;
        }
        ret->ok = read_small("/etc/apparmor.d/local/fusermount3", &local) == 0 && strstr(text_of(&local), "mount ");
        SAY(ret->found, "%s %.300s",
            ret->ok ? "has local rules, which must allow a mount at" : "does not let fusermount3 mount at", p->site);
        if (!ret->ok)
                SAY(ret->hint, "put the venv below your home, /mnt, /media or /tmp, or let root add the lines 'mount "
                               "fstype=fuse.* options=(nosuid,nodev) options in (ro,rw) -> /**/site-packages/,' and "
                               "'umount /**/site-packages/,' to /etc/apparmor.d/local/fusermount3 and run "
                               "`apparmor_parser -r /etc/apparmor.d/fusermount3`");
        return 0;
}

/* In a child of its own, as there is no way back.  Where a user namespace has no rights of its own (Ubuntu's AppArmor
 * rule) the first mount call fails. */
static int try_namespace(void)
{
        pid_t child = fork();
        int status;

        if (child == 0) {
                if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                        _exit(1);
                _exit(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? 2 : 0);
        }
        if (child < 0)
                return -errno;
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

int doctor_check_namespaces(const struct doctor_place *p, struct finding *ret)
{
        cleanup_buf struct buf max = { 0 }, restricted = { 0 };
        int r = try_namespace();

        (void)p;
        ret->check = "user namespaces";
        ret->ok = true;
        if (r == 0) {
                SAY(ret->found, "work");
                return 0;
        }
        if (read_small("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &restricted) == 0 &&
            text_of(&restricted)[0] == '1') {
                SAY(ret->found, "restricted by AppArmor (kernel.apparmor_restrict_unprivileged_userns is 1)");
        } else if (read_small("/proc/sys/user/max_user_namespaces", &max) == 0 &&
                   strtol(text_of(&max), NULL, 10) == 0) {
                SAY(ret->found, "switched off (user.max_user_namespaces is 0)");
        } else {
                SAY(ret->found, r == 2 ? "give no right to mount" : "not permitted");
        }
        SAY(ret->hint, "only mounts inside `unshare -Urm` need them");
        return 0;
}

static bool has_sys_admin(void)
{
        cleanup_buf struct buf status = { 0 }, map = { 0 };
        const char *line;

        if (read_small("/proc/self/status", &status) < 0 || read_small("/proc/self/uid_map", &map) < 0)
                return false;
        line = strstr(text_of(&status), "\nCapEff:");
        /* The initial user namespace maps all ids to themselves. */
        return line && (strtoull(line + 8, NULL, 16) >> CAP_SYS_ADMIN_BIT & 1) && strstr(text_of(&map), "4294967295");
}

int doctor_check_passthrough(const struct doctor_place *p, struct finding *ret)
{
        unsigned major_ = 0, minor_ = 0;
        struct utsname u;
        bool kernel;

        (void)p;
        ret->check = "passthrough";
        ret->ok = true;
        if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major_, &minor_) != 2)
                major_ = 0;
        kernel = major_ > 6 || (major_ == 6 && minor_ >= 9);
        if (kernel && has_sys_admin())
                SAY(ret->found, "the kernel and your rights would allow it; fusepkg does not use it yet");
        else
                SAY(ret->found, "not available: %s", kernel ? "it needs CAP_SYS_ADMIN" : "it needs Linux 6.9");
        return 0;
}
