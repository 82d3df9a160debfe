#include "tools/installed.h"
#include "tools/interpreter.h"
#include "tools/marker.h"
#include "tools/ui.h"

#include "store/metadata.h"
#include "store/record.h"
#include "store/wheel_name.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

enum { FOLD = 8 /* blanks before each continuing line, as setuptools and its likes write them */ };

struct names {
        char **list;
        size_t count;
};

/* What `show` has read of one distribution. */
struct details {
        struct metadata metadata;
        char *home_page;       /* NULL when absent, as the next two */
        char *author_email;
        char *license_expression;
        struct names requires; /* of this Python, as written */
};

struct shown {
        struct installed installed;
        struct details *details; /* of each of the installed */
        struct interpreter *python;
};

static int names_add(struct names *n, const char *name, size_t len)
{
        char **list = realloc(n->list, (n->count + 1) * sizeof *list);

        if (!list)
                return -ENOMEM;
        n->list = list;
        list[n->count] = strndup(name, len);
        return list[n->count] ? (n->count++, 0) : -ENOMEM;
}

static void names_release(struct names *n)
{
        for (size_t i = 0; i < n->count; i++)
                free(n->list[i]);
        free(n->list);
        *n = (struct names){ 0 };
}

static int without_case(const void *a, const void *b)
{
        return strcasecmp(*(char *const *)a, *(char *const *)b);
}

