#include "tools/command.h"

#include "tools/ui.h"

#include <stdio.h>

/* -v and -q count. */
const struct option_spec command_global_options[] = {
        { "--quiet", 'q', NULL, "print errors and warnings only; twice: nothing" },
        { "--verbose", 'v', NULL, "print more" },
        { "--color", 0, "auto|always|never", "when to use colours: by itself on a terminal only" },
        { "--help", 'h', NULL, "print this help" },
        { NULL, 0, NULL, NULL },
};

struct given {
        const struct option_spec *spec;
        const char *value; /* NULL for a flag */
};

struct options {
        struct given *given;
        size_t given_count;
        const char **arguments;
        size_t argument_count;
};

size_t option_count(const struct options *o, const char *name)
{
        size_t n = 0;

        for (size_t i = 0; i < o->given_count; i++)
                if (strcmp(o->given[i].spec->name, name) == 0)
                        n++;
        return n;
}

const char *option_value_at(const struct options *o, const char *name, size_t i)
{
        for (size_t k = 0; k < o->given_count; k++)
                if (strcmp(o->given[k].spec->name, name) == 0 && i-- == 0)
                        return o->given[k].value;
        return NULL;
}

const char *option_value(const struct options *o, const char *name)
{
        size_t n = option_count(o, name);

        return n ? option_value_at(o, name, n - 1) : NULL;
}

size_t argument_count(const struct options *o)
{
        return o->argument_count;
}

const char *argument_at(const struct options *o, size_t i)
{
        return i < o->argument_count ? o->arguments[i] : NULL;
}

void options_free(struct options *o)
{
        if (!o)
                return;
        free(o->given);
        free(o->arguments);
        free(o);
}

static void cleanup_options_(struct options **o)
{
        options_free(*o);
}
#define cleanup_options __attribute__((cleanup(cleanup_options_)))

/* --- parsing --- */

static const struct option_spec *find_spec(const struct option_spec *specs, const char *name, size_t len, char letter)
{
        for (; specs && specs->name; specs++) {
                if (letter ? specs->letter == letter
                           : strlen(specs->name) == len && memcmp(specs->name, name, len) == 0)
                        return specs;
        }
        return NULL;
}

static const struct option_spec *find_option(const struct command *c, const char *name, size_t len, char letter)
{
        const struct option_spec *spec = find_spec(c->options, name, len, letter);

        return spec ? spec : find_spec(command_global_options, name, len, letter);
}

static void give(struct options *o, const struct option_spec *spec, const char *value)
{
        o->given[o->given_count++] = (struct given){ spec, value };
}

/* "--name", "--name=value", "--name value".  *I is the word's place, moved on over its value. */
static int parse_long(const struct command *c, const char *const *words, size_t n, size_t *i, struct options *o,
                      struct errtext *err)
{
        const char *word = words[*i];
        const char *equals = strchr(word, '=');
        size_t len = equals ? (size_t)(equals - word) : strlen(word);
        const struct option_spec *spec = find_option(c, word, len, 0);

        if (!spec)
                return errtext_set(err, -EINVAL, "unknown option '%.*s'", (int)len, word);
        if (!spec->argument) {
                if (equals)
                        return errtext_set(err, -EINVAL, "the option '%s' takes no value", spec->name);
                give(o, spec, NULL);
                return 0;
        }
        if (equals) {
                give(o, spec, equals + 1);
                return 0;
        }
        if (*i + 1 >= n)
                return errtext_set(err, -EINVAL, "the option '%s' needs a value: %s", spec->name, spec->argument);
        give(o, spec, words[++*i]);
        return 0;
}

/* "-q", "-qv", "-x value", "-xvalue". */
static int parse_short(const struct command *c, const char *const *words, size_t n, size_t *i, struct options *o,
                       struct errtext *err)
{
        for (const char *p = words[*i] + 1; *p; p++) {
                const struct option_spec *spec = find_option(c, NULL, 0, *p);

                if (!spec)
                        return errtext_set(err, -EINVAL, "unknown option '-%c'", *p);
                if (!spec->argument) {
                        give(o, spec, NULL);
                        continue;
                }
                if (p[1]) {
                        give(o, spec, p + 1);
                        return 0;
                }
                if (*i + 1 >= n)
                        return errtext_set(err, -EINVAL, "the option '-%c' needs a value: %s", *p, spec->argument);
                give(o, spec, words[++*i]);
                return 0;
        }
        return 0;
}

static int check_counts(const struct command *c, const struct options *o, struct errtext *err)
{
        if (option_count(o, "--help"))
                return 0;
        if (o->argument_count > c->max_arguments)
                return errtext_set(err, -EINVAL, "unexpected argument '%s'", o->arguments[c->max_arguments]);
        if (o->argument_count < c->min_arguments)
                return errtext_set(err, -EINVAL, "`fusepkg %s` needs %s", c->name,
                                   c->min_arguments == 1 ? "an argument" : "more arguments");
        return 0;
}

