#include "tools/dist_file.h"

#include "store/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char folder[] = "/tmp/fusepkg-dist-file-XXXXXX";
static int folder_fd = -1;

static int set_up(void **state)
{
        int fd;

        (void)state;
        if (!mkdtemp(folder) || (folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
                return -1;
        if (mkdirat(folder_fd, "x.dist-info", 0700) < 0 || mkfifoat(folder_fd, "fifo", 0600) < 0)
                return -1;
        fd = openat(folder_fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        return fd < 0 || write(fd, "bytes", 5) != 5 || close(fd) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
        int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC), r = dir_remove_tree(tmp, folder + strlen("/tmp/"));

        (void)state;
        return r < 0 || close(tmp) < 0 ? -1 : close(folder_fd);
}

/* What x.dist-info/METADATA, a symlink to TARGET, gives to us, in the venv of OWNER. */
static int read_as(uid_t owner, const char *target, struct buf *ret)
{
        const struct target t = { .owner = owner };

        (void)unlinkat(folder_fd, "x.dist-info/METADATA", 0);
        assert_int_equal(symlinkat(target, folder_fd, "x.dist-info/METADATA"), 0);
        return dist_file_read(&t, folder_fd, "x.dist-info/METADATA", ret);
}

static void assert_none(uid_t owner, const char *name)
{
        cleanup_buf struct buf path = { 0 }, text = { 0 };

        assert_int_equal(buf_printf(&path, "%s%s", name[0] == '/' || name[0] == '.' ? "" : folder, name), 0);
        assert_int_equal(read_as(owner, path.data, &text), -ENOENT);
        assert_int_equal(text.len, 0);
}

static void a_symlink_leads_to_a_file(void **state)
{
        cleanup_buf struct buf path = { 0 }, text = { 0 };

        (void)state;
        assert_int_equal(buf_printf(&path, "%s/file", folder), 0);
        assert_int_equal(read_as(geteuid(), path.data, &text), 0);
        assert_string_equal(text.data, "bytes");
}

static void to_nothing_else(void **state)
{
        (void)state;
        assert_none(geteuid(), "/nowhere/at/all");
        assert_none(geteuid(), "../file");
        assert_none(geteuid(), "/dev/zero");
        assert_none(geteuid(), "/proc/self/exe");
        assert_none(geteuid(), "");
}

static void who_is_not_the_owner_reads_the_owners_files_alone(void **state)
{
        cleanup_buf struct buf path = { 0 }, text = { 0 };
        const struct target t = { .owner = geteuid() + 1 };

        (void)state;
        assert_int_equal(buf_printf(&path, "%s/file", folder), 0);
        assert_int_equal(dist_file_follow(&t, path.data, &text), -ENOENT);
        if (geteuid() != 0)
                return;
        assert_int_equal(fchownat(folder_fd, "file", t.owner, (gid_t)-1, 0), 0);
        assert_int_equal(dist_file_follow(&t, path.data, &text), 0);
        assert_string_equal(text.data, "bytes");
        assert_int_equal(fchownat(folder_fd, "file", 0, (gid_t)-1, 0), 0);
}

static void a_fifo_does_not_wait(void **state)
{
        cleanup_buf struct buf path = { 0 }, text = { 0 };

        (void)state;
        assert_int_equal(buf_printf(&path, "%s/fifo", folder), 0);
        assert_int_equal(read_as(geteuid(), path.data, &text), -ENOENT);
}

static void a_folder_on_the_way_is_not_followed(void **state)
{
        const struct target t = { .owner = geteuid() };
        cleanup_buf struct buf text = { 0 };

        (void)state;
        assert_int_equal(symlinkat(folder, folder_fd, "way"), 0);
        assert_int_equal(dist_file_read(&t, folder_fd, "way/file", &text), -ELOOP);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_symlink_leads_to_a_file),
                cmocka_unit_test(to_nothing_else),
                cmocka_unit_test(who_is_not_the_owner_reads_the_owners_files_alone),
                cmocka_unit_test(a_fifo_does_not_wait),
                cmocka_unit_test(a_folder_on_the_way_is_not_followed),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
