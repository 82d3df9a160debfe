#include "tools/python_start.h"

#include "store/files.h"
#include "tools/eject.h"

#include <fcntl.h>
#include <stdio.h>

enum { FILE_MAX = 64 << 10 }; /* bytes */

/* For CPython 3.8 and later.  PROGRAM, SITE, sitedir and known are set before it; the names of `site`'s own function
 * that runs a .pth are `sitedir` and `known_paths`, and where there are none (3.15 runs it later) sys.prefix is the
 * venv.  A copy of what was mounted has the marker, but is no file system of its own.
 *
 * posix_spawn, because importing subprocess would cost more than the mount.  What fusepkg says is read to its end: it
 * ends when fusepkg does, as the mount's process keeps no descriptor. */
static const char script[] =
        "import errno, os, sys\n"
        "def say(text):\n"
        "    if sys.stderr is not None:\n"
        "        print('fusepkg: ' + text, file=sys.stderr)\n"
        "def mounted():\n"
        "    return (os.path.lexists(os.path.join(sitedir, '.fusepkg')) and\n"
        "            os.stat(sitedir).st_dev != os.stat(os.path.dirname(sitedir)).st_dev)\n"
        "def again(text):\n"
        "    return '%s; install fusepkg again, or delete %s' % (text, os.path.join(sitedir, 'fusepkg.pth'))\n"
        "def run(venv):\n"
        "    out, end = os.pipe()\n"
        "    null = os.devnull\n"
        "    try:\n"
        "        child = os.posix_spawn(PROGRAM, [PROGRAM, 'mount', '-q', '--no-wait', '--venv', venv], os.environ, file_actions=[\n"
        "            (os.POSIX_SPAWN_DUP2, end, 2), (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),\n"
        "            (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0)])\n"
        "    except OSError as e:\n"
        "        os.close(out)\n"
        "        text = '%s: %s' % (PROGRAM, e.strerror)\n"
        "        if e.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):\n"
        "            return text\n"
        "        return again(text)\n"
        "    finally:\n"
        "        os.close(end)\n"
        "    with open(out, 'rb') as f:\n"
        "        text = os.fsdecode(f.read())\n"
        "    try:\n"
        "        status = os.waitpid(child, 0)[1]\n"
        "    except ChildProcessError:\n"
        "        status = 0\n"
        "    if not status and mounted():\n"
        "        return None\n"
        "    lines = [l[7:] for l in text.splitlines() if l.startswith('error: ')]\n"
        "    if not lines:\n"
        "        return again('%s failed' % PROGRAM)\n"
        "    return \"%s; `fusepkg mount --venv '%s'` says more\" % (lines[0], venv)\n"
        "def start():\n"
        "    real = os.path.realpath(sitedir)\n"
        "    venv = real[:-len(SITE) - 1] if real.endswith(os.sep + SITE) else sys.prefix\n"
        "    if not mounted():\n"
        "        if sitedir in sys.__dict__.setdefault('_fusepkg_start', set()):\n"
        "            return\n"
        "        sys._fusepkg_start.add(sitedir)\n"
        "        if os.stat(venv).st_uid != os.geteuid():\n"
        "            return say(\"the packages of '%s' are not mounted, and only its owner can do that: \"\n"
        "                       \"`fusepkg mount --venv '%s'`\" % (venv, venv))\n"
        "        if not os.path.lexists(os.path.join(venv, '.fusepkg', 'environment')):\n"
        "            return say(\"'%s' has been deleted, and with it the packages: `fusepkg add` them again, or delete '%s'\" %\n"
        "                       (os.path.join(venv, '.fusepkg'), os.path.join(sitedir, 'fusepkg.pth')))\n"
        "        error = run(venv)\n"
        "        if error:\n"
        "            return say(\"the packages of '%s' are missing: %s\" % (venv, error))\n"
        "    for path in list(sys.path_importer_cache):\n"
        "        if path == sitedir or path.startswith(sitedir + os.sep):\n"
        "            del sys.path_importer_cache[path]\n"
        "    import site\n"
        "    site.addsitedir(sitedir, known)\n"
        "try:\n"
        "    start()\n"
        "except OSError as e:\n"
        "    say('cannot mount what belongs into %s: %s' % (sitedir, e))\n";

static const char guard[] = "Metadata-Version: 1.0\n"
                            "Name: fusepkg-is-not-mounted\n"
                            "Version: 0\n"
                            "Summary: `fusepkg mount` shows what is installed in this environment\n";

