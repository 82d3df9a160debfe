/* The check of the rows, while others change them: it lets go of the lock, and says nothing of what they did. */
#include "sample_edited.h"

static const char *const pkg1[] = {
        "site/pkg/a.py", "a = 1\n", "site/pkg/sub/b.py", "b = 1\n",
        "site/pkg-1.dist-info/METADATA", "Name: pkg\n", NULL,
};

enum { FOLDERS = 40, EACH = 50 };

static struct edited *meanwhile; /* of which check; none: nobody checks */
static int pauses;

/* Here the check pauses.  In place of libc's, so that what others do in that time is always the same. */
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
        char name[64], to[64];

        (void)wanted;
        (void)left;
        if (!meanwhile)
                return 0;
        assert_int_equal(pthread_mutex_trylock(&meanwhile->tree->lock), 0);
        pthread_mutex_unlock(&meanwhile->tree->lock);
        if (pauses < FOLDERS / 2) {
                snprintf(name, sizeof(name), "d%d", FOLDERS - 1 - pauses);
                snprintf(to, sizeof(to), "d0/moved%d", pauses);
                rename_to(meanwhile, name, to);
                for (int i = 0; i < EACH; i++) {
                        snprintf(name, sizeof(name), "d%d/f%d", FOLDERS / 2 - 1 - pauses, i);
                        if (pauses < FOLDERS / 2 - 1)
                                unlink_at(meanwhile, name);
                }
        }
        pauses++;
        return 0;
}

static int setup_edited(void **state)
{
        struct edited *t = calloc(1, sizeof(*t));

        setup(state);
        t->p = *state;
        *state = t;
        commit_environment(t->p, with(t->p, "pkg", "1", pkg1));
        edited_open(t);
        return 0;
}

static void make_many(struct edited *t)
{
        char name[64];

        for (int d = 0; d < FOLDERS; d++) {
                snprintf(name, sizeof(name), "d%d", d);
                make_at(t, name, S_IFDIR | 0755);
                for (int i = 0; i < EACH; i++) {
                        snprintf(name, sizeof(name), "d%d/f%d", d, i);
                        make_at(t, name, S_IFIFO | 0644);
                }
        }
        rename_to(t, "pkg/sub", "d1/sub");
}

static void others_work_while_many_edits_are_checked(void **state)
{
        struct edited *t = *state;

        make_many(t);
        pauses = 0;
        meanwhile = t;
        assert_int_equal(tree_check(t->tree, say_bad, NULL), 0);
        meanwhile = NULL;
        assert_true(pauses >= FOLDERS * EACH / 256 - 1);
        assert_sound(t);
}

static int count_bad(const char *sentence, void *user)
{
        (void)sentence;
        ++*(int *)user;
        return 0;
}

static void what_no_path_leads_to_is_said(void **state)
{
        struct edited *t = *state;
        struct edit_entry circle = { .name = { "d3", 2 }, .type = S_IFDIR };
        struct edit_node n;
        int found = 0;

        make_many(t);
        circle.id = tree_id(t, "d3");
        circle.dir = make_at(t, "d3/below", S_IFDIR | 0755);
        make_at(t, "d3/below/file", S_IFIFO | 0644);

        /* A circle: d3 is in d3/below, which is in d3. */
        assert_int_equal(edits_entry_drop(t->edits, NODE_ROOT, "d3", 2), 0);
        assert_int_equal(edits_entry_put(t->edits, &circle), 0);
        assert_int_equal(edits_node_get(t->edits, circle.id, &n), 0);
        n.parent = circle.dir;
        assert_int_equal(edits_node_put(t->edits, &n), 0);
        assert_int_equal(tree_check(t->tree, count_bad, &found), 0);
        /* The two, the file, what was in d3, and what else the root and d3/below count. */
        assert_true(found >= 2 + 1 + EACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_edited, teardown_edited)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(others_work_while_many_edits_are_checked),
                TEST(what_no_path_leads_to_is_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
