/* From ids back to places, and which slot is the newest. */
#include "sample_view.h"

static void assert_placed(struct place *p, const char *path)
{
        cleanup_buf struct buf name = { 0 }, whole = { 0 }, folder = { 0 };
        const char *slash = strrchr(path, '/');
        uint64_t dir = 0;
        struct node n = find(p, path);

        buf_add(&folder, path, slash ? (size_t)(slash - path) : 0);
        if (view_place(p->view, n.id, &dir, &name) < 0)
                fail_msg("'%s' has no place", path);
        assert_int_equal(dir, find(p, folder.data ? folder.data : "").id);
        assert_string_equal(name.data, slash ? slash + 1 : path);
        assert_int_equal(view_path(p->view, n.id, &whole), 0);
        assert_string_equal(whole.data, path);
        if (S_ISDIR(n.st.st_mode))
                assert_int_equal(view_parent(p->view, n.id), dir);
}

struct walk {
        struct place *p;
        struct buf path;
        size_t count;
};

static int place_entry(const struct view_dirent *d, void *user)
{
        struct walk *w = user;
        size_t len = w->path.len;

        assert_int_equal(buf_printf(&w->path, "%s%.*s", len ? "/" : "", (int)d->name.len, d->name.data), 0);
        assert_placed(w->p, w->path.data);
        w->count++;
        if (S_ISDIR(d->type))
                assert_int_equal(view_readdir(w->p->view, d->id, 0, place_entry, w), 0);
        w->path.len = len;
        w->path.data[len] = 0;
        return 0;
}

/* Everything that can be listed knows where it is. */
static size_t assert_all_placed(struct place *p)
{
        struct walk w = { .p = p };

        assert_int_equal(view_readdir(p->view, NODE_ROOT, 0, place_entry, &w), 0);
        assert_placed(p, DATA_DIR);
        assert_int_equal(buf_add_str(&w.path, DATA_DIR), 0);
        assert_int_equal(view_readdir(p->view, NODE_DATA, 0, place_entry, &w), 0);
        buf_release(&w.path);
        return w.count;
}

static bool has_place(struct place *p, uint64_t id)
{
        cleanup_buf struct buf path = { 0 };
        int r = view_path(p->view, id, &path);

        if (r < 0) {
                assert_int_equal(r, -ENOENT);
                assert_int_equal(path.len, 0);
        }
        return r == 0;
}

static const char *const one[] = {
        "site/one/a.py", "1", "site/one/sub/b.py", "1", "site/ns/one.py", "1", "site/ns/deep/x/one.py", "1",
        "site/one-1.dist-info/METADATA", "Name: one\n", "data/share/one/x.json", "{}", "headers/one/one.h", "h",
        "scripts/run", "#!python\n", NULL };
static const char *const two[] = {
        "site/ns/two.py", "2", "site/ns/deep/x/two.py", "2", "site/ns/deep/y/two.py", "2",
        "site/two-1.dist-info/METADATA", "Name: two\n", "data/share/two/x.json", "{}", NULL };

static void make_base(struct place *p)
{
        mkdirat(p->fd, "site/pip", 0755);
        mkdirat(p->fd, "site/pip/sub", 0755);
        mkdirat(p->fd, "site/pip-1.dist-info", 0755);
        mkdirat(p->fd, "site/ns", 0755);
        mkdirat(p->fd, "site/ns/deep", 0755);
        mkdirat(p->fd, "site/ns/deep/base", 0755);
        put(p, "site/pip/a.py", "a");
        put(p, "site/pip/sub/b.py", "b");
        put(p, "site/ns/base.py", "b");
        put(p, "site/ns/deep/base/c.py", "c");
        put(p, "site/pip-1.dist-info/RECORD", "pip/a.py,,\npip/sub/b.py,,\npip-1.dist-info/RECORD,,\n");
        assert_int_equal(symlinkat("a.py", p->fd, "site/pip/link.py"), 0);
}

static void what_is_listed_knows_its_place(void **state)
{
        struct place *p = *state;

        make_base(p);
        add(p, "one", "1", one);
        assert_true(assert_all_placed(p) > 20);
        add(p, "two", "1", two);
        assert_true(assert_all_placed(p) > 30);
        drop(p, "one"); /* pins */
        assert_true(assert_all_placed(p) > 15);
        add(p, "one", "2", one);
        assert_true(assert_all_placed(p) > 30);
}

