/* Names from which directories were taken away: the view against a model that knows paths alone. */
#include "sample_view.h"

#include <time.h>

static struct view *cut_view(struct place *p, const struct view_cut *cuts, size_t n)
{
        struct errtext err = { "" };
        struct view *v = NULL;

        if (view_new_cut(p->environment, p->pool, p->base, p->state_fd, NULL, cuts, n, &v, &err) < 0)
                fail_msg("%s", err.text);
        return v;
}

static uint64_t id_in(const struct view *v, uint64_t dir, const char *name)
{
        struct node n;

        if (view_lookup(v, dir, name, strlen(name), &n) < 0)
                fail_msg("no '%s' in %llx", name, (unsigned long long)dir);
        assert_int_equal(n.st.st_ino, n.id);
        return n.id;
}

static bool has(const struct view *v, uint64_t dir, const char *name)
{
        struct node n;

        return view_lookup(v, dir, name, strlen(name), &n) == 0;
}

static bool is_placed(const struct view *v, uint64_t id)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir;

        return view_place(v, id, &dir, &name) == 0;
}

static const char *const one[] = { "site/ns/one/a.py", "1", "site/ns/deep/one.py", "1", NULL };
static const char *const two[] = { "site/ns/two/a.py", "2", "site/ns/deep/two.py", "2", NULL };
static const char *const three[] = { "site/ns/three/a.py", "3", "site/ns/deep/three.py", "3", NULL };
static const char *const four[] = { "site/ns/deep/four.py", "4", NULL };

static void a_cut_leaves_the_old_directory_under_its_id(void **state)
{
        struct view_cut cut = { .dir = NODE_ROOT, .name = "ns", .horizon = 2 };
        struct place *p = *state;
        struct view *v;
        uint64_t ns, deep, new;
        uint32_t newest = 0;

        add(p, "one", "1", one);
        add(p, "two", "1", two);
        ns = find(p, "ns").id;
        deep = find(p, "ns/deep").id;
        v = cut_view(p, &cut, 1);
        assert_int_equal(id_in(v, NODE_ROOT, "ns"), ns); /* nothing came since */
        assert_false(view_is_cut(v, NODE_ROOT, "ns", 2));
        view_free(v);

        add(p, "three", "1", three);
        v = cut_view(p, &cut, 1);
        new = id_in(v, NODE_ROOT, "ns");
        assert_int_equal(new >> 32, 3);
        assert_true(has(v, new, "three") && !has(v, new, "one") && !has(v, new, "two"));
        assert_true(has(v, ns, "one") && has(v, ns, "two") && !has(v, ns, "three"));
        assert_int_equal(id_in(v, ns, "deep"), deep);
        assert_true(has(v, deep, "one.py") && has(v, deep, "two.py") && !has(v, deep, "three.py"));
        assert_int_equal(view_parent(v, deep), ns);
        assert_false(is_placed(v, ns));
        assert_true(is_placed(v, deep) && is_placed(v, new));
        assert_int_equal(view_newest(v, ns, &newest), 0);
        assert_int_equal(newest, 2);
        view_free(v);

        drop(p, "one"); /* pins ns, and what the pin says is of the old one */
        v = cut_view(p, &cut, 1);
        assert_int_equal(id_in(v, NODE_ROOT, "ns"), new);
        assert_true(has(v, ns, "two") && !has(v, ns, "one") && !has(v, ns, "three"));
        assert_int_equal(id_in(v, ns, "deep"), deep);
        assert_true(has(v, deep, "two.py") && !has(v, deep, "three.py"));
        view_free(v);
        drop(p, "two"); /* nobody is left of the old one: its id is still not given to the other */
        v = cut_view(p, &cut, 1);
        assert_int_equal(id_in(v, NODE_ROOT, "ns"), new);
        assert_true(has(v, new, "three"));
        assert_true(view_is_cut(v, NODE_ROOT, "ns", 2));
        view_free(v);
}

static void cuts_hold_within_what_was_cut(void **state)
{
        struct view_cut cuts[2] = { { .dir = NODE_ROOT, .name = "ns", .horizon = 3 }, { .name = "deep", .horizon = 1 } };
        struct place *p = *state;
        struct view *v;
        uint64_t ns, deep;

        add(p, "one", "1", one);
        ns = find(p, "ns").id;
        deep = find(p, "ns/deep").id;
        cuts[1].dir = ns;
        add(p, "two", "1", two);
        add(p, "three", "1", three);
        add(p, "four", "1", four);
        v = cut_view(p, cuts, 2);
        assert_true(has(v, deep, "one.py") && !has(v, deep, "two.py"));
        assert_int_equal(id_in(v, ns, "deep") >> 32, 2);
        assert_true(has(v, id_in(v, ns, "deep"), "two.py") && has(v, id_in(v, ns, "deep"), "three.py"));
        assert_false(has(v, id_in(v, ns, "deep"), "four.py"));
        assert_true(has(v, id_in(v, id_in(v, NODE_ROOT, "ns"), "deep"), "four.py"));
        view_free(v);
}