static int as_bytes(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_sort(struct names *n, int (*compare)(const void *, const void *))
{
        if (n->count)
                qsort(n->list, n->count, sizeof *n->list, compare);
}

/* "pandas[test] (>=2) ; extra == 'x'": the length of its name, and where its marker starts (NULL: it has none). */
static size_t split_requirement(const char *text, const char **ret_marker)
{
        size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
        /* In "name @ url ; marker" the URL may hold a semicolon of its own: there a blank stands before ours. */
        bool url = text[len + strspn(text + len, " ")] == '@';
        const char *mark = url ? strstr(text + len, " ;") : strchr(text + len, ';');

        *ret_marker = mark ? strchr(mark, ';') + 1 : NULL;
        return len;
}

/* Is it asked for by an extra (which nobody asked for here) or not for this Python?  What cannot be told counts. */
static bool is_required(struct shown *s, const char *marker)
{
        const struct interpreter_facts *facts;
        struct errtext err;
        bool value;

        if (!marker)
                return true;
        if (interpreter_get_facts(s->python, &facts, &err) < 0)
                return strstr(marker, "extra") == NULL;
        if (marker_evaluate(marker, facts, &value, &err) < 0)
                return strstr(marker, "extra") == NULL;
        return value;
}

/* Moves *TEXT, the headers, behind the next line that begins the field NAME, and gives what that line says. */
static bool next_field(const char **text, const char *name, struct span *ret)
{
        size_t len = strlen(name);

        while (**text && **text != '\n' && **text != '\r') {
                const char *line = *text;
                size_t size = strcspn(line, "\r\n"), start = len + 1;

                *text += size + strspn(line + size, "\r");
                *text += **text == '\n';
                if (size <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
                        continue;
                start += strspn(line + start, " \t");
                *ret = (struct span){ line + start, size - start };
                return true;
        }
        return false;
}

static char *first_field(const char *text, const char *name)
{
        struct span value;

        return next_field(&text, name, &value) ? strndup(value.data, value.len) : NULL;
}

/* Is the label of "Home-Page, https://…" that of a home page, as pip takes it? */
static bool is_homepage(struct span url, size_t label)
{
        static const char wanted[] = "homepage";
        size_t found = 0;

        for (size_t i = 0; i < label; i++) {
                if (strchr("-_ \t", url.data[i]))
                        continue;
                if (found == sizeof wanted - 1 || tolower((unsigned char)url.data[i]) != wanted[found])
                        return false;
                found++;
        }
        return found == sizeof wanted - 1;
}

static char *find_homepage(const char *text)
{
        char *page = first_field(text, "Home-page");
        struct span url;

        if (page && page[0])
                return page;
        free(page);
        while (next_field(&text, "Project-URL", &url)) {
                const char *comma = memchr(url.data, ',', url.len);
                size_t label = comma ? (size_t)(comma - url.data) : 0;

                if (!comma || !is_homepage(url, label))
                        continue;
                label += 1 + strspn(comma + 1, " \t");
                return strndup(url.data + label, label < url.len ? url.len - label : 0);
        }
        return NULL;
}

static int read_details(struct shown *s, size_t k, struct errtext *err)
{
        struct distribution *d = &s->installed.list[k];
        struct details *into = &s->details[k];
        cleanup_buf struct buf text = { 0 };
        struct errtext why = { "" };
        int r = installed_read_metadata(&s->installed, d, &text, err);

        /* A bare distribution without readable metadata is one of which there is nothing to say. */
        if (r < 0)
                return d->slot ? r : 0;
        r = metadata_parse(text.data, text.len, &into->metadata, &why);
        if (r < 0)
                return d->slot ? errtext_set(err, r, "%s: %s", d->name, why.text) : 0;
        into->home_page = find_homepage(text.data);
        into->author_email = first_field(text.data, "Author-email");
        into->license_expression = first_field(text.data, "License-Expression");
        for (size_t i = 0; r == 0 && i < into->metadata.requires_count; i++) {
                const char *marker, *requirement = into->metadata.requires_dist[i];
                size_t len = split_requirement(requirement, &marker);

                if (len > 0 && is_required(s, marker))
                        r = names_add(&into->requires, requirement, len);
        }
        names_sort(&into->requires, without_case);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

static int requiring(const struct shown *s, const char *key, struct names *ret)
{
        int r = 0;

        for (size_t k = 0; r == 0 && k < s->installed.count; k++) {
                const struct names *requires = &s->details[k].requires;

                for (size_t i = 0; i < requires->count; i++) {
                        if (!name_equal(requires->list[i], key))
                                continue;
                        r = names_add(ret, s->installed.list[k].name, strlen(s->installed.list[k].name));
                        break;
                }
        }
        names_sort(ret, without_case);
        return r;
}

static void print_field(const char *name, const char *value)
{
        printf("%s: %s\n", name, value ? value : "");
}

/* Of lines that continue a field, the indentation that makes them such is not part of it. */
static void print_folded(const char *name, const char *value)
{
        printf("%s: ", name);
        while (value && *value) {
                size_t len = strcspn(value, "\n");

                printf("%.*s\n", (int)len, value);
                value += len + (value[len] == '\n');
                for (int i = 0; i < FOLD && *value == ' '; i++)
                        value++;
                if (!*value)
                        return;
        }
        putchar('\n');
}

static void print_names(const char *field, const struct names *n)
{
        printf("%s: ", field);
        for (size_t i = 0; i < n->count; i++)
                printf("%s%s", i ? ", " : "", n->list[i]);
        putchar('\n');
}

static int print_files(struct shown *s, struct distribution *d, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        struct names paths = { 0 };
        struct record record = { 0 };
        int r = installed_read(&s->installed, d, "RECORD", &text, err);

        puts("Files:");
        if (r == -ENOENT) {
                puts("Cannot locate RECORD or installed-files.txt");
                return 0;
        }
        if (r == 0)
                r = record_parse(text.data, text.len, &record, err);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < record.count; i++)
                r = names_add(&paths, record.rows[i].path, strlen(record.rows[i].path));
        names_sort(&paths, as_bytes);
        for (size_t i = 0; r == 0 && i < paths.count; i++)
                printf("  %s\n", paths.list[i]);
        names_release(&paths);
        record_release(&record);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

static int print_distribution(struct shown *s, struct distribution *d, bool files, struct errtext *err)
{
        const struct details *about = &s->details[d - s->installed.list];
        cleanup_buf struct buf installer = { 0 };
        struct names by = { 0 };
        int r = installed_read(&s->installed, d, "INSTALLER", &installer, err);

        if (r < 0 && r != -ENOENT)
                return r;
        if (installer.data)
                installer.data[strcspn(installer.data, "\r\n")] = '\0';
        r = requiring(s, d->key, &by);
        if (r < 0) {
                names_release(&by);
                return errtext_set(err, r, "out of memory");
        }
        print_field("Name", d->name);
        print_field("Version", d->version);
        print_field("Summary", about->metadata.summary);
        print_field("Home-page", about->home_page);
        print_field("Author", about->metadata.author);
        print_field("Author-email", about->author_email);
        if (about->license_expression)
                print_field("License-Expression", about->license_expression);
        else
                print_folded("License", about->metadata.license);
        print_field("Location", s->installed.target->site);
        print_names("Requires", &about->requires);
        print_names("Required-by", &by);
        print_field("Installer", installer.data);
        names_release(&by);
        return files ? print_files(s, d, err) : 0;
}

/* Unknown names are one warning; the known ones are shown all the same. */
static int print_all(struct shown *s, const struct options *o, size_t *ret_shown, struct errtext *err)
{
        cleanup_buf struct buf missing = { 0 };
        int r = 0;

        for (size_t i = 0; r == 0 && i < argument_count(o); i++) {
                struct distribution *d = installed_find(&s->installed, argument_at(o, i));

                if (!d) {
                        r = buf_printf(&missing, "%s%s", missing.len ? ", " : "", argument_at(o, i));
                        if (r < 0)
                                return errtext_set(err, r, "out of memory");
                        continue;
                }
                if ((*ret_shown)++)
                        puts("---");
                r = print_distribution(s, d, option_count(o, "--files"), err);
        }
        if (r == 0 && missing.len)
                ui_warning("Package(s) not found: %s", missing.data);
        return r;
}

static int show(const struct options *o, struct target *t, struct shown *s, size_t *ret_shown, struct errtext *err)
{
        int r = target_open(o, t, err);

        if (r == 0)
                r = installed_load(t, &s->installed, err);
        if (r < 0)
                return r;
        s->details = calloc(s->installed.count + 1, sizeof *s->details);
        if (!s->details || interpreter_new(t->interpreter, t->state_fd, &s->python) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t k = 0; r == 0 && k < s->installed.count; k++)
                r = read_details(s, k, err);
        return r < 0 ? r : print_all(s, o, ret_shown, err);
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        struct shown s = { .installed = INSTALLED_INIT };
        struct errtext err = { "" };
        size_t shown = 0;
        int r = show(o, &t, &s, &shown, &err);

        for (size_t k = 0; s.details && k < s.installed.count; k++) {
                metadata_release(&s.details[k].metadata);
                free(s.details[k].home_page);
                free(s.details[k].author_email);
                free(s.details[k].license_expression);
                names_release(&s.details[k].requires);
        }
        free(s.details);
        interpreter_free(s.python);
        installed_release(&s.installed);
        if (r < 0)
                ui_error("%s", err.text);
        return r < 0 || shown == 0 ? EXIT_UNMET : EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--files", 'f', NULL, "list the installed files as well" },
        { NULL, 0, NULL, NULL },
};

const struct command command_show = {
        .name = "show",
        .usage = "[OPTIONS] NAME...",
        .summary = "Show what packages say of themselves",
        .options = options,
        .min_arguments = 1,
        .max_arguments = SIZE_MAX,
        .run = run,
};
