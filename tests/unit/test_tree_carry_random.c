/* Random changes of a tree between random generations: after each change and switch the rows are sound, a new mount
 * sees the same as the old one, and no byte of the user's is lost: it is in the tree or in kept. */
#include "sample_edited.h"

#include <dirent.h>

enum { PACKAGES = 4, FILES = 8, CHANGES = 14, SEEDS = 30, SWITCHES = 5, SWITCHES_OF_ONE = 25, PATHS_MAX = 400 };

static const char *const names[] = { "a", "b", "c", "d" };

static unsigned draw(unsigned n)
{
        return (unsigned)random() % n;
}

/* Paths of the tree and whether they are directories; and bytes of the user's. */
struct seen {
        struct tree *tree;
        char paths[PATHS_MAX][96];
        bool is_dir[PATHS_MAX];
        size_t count;
        char bytes[PATHS_MAX][16];
        size_t byte_count;
        struct buf path;
};

static int see(const struct tree_dirent *d, void *user)
{
        struct seen *s = user;
        size_t len = s->path.len;
        struct edit_node n;
        int r = 0;

        if (s->count == PATHS_MAX)
                return 0;
        buf_printf(&s->path, "%s%.*s", len ? "/" : "", (int)d->name.len, d->name.data);
        if (strlen(s->path.data) < sizeof(s->paths[0]) && strcmp(s->path.data, ENVIRONMENT_DIR) != 0) {
                strcpy(s->paths[s->count], s->path.data);
                s->is_dir[s->count++] = S_ISDIR(d->node.st.st_mode);
        }
        if (S_ISDIR(d->node.st.st_mode)) {
                r = tree_list(s->tree, d->node.id, 0, false, see, s);
        } else if (edits_node_get(s->tree->edits, d->node.id, &n) == 0 && n.data) {
                struct edit_file *f;

                assert_int_equal(edit_file_get(s->tree->data, d->node.id, &f), 0);
                memset(s->bytes[s->byte_count], 0, sizeof(s->bytes[0]));
                assert_true(pread(edit_file_fd(f), s->bytes[s->byte_count++], sizeof(s->bytes[0]) - 1, 0) >= 0);
                edit_file_put(s->tree->data, f);
        }
        s->path.len = len;
        s->path.data[len] = 0;
        return r;
}

static void look(struct edited *t, struct seen *s)
{
        *s = (struct seen){ .tree = t->tree };
        assert_int_equal(tree_list(t->tree, NODE_ROOT, 0, false, see, s), 0);
        buf_release(&s->path);
}

static bool is_in_folder(int folder, const char *name, const char *bytes)
{
        DIR *dir = dir_stream(folder, name);
        bool found = false;
        struct dirent *e;

        while (dir && !found && (e = readdir(dir))) {
                char text[16] = "";
                struct stat st;

                if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (S_ISDIR(st.st_mode)) {
                        found = is_in_folder(dirfd(dir), e->d_name, bytes);
                        continue;
                }
                int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);

                found = read(fd, text, sizeof(text) - 1) >= 0 && strcmp(text, bytes) == 0;
                close(fd);
        }
        if (dir)
                closedir(dir);
        return found;
}

static void assert_nothing_lost(struct edited *t, const struct seen *before)
{
        static struct seen after;
        char kept[64];

        snprintf(kept, sizeof(kept), "kept/%llu", (unsigned long long)t->p->environment->generation);
        look(t, &after);
        for (size_t i = 0; i < before->byte_count; i++) {
                bool found = false;

                for (size_t k = 0; k < after.byte_count && !found; k++)
                        found = strcmp(before->bytes[i], after.bytes[k]) == 0;
                if (!found && !is_in_folder(t->p->state_fd, kept, before->bytes[i]))
                        fail_msg("the bytes '%s' are lost", before->bytes[i]);
        }
}

/* Changes -------------------------------------------------------------------------------------------------------- */

static void draw_path(const struct seen *s, char ret[96])
{
        const char *name = names[draw(4)];

        strcpy(ret, name);
        for (int i = 0; i < 8 && s->count; i++) {
                size_t at = draw((unsigned)s->count);

                if (s->is_dir[at] && strlen(s->paths[at]) < 60 && draw(5)) {
                        snprintf(ret, 96, "%.60s/%.30s", s->paths[at], name);
                        return;
                }
        }
}