/* At random ---------------------------------------------------------------------------------------------------- */

enum { SLOTS = 5, PATHS = 9, CUTS = 9 };

/* What each slot has: paths of files, without "site/". Slot 0 is the base. */
struct model {
        struct place *p;
        char paths[SLOTS + 1][PATHS][32];
        struct view_cut cuts[CUTS];
        size_t cut_count;
        size_t checked; /* directories that a cut took away */
};

static const char *const names[] = { "a", "b", "c", "d" };

static unsigned draw(unsigned n)
{
        return (unsigned)random() % n;
}

static bool fits(const struct model *m, unsigned slot, const char *path)
{
        for (unsigned i = 0; i < PATHS; i++) {
                const char *other = m->paths[slot][i];
                size_t n = strlen(other), len = strlen(path);

                if (n && (strncmp(other, path, n < len ? n : len) == 0))
                        return false; /* one letter a component: a prefix is the same file, or its folder */
        }
        return true;
}

static void draw_slot(struct model *m, unsigned slot)
{
        const char *files[2 * PATHS + 1] = { NULL };
        char site[PATHS][48], package[16];
        size_t n = 0;

        for (unsigned i = 0; i < PATHS; i++) {
                char path[32] = "";

                for (unsigned depth = 1 + draw(4); depth > 0; depth--)
                        snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s%s", *path ? "/" : "", names[draw(4)]);
                if (!fits(m, slot, path))
                        continue;
                strcpy(m->paths[slot][i], path);
                snprintf(site[i], sizeof(site[i]), "site/%s", path);
                files[2 * n] = site[i];
                files[2 * n++ + 1] = "x";
        }
        snprintf(package, sizeof(package), "p%u", slot);
        if (slot) {
                add(m->p, package, "1", files);
                return;
        }
        for (unsigned i = 0; i < n; i++) {
                char path[48];

                strcpy(path, files[2 * i]);
                for (char *c = strchr(path + 5, '/'); c; c = strchr(c + 1, '/')) {
                        *c = 0;
                        mkdirat(m->p->fd, path, 0755);
                        *c = '/';
                }
                put(m->p, files[2 * i], "x");
        }
}

/* 'f', 'd' or 0: what a slot has at a path. */
static char kind(const struct model *m, unsigned slot, const char *path)
{
        size_t len = strlen(path);

        for (unsigned i = 0; i < PATHS; i++) {
                const char *other = m->paths[slot][i];

                if (strcmp(other, path) == 0 && *path)
                        return 'f';
                if (*other && strncmp(other, path, len) == 0 && (len == 0 || other[len] == '/'))
                        return 'd';
        }
        return 0;
}

/* The last slot of those that has anything there, or -1. */
static int last_of(const struct model *m, const char *path, unsigned first, unsigned last)
{
        for (unsigned slot = last + 1; slot-- > first;)
                if (kind(m, slot, path))
                        return (int)slot;
        return -1;
}

static uint64_t own_id(const struct model *m, unsigned slot, const char *path)
{
        const struct image *img = NULL;
        uint64_t number = 0;
        char site[48];
        uint32_t entry;

        if (slot == 0) {
                assert_int_equal(base_number(m->p->base, path, strlen(path), &number), 0);
                return number;
        }
        snprintf(site, sizeof(site), "site/%s", path);
        assert_int_equal(image_pool_get(m->p->pool, m->p->environment->slots[slot - 1].image, &img, NULL), 0);
        assert_int_equal(image_find(img, site, &entry), 0);
        return (uint64_t)slot << 32 | entry;
}

static uint64_t dir_id(const struct model *m, const char *path, unsigned first, unsigned last)
{
        unsigned slot = first;

        while (slot < last && kind(m, slot, path) != 'd')
                slot++;
        return own_id(m, slot, path);
}

static int count_entry(const struct view_dirent *d, void *user)
{
        (void)d;
        (*(size_t *)user)++;
        return 0;
}

static void check_dir(struct model *m, const struct view *v, uint64_t id, const char *path, unsigned first, unsigned last);

/* What slots FIRST to LAST have at a name of directory DIR, which shows it. */
static mode_t check_name(struct model *m, const struct view *v, uint64_t dir, const char *path, const char *name, unsigned first, unsigned last)
{
        int top = last_of(m, path, first, last);
        struct node n;
        int r = view_lookup(v, dir, name, 1, &n);

        if (top < 0) {
                assert_int_equal(r, -ENOENT);
                return 0;
        }
        if (r < 0)
                fail_msg("'%s' is not in %llx", path, (unsigned long long)dir);
        if (kind(m, (unsigned)top, path) == 'f') {
                assert_int_equal(n.id, own_id(m, (unsigned)top, path));
                assert_true(S_ISREG(n.st.st_mode));
        } else {
                assert_int_equal(n.id, dir_id(m, path, first, last));
                check_dir(m, v, n.id, path, first, last);
        }
        assert_true(is_placed(v, n.id) || !is_placed(v, dir));
        return n.st.st_mode & S_IFMT;
}

