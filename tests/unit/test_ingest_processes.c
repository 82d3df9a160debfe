#include "store/ingest.h"

#include "sample_ingest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void *unlock_later(void *user)
{
        usleep(50000);
        close(*(int *)user);
        return NULL;
}

static void a_wheel_that_another_works_on_is_waited_for(void **state)
{
        struct place *p = *state;
        struct sample_member m = { .name = "a/mod.py", .data = "x = 1\n" };
        struct ingest_wheel w[8];
        pthread_t thread;
        uint8_t key[SHA256_SIZE];
        struct image *img;
        int fd;

        /* The key of a wheel does not depend on the store. */
        sample_wheel(p->sample->folder_fd, "a", &m, 1);
        sample_wheel(p->sample->folder_fd, "b", &m, 1);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        img = open_image(p, w[0].image, &fd);
        memcpy(key, image_key(img), sizeof(key));
        image_close(img);
        close(fd);
        assert_int_equal(index_forget_image(p->index, w[0].image), 0);
        release(w);
        fd = store_lock_key(p->store, key, true);
        assert_true(fd >= 0);
        assert_int_equal(pthread_create(&thread, NULL, unlock_later, &fd), 0);
        assert_int_equal(ingest(p, "a b", NULL, w), 0);
        assert_int_equal(fcntl(fd, F_GETFD), -1); /* not before it was unlocked */
        pthread_join(thread, NULL);
        assert_true(w[0].prepared && w[1].prepared);
        release(w);
}

static void make_wheels(const struct place *p, const char *const *names, size_t n)
{
        cleanup_free char *big = noise(BIG, 6);

        for (size_t i = 0; i < n; i++) {
                char path[4][40];
                struct sample_member m[] = { { .name = path[0], .data = big, .size = BIG - i },
                                             { .name = path[1], .data = big, .size = BIG },
                                             { .name = path[2], .data = names[i] },
                                             { .name = path[3], .data = big, .size = 100000 } };

                for (size_t k = 0; k < ARRAY_LEN(m); k++)
                        snprintf(path[k], sizeof(path[k]), "%s/%zu.py", names[i], k);
                sample_wheel(p->sample->folder_fd, names[i], m, ARRAY_LEN(m));
        }
}

static const char *const some[] = { "a", "b", "c", "d", "e", "f" };

/* In a process of its own: exits with the number of wheels that it unpacked, or 100. */
static void ingest_and_exit(const struct place *p)
{
        struct place own = { .sample = p->sample };
        struct ingest_wheel w[8];
        int prepared = 0;

        place_open(&own, own.sample);
        if (ingest(&own, "a b c d e f", NULL, w) < 0)
                _exit(100);
        for (size_t i = 0; i < ARRAY_LEN(some); i++)
                prepared += w[i].prepared;
        _exit(prepared);
}

static void eight_processes_do_the_work_once(void **state)
{
        struct place *p = *state;
        int prepared = 0;

        make_wheels(p, some, ARRAY_LEN(some));
        for (int i = 0; i < 8; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        ingest_and_exit(p);
        }
        for (int i = 0; i < 8; i++) {
                int status;

                assert_true(wait(&status) > 0);
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 100);
                prepared += WEXITSTATUS(status);
        }
        assert_int_equal(prepared, ARRAY_LEN(some));
        assert_int_equal(litter(p), 0);
        assert_int_equal(verify(p), 0);
}

static void a_kill_leaves_nothing_that_matters(void **state)
{
        struct place *p = *state;
        struct ingest_wheel w[8];

        make_wheels(p, some, ARRAY_LEN(some));
        for (unsigned i = 0; i < 40; i++) {
                pid_t pids[2];

                for (int k = 0; k < 2; k++) {
                        pids[k] = fork();
                        assert_true(pids[k] >= 0);
                        if (pids[k] == 0)
                                ingest_and_exit(p);
                }
                usleep(i * 700);
                for (int k = 0; k < 2; k++) {
                        kill(pids[k], SIGKILL);
                        waitpid(pids[k], NULL, 0);
                }
                assert_int_equal(verify(p), 0);
                /* All is done by now and then: once more from the start. */
                if (i % 8 == 7) {
                        place_close(p);
                        assert_int_equal(dir_remove_tree(p->sample->folder_fd, "store"), 0);
                        place_open(p, p->sample);
                }
        }
        assert_int_equal(ingest(p, "a b c d e f", NULL, w), 0);
        release(w);
        assert_int_equal(litter(p), 0);
        assert_int_equal(verify(p), 0);
}

static int write_line(const char *path, const char *line)
{
        cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : file_write_full(fd, line, strlen(line));
}

/* Mounts that nobody else sees; for users in a namespace where they are themselves. */
static int own_mounts(void)
{
        unsigned uid = geteuid(), gid = getegid();
        char line[60];
        int r;

        if (uid == 0)
                return unshare(CLONE_NEWNS) < 0 ? -errno : 0;
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return -errno;
        snprintf(line, sizeof(line), "%u %u 1", uid, uid);
        r = write_line("/proc/self/uid_map", line);
        if (r == 0)
                r = write_line("/proc/self/setgroups", "deny");
        snprintf(line, sizeof(line), "%u %u 1", gid, gid);
        return r == 0 ? write_line("/proc/self/gid_map", line) : r;
}

/* A file system of one megabyte over the store's folder, seen by this process alone. */
static int fill_the_store(const struct place *p)
{
        cleanup_free char *big = noise(2 << 20, 7);
        struct sample_member m = { .name = "z/big.so", .data = big, .size = 2 << 20 };
        struct place own = { .sample = p->sample };
        struct ingest_wheel w[8];
        char expected[200];

        if (own_mounts() < 0)
                return 77;
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return 77;
        mkdir(own.sample->store_path, 0700);
        if (mount("small", own.sample->store_path, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0700") < 0)
                return 77;
        sample_wheel(own.sample->folder_fd, "z", &m, 1);
        place_open(&own, own.sample);
        snprintf(expected, sizeof(expected), "'z-1.0-py3-none-any.whl': the store is full: %s", own.store->path);
        if (ingest(&own, "z", NULL, w) != -ENOSPC || strcmp(w[0].err.text, expected) != 0)
                return 1;
        if (litter(&own) != 0 || count_files(own.store->objects_fd, ".") + count_files(own.store->images_fd, ".") != 0)
                return 2;
        return 0;
}

static void a_full_store_says_so(void **state)
{
        struct place *p = *state;
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(fill_the_store(p));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_wheel_that_another_works_on_is_waited_for, setup, teardown),
                cmocka_unit_test_setup_teardown(eight_processes_do_the_work_once, setup, teardown),
                cmocka_unit_test_setup_teardown(a_kill_leaves_nothing_that_matters, setup, teardown),
                cmocka_unit_test_setup_teardown(a_full_store_says_so, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
