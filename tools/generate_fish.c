#include "tools/generate.h"

static const char head[] =
        "# fish completion for fusepkg(1), made from its table of commands\n"
        "\n"
        "# The command on the line: one word, or two where the first is a group of commands.\n"
        "function __fusepkg_command\n"
        "        set -l words (commandline -opc)\n"
        "        set -l found\n"
        "        set -e words[1]\n"
        "        while set -q words[1]\n"
        "                switch $words[1]\n"
        "                        case --color\n"
        "                                set -e words[1]\n"
        "                        case '-*'\n"
        "                        case '*'\n"
        "                                set -a found $words[1]\n"
        "                                test (count $found) -eq 2; and break\n"
        "                                contains -- $found[1] $argv; or break\n"
        "                end\n"
        "                set -e words[1]\n"
        "        end\n"
        "        echo \"$found\"\n"
        "end\n"
        "\n"
        "function __fusepkg_is\n";

static int add_quoted(struct buf *ret, const char *text)
{
        int r = buf_add_str(ret, "'");

        if (r == 0)
                r = generate_escaped(ret, text, strlen(text), "'\\");
        return r < 0 ? r : buf_add_str(ret, "'");
}

/* The names of C as they are handed to __fusepkg_is. */
static int add_condition(struct buf *ret, const struct command *c)
{
        if (generate_group_length(c))
                return buf_printf(ret, "complete -c fusepkg -n '__fusepkg_is \"%s\"'", c->name);
        return buf_printf(ret, "complete -c fusepkg -n '__fusepkg_is %s%s%s'", c->name, c->aliases ? " " : "",
                          c->aliases ? c->aliases : "");
}

static int add_value(struct buf *ret, const struct option_spec *s)
{
        int r;

        if (!s->argument)
                return 0;
        switch (generate_option_kind(s)) {
        case VALUE_FOLDER:
                return buf_add_str(ret, " -x -a '(__fish_complete_directories (commandline -ct))'");
        case VALUE_FILE:
                return buf_add_str(ret, " -r -F");
        case VALUE_WORDS:
                r = buf_add_str(ret, " -x -a '");
                if (r == 0)
                        r = generate_words(ret, s->argument);
                return r < 0 ? r : buf_add_str(ret, "'");
        case VALUE_OTHER:
                break;
        }
        return buf_add_str(ret, " -x");
}

/* What stands in front of an option: "complete -c fusepkg", with a condition where it is C's. */
static int add_option(struct buf *ret, const struct command *c, const struct option_spec *s)
{
        int r = c ? add_condition(ret, c) : buf_add_str(ret, "complete -c fusepkg");

        if (r == 0)
                r = buf_printf(ret, " -l %s", s->name + 2);
        if (r == 0 && s->letter)
                r = buf_printf(ret, " -s %c", s->letter);
        if (r == 0)
                r = add_value(ret, s);
        if (r == 0)
                r = buf_add_str(ret, " -d ");
        if (r == 0)
                r = add_quoted(ret, s->help);
        return r < 0 ? r : buf_add_char(ret, '\n');
}

static int add_command(struct buf *ret, const struct command *c)
{
        enum value_kind kind = generate_argument_kind(c);
        int r = 0;

        for (const struct option_spec *s = c->options; r == 0 && s && s->name; s++)
                r = add_option(ret, c, s);
        if (r < 0 || kind == VALUE_OTHER)
                return r;
        r = add_condition(ret, c);
        if (r < 0)
                return r;
        return buf_add_str(ret, kind == VALUE_FILE ? " -F\n"
                                                   : " -a '(__fish_complete_directories (commandline -ct))'\n");
}

/* One word that may come after WHERE, which is "" where no command is yet. */
static int add_name(struct buf *ret, const char *where, size_t where_len, const char *name, size_t len,
                    const char *help)
{
        int r = buf_printf(ret, "complete -c fusepkg -n '__fusepkg_is \"%.*s\"' -a %.*s -d ", (int)where_len, where,
                           (int)len, name);

        if (r == 0)
                r = add_quoted(ret, help);
        return r < 0 ? r : buf_add_char(ret, '\n');
}

static int add_names(struct buf *ret, const struct command *const *table)
{
        int r = add_name(ret, "", 0, "help", 4, "Show help, of a command or of all");

        for (size_t i = 0; r == 0 && table[i]; i++) {
                const struct command *c = table[i];
                size_t len = generate_group_length(c);

                if (len == 0) {
                        r = add_name(ret, "", 0, c->name, strlen(c->name), c->summary);
                        if (r == 0)
                                r = add_name(ret, "help", 4, c->name, strlen(c->name), c->summary);
                        continue;
                }
                if (generate_is_first_of_group(table, c))
                        r = add_name(ret, "", 0, c->name, len, "More commands");
                if (r == 0)
                        r = add_name(ret, c->name, len, c->name + len + 1, strlen(c->name) - len - 1, c->summary);
        }
        return r;
}

static int add_groups(struct buf *ret, const struct command *const *table)
{
        int r = buf_add_str(ret, "        set -l command (__fusepkg_command");

        for (size_t i = 0; r == 0 && table[i]; i++) {
                size_t len = generate_group_length(table[i]);

                if (len > 0 && generate_is_first_of_group(table, table[i]))
                        r = buf_printf(ret, " %.*s", (int)len, table[i]->name);
        }
        return r < 0 ? r : buf_add_str(ret, ")\n        contains -- \"$command\" $argv\nend\n\ncomplete -c fusepkg -f\n"
                                            "complete -c fusepkg -n '__fusepkg_is \"\"' -l version -s V "
                                            "-d 'print the version'\n");
}

int generate_fish(const struct command *const *table, struct buf *ret)
{
        int r = buf_add_str(ret, head);

        if (r == 0)
                r = add_groups(ret, table);
        if (r == 0)
                r = add_names(ret, table);
        for (const struct option_spec *s = command_global_options; r == 0 && s->name; s++)
                r = add_option(ret, NULL, s);
        for (size_t i = 0; r == 0 && table[i]; i++)
                r = add_command(ret, table[i]);
        return r;
}
