/* Requests for the edits: what differs, and what a revert leaves. */
#include "sample_view.h"

#include "fs/edits_report.h"
#include "fs/tree_private.h"

static struct tree *tree;
static struct edits *edits;
static struct edit_data *data;

static const char *const one[] = {
        "site/pkg/a.py", "a = 1\n", "site/pkg/b.py", "b = 1\n", "site/pkg/sub/c.py", "c = 1\n",
        "site/one-1.dist-info/METADATA", "Name: one\n", NULL,
};

static void open_tree(struct place *p)
{
        assert_int_equal(edits_open(p->state_fd, p->environment->id, &edits, NULL), 0);
        assert_int_equal(edit_data_open(p->state_fd, &data, NULL), 0);
        assert_int_equal(tree_new(p->view, edits, data, &tree), 0);
        p->view = NULL; /* it is the tree's */
}

static void close_tree(void)
{
        tree_view_done(tree, tree->current);
        free(tree->removed.ids);
        free(tree);
        edit_data_close(data);
        edits_close(edits);
        tree = NULL;
}

static int setup_tree(void **state)
{
        struct place *p;

        setup(state);
        p = *state;
        put(p, "site/bare.py", "bare = 1\n");
        add(p, "one", "1", one);
        open_tree(p);
        return 0;
}

static int teardown_tree(void **state)
{
        close_tree();
        return teardown(state);
}

/* Asks, and gives the report without its first two lines and the last one, ids as "#". */
static int ask(struct place *p, const char *lines, struct buf *ret, size_t *ret_kept)
{
        struct tree_changes changes = { 0 };
        cleanup_buf struct buf text = { 0 };
        struct errtext err = { "" };
        int r;

        buf_printf(&text, EDITS_REQUEST_HEAD "\n%send\n", lines);
        assert_int_equal(file_replace(p->state_fd, EDITS_REQUEST_FILE, text.data, text.len, 0600, false), 0);
        r = edits_serve_request(tree, p->state_fd, &changes, &err);
        if (ret_kept)
                *ret_kept = changes.kept;
        for (size_t i = 0; i < changes.count; i++)
                free(changes.list[i].name);
        free(changes.list);
        buf_clear(&text);
        if (r < 0) {
                buf_add_str(ret, err.text);
                return r;
        }
        assert_int_equal(file_read_at(p->state_fd, EDITS_REPORT_FILE, 1 << 20, &text), 0);
        for (char *save = NULL, *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                char *space = strchr(line, ' '), *next = space ? strchr(space + 1, ' ') : NULL;

                if (strcmp(line, "end") == 0 || strncmp(line, "generation ", 11) == 0 || strcmp(line, EDITS_REPORT_HEAD) == 0)
                        continue;
                if (next && strncmp(line, "kept ", 5) != 0 && strncmp(line, "bad ", 4) != 0)
                        buf_printf(ret, "%.*s#%s\n", (int)(space + 1 - line), line, next);
                else
                        buf_printf(ret, "%s\n", line);
        }
        buf_add(ret, "", 0);
        return 0;
}

static void assert_report(struct place *p, const char *want)
{
        cleanup_buf struct buf got = { 0 };

        assert_int_equal(ask(p, "report\ncheck\n", &got, NULL), 0);
        assert_string_equal(got.data ? got.data : "", want);
}

static void revert(struct place *p, const char *path, size_t want_kept)
{
        cleanup_buf struct buf got = { 0 };
        char line[256];
        size_t kept;

        snprintf(line, sizeof(line), "revert %s\n", path);
        if (ask(p, line, &got, &kept) < 0)
                fail_msg("%s", got.data);
        assert_int_equal(kept, want_kept);
}

static struct node at(const char *path)
{
        struct node n;

        if (tree_find(tree, path, &n) < 0)
                fail_msg("no '%s'", path);
        return n;
}

static void split(const char *path, uint64_t *ret_dir, const char **ret_name)
{
        char folder[256] = "";
        const char *slash = strrchr(path, '/');

        if (slash)
                snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        *ret_dir = at(folder).id;
        *ret_name = slash ? slash + 1 : path;
}

static const struct tree_call who = { .cell = NO_CELL };