/* Whatever the tree refuses, and the kernel would have refused before it. */
static void change(struct edited *t, struct seen *s, unsigned *number)
{
        char path[96], text[16];
        const char *from = s->count ? s->paths[draw((unsigned)s->count)] : "", *name, *from_name;
        size_t len = strlen(from);
        uint64_t dir, from_dir;
        struct node n;

        draw_path(s, path);
        dir = parent_of(t, path, &name);
        snprintf(text, sizeof(text), "user %u", ++*number);
        switch (draw(9)) {
        case 0:
        case 1:
        case 2:
                if (tree_find(t->tree, path, &n) < 0 || S_ISREG(n.st.st_mode))
                        write_at(t, path, text);
                return;
        case 3:
                if (!tree_has(t, path))
                        make_at(t, path, S_IFDIR | 0755);
                return;
        default:
                if (len == 0)
                        return;
        }
        from_dir = parent_of(t, from, &from_name);
        switch (draw(5)) {
        case 0:
                (void)tree_unlink(t->tree, &caller, from_dir, from_name);
                return;
        case 1:
                (void)tree_rmdir(t->tree, &caller, from_dir, from_name);
                return;
        case 2:
                (void)tree_link(t->tree, &caller, tree_id(t, from), dir, name, &n);
                return;
        default:
                if (strncmp(path, from, len) != 0 || (path[len] != '/' && path[len] != 0))
                        (void)tree_rename(t->tree, &caller, from_dir, from_name, dir, name, 0);
        }
}

static struct environment *draw_package(struct edited *t, unsigned which, unsigned *version)
{
        const char *files[2 * FILES + 1] = { NULL };
        char paths[FILES][48], package[16], text[16];
        size_t n = 0;

        snprintf(package, sizeof(package), "p%u", which);
        snprintf(text, sizeof(text), "%u", ++*version);
        for (unsigned i = 0; i < FILES; i++) {
                bool fits = true;

                strcpy(paths[n], "site");
                for (unsigned depth = 1 + draw(3); depth > 0; depth--)
                        snprintf(paths[n] + strlen(paths[n]), sizeof(paths[n]) - strlen(paths[n]), "/%s",
                                 names[draw(4)]);
                for (size_t k = 0; k < n; k++) {
                        size_t a = strlen(paths[k]), b = strlen(paths[n]);

                        fits = fits && strncmp(paths[k], paths[n], a < b ? a : b) != 0;
                }
                if (!fits)
                        continue;
                files[2 * n] = paths[n];
                files[2 * n++ + 1] = text;
        }
        return with(t->p, package, text, files);
}

static struct environment *draw_next(struct edited *t, unsigned *version)
{
        unsigned which = draw(PACKAGES);
        char package[16];

        snprintf(package, sizeof(package), "p%u", which);
        if (draw(3) == 0 && environment_find(t->p->environment, package))
                return without(t->p, package);
        return draw_package(t, which, version);
}

static void run(struct place *p, unsigned seed, int switches)
{
        struct edited t = { .p = p };
        static struct seen s;
        unsigned version = 0, number = 0;

        print_message("seed %u\n", seed);
        srandom(seed);
        mkdirat(t.p->fd, "site/a", 0755);
        put(t.p, "site/a/base", "base");
        put(t.p, "site/b", "base");
        commit_environment(t.p, draw_package(&t, 0, &version));
        edited_open(&t);
        for (int i = 0; i < switches; i++) {
                for (int k = 0; k < CHANGES; k++) {
                        look(&t, &s);
                        change(&t, &s, &number);
                        assert_sound(&t);
                }
                look(&t, &s);
                if (draw(4) == 0) { /* the mount was away */
                        edited_close(&t);
                        commit_environment(t.p, draw_next(&t, &version));
                        edited_open(&t);
                        assert_sound(&t);
                } else {
                        switch_to(&t, draw_next(&t, &version));
                }
                assert_nothing_lost(&t, &s);
        }
        edited_close(&t);
}

/* FUSEPKG_TEST_SEED: one seed, for longer. */
static void nothing_is_lost_at_random(void **state)
{
        const char *given = getenv("FUSEPKG_TEST_SEED");

        (void)state;
        for (unsigned seed = 1; seed <= (given ? 1 : SEEDS); seed++) {
                void *place = NULL;

                assert_int_equal(setup(&place), 0);
                if (given)
                        run(place, (unsigned)strtoul(given, NULL, 10), SWITCHES_OF_ONE);
                else
                        run(place, seed, SWITCHES);
                assert_int_equal(teardown(&place), 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_is_lost_at_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
