#include "store/files.h"
#include "store/wheel.h"
#include "zip_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define INFO "demo-1.0.dist-info/"

struct place {
        char folder[32];
        char path[80];
};

static void make_place(struct place *p, const char *name)
{
        strcpy(p->folder, "/tmp/fusepkg-wheel-XXXXXX");
        assert_non_null(mkdtemp(p->folder));
        snprintf(p->path, sizeof p->path, "%s/%s", p->folder, name);
}

static void remove_place(const struct place *p)
{
        unlink(p->path);
        assert_int_equal(rmdir(p->folder), 0);
}

static void start_wheel(struct zip_fixture *z)
{
        zip_add_text(z, INFO "METADATA", "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\n");
        zip_add_text(z, INFO "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
}

static struct wheel *finish_wheel(struct zip_fixture *z, const struct place *p)
{
        struct wheel *w = NULL;
        struct errtext err = { "" };
        int fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        zip_finish(z);
        assert_true(fd >= 0);
        assert_int_equal(file_write_full(fd, z->bytes.data, z->bytes.len), 0);
        close(fd);
        zip_release(z);
        if (wheel_open(p->path, &w, &err) < 0)
                fail_msg("%s", err.text);
        if (wheel_check(w, p->path, 0, &err) < 0)
                fail_msg("%s", err.text);
        return w;
}

static void members_become_targets_in_the_order_of_their_paths(void **state)
{
        static const char *const expected[] = {
                "data/share/x", "headers/demo/a.h", "scripts/tool", "site/b.py", "site/demo-1.0.dist-info/METADATA",
                "site/demo-1.0.dist-info/RECORD.jws", "site/demo-1.0.dist-info/WHEEL", "site/demo.py", "site/demo/a.py",
        };
        struct zip_fixture z = { 0 };
        struct place p;
        struct wheel *w;

        (void)state;
        make_place(&p, "Demo-1.0-py3-none-any.whl");
        start_wheel(&z);
        zip_add_text(&z, "demo/a.py", "");
        zip_add_text(&z, "demo.py", "");
        zip_add_text(&z, "demo-1.0.data/scripts/tool", "#!python\n");
        zip_add_text(&z, "demo-1.0.data/headers/a.h", "");
        zip_add_text(&z, "demo-1.0.data/data/share/x", "");
        zip_add_text(&z, "demo-1.0.data/platlib/b.py", "");
        zip_add_text(&z, "demo/__pycache__/a.pyc", "");
        zip_add_text(&z, INFO "INSTALLER", "x");
        zip_add_text(&z, INFO "direct_url.json", "{}");
        zip_add_text(&z, INFO "RECORD.jws", "{}");
        zip_add_text(&z, INFO "RECORD", "demo.py,,0\nabsent.py,,\n");
        w = finish_wheel(&z, &p);
        assert_int_equal(w->target_count, ARRAY_LEN(expected));
        for (size_t i = 0; i < ARRAY_LEN(expected); i++)
                assert_string_equal(w->targets[i].path, expected[i]);
        assert_true(w->targets[7].listed && w->targets[7].has_size && !w->targets[7].has_hash);
        assert_false(w->targets[8].listed);
        assert_true(w->record_disagrees);
        assert_non_null(strstr(w->warnings.data, "lists a file that the archive lacks: 'absent.py'\n"));
        assert_non_null(strstr(w->warnings.data, "gives no SHA-256 for a file: 'demo.py'\n"));
        assert_null(strstr(w->warnings.data, "RECORD.jws"));
        assert_null(strstr(w->warnings.data, "__pycache__"));
        wheel_close(w);
        remove_place(&p);
}

static void the_key_is_that_of_directory_and_record(void **state)
{
        struct place p;
        uint8_t keys[3][SHA256_SIZE];

        (void)state;
        make_place(&p, "demo-1.0-py3-none-any.whl");
        for (int i = 0; i < 3; i++) {
                struct zip_fixture z = { 0 };
                struct wheel *w;

                start_wheel(&z);
                zip_add_text(&z, "demo.py", i < 2 ? "x = 1\n" : "x = 2\n");
                zip_add_text(&z, INFO "RECORD", "");
                w = finish_wheel(&z, &p);
                memcpy(keys[i], w->key, SHA256_SIZE);
                wheel_close(w);
        }
        assert_memory_equal(keys[0], keys[1], SHA256_SIZE);
        assert_memory_not_equal(keys[0], keys[2], SHA256_SIZE);
        remove_place(&p);
}

static void what_goes_wrong_many_times_is_said_ten_times(void **state)
{
        struct zip_fixture z = { 0 };
        struct place p;
        struct wheel *w;
        size_t lines = 0;

        (void)state;
        make_place(&p, "demo-1.0-py3-none-any.whl");
        start_wheel(&z);
        for (int i = 0; i < 50; i++) {
                char name[20];

                snprintf(name, sizeof name, "m%d.py", i);
                zip_add_text(&z, name, "");
        }
        zip_add_text(&z, INFO "RECORD", INFO "METADATA,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,\n" INFO
                     "WHEEL,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,\n");
        w = finish_wheel(&z, &p);
        for (const char *s = w->warnings.data; (s = strchr(s, '\n')); s++)
                lines++;
        assert_int_equal(lines, 11);
        assert_non_null(strstr(w->warnings.data, "40 more files"));
        wheel_close(w);
        remove_place(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(members_become_targets_in_the_order_of_their_paths),
                cmocka_unit_test(the_key_is_that_of_directory_and_record),
                cmocka_unit_test(what_goes_wrong_many_times_is_said_ten_times),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
