/* outside_apply's part about bin/: scripts of the environment's slots as real files. */
#include "tools/outside_internal.h"

#include "store/files.h"
#include "store/sha256.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <stdio.h>

static int hash_file(int fd, uint8_t ret[SHA256_SIZE])
{
        cleanup_sha256 struct sha256 sha = { 0 };
        cleanup_free char *piece = malloc(64 * 1024);
        ssize_t n;
        int r = sha256_init(&sha);

        if (r < 0 || !piece)
                return r < 0 ? r : -ENOMEM;
        while ((n = read(fd, piece, 64 * 1024)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                r = n < 0 ? -errno : sha256_update(&sha, piece, (size_t)n);
                if (r < 0)
                        return r;
        }
        return sha256_final(&sha, ret);
}

/* Only a file of a size that is claimed is read. */
bool outside_is_claimed(int bin_fd, const char *name, const struct outside_list *list)
{
        cleanup_close int fd = file_open_beneath(bin_fd, name, O_RDONLY | O_NONBLOCK, 0);
        uint8_t sha256[SHA256_SIZE];
        bool hashed = false;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        for (size_t i = 0; i < list->claim_count; i++) {
                const struct outside_claim *c = &list->claims[i];

                if (c->size != (uint64_t)st.st_size || strcmp(c->name, name) != 0)
                        continue;
                if (!hashed && hash_file(fd, sha256) < 0)
                        return false;
                hashed = true;
                if (memcmp(c->sha256, sha256, SHA256_SIZE) == 0)
                        return true;
        }
        return false;
}

/* The claims of all slots of the environment: those that the list knows need no image. */
static int collect_claims(struct outside_run *run)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < run->now->slot_count; i++) {
                const struct slot *slot = &run->now->slots[i];
                struct outside_scripts scripts = { 0 };
                const struct image *img;

                r = outside_list_add_slot(&run->next, slot->number);
                if (r == 0 && outside_list_has_slot(&run->old, slot->number)) {
                        for (size_t k = 0; r == 0 && k < run->old.claim_count; k++) {
                                const struct outside_claim *c = &run->old.claims[k];

                                if (c->slot == slot->number)
                                        r = outside_list_add_claim(&run->next, c->slot, c->name, c->size, c->sha256);
                        }
                        continue;
                }
                if (r == 0)
                        r = image_pool_get(run->pool, slot->image, &img, run->err);
                if (r == 0)
                        r = outside_scripts_of(run->t, run->pool, img, &scripts, run->err);
                for (size_t k = 0; r == 0 && k < scripts.count; k++)
                        r = outside_list_add_claim(&run->next, slot->number, scripts.scripts[k].name,
                                                   scripts.scripts[k].len, scripts.scripts[k].sha256);
                outside_scripts_release(&scripts);
        }
        return r;
}

/* The later slot wins. */
static const struct outside_claim *winner(const struct outside_list *list, const char *name)
{
        const struct outside_claim *best = NULL;

        for (size_t i = 0; i < list->claim_count; i++)
                if ((!best || list->claims[i].slot > best->slot) && strcmp(list->claims[i].name, name) == 0)
                        best = &list->claims[i];
        return best;
}

static const char *slot_name(const struct environment *e, uint32_t number)
{
        const struct slot *slot = environment_slot(e, number);

        return slot ? slot->name : "";
}

