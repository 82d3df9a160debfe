#include "tools/command.h"

#include "fs/edit_data.h"
#include "store/files.h"
#include "store/index.h"
#include "tools/bare_seen.h"
#include "tools/disk_use.h"
#include "tools/json_out.h"
#include "tools/kept_list.h"
#include "tools/mounts.h"
#include "tools/outside_list.h"
#include "tools/quote.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <stdio.h>
#include <time.h>

/* What is told of one environment. */
struct status {
        const char *venv;
        const char *site;   /* NULL: missing */
        const char *state;
        const char *store;
        struct mount_info mount;
        uint64_t generation;
        size_t packages;
        bool totals;        /* files and bytes_copied are known: the store could be read */
        uint64_t files;
        uint64_t bytes_copied;
        uint64_t bytes_used;
        size_t edited;      /* files whose bytes were changed or made through the mount */
        struct outside_paths kept;
        struct outside_paths appeared; /* in the bare folder, while it was not mounted */
};

/* Those that are to be reported, one after the other. */
struct report {
        json_t *list;       /* NULL: print lines */
        size_t count;
        size_t mounted;
};

static json_t *or_null(const char *text)
{
        return text ? json_out_string(text) : json_null();
}

static json_t *json_since(const struct status *s)
{
        time_t since = (time_t)s->mount.since;
        struct tm tm;
        char text[32];

        if (s->mount.state != MOUNT_LIVE || s->mount.since <= 0 || !gmtime_r(&since, &tm))
                return json_null();
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        return json_string(text);
}

static json_t *json_count(bool known, uint64_t n)
{
        return known ? json_integer((json_int_t)n) : json_null();
}

static json_t *status_json(const struct status *s)
{
        bool live = s->mount.state == MOUNT_LIVE;

        return json_pack("{s:o, s:o, s:b, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:o, s:I, s:o}",
                         "venv", json_out_string(s->venv),
                         "site_packages", or_null(s->site),
                         "mounted", live,
                         "state", s->state,
                         "since", json_since(s),
                         "store", or_null(s->store),
                         "generation", (json_int_t)s->generation,
                         "keeper_pid", json_count(live && s->mount.pid > 0, (uint64_t)s->mount.pid),
                         "worker_pid", json_count(live && s->mount.worker > 0, (uint64_t)s->mount.worker),
                         "restarts", json_count(live, s->mount.restarts),
                         "last_reason", live && s->mount.reason[0] ? json_out_string(s->mount.reason) : json_null(),
                         "packages", (json_int_t)s->packages,
                         "files", json_count(s->totals, s->files),
                         "bytes_copied", json_count(s->totals, s->bytes_copied),
                         "bytes_used", (json_int_t)s->bytes_used,
                         "appeared", json_out_strings(s->appeared.paths, s->appeared.count, ""),
                         "edited", (json_int_t)s->edited,
                         "kept", json_out_strings(s->kept.paths, s->kept.count, KEPT_LIST_PREFIX));
}

static void print_restarts(const struct mount_info *mount)
{
        if (mount->degraded)
                printf("  nobody can serve it at the moment: %s\n", mount->reason);
        else if (mount->restarts)
                printf("  started again %u time%s; the last time: %s\n", mount->restarts,
                       mount->restarts == 1 ? "" : "s", mount->reason);
}

static void print_status(const struct status *s)
{
        char copied[32], used[32], since[64] = "";
        time_t start = (time_t)s->mount.since;
        struct tm tm;

        printf("%s\n", s->venv);
        if (s->mount.state == MOUNT_LIVE && s->mount.pid > 0 && localtime_r(&start, &tm)) {
                strftime(since, sizeof since, " since %Y-%m-%d %H:%M:%S", &tm);
                printf("  %s%s by process %d\n", s->state, since, s->mount.pid);
                print_restarts(&s->mount);
        } else {
                printf("  %s\n", s->state);
        }
        if (!s->site)
                return;
        ui_format_bytes(s->bytes_copied, copied);
        ui_format_bytes(s->bytes_used, used);
        printf("  %zu package%s", s->packages, s->packages == 1 ? "" : "s");
        if (s->totals)
                printf(", %llu files; copies would take %s", (unsigned long long)s->files, copied);
        printf("; takes %s here\n", used);
        if (s->store)
                printf("  store %s, generation %llu\n", s->store, (unsigned long long)s->generation);
        if (s->edited)
                printf("  %zu changed or new file%s, bytecode included: `fusepkg diff --generated` shows them\n", s->edited,
                       s->edited == 1 ? "" : "s");
        for (size_t i = 0; i < s->kept.count; i++)
                quote_print("  kept: ", KEPT_LIST_PREFIX, s->kept.paths[i]);
        for (size_t i = 0; i < s->appeared.count; i++)
                quote_print("  appeared while it was not mounted: ", "", s->appeared.paths[i]);
}