static void make(const char *path, mode_t mode, const char *text)
{
        const struct tree_new_node n = { .mode = mode, .target = S_ISLNK(mode) ? text : NULL };
        const char *name;
        struct node made;
        uint64_t dir;

        split(path, &dir, &name);
        assert_int_equal(tree_make(tree, &who, dir, name, &n, &made), 0);
        if (S_ISREG(mode))
                assert_int_equal(tree_write(tree, made.id, text, strlen(text), 0), strlen(text));
}

static void change(const char *path, const char *text)
{
        assert_int_equal(tree_truncate(tree, at(path).id, 0), 0);
        assert_int_equal(tree_write(tree, at(path).id, text, strlen(text), 0), strlen(text));
}

static void unlink_at(const char *path)
{
        const char *name;
        uint64_t dir;

        split(path, &dir, &name);
        assert_int_equal(S_ISDIR(at(path).st.st_mode) ? tree_rmdir(tree, &who, dir, name) : tree_unlink(tree, &who, dir, name), 0);
}

static void move(const char *from, const char *to)
{
        const char *name, *to_name;
        uint64_t dir, to_dir;

        split(from, &dir, &name);
        split(to, &to_dir, &to_name);
        assert_int_equal(tree_rename(tree, &who, dir, name, to_dir, to_name, 0), 0);
}

static void link_at(const char *from, const char *to)
{
        const char *name;
        struct node n;
        uint64_t dir;

        split(to, &dir, &name);
        assert_int_equal(tree_link(tree, &who, at(from).id, dir, name, &n), 0);
}

static void assert_bytes(const char *path, const char *want)
{
        char got[256];
        ssize_t n = tree_read(tree, at(path).id, got, sizeof(got), 0, NULL);

        assert_int_equal(n, strlen(want));
        assert_memory_equal(got, want, (size_t)n);
}

static void assert_kept(struct place *p, const char *path, const char *want)
{
        cleanup_buf struct buf got = { 0 };
        char whole[256];

        snprintf(whole, sizeof(whole), KEPT_DIR "/%llu/%s", (unsigned long long)p->environment->generation, path);
        assert_int_equal(file_read_at(p->state_fd, whole, 4096, &got), 0);
        assert_string_equal(got.data, want);
}

static void nothing_is_left(struct place *p)
{
        assert_report(p, "");
        assert_bytes("pkg/a.py", "a = 1\n");
        assert_bytes("pkg/b.py", "b = 1\n");
        assert_bytes("pkg/sub/c.py", "c = 1\n");
        assert_int_equal(at("pkg").st.st_nlink, 3);
        assert_int_equal(at("pkg/a.py").st.st_nlink, 1);
        assert_true(at("").st.st_nlink == 4);
}

static void without_edits_nothing_differs(void **state)
{
        nothing_is_left(*state);
}

static int a_row(const struct edit_node *n, void *user)
{
        (void)n;
        (void)user;
        return 1;
}

static int an_entry(const struct edit_entry *n, void *user)
{
        (void)n;
        (void)user;
        return 1;
}

static void a_changed_file_comes_back_and_is_kept(void **state)
{
        struct place *p = *state;
        uint64_t id = at("pkg/a.py").id;

        change("pkg/a.py", "a = 2, longer\n");
        assert_report(p, "modified # 644 14 1 pkg/a.py\n");
        revert(p, "pkg/a.py", 1);
        nothing_is_left(p);
        assert_int_equal(at("pkg/a.py").id, id);
        assert_kept(p, "pkg/a.py", "a = 2, longer\n");
        assert_int_equal(edits_nodes(edits, a_row, NULL), 0);
        assert_int_equal(edits_all_entries(edits, an_entry, NULL), 0);
        change("pkg/a.py", "a = 3\n");
        revert(p, "", 1);
        assert_kept(p, "pkg/a.py", "a = 2, longer\n");
        assert_kept(p, "pkg/a.py.1", "a = 3\n");
}

static void attributes_alone_come_back(void **state)
{
        const struct tree_attr a = { .set_mode = true, .mode = 0755, .atime.tv_nsec = UTIME_OMIT, .mtime.tv_nsec = UTIME_OMIT };
        struct place *p = *state;
        struct node n;

        assert_int_equal(tree_setattr(tree, at("pkg/a.py").id, &a, &n), 0);
        assert_report(p, "modified # 755 6 0 pkg/a.py\n");
        revert(p, "pkg", 0);
        nothing_is_left(p);
        assert_int_equal(at("pkg/a.py").st.st_mode & 07777, 0644);
}