static int check_color(const struct options *o, struct errtext *err)
{
        const char *when = option_value(o, "--color");

        if (!when || strcmp(when, "auto") == 0 || strcmp(when, "always") == 0 || strcmp(when, "never") == 0)
                return 0;
        return errtext_set(err, -EINVAL, "the value of '--color' is auto, always or never, not '%s'", when);
}

int command_parse(const struct command *c, const char *const *words, size_t n, struct options **ret,
                  struct errtext *err)
{
        cleanup_options struct options *o = calloc(1, sizeof(*o));
        size_t letters = 1;
        bool rest = false;
        int r;

        for (size_t i = 0; i < n; i++)
                letters += strlen(words[i]) + 1; /* no word can give more options than it has letters */
        if (o) {
                o->given = calloc(letters, sizeof(*o->given));
                o->arguments = calloc(n + 1, sizeof(*o->arguments));
        }
        if (!o || !o->given || !o->arguments)
                return errtext_set(err, -ENOMEM, "out of memory");

        for (size_t i = 0; i < n; i++) {
                const char *word = words[i];

                r = 0;
                if (rest || word[0] != '-' || word[1] == '\0')
                        o->arguments[o->argument_count++] = word;
                else if (strcmp(word, "--") == 0)
                        rest = true;
                else if (word[1] == '-')
                        r = parse_long(c, words, n, &i, o, err);
                else
                        r = parse_short(c, words, n, &i, o, err);
                if (r < 0)
                        return r;
        }
        r = check_color(o, err);
        if (r == 0)
                r = check_counts(c, o, err);
        if (r == 0)
                *ret = steal_ptr(o);
        return r;
}

/* --- finding --- */

/* Is WORD one of the space-separated ALIASES? */
static bool is_alias(const char *aliases, const char *word)
{
        size_t len = strlen(word);

        while (aliases && *aliases) {
                size_t part = strcspn(aliases, " ");

                if (part == len && memcmp(aliases, word, len) == 0)
                        return true;
                aliases += part + strspn(aliases + part, " ");
        }
        return false;
}

const struct command *command_find(const struct command *const *table, const char *const *words, size_t n,
                                   size_t *ret_used)
{
        for (; n > 0 && *table; table++) {
                const char *name = (*table)->name;
                const char *space = strchr(name, ' ');

                if (!space) {
                        if (strcmp(words[0], name) != 0 && !is_alias((*table)->aliases, words[0]))
                                continue;
                        *ret_used = 1;
                        return *table;
                }
                if (n >= 2 && strlen(words[0]) == (size_t)(space - name) &&
                    memcmp(words[0], name, (size_t)(space - name)) == 0 && strcmp(words[1], space + 1) == 0) {
                        *ret_used = 2;
                        return *table;
                }
        }
        return NULL;
}

/* Is WORD the first word of commands of a group ("store")?  Appends their names. */
static bool list_group(const struct command *const *table, const char *word, struct buf *names)
{
        size_t len = strlen(word);
        bool found = false;

        for (; *table; table++) {
                const char *name = (*table)->name;

                if (strncmp(name, word, len) != 0 || name[len] != ' ')
                        continue;
                if (buf_printf(names, "%s`fusepkg %s`", found ? ", " : "", name) < 0)
                        return false;
                found = true;
        }
        return found;
}

static int reject_command(const struct command *const *table, const char *const *words, size_t n)
{
        cleanup_buf struct buf names = { 0 };

        if (list_group(table, words[0], &names)) {
                if (n >= 2 && (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0)) {
                        printf("Commands: %s; `fusepkg %s COMMAND --help` tells more.\n", names.data, words[0]);
                        return EXIT_DONE;
                }
                if (n < 2)
                        ui_error("`fusepkg %s` needs a command", words[0]);
                else
                        ui_error("unknown command '%s %s'", words[0], words[1]);
                ui_hint("there %s %s", strchr(names.data, ',') ? "are" : "is", names.data);
        } else {
                ui_error("unknown command '%s'", words[0]);
                ui_hint("`fusepkg help` lists the commands");
        }
        return EXIT_USAGE;
}

/* --- help --- */

static int help_option(const struct option_spec *s, struct buf *ret)
{
        char head[64];

        if (s->letter)
                snprintf(head, sizeof(head), "-%c, %s%s%s", s->letter, s->name, s->argument ? " " : "",
                         s->argument ? s->argument : "");
        else
                snprintf(head, sizeof(head), "    %s%s%s", s->name, s->argument ? " " : "",
                         s->argument ? s->argument : "");
        return buf_printf(ret, "  %-32s %s\n", head, s->help);
}