static bool model_cut(const struct model *m, uint64_t dir, const char *name, uint32_t horizon)
{
        for (size_t i = 0; i < m->cut_count; i++)
                if (m->cuts[i].dir == dir && strcmp(m->cuts[i].name, name) == 0 && m->cuts[i].horizon == horizon)
                        return true;
        return false;
}

/* What is below each cut of a name, and still provided: a directory of its own.  Returns the first slot of what has the
 * name. */
static unsigned check_cuts(struct model *m, const struct view *v, uint64_t id, const char *path, const char *name, unsigned first, unsigned last)
{
        uint32_t top = 0;
        bool any = false;

        for (unsigned horizon = first; horizon < last; horizon++) {
                unsigned from = first;
                uint64_t old;
                int low;

                if (!model_cut(m, id, name, horizon) || last_of(m, path, horizon + 1, last) < 0)
                        continue;
                low = last_of(m, path, from, horizon);
                first = horizon + 1;
                for (; low >= (int)from && kind(m, (unsigned)low, path) != 'd'; low--)
                        ;
                if (low < (int)from)
                        continue;
                old = dir_id(m, path, from, horizon);
                any = true;
                /* Of several between which nothing came the last one counts. */
                for (top = horizon; top + 1 < last && last_of(m, path, horizon + 1, top + 1) < 0; top++)
                        ;
                for (; !model_cut(m, id, name, top); top--)
                        ;
                assert_false(is_placed(v, old));
                check_dir(m, v, old, path, from, horizon);
                m->checked++;
        }
        assert_int_equal(view_is_cut(v, id, name, 1), any);
        if (any) {
                uint32_t said;

                assert_int_equal(view_cut_horizon(v, id, name, 1, &said), 0);
                assert_int_equal(said, top);
        }
        return first;
}

static void check_dir(struct model *m, const struct view *v, uint64_t id, const char *path, unsigned first, unsigned last)
{
        size_t want = id == NODE_ROOT, listed = 0, subdirs = 0;
        struct node n;

        for (unsigned i = 0; i < 4; i++) {
                char below[32];
                unsigned from;
                mode_t type;

                snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", names[i]);
                from = check_cuts(m, v, id, below, names[i], first, last);
                type = check_name(m, v, id, below, names[i], from, last);
                want += type != 0;
                subdirs += S_ISDIR(type);
        }
        assert_int_equal(view_readdir(v, id, 0, count_entry, &listed), 0);
        assert_int_equal(listed, want);
        assert_int_equal(view_getattr(v, id, &n), 0);
        assert_int_equal(n.st.st_nlink, 2 + subdirs);
}

static void draw_cut(struct model *m)
{
        unsigned slot = draw(SLOTS + 1), i = draw(PATHS);
        const char *path = m->paths[slot][i];
        size_t depth = strlen(path) / 2;
        const char *name = names[draw(4)];
        char dir[32];
        uint64_t id = NODE_ROOT;

        if (*path && depth && draw(3)) {
                snprintf(dir, sizeof(dir), "%.*s", (int)(2 * (1 + draw((unsigned)depth)) - 1), path);
                id = own_id(m, slot, dir);
        }
        for (unsigned n = 1 + draw(3); n > 0 && m->cut_count < CUTS; n--)
                m->cuts[m->cut_count++] = (struct view_cut){ .dir = id, .name = (char *)name, .horizon = draw(SLOTS + 1) };
}

static void random_cuts_agree_with_the_model(void **state)
{
        struct model m = { .p = *state };
        unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();

        print_message("seed %u\n", seed);
        srandom(seed);
        for (unsigned slot = 0; slot <= SLOTS; slot++)
                draw_slot(&m, slot);
        check_dir(&m, m.p->view, NODE_ROOT, "", 0, SLOTS);
        for (int round = 0; round < 200; round++) {
                struct view *v;

                m.cut_count = 0;
                for (int i = 0; i < CUTS; i++)
                        draw_cut(&m);
                v = cut_view(m.p, m.cuts, m.cut_count);
                check_dir(&m, v, NODE_ROOT, "", 0, SLOTS);
                view_free(v);
        }
        assert_true(m.checked > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_cut_leaves_the_old_directory_under_its_id, setup, teardown),
                cmocka_unit_test_setup_teardown(cuts_hold_within_what_was_cut, setup, teardown),
                cmocka_unit_test_setup_teardown(random_cuts_agree_with_the_model, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
