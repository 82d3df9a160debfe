#include "tools/generate.h"

/* The function's end is the same whatever the table holds: it looks at what was found out before. */
static const char head[] =
        "# bash completion for fusepkg(1), made from its table of commands\n"
        "\n"
        "# Shows what an argument of that kind can be.\n"
        "_fusepkg_value()\n"
        "{\n"
        "        case $1 in\n"
        "        folder) compopt -o dirnames ;;\n"
        "        file) compopt -o default ;;\n"
        "        *) mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$2\") ;;\n"
        "        esac\n"
        "}\n"
        "\n"
        "_fusepkg()\n"
        "{\n"
        "        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "        local command= group= options= value= argument= found=0 i\n"
        "\n"
        "        COMPREPLY=()\n"
        "        # Bash splits --name=value in three.\n"
        "        if [[ $cur == = ]]; then\n"
        "                cur=\n"
        "        elif [[ $prev == = ]]; then\n"
        "                prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "        fi\n"
        "        for ((i = 1; i < COMP_CWORD && !found; i++)); do\n"
        "                case ${COMP_WORDS[i]} in\n"
        "                --color)\n"
        "                        [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))\n"
        "                        ((i++))\n"
        "                        ;;\n"
        "                -*) ;;\n"
        "                *)\n"
        "                        command=\"$group${COMP_WORDS[i]}\"\n"
        "                        found=1\n"
        "                        case $command in\n";

static const char tail[] =
        "        esac\n"
        "        if [[ -n $value ]]; then\n"
        "                [[ $value == none ]] || _fusepkg_value \"$value\" \"$cur\"\n"
        "        elif [[ $cur == -* ]]; then\n"
        "                _fusepkg_value \"$options\" \"$cur\"\n"
        "        elif [[ -n $argument ]]; then\n"
        "                _fusepkg_value \"$argument\" \"$cur\"\n"
        "        fi\n"
        "}\n"
        "complete -F _fusepkg fusepkg\n";

/* "value=…", what _fusepkg_value() takes. */
static int add_value(struct buf *ret, const char *variable, enum value_kind kind, const char *words)
{
        static const char *const kinds[] = { [VALUE_OTHER] = "none", [VALUE_FOLDER] = "folder", [VALUE_FILE] = "file" };
        int r;

        if (kind != VALUE_WORDS)
                return buf_printf(ret, "%s=%s", variable, kinds[kind]);
        r = buf_printf(ret, "%s='", variable);
        if (r == 0)
                r = generate_words(ret, words);
        return r < 0 ? r : buf_add_char(ret, '\'');
}

static int add_names(struct buf *ret, const struct option_spec *options)
{
        int r = 0;

        for (; r == 0 && options && options->name; options++)
                r = options->letter ? buf_printf(ret, "%s -%c ", options->name, options->letter)
                                    : buf_printf(ret, "%s ", options->name);
        return r;
}

static int add_values(struct buf *ret, const struct option_spec *options)
{
        int r = 0;

        for (; r == 0 && options && options->name; options++) {
                if (!options->argument)
                        continue;
                r = buf_printf(ret, "                %s", options->name);
                if (r == 0 && options->letter)
                        r = buf_printf(ret, "|-%c", options->letter);
                if (r == 0)
                        r = buf_add_str(ret, ") ");
                if (r == 0)
                        r = add_value(ret, "value", generate_option_kind(options), options->argument);
                if (r == 0)
                        r = buf_add_str(ret, " ;;\n");
        }
        return r;
}

static int add_command(struct buf *ret, const struct command *c)
{
        enum value_kind kind = generate_argument_kind(c);
        int r = buf_add_str(ret, "        ");

        if (r == 0)
                r = generate_pattern(ret, c);
        if (r == 0)
                r = buf_add_str(ret, ")\n                options='");
        if (r == 0)
                r = add_names(ret, c->options);
        if (r == 0)
                r = add_names(ret, command_global_options);
        if (r == 0)
                r = buf_add_str(ret, "'\n");
        if (r == 0 && kind != VALUE_OTHER) {
                r = buf_add_str(ret, "                ");
                if (r == 0)
                        r = add_value(ret, "argument", kind, NULL);
                if (r == 0)
                        r = buf_add_char(ret, '\n');
        }
        if (r == 0)
                r = buf_add_str(ret, "                case $prev in\n");
        if (r == 0)
                r = add_values(ret, c->options);
        if (r == 0)
                r = add_values(ret, command_global_options);
        return r < 0 ? r : buf_add_str(ret, "                esac\n                ;;\n");
}

/* The first words of names; with GROUP the second words of that group's. */
static int add_command_names(struct buf *ret, const struct command *const *table, const struct command *group)
{
        size_t len = group ? generate_group_length(group) : 0;
        int r = 0;

        for (size_t i = 0; r == 0 && table[i]; i++) {
                const char *name = table[i]->name;
                size_t own = generate_group_length(table[i]);

                if (group && own == len && memcmp(name, group->name, len) == 0)
                        r = buf_printf(ret, "%s ", name + len + 1);
                else if (!group && own == 0)
                        r = buf_printf(ret, "%s ", name);
                else if (!group && generate_is_first_of_group(table, table[i]))
                        r = buf_printf(ret, "%.*s ", (int)own, name);
        }
        return r;
}

/* Of a group the command is the next word, too. */
static int add_groups(struct buf *ret, const struct command *const *table)
{
        int r = 0;

        for (size_t i = 0; r == 0 && table[i]; i++) {
                size_t len = generate_group_length(table[i]);

                if (len > 0 && generate_is_first_of_group(table, table[i]))
                        r = buf_printf(ret, "                        %.*s) group=\"$command \" found=0 ;;\n", (int)len,
                                       table[i]->name);
        }
        return r < 0 ? r : buf_add_str(ret, "                        esac\n                        ;;\n"
                                            "                esac\n        done\n\n        case $command in\n");
}

static int add_incomplete(struct buf *ret, const struct command *const *table)
{
        int r = buf_add_str(ret, "        ''|help)\n                options='--version -V ");

        if (r == 0)
                r = add_names(ret, command_global_options);
        if (r == 0)
                r = buf_add_str(ret, "'\n                argument='help ");
        if (r == 0)
                r = add_command_names(ret, table, NULL);
        if (r == 0)
                r = buf_add_str(ret, "'\n                case $prev in\n");
        if (r == 0)
                r = add_values(ret, command_global_options);
        if (r == 0)
                r = buf_add_str(ret, "                esac\n                ;;\n");
        for (size_t i = 0; r == 0 && table[i]; i++) {
                size_t len = generate_group_length(table[i]);

                if (len == 0 || !generate_is_first_of_group(table, table[i]))
                        continue;
                r = buf_printf(ret, "        %.*s)\n                options=--help\n                argument='",
                               (int)len, table[i]->name);
                if (r == 0)
                        r = add_command_names(ret, table, table[i]);
                if (r == 0)
                        r = buf_add_str(ret, "'\n                ;;\n");
        }
        return r;
}

int generate_bash(const struct command *const *table, struct buf *ret)
{
        int r = buf_add_str(ret, head);

        if (r == 0)
                r = add_groups(ret, table);
        if (r == 0)
                r = add_incomplete(ret, table);
        for (size_t i = 0; r == 0 && table[i]; i++)
                r = add_command(ret, table[i]);
        return r < 0 ? r : buf_add_str(ret, tail);
}
