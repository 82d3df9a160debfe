#include "tools/command.h"

#include "store/files.h"
#include "store/index.h"
#include "store/verify.h"
#include "tools/disk_use.h"
#include "tools/json_out.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <stdio.h>

static int fail(const struct errtext *err)
{
        ui_error("%s", err->text);
        return EXIT_UNMET;
}

/* --- store path --- */

static int run_path(const struct options *o)
{
        cleanup_free char *path = NULL;

        (void)o;
        if (default_store_path(&path) < 0) {
                ui_error("cannot tell where the store is: neither FUSEPKG_STORE nor HOME is set");
                return EXIT_UNMET;
        }
        puts(path);
        return EXIT_DONE;
}

/* --- store du --- */

struct du {
        json_t *packages; /* NULL: print lines */
        struct buf lines;
};

static json_t *package_json(const struct index_image *image)
{
        return json_pack("{s:o, s:o, s:I}", "name", json_out_string(image->name),
                         "version", json_out_string(image->version), "bytes", (json_int_t)image->bytes);
}

static int du_package(const struct index_image *image, void *user)
{
        struct du *d = user;
        char bytes[32];

        if (d->packages)
                return json_array_append_new(d->packages, package_json(image)) < 0 ? -ENOMEM : 0;
        ui_format_bytes(image->bytes, bytes);
        return buf_printf(&d->lines, "%10s  %s==%s\n", bytes, image->name, image->version);
}

static int measure(struct du *d, uint64_t *ret_bytes, struct errtext *err)
{
        struct store *s = NULL;
        struct index *x = NULL;
        int r = default_store(STORE_READ, &s, err);

        if (r == 0)
                r = index_open(s, &x, err);
        if (r == 0) {
                r = index_each_image(x, du_package, d);
                if (r == 0)
                        r = disk_use_tree(s->root_fd, ret_bytes);
                if (r < 0)
                        errtext_set(err, r, "cannot measure the store '%s': %s", s->path,
                                    errno_name(r, (char[128]){ 0 }));
        }
        index_close(x);
        store_close(s);
        return r;
}

static int run_du(const struct options *o)
{
        struct du d = { .packages = option_count(o, "--json") ? json_array() : NULL };
        struct errtext err = { "" };
        uint64_t bytes = 0;
        char text[32];
        int r = measure(&d, &bytes, &err), status = EXIT_DONE;

        if (r < 0) {
                json_decref(d.packages);
                status = fail(&err);
        } else if (d.packages) {
                r = json_out(json_pack("{s:I, s:o}", "bytes", (json_int_t)bytes, "packages", d.packages));
                status = r < 0 ? EXIT_USAGE : EXIT_DONE;
        } else {
                ui_format_bytes(bytes, text);
                printf("%s%10s  in all, shared files counted once\n", d.lines.data ? d.lines.data : "", text);
        }
        buf_release(&d.lines);
        return status;
}

/* --- store verify --- */

struct verify_run {
        json_t *errors; /* NULL: print lines */
        bool failed;
};

static void verify_found(const struct verify_error *e, void *user)
{
        struct verify_run *v = user;
        json_t *packages = json_array();
        bool first = true;

        if (!v->errors)
                printf("%s: %s", e->path, e->kind);
        for (const char *const *p = e->packages; p && *p; p++, first = false) {
                if (!v->errors)
                        printf("%s%s", first ? " (of " : ", ", *p);
                else if (json_array_append_new(packages, json_out_string(*p)) < 0)
                        v->failed = true;
        }
        if (!v->errors) {
                puts(first ? "" : ")");
                json_decref(packages);
        } else {
                json_t *row = json_pack("{s:o, s:s, s:o}", "path", json_out_string(e->path), "kind", e->kind,
                                        "packages", packages);

                v->failed = json_array_append_new(v->errors, row) < 0 || v->failed;
        }
}

static void verify_progress(uint64_t done, uint64_t total, void *user)
{
        (void)user;
        ui_progress("Verifying", done, total);
}

static int run_verify(const struct options *o)
{
        struct verify_run v = { .errors = option_count(o, "--json") ? json_array() : NULL };
        const struct verify_options how = { .error = verify_found, .progress = verify_progress, .user = &v };
        struct errtext err = { "" };
        struct store *s = NULL;
        int r = default_store(STORE_READ, &s, &err);

        if (r == 0)
                r = verify_store(s, &how, &err);
        ui_progress_end();
        store_close(s);
        if (r < 0) {
                json_decref(v.errors);
                return fail(&err);
        }
        if (v.failed)
                return json_out_failed(v.errors);
        if (v.errors && json_out(json_pack("{s:b, s:o}", "ok", r == 0, "errors", v.errors)) < 0)
                return EXIT_USAGE;
        if (!option_count(o, "--json") && r == 0)
                puts("The store is whole");
        if (r > 0)
                ui_hint("`fusepkg add --reinstall` mends what these packages have lost, given their wheels");
        return r == 0 ? EXIT_DONE : EXIT_UNMET;
}

static const struct option_spec no_options[] = { { NULL, 0, NULL, NULL } };

const struct command command_store_path = {
        .name = "store path",
        .usage = "",
        .summary = "Print where the store is",
        .options = no_options,
        .run = run_path,
};

static const struct option_spec du_options[] = {
        { "--json", 0, NULL, "print {bytes, packages: [{name, version, bytes}]}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_store_du = {
        .name = "store du",
        .usage = "[OPTIONS]",
        .summary = "Show what the store and its packages take on disk",
        .help = "A file that several packages share is counted for each of them, and once in the sum.",
        .options = du_options,
        .run = run_du,
};

static const struct option_spec verify_options[] = {
        { "--json", 0, NULL, "print {ok, errors: [{path, kind, packages}]}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_store_verify = {
        .name = "store verify",
        .usage = "[OPTIONS]",
        .summary = "Check every byte of the store",
        .help = "Exits 1 when anything is wrong.",
        .options = verify_options,
        .run = run_verify,
};