static int tell(struct report *report, const struct status *s)
{
        if (s->mount.state == MOUNT_LIVE)
                report->mounted++;
        report->count++;
        if (!report->list) {
                print_status(s);
                return 0;
        }
        return json_array_append_new(report->list, status_json(s));
}

static uint64_t use_outside(const struct target *t)
{
        cleanup_outside_list struct outside_list list = { 0 };
        uint64_t bytes = 0;

        if (outside_list_load(t->state_fd, &list) < 0)
                return 0;
        for (size_t i = 0; i < list.claim_count; i++) {
                char path[300];

                snprintf(path, sizeof path, "bin/%.255s", list.claims[i].name);
                bytes += disk_use_file(t->venv_fd, path);
        }
        for (size_t i = 0; i < list.links.count; i++)
                bytes += disk_use_file(t->venv_fd, list.links.paths[i]);
        for (size_t i = 0; i < list.dirs.count; i++)
                bytes += disk_use_file(t->venv_fd, list.dirs.paths[i]);
        return bytes;
}

static int by_bytes(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_kept(const char *path, void *user)
{
        return outside_paths_add(user, path);
}

/* Without asking the mount, which may not answer: a data file is one that was changed or made. */
static void look_at_edits(const struct target *t, struct status *s)
{
        DIR *dir = dir_stream(t->state_fd, EDIT_DATA_DIR);
        const struct dirent *e;

        while (dir && (e = readdir(dir)))
                s->edited += strlen(e->d_name) == 16;
        if (dir)
                closedir(dir);
        if (kept_list(t, add_kept, &s->kept) < 0)
                ui_warning("cannot list '%s/" ENVIRONMENT_DIR "/kept'", t->venv);
        if (s->kept.count)
                qsort(s->kept.paths, s->kept.count, sizeof(*s->kept.paths), by_bytes);
}

static void measure(const struct target *t, struct status *s)
{
        struct image_pool *pool = NULL;
        struct errtext err = { "" };
        struct store *store = NULL;
        struct base *base = NULL;
        struct view *view = NULL;
        int r = disk_use_tree(t->state_fd, &s->bytes_used);

        look_at_edits(t, s);
        if (r < 0)
                ui_warning("cannot measure '%s/" ENVIRONMENT_DIR "': %s", t->venv, errno_name(r, (char[128]){ 0 }));
        s->bytes_used += use_outside(t);
        r = target_store(t, STORE_READ, &store, &err);
        if (r == 0)
                r = target_view(t, store, &pool, &base, &view, &err);
        if (r == 0) {
                view_totals(view, &s->files, &s->bytes_copied);
                s->totals = true;
        } else {
                ui_warning("%s", err.text);
        }
        view_free(view);
        base_free(base);
        image_pool_free(pool);
        store_close(store);
}

static int tell_target(struct report *report, const struct target *t, struct errtext *err)
{
        struct status s = { .venv = t->venv, .site = t->site, .totals = true };
        cleanup_free char *default_path = NULL;
        struct errtext why;
        int r;

        if (target_repair(t, &why) < 0)
                ui_warning("%s", why.text);
        r = mount_examine(t->site, t->state_fd, &s.mount);
        if (r < 0)
                return errtext_set(err, r, "cannot tell what is mounted at '%s': %s", t->site,
                                   errno_name(r, (char[128]){ 0 }));
        s.state = mount_state_name(s.mount.state);
        if (t->environment) {
                s.store = t->environment->store_path;
                s.generation = t->environment->generation;
                s.packages = t->environment->slot_count;
                s.totals = false;
                /* Where nobody can serve the mount, its storage may stall: whoever touches that is stuck. */
                if (!s.mount.degraded)
                        measure(t, &s);
                (void)bare_seen_new(t, &s.appeared);
        } else if (default_store_path(&default_path) == 0) {
                s.store = default_path;
        }
        r = tell(report, &s);
        outside_paths_release(&s.appeared);
        outside_paths_release(&s.kept);
        return r < 0 ? errtext_set(err, -ENOMEM, "cannot make the result: out of memory") : 0;
}

/* --- all that use the store --- */

struct leases {
        struct report *report;
        const struct store *store;
        struct outside_paths told;  /* venvs that were told */
        struct outside_paths found; /* environments that are there, wherever they are now */
        struct errtext *err;
};

static int no_memory(struct leases *l)
{
        return errtext_set(l->err, -ENOMEM, "cannot make the result: out of memory");
}

/* Another venv that was made at the place of a removed one is not the one that the lease is about. */
static int tell_found(const struct index_lease *lease, void *user)
{
        cleanup_target struct target t = TARGET_INIT;
        struct leases *l = user;
        struct errtext why;

        if (target_open_path(lease->venv, &t, &why) < 0 || !t.environment ||
            strcmp(t.environment->id, lease->environment) != 0)
                return 0;
        if (outside_paths_add(&l->told, lease->venv) < 0 || outside_paths_add(&l->found, lease->environment) < 0)
                return no_memory(l);
        return tell_target(l->report, &t, l->err);
}

/* Each place once: a venv that was made anew there, or moved away, left a lease behind until `store gc`. */
static int tell_missing(const struct index_lease *lease, void *user)
{
        struct leases *l = user;
        const struct status gone = { .venv = lease->venv, .state = "missing", .store = l->store->path, .totals = true };

        if (outside_paths_have(&l->told, lease->venv) || outside_paths_have(&l->found, lease->environment))
                return 0;
        return outside_paths_add(&l->told, lease->venv) < 0 || tell(l->report, &gone) < 0 ? no_memory(l) : 0;
}

/* The venv that other commands would take uses this store, though it has no lease: the store may be read-only here. */
static int tell_own(const struct options *o, struct leases *l)
{
        cleanup_target struct target t = TARGET_INIT;
        struct errtext why;

        if (target_open_as_is(o, &t, &why) < 0 || !t.environment ||
            strcmp(t.environment->store_id, l->store->id) != 0 || outside_paths_have(&l->found, t.environment->id))
                return 0;
        if (outside_paths_add(&l->told, t.venv) < 0 || outside_paths_add(&l->found, t.environment->id) < 0)
                return no_memory(l);
        return tell_target(l->report, &t, l->err);
}

static int tell_all(const struct options *o, struct report *report, struct errtext *err)
{
        struct leases l = { .report = report, .err = err };
        struct store *store = NULL;
        struct index *x = NULL;
        int r = default_store(STORE_READ, &store, err);

        if (r == -ENOENT)
                return 0; /* no store yet, so nobody uses it */
        if (r == 0)
                r = index_open(store, &x, err);
        l.store = store;
        if (r == 0)
                r = index_each_lease(x, tell_found, &l);
        if (r == 0)
                r = tell_own(o, &l);
        if (r == 0)
                r = index_each_lease(x, tell_missing, &l);
        if (r < 0 && !err->text[0])
                errtext_set(err, r, "cannot read the store's list of environments: %s",
                            errno_name(r, (char[128]){ 0 }));
        outside_paths_release(&l.told);
        outside_paths_release(&l.found);
        index_close(x);
        store_close(store);
        return r;
}

static int run(const struct options *o)
{
        struct report report = { .list = option_count(o, "--json") ? json_array() : NULL };
        cleanup_target struct target t = TARGET_INIT;
        struct errtext err = { "" };
        int r;

        if (option_count(o, "--venv") || option_count(o, "--python")) {
                r = target_open_as_is(o, &t, &err);
                if (r == 0)
                        r = tell_target(&report, &t, &err);
        } else {
                r = tell_all(o, &report, &err);
        }
        if (r < 0) {
                json_decref(report.list);
                ui_error("%s", err.text);
                return EXIT_UNMET;
        }
        if (report.list)
                return json_out(report.list) < 0 ? EXIT_USAGE : EXIT_DONE;
        if (report.count == 0)
                ui_say("No environment uses the store");
        if (report.mounted)
                ui_hint("before a mounted venv is deleted, `fusepkg umount`: else the first rm -rf ends in 'Device or resource "
                        "busy', and only the next one succeeds");
        return EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--json", 0, NULL, "print a list of {venv, site_packages, mounted, state, …}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_status = {
        .name = "status",
        .usage = "[OPTIONS]",
        .summary = "Show an environment, or all that use the store",
        .help = "Without --venv and --python all environments are listed that use the store.  States: mounted,\n"
                "unmounted, dead (its processes are gone; it could not be repaired), foreign (something else is mounted there),\n"
                "missing (the venv was deleted).",
        .options = options,
        .run = run,
};
