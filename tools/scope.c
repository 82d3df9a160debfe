#include "tools/scope.h"

#include "store/files.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

enum {
        LIMIT_MS = 250,           /* for all that the manager has to say */
        CGROUPS_MAX = 16 << 10,
        LINE_MAX_SIZE = 256,
        MESSAGE_MAX = 64 << 10,   /* of an answer */
        FIXED_SIZE = 16,          /* of a message: what has always the same place */
        TYPE_RETURN = 2,
        TYPE_ERROR = 3,
};

/* Where we are ---------------------------------------------------------------------------------------------------- */

/* "0::/a/b": cgroup 2; "1:name=systemd:/a/b": the hierarchy that systemd keeps beside those of cgroup 1. */
static bool own_path(const char *cgroups, char *ret, size_t size)
{
        for (const char *line = cgroups; *line; line += *line == '\n') {
                size_t len = strcspn(line, "\n");
                const char *path = memchr(line, '/', len);
                bool is_it = strncmp(line, "0::/", 4) == 0 ||
                             (path && memmem(line, (size_t)(path - line), ":name=systemd:", 14));

                if (is_it && len - (size_t)(path - line) > 1) {
                        snprintf(ret, size, "%.*s", (int)(len - (size_t)(path - line)), path);
                        return true;
                }
                line += len;
        }
        return false;
}

static bool ends_with(const char *text, const char *end)
{
        size_t len = strlen(text), n = strlen(end);

        return len >= n && strcmp(text + len - n, end) == 0;
}

enum scope_manager scope_choose(const char *cgroups, uid_t uid, bool lingers)
{
        char path[4096], manager[40];
        const char *last;

        if (!own_path(cgroups, path, sizeof(path)) || !ends_with(path, ".scope"))
                return SCOPE_NONE;
        last = strrchr(path, '/') + 1;
        /* Ours already: of the mount that started a Python that mounts another venv. */
        if (strncmp(last, "fusepkg-", 8) == 0)
                return SCOPE_NONE;
        snprintf(manager, sizeof(manager), "/user@%u.service/", (unsigned)uid);
        if (uid == 0)
                return strstr(path, "/user@") || strncmp(last, "session-", 8) == 0 ? SCOPE_SYSTEM : SCOPE_NONE;
        if (strstr(path, manager))
                return SCOPE_USER;
        return strncmp(last, "session-", 8) == 0 && lingers ? SCOPE_USER : SCOPE_NONE;
}

/* Who has no name does not linger: logind keeps them by name. */
static bool does_linger(uid_t uid)
{
        const struct passwd *p = getpwuid(uid);
        char path[300];

        if (!p || strchr(p->pw_name, '/') ||
            snprintf(path, sizeof(path), "/var/lib/systemd/linger/%s", p->pw_name) >= (int)sizeof(path))
                return false;
        return access(path, F_OK) == 0;
}

/* The message: https://dbus.freedesktop.org/doc/dbus-specification.html ------------------------------------------- */

static int align(struct buf *b, size_t to)
{
        int r = 0;

        while (r == 0 && b->len % to)
                r = buf_add_char(b, '\0');
        return r;
}

static int put_u32(struct buf *b, uint32_t n)
{
        const struct le32 bytes = le32_put(n);
        int r = align(b, 4);

        return r < 0 ? r : buf_add(b, &bytes, sizeof(bytes));
}

/* Over one that was put AT some place before its value was known. */
static void set_u32(struct buf *b, size_t at, size_t n)
{
        const struct le32 bytes = le32_put((uint32_t)n);

        memcpy(b->data + at, &bytes, sizeof(bytes));
}

static int put_string(struct buf *b, const char *s)
{
        int r = put_u32(b, (uint32_t)strlen(s));

        return r < 0 ? r : buf_add(b, s, strlen(s) + 1);
}

static int put_signature(struct buf *b, const char *s)
{
        int r = buf_add_char(b, (char)strlen(s));

        return r < 0 ? r : buf_add(b, s, strlen(s) + 1);
}

/* One of "a{sv}" as systemd has it, "a(sv)": what comes next is the value. */
static int begin_property(struct buf *b, const char *name, const char *type)
{
        int r = align(b, 8);

        if (r == 0)
                r = put_string(b, name);
        return r < 0 ? r : put_signature(b, type);
}

static int put_property(struct buf *b, const char *name, const char *value)
{
        int r = begin_property(b, name, "s");

        return r < 0 ? r : put_string(b, value);
}