static void removed_things_come_back(void **state)
{
        struct place *p = *state;

        unlink_at("pkg/a.py");
        assert_report(p, "removed # f pkg/a.py\n");
        unlink_at("pkg/sub/c.py");
        unlink_at("pkg/sub");
        assert_report(p, "removed # f pkg/a.py\nremoved # d pkg/sub\n");
        revert(p, "pkg/a.py", 0);
        assert_report(p, "removed # d pkg/sub\n");
        revert(p, "pkg", 0);
        nothing_is_left(p);
}

static void what_was_removed_as_a_whole_comes_back_as_a_whole(void **state)
{
        cleanup_buf struct buf got = { 0 };
        struct place *p = *state;

        change("pkg/sub/c.py", "changed\n");
        unlink_at("pkg/sub/c.py");
        unlink_at("pkg/sub");
        assert_int_equal(ask(p, "revert pkg/sub/c.py\n", &got, NULL), -EINVAL);
        assert_non_null(strstr(got.data, "removed as a whole"));
        revert(p, "pkg/sub", 0); /* what the user has removed is not kept */
        nothing_is_left(p);
}

static void added_things_go(void **state)
{
        struct place *p = *state;

        make("new", S_IFDIR | 0755, NULL);
        make("new/x.txt", S_IFREG | 0600, "x");
        make("new/link", S_IFLNK | 0777, "x.txt");
        make("pkg/__pycache__", S_IFDIR | 0755, NULL);
        make("pkg/__pycache__/a.cpython-312.pyc", S_IFREG | 0644, "c");
        assert_report(p, "added # d 755 0 new\nadded # l 777 5 new/link x.txt\nadded # f 600 1 new/x.txt\n"
                         "added # d 755 0 pkg/__pycache__\nadded # f 644 1 pkg/__pycache__/a.cpython-312.pyc\n");
        revert(p, "new", 2);
        assert_kept(p, "new/x.txt", "x");
        assert_report(p, "added # d 755 0 pkg/__pycache__\nadded # f 644 1 pkg/__pycache__/a.cpython-312.pyc\n");
        revert(p, "", 0);
        nothing_is_left(p);
}

static void bytecode_goes_with_its_source(void **state)
{
        struct place *p = *state;

        change("pkg/a.py", "a = 7\n");
        make("pkg/__pycache__", S_IFDIR | 0755, NULL);
        make("pkg/__pycache__/a.cpython-312.pyc", S_IFREG | 0644, "c");
        make("pkg/__pycache__/b.cpython-312.pyc", S_IFREG | 0644, "c");
        revert(p, "pkg/a.py", 1);
        assert_report(p, "added # d 755 0 pkg/__pycache__\nadded # f 644 1 pkg/__pycache__/b.cpython-312.pyc\n");
}

static void moved_things_go_back(void **state)
{
        struct place *p = *state;

        move("pkg/a.py", "a2.py");
        assert_report(p, "moved # f a2.py pkg/a.py 1\n");
        revert(p, "pkg", 0);
        nothing_is_left(p);
        move("pkg", "other");
        change("other/b.py", "b = 2\n");
        make("other/new.py", S_IFREG | 0644, "n");
        unlink_at("other/sub/c.py");
        assert_report(p, "moved # d other pkg 1\nmodified # 644 6 1 other/b.py\nadded # f 644 1 other/new.py\n"
                         "removed # f pkg/sub/c.py\n");
        revert(p, "pkg", 2);
        nothing_is_left(p);
        assert_kept(p, "other/b.py", "b = 2\n");
}

static void a_replaced_directory_comes_back(void **state)
{
        struct place *p = *state;

        move("pkg", "old");
        make("pkg", S_IFDIR | 0755, NULL);
        make("pkg/a.py", S_IFREG | 0644, "mine\n");
        revert(p, "old", 1);
        nothing_is_left(p);
        assert_kept(p, "pkg/a.py", "mine\n");
}