/* As a literal of Python: ASCII alone, whatever encoding the file is read in. */
static int add_literal(struct buf *b, const char *prefix, const char *text)
{
        int r = buf_printf(b, "%s'", prefix);

        for (const char *p = text; r == 0 && *p; p++) {
                unsigned char c = (unsigned char)*p;

                if (c == '\n')
                        r = buf_add_str(b, "\\n");
                else if (c < 0x20 || c >= 0x7f || c == '\'' || c == '\\')
                        r = buf_printf(b, "\\x%02x", c);
                else
                        r = buf_add_char(b, (char)c);
        }
        return r < 0 ? r : buf_add_char(b, '\'');
}

int python_start_text(const char *program, const char *site, struct buf *ret)
{
        int r = buf_add_str(ret,
                            "# Written by fusepkg: mounts the packages of this environment when they are not there. "
                            "`fusepkg eject` removes it.\n"
                            "import os, sys; exec(");

        if (r == 0)
                r = add_literal(ret, "", script);
        if (r == 0)
                r = buf_add_str(ret, ", {'PROGRAM': os.fsdecode(");
        if (r == 0)
                r = add_literal(ret, "b", program);
        if (r == 0)
                r = buf_add_str(ret, "), 'SITE': ");
        if (r == 0)
                r = add_literal(ret, "", site);
        if (r == 0)
                r = buf_printf(ret, ", 'sitedir': locals().get('sitedir') or os.path.join(sys.prefix, ");
        if (r == 0)
                r = add_literal(ret, "", site);
        if (r == 0)
                r = buf_add_str(ret, "), 'known': locals().get('known_paths')})\n");
        return r;
}

static int own_path(struct buf *ret)
{
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path));

        return n < 0 ? -errno : (size_t)n == sizeof(path) ? -ENAMETOOLONG : buf_add(ret, path, (size_t)n);
}

/* In root's hands the folder must be one of the venv's owner, and is reached through no symlink. */
static int open_site(const struct target *t)
{
        cleanup_close int fd = file_open_beneath(t->venv_fd, t->site_rel, O_RDONLY | O_DIRECTORY, 0);
        struct stat st;

        /* lib may be a symlink of the user's: his own business, when he is the one who runs this. */
        if ((fd == -ELOOP || fd == -EXDEV) && geteuid() == t->owner)
                fd = openat(t->venv_fd, t->site_rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fd == -1 ? -errno : fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        return st.st_uid == t->owner ? steal_fd(&fd) : -EPERM;
}

static int replace(int site_fd, const char *name, const void *data, size_t len)
{
        cleanup_close int fd = -1;
        int r;

        (void)unlinkat(site_fd, BASE_FILE_NEW, 0); /* of a run that was killed */
        fd = file_open_own(site_fd, BASE_FILE_NEW, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0)
                return fd;
        r = file_write_full(fd, data, len);
        if (r == 0 && renameat(site_fd, BASE_FILE_NEW, site_fd, name) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(site_fd, BASE_FILE_NEW, 0);
        return r;
}

static int write_file(int site_fd, const char *name, const void *data, size_t len)
{
        cleanup_buf struct buf old = { 0 };

        if (file_read_at(site_fd, name, FILE_MAX, &old) == 0 && old.len == len && memcmp(old.data, data, len) == 0)
                return 0;
        return replace(site_fd, name, data, len);
}

int python_start_write(const struct target *t, struct errtext *err)
{
        cleanup_buf struct buf program = { 0 };
        cleanup_buf struct buf text = { 0 };
        cleanup_close int site = open_site(t);
        int r = site < 0 ? site : own_path(&program);

        if (t->state_fd >= 0)
                (void)unlinkat(t->state_fd, EJECT_FILE, 0);
        if (r == 0)
                r = python_start_text(program.data, t->site_rel, &text);
        if (r == 0)
                r = write_file(site, BASE_START_FILE, text.data, text.len);
        if (r == 0)
                r = write_file(site, BASE_GUARD_FILE, guard, sizeof(guard) - 1);
        return r < 0 ? errtext_set(err, r,
                                   "cannot write '%s/" BASE_START_FILE
                                   "', so Python will not mount the environment by itself: %s",
                                   t->site, errno_name(r, (char[128]){ 0 })) :
                       0;
}