static int put_pids(struct buf *b, const pid_t *pids, size_t n)
{
        int r = begin_property(b, "PIDs", "au");

        if (r == 0)
                r = put_u32(b, (uint32_t)(n * sizeof(uint32_t)));
        for (size_t i = 0; i < n && r == 0; i++)
                r = put_u32(b, (uint32_t)pids[i]);
        return r;
}

/* StartTransientUnit(name, mode, properties, auxiliary units) */
static int put_body(struct buf *b, const char *name, const char *description, const pid_t *pids, size_t n,
                    bool with_oom)
{
        size_t length_at, begin;
        int r = put_string(b, name);

        if (r == 0)
                r = put_string(b, "fail");
        length_at = (b->len + 3) / 4 * 4;
        if (r == 0)
                r = put_u32(b, 0);
        if (r == 0)
                r = align(b, 8);
        begin = b->len;
        if (r == 0)
                r = put_property(b, "Description", description);
        if (r == 0)
                r = put_property(b, "CollectMode", "inactive-or-failed");
        if (r == 0 && with_oom)
                r = put_property(b, "OOMPolicy", "continue");
        if (r == 0)
                r = put_pids(b, pids, n);
        if (r == 0)
                set_u32(b, length_at, b->len - begin);
        if (r == 0)
                r = put_u32(b, 0);
        return r < 0 ? r : align(b, 8); /* of the empty array, too */
}

static int put_field(struct buf *b, char code, const char *type, const char *value)
{
        int r = align(b, 8);

        if (r == 0)
                r = buf_add_char(b, code);
        if (r == 0)
                r = put_signature(b, type);
        if (r == 0)
                r = *type == 'g' ? put_signature(b, value) : put_string(b, value);
        return r;
}

int scope_message(const char *name, const char *description, const pid_t *pids, size_t n, bool with_oom,
                  struct buf *ret)
{
        cleanup_buf struct buf body = { 0 }, m = { 0 };
        int r = put_body(&body, name, description, pids, n, with_oom);

        if (r == 0)
                r = buf_add(&m, "l\1\0\1", 4); /* little-endian, a call, no flags, version */
        if (r == 0)
                r = put_u32(&m, (uint32_t)body.len);
        if (r == 0)
                r = put_u32(&m, with_oom ? 1 : 2); /* serial */
        if (r == 0)
                r = put_u32(&m, 0);
        if (r == 0)
                r = put_field(&m, 1, "o", "/org/freedesktop/systemd1");
        if (r == 0)
                r = put_field(&m, 2, "s", "org.freedesktop.systemd1.Manager");
        if (r == 0)
                r = put_field(&m, 3, "s", "StartTransientUnit");
        if (r == 0)
                r = put_field(&m, 6, "s", "org.freedesktop.systemd1");
        if (r == 0)
                r = put_field(&m, 8, "g", "ssa(sv)a(sa(sv))");
        if (r == 0)
                set_u32(&m, FIXED_SIZE - 4, m.len - FIXED_SIZE);
        if (r == 0)
                r = align(&m, 8);
        if (r == 0)
                r = buf_add(&m, body.data, body.len);
        return r < 0 ? r : buf_add(ret, m.data, m.len);
}

/* The manager ----------------------------------------------------------------------------------------------------- */

/* What is left of the time becomes that of the next call. */
static int set_limit(int fd, uint64_t end_ns)
{
        uint64_t now = ui_now_ns();
        struct timeval left;

        if (now >= end_ns)
                return -ETIMEDOUT;
        left = (struct timeval){ .tv_usec = (suseconds_t)((end_ns - now) / 1000 + 1) };
        return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof(left)) < 0 ||
               setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) < 0 ? -errno : 0;
}

static int send_all(int fd, const void *data, size_t len, uint64_t end_ns)
{
        const char *p = data;

        for (size_t done = 0; done < len;) {
                int r = set_limit(fd, end_ns);
                ssize_t n = r < 0 ? r : send(fd, p + done, len - done, MSG_NOSIGNAL);

                if (n < 0)
                        return r < 0 ? r : -errno;
                done += (size_t)n;
        }
        return 0;
}

static int receive_all(int fd, void *data, size_t len, uint64_t end_ns)
{
        char *p = data;

        for (size_t done = 0; done < len;) {
                int r = set_limit(fd, end_ns);
                ssize_t n = r < 0 ? r : recv(fd, p + done, len - done, 0);

                if (n <= 0)
                        return r < 0 ? r : n < 0 ? -errno : -ECONNRESET;
                done += (size_t)n;
        }
        return 0;
}