/* The claims of CLAIM's name by lower slots, when one of the two is new. */
static int each_loser(const struct outside_run *run, const struct outside_claim *claim, uint32_t first_new,
                      int (*fn)(const char *path, const char *loser, const char *winner, void *user), void *user)
{
        const struct outside_list *list = &run->next;
        int r = 0;

        for (size_t i = 0; r == 0 && i < list->claim_count; i++) {
                const struct outside_claim *c = &list->claims[i];
                cleanup_free char *path = NULL;

                if (c->slot >= claim->slot || claim->slot < first_new || strcmp(c->name, claim->name) != 0 ||
                    memcmp(c->sha256, claim->sha256, SHA256_SIZE) == 0)
                        continue;
                if (asprintf(&path, "bin/%s", c->name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = fn(path, slot_name(run->now, c->slot), slot_name(run->now, claim->slot), user);
        }
        return r;
}

int outside_conflicts(const struct target *t, const struct environment *next, uint32_t first_new,
                      struct image_pool *pool,
                      int (*fn)(const char *path, const char *loser, const char *winner, void *user), void *user,
                      struct errtext *err)
{
        struct outside_run run = { .t = t, .now = next, .pool = pool, .bin_fd = -1, .err = err };
        int r = outside_list_load(t->state_fd, &run.old);

        errtext_set(err, 0, "out of memory");
        if (r == 0)
                r = collect_claims(&run);
        for (size_t i = 0; r == 0 && i < run.next.claim_count; i++)
                r = each_loser(&run, &run.next.claims[i], first_new, fn, user);
        outside_list_release(&run.old);
        outside_list_release(&run.next);
        return r;
}

/* Is what lies at bin/NAME exactly what CLAIM wants? */
static bool is_in_place(const struct outside_run *run, const struct outside_claim *claim)
{
        struct outside_list one = { .claims = (struct outside_claim *)claim, .claim_count = 1 };

        return outside_is_claimed(run->bin_fd, claim->name, &one);
}

/* Makes room for, or removes, bin/NAME: what is not ours is kept. */
static int clear_name(struct outside_run *run, const char *name, bool remove)
{
        cleanup_free char *path = NULL;
        struct stat st;

        if (fstatat(run->bin_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0
                                       : errtext_set(run->err, -errno, "cannot look at '%s/bin/%s': %s", run->t->venv,
                                                     name, strerror(errno));
        if (asprintf(&path, "bin/%s", name) < 0) {
                path = NULL;
                return errtext_set(run->err, -ENOMEM, "out of memory");
        }
        if (!outside_is_claimed(run->bin_fd, name, &run->old) && !outside_is_claimed(run->bin_fd, name, &run->next) &&
            !outside_is_link(run->t, run->bin_fd, name))
                return outside_keep(run->t, run->now->generation, path, run->err);
        if (remove && unlinkat(run->bin_fd, name, 0) < 0 && errno != ENOENT)
                return errtext_set(run->err, -errno, "cannot remove '%s/bin/%s': %s", run->t->venv, name,
                                   strerror(errno));
        return 0;
}

static int write_script(struct outside_run *run, const struct outside_claim *claim, const struct outside_script *script,
                        const struct image *img)
{
        int new_fd = run->new_fd;
        int r;

        r = outside_script_write(run->pool, img, script, new_fd, script->name, run->now->umask, run->err);
        if (r < 0)
                return r;
        outside_give(run->t, new_fd, script->name);
        r = clear_name(run, claim->name, false);
        if (r == 0 && renameat(new_fd, script->name, run->bin_fd, script->name) < 0)
                r = errtext_set(run->err, -errno, "cannot write '%s/bin/%s': %s", run->t->venv, script->name,
                                strerror(errno));
        return r;
}

/* Writes the scripts of one slot that won and are not in place yet. */
static int write_slot(struct outside_run *run, const struct slot *slot)
{
        struct outside_scripts scripts = { 0 };
        const struct image *img = NULL;
        int r = 0;

        for (size_t i = 0; r == 0 && i < run->next.claim_count; i++) {
                const struct outside_claim *c = &run->next.claims[i];

                if (c->slot != slot->number || winner(&run->next, c->name) != c || is_in_place(run, c))
                        continue;
                if (!img) {
                        r = image_pool_get(run->pool, slot->image, &img, run->err);
                        if (r == 0)
                                r = outside_scripts_of(run->t, run->pool, img, &scripts, run->err);
                }
                for (size_t k = 0; r == 0 && k < scripts.count; k++)
                        if (strcmp(scripts.scripts[k].name, c->name) == 0)
                                r = write_script(run, c, &scripts.scripts[k], img);
        }
        outside_scripts_release(&scripts);
        return r;
}

int outside_apply_scripts(struct outside_run *run)
{
        int r = collect_claims(run);

        if (r < 0)
                return run->err->text[0] ? r : errtext_set(run->err, r, "out of memory");
        for (size_t i = 0; r == 0 && i < run->old.claim_count; i++)
                if (!winner(&run->next, run->old.claims[i].name))
                        r = clear_name(run, run->old.claims[i].name, true);
        for (size_t i = 0; r == 0 && i < run->now->slot_count; i++)
                r = write_slot(run, &run->now->slots[i]);
        return r;
}
