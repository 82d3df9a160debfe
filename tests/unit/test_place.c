#include "store/place.h"

#include "sample_store.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void path_of(const struct sample *t, const char *name, char ret[200])
{
        snprintf(ret, 200, "%s/%s", t->folder, name);
}

static void make(const struct sample *t, const char *name)
{
        assert_int_equal(mkdirat(t->folder_fd, name, 0755), 0);
}

static char *place_of(const struct sample *t, const char *name)
{
        cleanup_close int fd = openat(t->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct buf b = { 0 };

        assert_true(fd >= 0);
        assert_int_equal(place_describe(fd, &b), 0);
        assert_true(b.len > 0);
        return buf_steal(&b);
}

static enum place_state judge(const struct sample *t, const char *name, const char *place, bool lost)
{
        cleanup_buf struct buf where = { 0 };
        enum place_state state;
        char path[200];

        path_of(t, name, path);
        assert_int_equal(place_judge(path, place, lost, &state, &where), 0);
        return state;
}

/* Only root may ask for what a handle names. */
static enum place_state gone(void)
{
        return geteuid() == 0 ? PLACE_GONE : PLACE_MISSING;
}

static void a_folder_is_there_until_it_is_deleted(void **state)
{
        const struct sample *t = *state;
        cleanup_free char *place = NULL;

        make(t, "a");
        make(t, "a/b");
        place = place_of(t, "a/b");
        assert_int_equal(judge(t, "a/b", place, false), PLACE_THERE);
        assert_int_equal(unlinkat(t->folder_fd, "a/b", AT_REMOVEDIR), 0);
        assert_int_equal(judge(t, "a/b", place, false), gone());
        assert_int_equal(unlinkat(t->folder_fd, "a", AT_REMOVEDIR), 0);
        assert_int_equal(judge(t, "a/b", place, false), gone());
        make(t, "a");
        make(t, "a/b");
        assert_int_equal(judge(t, "a/b", place, true), gone());
}

static void a_folder_that_was_emptied_is_no_other(void **state)
{
        const struct sample *t = *state;
        cleanup_free char *place = NULL;

        make(t, "a");
        place = place_of(t, "a");
        assert_int_equal(judge(t, "a", place, true), PLACE_GONE);
}

static void a_folder_that_was_moved_is_found_or_missing(void **state)
{
        const struct sample *t = *state;
        enum place_state moved = geteuid() == 0 ? PLACE_MOVED : PLACE_MISSING;
        cleanup_free char *place = NULL;

        make(t, "a");
        place = place_of(t, "a");
        assert_int_equal(renameat(t->folder_fd, "a", t->folder_fd, "z"), 0);
        assert_int_equal(judge(t, "a", place, false), moved);
        make(t, "a"); /* another one in its place */
        assert_int_equal(judge(t, "a", place, true), moved);
}

static void what_cannot_be_told_is_away(void **state)
{
        const struct sample *t = *state;

        make(t, "a");
        assert_int_equal(judge(t, "a", "", false), PLACE_OTHER);
        assert_int_equal(judge(t, "b", "", false), PLACE_AWAY);
        assert_int_equal(judge(t, "b", "nonsense;1 xyz", false), PLACE_AWAY);
        assert_int_equal(judge(t, "b", ";", false), PLACE_AWAY);
}

static int in_namespace(const struct sample *outside)
{
        struct sample inside = *outside;
        const struct sample *t = &inside;
        char path[200];
        char *place;

        path_of(t, "disk", path);
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", path, "tmpfs", 0, NULL) < 0)
                return 1;
        inside.folder_fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* in the new namespace */
        if (inside.folder_fd < 0 || mkdirat(t->folder_fd, "disk/venv", 0755) < 0)
                return 1;
        place = place_of(t, "disk/venv");
        if (judge(t, "disk/venv", place, false) != PLACE_THERE)
                return 2;
        if (umount(path) < 0 || judge(t, "disk/venv", place, false) != PLACE_AWAY)
                return 3;
        if (mount("none", path, "tmpfs", 0, NULL) < 0 || judge(t, "disk/venv", place, false) != PLACE_AWAY)
                return 4; /* another disk at the same place */
        if (mkdirat(t->folder_fd, "disk/venv", 0755) < 0 || judge(t, "disk/venv", place, false) != PLACE_OTHER ||
            judge(t, "disk/venv", place, true) != PLACE_OTHER)
                return 5;
        free(place);
        return 0;
}

static void a_disk_that_is_not_there_is_no_deletion(void **state)
{
        const struct sample *t = *state;
        int status;
        pid_t child;

        if (geteuid() != 0)
                skip();
        make(t, "disk");
        child = fork();
        if (child == 0)
                _exit(in_namespace(t));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_folder_is_there_until_it_is_deleted),
                TEST(a_folder_that_was_emptied_is_no_other),
                TEST(a_folder_that_was_moved_is_found_or_missing),
                TEST(what_cannot_be_told_is_away),
                TEST(a_disk_that_is_not_there_is_no_deletion),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
