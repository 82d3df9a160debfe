#include "fs/mountinfo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sys/sysmacros.h>

static const char sample[] =
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
        "24 22 0:40 / /mnt/with\\040blank rw - tmpfs tmpfs rw\n"
        "25 24 0:41 / /mnt/with\\040blank/back\\134slash rw shared:2 master:3 - btrfs /dev/sdb rw\n"
        "26 22 0:50 / /venv/site-packages ro,nosuid,nodev - fuse.fusepkg fusepkg ro,user_id=0,allow_other,max_read=4\n"
        "27 22 0:51 / /twice rw - tmpfs a rw\n"
        "28 22 259:7 / /twice rw - xfs b rw\n"
        "29 22 0:52 / /venv/site-packages-other rw - ext4 c rw\n";

static struct mountinfo at(const char *path)
{
        struct mountinfo info = { 0 };

        assert_int_equal(mountinfo_at(sample, sizeof sample - 1, path, &info), 0);
        return info;
}

static void expect_holding(const char *path, const char *type)
{
        struct mountinfo info = { 0 };

        assert_int_equal(mountinfo_holding(sample, sizeof sample - 1, path, &info), 0);
        assert_string_equal(info.type, type);
}

static void expect_none(const char *text, const char *path)
{
        struct mountinfo info;

        assert_int_equal(mountinfo_at(text, strlen(text), path, &info), -ENOENT);
}

static void a_mount_is_found_by_its_point(void **state)
{
        (void)state;
        assert_string_equal(at("/venv/site-packages").type, MOUNTINFO_TYPE);
        assert_true(at("/venv/site-packages").device == makedev(0, 50));
        assert_true(at("/venv/site-packages").allow_other);
        assert_false(at("/venv/site-packages-other").allow_other);
        expect_none(sample, "/venv");
        expect_none(sample, "/venv/site-packages/pkg");
        expect_none(sample, "/venv/site-package");
}

static void escapes_are_undone(void **state)
{
        (void)state;
        assert_string_equal(at("/mnt/with blank").type, "tmpfs");
        assert_string_equal(at("/mnt/with blank/back\\slash").type, "btrfs");
        expect_none(sample, "/mnt/with\\040blank");
}

static void of_two_mounts_on_one_point_the_upper_one_counts(void **state)
{
        (void)state;
        assert_string_equal(at("/twice").type, "xfs");
        assert_true(at("/twice").device == makedev(259, 7));
}

static void a_path_lies_in_the_deepest_mount_above_it(void **state)
{
        (void)state;
        expect_holding("/", "ext4");
        expect_holding("/venv/lib", "ext4");
        expect_holding("/mnt/with blank/x", "tmpfs");
        expect_holding("/mnt/with blank/back\\slash/y/z", "btrfs");
        expect_holding("/mnt/with blanks", "ext4");
        expect_holding("/venv/site-packages", "fuse.fusepkg");
}

static void malformed_lines_are_skipped(void **state)
{
        struct mountinfo info;
        static const char text[] = "\n"
                                   "1\n"
                                   "1 2 3:4 / /a rw\n"
                                   "1 2 3:4 / /a rw -\n"
                                   "1 2 3 / /a rw - ext4 x rw\n"
                                   "1 2 x:y / /a rw - ext4 x rw\n"
                                   "1 2 : / /a rw - ext4 x rw\n"
                                   "1 2 3:4 / /b\\04 rw - ext4 x rw\n"
                                   "1 2 3:4 / /c rw a:1 b:2 c - xfs x rw";

        (void)state;
        expect_none(text, "/a");
        assert_int_equal(mountinfo_at(text, sizeof text - 1, "/b\\04", &info), 0);
        assert_int_equal(mountinfo_at(text, sizeof text - 1, "/c", &info), 0);
        assert_string_equal(info.type, "xfs");
        expect_none("", "/");
}

static void a_long_type_is_cut(void **state)
{
        char text[400] = "1 2 3:4 / /a rw - ";
        struct mountinfo info;

        (void)state;
        memset(text + strlen(text), 'x', 300);
        assert_int_equal(mountinfo_at(text, strlen(text), "/a", &info), 0);
        assert_int_equal(strlen(info.type), sizeof info.type - 1);
}

static void a_mount_is_found_by_its_device(void **state)
{
        cleanup_buf struct buf point = { 0 };

        (void)state;
        assert_int_equal(mountinfo_point(sample, sizeof sample - 1, makedev(0, 41), &point), 0);
        assert_string_equal(point.data, "/mnt/with blank/back\\slash");
        assert_int_equal(mountinfo_point(sample, sizeof sample - 1, makedev(0, 99), &point), -ENOENT);
}

static void the_kernels_own_list_has_a_root(void **state)
{
        cleanup_buf struct buf list = { 0 };
        struct mountinfo info;

        (void)state;
        assert_int_equal(mountinfo_load(&list), 0);
        assert_int_equal(mountinfo_at(list.data, list.len, "/proc", &info), 0);
        assert_string_equal(info.type, "proc");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_mount_is_found_by_its_point),
                cmocka_unit_test(escapes_are_undone),
                cmocka_unit_test(of_two_mounts_on_one_point_the_upper_one_counts),
                cmocka_unit_test(a_path_lies_in_the_deepest_mount_above_it),
                cmocka_unit_test(malformed_lines_are_skipped),
                cmocka_unit_test(a_long_type_is_cut),
                cmocka_unit_test(a_mount_is_found_by_its_device),
                cmocka_unit_test(the_kernels_own_list_has_a_root),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