static size_t told_of_removing(struct place *p, const char *path)
{
        struct tree_changes changes = { 0 };
        cleanup_buf struct buf text = { 0 };
        struct errtext err = { "" };
        size_t n = 0;

        buf_printf(&text, EDITS_REQUEST_HEAD "\nremove %s\nend\n", path);
        assert_int_equal(file_replace(p->state_fd, EDITS_REQUEST_FILE, text.data, text.len, 0600, false), 0);
        assert_int_equal(edits_serve_request(tree, p->state_fd, &changes, &err), 0);
        for (size_t i = 0; i < changes.count; i++)
                n += changes.list[i].name && strcmp(changes.list[i].name, "new.py") == 0;
        tree_changes_release(&changes);
        return n;
}

/* Who removed it may have died before the kernel was told, and the request is served again. */
static void of_what_is_removed_the_kernel_is_told_again(void **state)
{
        struct place *p = *state;

        make("pkg/new.py", S_IFREG | 0644, "new\n");
        assert_int_equal(told_of_removing(p, "pkg/new.py"), 1);
        assert_int_equal(told_of_removing(p, "pkg/new.py"), 1);
        assert_int_equal(told_of_removing(p, "none/new.py"), 0);
}

static void further_names_go(void **state)
{
        struct place *p = *state;

        link_at("pkg/a.py", "a2.py");
        assert_report(p, "linked # a2.py pkg/a.py\n");
        assert_int_equal(at("pkg/a.py").st.st_nlink, 2);
        change("a2.py", "both\n");
        assert_report(p, "linked # a2.py pkg/a.py\nmodified # 644 5 1 pkg/a.py\n");
        revert(p, "a2.py", 0);
        assert_bytes("pkg/a.py", "both\n");
        assert_int_equal(at("pkg/a.py").st.st_nlink, 1);
        revert(p, "", 1);
        nothing_is_left(p);
}

static void a_replaced_file_is_removed_and_added(void **state)
{
        struct place *p = *state;

        make("pkg/tmp", S_IFREG | 0644, "a = 9\n");
        move("pkg/tmp", "pkg/a.py");
        assert_report(p, "removed # f pkg/a.py\nadded # f 644 6 pkg/a.py\n");
        revert(p, "pkg/a.py", 1);
        nothing_is_left(p);
        assert_kept(p, "pkg/a.py", "a = 9\n");
}

static void the_base_is_given_to_who_cannot_see_it(void **state)
{
        cleanup_buf struct buf got = { 0 }, bytes = { 0 };
        struct place *p = *state;
        char name[64];

        change("bare.py", "bare = 2\n");
        change("pkg/a.py", "a = 2\n");
        snprintf(name, sizeof(name), "edits.originals/%016llx", (unsigned long long)at("bare.py").id);
        assert_int_equal(ask(p, "originals\n", &got, NULL), 0);
        assert_string_equal(got.data, "original # 100644 bare.py\n");
        assert_int_equal(file_read_at(p->state_fd, name, 100, &bytes), 0);
        assert_string_equal(bytes.data, "bare = 1\n");
}

static void a_strange_request_is_refused(void **state)
{
        static const char *const wrong[] = { "revert ../x\n", "revert /etc\n", "revert a//b\n", "revert a%zz\n", "rewrite x\n" };
        struct place *p = *state;

        for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
                cleanup_buf struct buf got = { 0 };

                assert_int_equal(ask(p, wrong[i], &got, NULL), -EINVAL);
        }
}

static void names_are_escaped(void **state)
{
        struct place *p = *state;

        make("a b\n%", S_IFREG | 0644, "");
        assert_report(p, "added # f 644 0 a%20b%0A%25\n");
        revert(p, "a%20b%0A%25", 1);
        nothing_is_left(p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(without_edits_nothing_differs, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(a_changed_file_comes_back_and_is_kept, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(attributes_alone_come_back, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(removed_things_come_back, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(what_was_removed_as_a_whole_comes_back_as_a_whole, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(added_things_go, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(bytecode_goes_with_its_source, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(moved_things_go_back, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(a_replaced_directory_comes_back, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(further_names_go, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(of_what_is_removed_the_kernel_is_told_again, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(a_replaced_file_is_removed_and_added, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(the_base_is_given_to_who_cannot_see_it, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(a_strange_request_is_refused, setup_tree, teardown_tree),
                cmocka_unit_test_setup_teardown(names_are_escaped, setup_tree, teardown_tree),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
