#include "tools/installed.h"
#include "tools/json_out.h"
#include "tools/ui.h"

#include <stdio.h>

enum list_format {
        FORMAT_COLUMNS,
        FORMAT_FREEZE,
        FORMAT_JSON,
};

enum { COLUMNS_MAX = 4 };

static int choose_format(const struct options *o, enum list_format *ret)
{
        const char *name = option_value(o, "--format");

        *ret = FORMAT_COLUMNS;
        if (option_count(o, "--json") || (name && strcmp(name, "json") == 0))
                *ret = FORMAT_JSON;
        else if (name && strcmp(name, "freeze") == 0)
                *ret = FORMAT_FREEZE;
        else if (name && strcmp(name, "columns") != 0)
                return -EINVAL;
        return 0;
}

/* The first line of INSTALLER, "" without one. */
static int read_installer(struct installed *i, struct distribution *d, struct buf *ret, struct errtext *err)
{
        int r = installed_read(i, d, "INSTALLER", ret, err);

        if (r == -ENOENT)
                r = buf_add(ret, "", 0);
        if (r == 0) {
                ret->len = strcspn(ret->data, "\r\n");
                ret->data[ret->len] = '\0';
        }
        return r;
}

static int print_json(struct installed *i, struct errtext *err)
{
        json_t *list = json_array();

        for (size_t k = 0; k < i->count; k++) {
                struct distribution *d = &i->list[k];
                json_t *row = json_pack("{s:o, s:o}", "name", json_out_string(d->name), "version",
                                        json_out_string(d->version));
                cleanup_buf struct buf installer = { 0 };
                int r;

                if (ui_verbosity() > 0) {
                        r = read_installer(i, d, &installer, err);
                        if (r < 0) {
                                json_decref(row);
                                json_decref(list);
                                return r;
                        }
                        json_object_set_new(row, "location", json_out_string(i->target->site));
                        json_object_set_new(row, "installer", json_out_string(installer.data));
                }
                if (json_array_append_new(list, row) < 0) {
                        json_decref(list);
                        return errtext_set(err, -ENOMEM, "out of memory");
                }
        }
        return json_out(list);
}

/* Without blanks at the end. */
static void print_row(const char *const *cells, const size_t *widths, size_t columns)
{
        size_t pending = 0;

        for (size_t c = 0; c < columns; c++) {
                size_t len = strlen(cells[c]);

                if (len > 0)
                        printf("%*s%s", (int)pending, "", cells[c]);
                pending = (len > 0 ? 0 : pending) + (widths[c] > len ? widths[c] - len : 0) + 1;
        }
        putchar('\n');
}

/* As pip's: each column as wide as its widest cell, a row of dashes below the heads. */
static int print_columns(struct installed *i, struct errtext *err)
{
        const char *head[COLUMNS_MAX] = { "Package", "Version", "Location", "Installer" };
        size_t widths[COLUMNS_MAX] = { strlen(head[0]), strlen(head[1]), strlen(i->target->site), strlen(head[3]) };
        size_t columns = ui_verbosity() > 0 ? 4 : 2;
        char dashes[256];

        if (i->count == 0)
                return 0;
        for (size_t k = 0; k < i->count; k++) {
                if (strlen(i->list[k].name) > widths[0])
                        widths[0] = strlen(i->list[k].name);
                if (strlen(i->list[k].version) > widths[1])
                        widths[1] = strlen(i->list[k].version);
        }
        print_row(head, widths, columns);
        memset(dashes, '-', sizeof dashes);
        for (size_t c = 0; c < columns; c++)
                printf("%s%.*s", c ? " " : "", (int)(widths[c] < sizeof dashes ? widths[c] : sizeof dashes), dashes);
        putchar('\n');
        for (size_t k = 0; k < i->count; k++) {
                struct distribution *d = &i->list[k];
                cleanup_buf struct buf installer = { 0 };
                int r = columns > 2 ? read_installer(i, d, &installer, err) : 0;

                if (r < 0)
                        return r;
                print_row((const char *[]){ d->name, d->version, i->target->site, installer.data }, widths, columns);
        }
        return 0;
}

static void print_freeze(const struct installed *i)
{
        for (size_t k = 0; k < i->count; k++) {
                if (ui_verbosity() > 0)
                        printf("%s==%s (%s)\n", i->list[k].name, i->list[k].version, i->target->site);
                else
                        printf("%s==%s\n", i->list[k].name, i->list[k].version);
        }
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        cleanup_installed struct installed i = INSTALLED_INIT;
        struct errtext err = { "" };
        enum list_format format;
        int r;

        if (choose_format(o, &format) < 0) {
                ui_error("the format is one of columns, freeze and json, not '%s'", option_value(o, "--format"));
                return EXIT_USAGE;
        }
        r = target_open(o, &t, &err);
        if (r == 0)
                r = installed_load(&t, &i, &err);
        if (r == 0 && format == FORMAT_JSON)
                r = print_json(&i, &err);
        else if (r == 0 && format == FORMAT_COLUMNS)
                r = print_columns(&i, &err);
        else if (r == 0)
                print_freeze(&i);
        if (r < 0) {
                if (err.text[0])
                        ui_error("%s", err.text);
                return err.text[0] ? EXIT_UNMET : EXIT_USAGE;
        }
        return EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--format", 0, "columns|freeze|json", "how to print it: in columns by default" },
        { "--json", 0, NULL, "the same as --format json: a list of {name, version}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_list = {
        .name = "list",
        .aliases = "ls",
        .usage = "[OPTIONS]",
        .summary = "List the installed packages",
        .help = "Shows what fusepkg installed and what the bare site-packages holds.  With -v also where, and by whom.",
        .options = options,
        .run = run,
};