int command_help(const struct command *c, struct buf *ret)
{
        int r = buf_printf(ret, "Usage: fusepkg %s%s%s\n\n%s.\n", c->name, c->usage[0] ? " " : "", c->usage,
                           c->summary);

        if (r == 0 && c->aliases)
                r = buf_printf(ret, "Also: %s.\n", c->aliases);
        if (r == 0 && c->help)
                r = buf_printf(ret, "\n%s\n", c->help);
        if (r == 0)
                r = buf_add_str(ret, "\nOptions:\n");
        for (const struct option_spec *s = c->options; r == 0 && s && s->name; s++)
                r = help_option(s, ret);
        for (const struct option_spec *s = command_global_options; r == 0 && s->name; s++)
                r = help_option(s, ret);
        return r;
}

int command_overview(const struct command *const *table, struct buf *ret)
{
        int r = buf_add_str(ret, "Usage: fusepkg [-q|-v] [--color auto|always|never] COMMAND ...\n\n"
                                 "Installs wheels from a store that keeps each once into virtual environments on any\n"
                                 "partition, through FUSE.\n\nCommands:\n");

        for (; r == 0 && *table; table++)
                r = buf_printf(ret, "  %-16s %s\n", (*table)->name, (*table)->summary);
        if (r == 0)
                r = buf_add_str(
                        ret, "\n`fusepkg help COMMAND` tells more.  Exit status: 0 done, 1 the request cannot be met,\n"
                             "2 wrong usage or an internal error.\n");
        return r;
}

static int print(const struct buf *text)
{
        fputs(text->data ? text->data : "", stdout);
        return EXIT_DONE;
}

/* `fusepkg help [COMMAND]` */
static int run_help(const struct command *const *table, const char *const *words, size_t n)
{
        cleanup_buf struct buf text = { 0 };
        size_t used;
        const struct command *c;

        if (n == 0)
                return command_overview(table, &text) < 0 ? EXIT_USAGE : print(&text);
        c = command_find(table, words, n, &used);
        if (!c)
                return reject_command(table, words, n);
        return command_help(c, &text) < 0 ? EXIT_USAGE : print(&text);
}

/* --- running --- */

/* How many of the first words are global options. */
static size_t leading_options(const char *const *words, size_t n)
{
        size_t i = 0;

        while (i < n && words[i][0] == '-' && words[i][1] && strcmp(words[i], "--") != 0) {
                if (strcmp(words[i], "--color") == 0)
                        i++;
                i++;
        }
        return i < n ? i : n;
}

static int reject_usage(const struct command *c, const struct errtext *err)
{
        ui_error("%s", err->text);
        if (c->usage)
                ui_hint("usage: fusepkg %s%s%s", c->name, c->usage[0] ? " " : "", c->usage);
        else
                ui_hint("`fusepkg help` lists the commands and options");
        return EXIT_USAGE;
}

static int run_command(const struct command *c, const char *const *words, size_t n)
{
        cleanup_options struct options *o = NULL;
        cleanup_buf struct buf help = { 0 };
        struct errtext err = { "" };

        if (command_parse(c, words, n, &o, &err) < 0) {
                ui_setup(0, NULL);
                return reject_usage(c, &err);
        }
        ui_setup((int)option_count(o, "--verbose") - (int)option_count(o, "--quiet"), option_value(o, "--color"));
        if (option_count(o, "--help"))
                return command_help(c, &help) < 0 ? EXIT_USAGE : print(&help);
        return c->run(o);
}

int command_main(const struct command *const *table, int argc, char *const *argv)
{
        static const struct option_spec bare_options[] = {
                { "--version", 'V', NULL, "print the version" },
                { NULL, 0, NULL, NULL },
        };
        static const struct command bare = { .name = "help", .options = bare_options };
        const char *const *words = (const char *const *)argv + 1;
        size_t n = argc > 1 ? (size_t)argc - 1 : 0;
        size_t lead = leading_options(words, n);
        cleanup_options struct options *o = NULL;
        cleanup_free const char **rest = NULL;
        struct errtext err = { "" };
        size_t used = 0;
        const struct command *c;

        ui_setup(0, NULL);
        if (command_parse(&bare, words, lead, &o, &err) < 0)
                return reject_usage(&bare, &err);
        if (option_count(o, "--version")) {
                puts("fusepkg " FUSEPKG_VERSION);
                return EXIT_DONE;
        }
        if (option_count(o, "--help"))
                return run_help(table, words + lead, n - lead);
        if (lead < n && strcmp(words[lead], "help") == 0)
                return run_help(table, words + lead + 1, n - lead - 1);
        if (lead == n) {
                ui_error("a command is missing");
                ui_hint("`fusepkg help` lists the commands");
                return EXIT_USAGE;
        }
        c = command_find(table, words + lead, n - lead, &used);
        if (!c)
                return reject_command(table, words + lead, n - lead);

        /* The options in front count like those behind. */
        rest = calloc(n, sizeof(*rest));
        if (!rest)
                return EXIT_USAGE;
        memcpy(rest, words, lead * sizeof(*rest));
        memcpy(rest + lead, words + lead + used, (n - lead - used) * sizeof(*rest));
        return run_command(c, rest, n - used);
}