/* Its pid is 0 if it is not in our namespace of processes: what we call 17 is somebody else there. */
static int connect_manager(enum scope_manager which, uint64_t end_ns)
{
        cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        const char *folder = which == SCOPE_SYSTEM ? "/run" : getenv("XDG_RUNTIME_DIR");
        struct ucred peer;
        socklen_t size = sizeof(peer);
        int r;

        if (fd < 0)
                return -errno;
        if (!folder || folder[0] != '/' ||
            snprintf(a.sun_path, sizeof(a.sun_path), "%s/systemd/private", folder) >= (int)sizeof(a.sun_path))
                return -ENOENT;
        r = set_limit(fd, end_ns);
        if (r < 0)
                return r;
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        return peer.pid > 0 && peer.uid == geteuid() ? steal_fd(&fd) : -EPERM;
}

static int log_in(int fd, uint64_t end_ns)
{
        char uid[16], text[LINE_MAX_SIZE] = "", line[64] = "AUTH EXTERNAL ";
        size_t at = strlen(line);
        int r;

        snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
        for (const char *c = uid; *c; c++, at += 2)
                snprintf(line + at, sizeof(line) - at, "%02x", (unsigned)*c);
        snprintf(line + at, sizeof(line) - at, "\r\n");
        r = send_all(fd, "", 1, end_ns);
        if (r == 0)
                r = send_all(fd, line, strlen(line), end_ns);
        /* It says nothing more before we have said BEGIN. */
        for (size_t n = 0; r == 0 && !ends_with(text, "\r\n"); n++)
                r = n + 1 < sizeof(text) ? receive_all(fd, text + n, 1, end_ns) : -EPROTO;
        if (r == 0 && strncmp(text, "OK ", 3) != 0)
                r = -EACCES;
        return r < 0 ? r : send_all(fd, "BEGIN\r\n", 7, end_ns);
}

/* 1: done; 0: refused. */
static int read_answer(int fd, uint64_t end_ns)
{
        cleanup_free char *rest = malloc(MESSAGE_MAX);
        struct {
                char order, type, flags, version;
                struct le32 body, serial, fields;
        } head;

        if (!rest)
                return -ENOMEM;
        for (;;) {
                int r = receive_all(fd, &head, sizeof(head), end_ns);
                uint64_t size;

                if (r < 0)
                        return r;
                if (head.order != 'l')
                        return -EPROTO;
                size = ((uint64_t)le32_get(head.fields) + 7) / 8 * 8 + le32_get(head.body);
                if (size > MESSAGE_MAX)
                        return -EPROTO;
                r = receive_all(fd, rest, size, end_ns);
                if (r < 0 || head.type == TYPE_RETURN || head.type == TYPE_ERROR)
                        return r < 0 ? r : head.type == TYPE_RETURN;
        }
}

static int own_cgroups(struct buf *ret)
{
        cleanup_close int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : file_read_all(fd, CGROUPS_MAX, ret);
}

/* For `systemctl status`; what is no text would end the conversation. */
static int describe(const char *site, struct buf *ret)
{
        int r = buf_printf(ret, "fusepkg: %s", site);

        for (char *c = ret->data; r == 0 && *c; c++)
                if (*c & 0x80)
                        *c = '?';
        return r;
}

enum scope_manager scope_find(void)
{
        cleanup_buf struct buf cgroups = { 0 };

        if (own_cgroups(&cgroups) < 0 || cgroups.len == 0)
                return SCOPE_NONE;
        return scope_choose(cgroups.data, geteuid(), does_linger(geteuid()));
}

int scope_move(enum scope_manager which, const char *site, const pid_t *pids, size_t n)
{
        uint64_t end_ns = ui_now_ns() + LIMIT_MS * UINT64_C(1000000);
        cleanup_buf struct buf description = { 0 };
        cleanup_close int fd = connect_manager(which, end_ns);
        int r = fd < 0 ? fd : log_in(fd, end_ns);
        char name[64];

        snprintf(name, sizeof(name), "fusepkg-%d-%llx.scope", (int)pids[0], (unsigned long long)end_ns);
        if (r == 0)
                r = describe(site, &description);
        for (int with_oom = 1; r == 0 && with_oom >= 0; with_oom--) {
                cleanup_buf struct buf m = { 0 };

                r = scope_message(name, description.data, pids, n, with_oom, &m);
                if (r == 0)
                        r = send_all(fd, m.data, m.len, end_ns);
                if (r == 0)
                        r = read_answer(fd, end_ns);
        }
        return r;
}