static void what_left_or_is_hidden_has_no_place(void **state)
{
        static const char *const file[] = { "site/ns/deep", "now a file", NULL };
        struct place *p = *state;
        struct environment *next;
        cleanup_buf struct buf name = { 0 };
        uint64_t a, sub, pip, pip_a, base_c, info, one_py, x, dir = 0;

        make_base(p);
        add(p, "one", "1", one);
        a = find(p, "one/a.py").id;
        sub = find(p, "one/sub").id;
        info = find(p, "one-1.dist-info/INSTALLER").id;
        pip = find(p, "pip").id;
        pip_a = find(p, "pip/a.py").id;
        base_c = find(p, "ns/deep/base/c.py").id;
        one_py = find(p, "ns/deep/x/one.py").id;
        x = find(p, "ns/deep/x").id;
        assert_true(has_place(p, a) && has_place(p, sub) && has_place(p, info) && has_place(p, base_c) && has_place(p, x));
        assert_false(has_place(p, NODE_ROOT));
        assert_false(has_place(p, UINT64_C(1) << 62 | 5));
        assert_false(has_place(p, UINT64_C(77) << 32));

        add(p, "file", "1", file); /* the later wins: ns/deep is a file, and all that was in it is hidden, not retired */
        assert_false(has_place(p, base_c));
        assert_false(has_place(p, one_py));
        assert_false(has_place(p, x));
        assert_false(view_is_retired(p->view, one_py));
        assert_int_equal(view_place(p->view, one_py, &dir, &name), 0); /* for who has moved that folder elsewhere */
        assert_int_equal(dir, x);
        assert_string_equal(name.data, "one.py");
        drop(p, "file");
        assert_true(has_place(p, base_c) && has_place(p, one_py) && has_place(p, x));

        next = next_of(p);
        assert_int_equal(environment_hide(next, "pip-1.dist-info"), 0);
        commit(p, next);
        assert_false(has_place(p, pip_a));
        assert_true(has_place(p, pip)); /* the link is in no RECORD */
        assert_true(view_is_retired(p->view, pip_a));
        assert_false(view_is_retired(p->view, pip));

        drop(p, "one");
        assert_false(has_place(p, a));
        assert_false(has_place(p, sub));
        assert_false(has_place(p, info));
        assert_true(view_is_retired(p->view, a) && view_is_retired(p->view, sub) && view_is_retired(p->view, info));
        assert_int_equal(view_parent(p->view, sub) >> 32, sub >> 32); /* who stands in it still goes up */
        assert_false(view_is_retired(p->view, NODE_ROOT));
        assert_false(view_is_retired(p->view, UINT64_C(1) << 62 | 5));
}

static uint32_t newest(struct place *p, uint64_t id)
{
        uint32_t n = UINT32_MAX;

        assert_int_equal(view_newest(p->view, id, &n), 0);
        return n;
}

static void the_newest_slot_of_a_node_is_known(void **state)
{
        struct place *p = *state;
        uint32_t n = 77;
        uint64_t ns;

        make_base(p);
        assert_int_equal(p->environment->next_slot, 1);
        add(p, "one", "1", one);
        assert_int_equal(view_horizon(p->view), 1);
        assert_int_equal(newest(p, find(p, "ns").id), 1);
        assert_int_equal(newest(p, find(p, "ns/base.py").id), 0);
        assert_int_equal(newest(p, find(p, "one").id), 1);
        assert_int_equal(newest(p, NODE_MARKER), 0);
        ns = find(p, "ns").id;
        add(p, "two", "1", two);
        assert_int_equal(newest(p, ns), 2);
        assert_int_equal(newest(p, find(p, "ns/deep/base").id), 0);
        assert_int_equal(newest(p, find(p, "ns/two.py").id), 2);
        assert_int_equal(newest(p, find(p, "two-1.dist-info/RECORD").id), 2);
        drop(p, "two");
        assert_int_equal(newest(p, ns), 1);
        assert_int_equal(view_horizon(p->view), 2); /* numbers are given once */
        assert_int_equal(view_newest(p->view, UINT64_C(9) << 32, &n), -ENOENT);
        assert_int_equal(n, 77);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_is_listed_knows_its_place, setup, teardown),
                cmocka_unit_test_setup_teardown(what_left_or_is_hidden_has_no_place, setup, teardown),
                cmocka_unit_test_setup_teardown(the_newest_slot_of_a_node_is_known, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
