#include "tools/installed.h"
#include "tools/ui.h"

#include <jansson.h>
#include <stdio.h>
#include <strings.h>

/* pip leaves itself out, and before Python 3.12 the tools that came with every venv. */
static bool is_left_out(const struct target *t, const char *key)
{
        static const char *const old[] = { "setuptools", "wheel", "distribute" };

        if (strcmp(key, "pip") == 0)
                return true;
        if (strtol(t->python + strcspn(t->python, ".") + 1, NULL, 10) >= 12)
                return false;
        for (size_t i = 0; i < ARRAY_LEN(old); i++)
                if (strcmp(key, old[i]) == 0)
                        return true;
        return false;
}

static const char *string_in(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

/* direct_url.json of an archive: "url#sha256=…&subdirectory=…". */
static void print_archive(const char *name, const json_t *url, const json_t *archive)
{
        const char *hash = string_in(archive, "hash"), *folder = string_in(url, "subdirectory");

        printf("%s @ %s", name, string_in(url, "url"));
        if (hash[0]) {
                const char *equals = strchr(hash, '=');

                printf("#%.*s=%s", (int)(equals ? equals - hash : 0), hash, equals ? equals + 1 : hash);
        }
        if (folder[0])
                printf("%ssubdirectory=%s", hash[0] ? "&" : "#", folder);
        putchar('\n');
}

static void print_direct(const struct distribution *d, const json_t *url)
{
        const json_t *vcs = json_object_get(url, "vcs_info"), *folder = json_object_get(url, "dir_info");
        const char *where = string_in(url, "url");

        if (vcs) {
                printf("%s @ %s+%s@%s", d->name, string_in(vcs, "vcs"), where, string_in(vcs, "commit_id"));
                if (string_in(url, "subdirectory")[0])
                        printf("#subdirectory=%s", string_in(url, "subdirectory"));
                putchar('\n');
        } else if (folder && json_is_true(json_object_get(folder, "editable"))) {
                printf("# Editable install with no version control (%s==%s)\n-e %s\n", d->name, d->version,
                       strncmp(where, "file://", 7) == 0 ? where + 7 : where);
        } else if (folder) {
                printf("%s @ %s\n", d->name, where);
        } else {
                print_archive(d->name, url, json_object_get(url, "archive_info"));
        }
}

static int print_bare(struct installed *i, struct distribution *d, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        int r = installed_read(i, d, "direct_url.json", &text, err);
        json_t *url;

        if (r < 0 && r != -ENOENT)
                return r;
        url = r == 0 ? json_loadb(text.data, text.len, 0, NULL) : NULL;
        if (url)
                print_direct(d, url);
        else
                printf("%s==%s\n", d->name, d->version);
        json_decref(url);
        return 0;
}

static void print_slot(const struct distribution *d)
{
        char hash[SHA256_HEX_SIZE];

        hex_encode(d->slot->archive, SHA256_SIZE, hash);
        if (d->slot->url)
                printf("%s @ %s#sha256=%s\n", d->name, d->slot->url, hash);
        else
                printf("%s==%s\n", d->name, d->version);
}

/* pip's order here, which is not that of its list: '-' comes before '_'. */
static int by_name(const void *a, const void *b)
{
        return strcasecmp(((const struct distribution *)a)->name, ((const struct distribution *)b)->name);
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        cleanup_installed struct installed i = INSTALLED_INIT;
        struct errtext err = { "" };
        int r = target_open(o, &t, &err);

        if (r == 0)
                r = installed_load(&t, &i, &err);
        if (i.count)
                qsort(i.list, i.count, sizeof *i.list, by_name);
        for (size_t k = 0; r == 0 && k < i.count; k++) {
                struct distribution *d = &i.list[k];

                if (!option_count(o, "--all") && is_left_out(&t, d->key))
                        continue;
                if (d->slot)
                        print_slot(d);
                else
                        r = print_bare(&i, d, &err);
        }
        if (r < 0) {
                ui_error("%s", err.text);
                return EXIT_UNMET;
        }
        return EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--all", 0, NULL, "leave nothing out (pip, and before Python 3.12 setuptools and wheel)" },
        { NULL, 0, NULL, NULL },
};

const struct command command_freeze = {
        .name = "freeze",
        .usage = "[OPTIONS]",
        .summary = "List the installed packages as requirements",
        .options = options,
        .run = run,
};
