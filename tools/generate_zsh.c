#include "tools/generate.h"

static const char head[] =
        "#compdef fusepkg\n"
        "# zsh completion for fusepkg(1), made from its table of commands\n"
        "\n"
        "_fusepkg()\n"
        "{\n"
        "        local command\n"
        "        local -a commands\n"
        "        integer i=2\n"
        "\n"
        "        # Options may stand in front of the command.\n"
        "        while ((i < CURRENT)) && [[ $words[i] == -* ]]; do\n"
        "                [[ $words[i] == --color ]] && ((i++))\n"
        "                ((i++))\n"
        "        done\n"
        "        if ((i > CURRENT)); then\n"
        "                _values when auto always never\n"
        "                return\n"
        "        fi\n";

static const char tail[] =
        "        (*) _message 'no such command' ;;\n"
        "        esac\n"
        "}\n"
        "\n"
        "_fusepkg \"$@\"\n";

/* Inside of '…'. */
static int add_quoted(struct buf *ret, const char *text, const char *special)
{
        int r = 0;

        while (*text && r == 0) {
                size_t len = strcspn(text, "'");

                r = generate_escaped(ret, text, len, special);
                text += len;
                if (r == 0 && *text == '\'') {
                        r = buf_add_str(ret, "'\\''");
                        text++;
                }
        }
        return r;
}

/* ":DIR:_files -/" */
static int add_action(struct buf *ret, const char *name, enum value_kind kind)
{
        int r = buf_add_char(ret, ':');

        if (kind == VALUE_WORDS)
                r = r < 0 ? r : buf_add_str(ret, "value:(");
        else
                r = r < 0 ? r : buf_printf(ret, "%s:", name);
        if (r < 0)
                return r;
        switch (kind) {
        case VALUE_FOLDER:
                return buf_add_str(ret, "_files -/");
        case VALUE_FILE:
                return buf_add_str(ret, "_files");
        case VALUE_WORDS:
                if (r == 0)
                        r = generate_words(ret, name);
                return r < 0 ? r : buf_add_char(ret, ')');
        case VALUE_OTHER:
                break;
        }
        return buf_add_str(ret, "()"); /* only its name; a space would mean that no option may come here, either */
}

static int add_option(struct buf *ret, const struct option_spec *s)
{
        const char *glued = s->argument ? "=" : "";
        int r;

        if (s->letter)
                r = buf_printf(ret, " \\\n                        '*'{-%c%s,%s%s}'[", s->letter, s->argument ? "+" : "",
                               s->name, glued);
        else
                r = buf_printf(ret, " \\\n                        '*%s%s[", s->name, glued);
        if (r == 0)
                r = add_quoted(ret, s->help, "[]\\");
        if (r == 0)
                r = buf_add_char(ret, ']');
        if (r == 0 && s->argument)
                r = add_action(ret, s->argument, generate_option_kind(s));
        return r < 0 ? r : buf_add_char(ret, '\'');
}

static int add_options(struct buf *ret, const struct option_spec *options)
{
        int r = 0;

        for (; r == 0 && options && options->name; options++)
                r = add_option(ret, options);
        return r;
}

static int add_command(struct buf *ret, const struct command *c)
{
        int r = buf_add_str(ret, "        (");

        if (r == 0)
                r = generate_pattern(ret, c);
        if (r == 0)
                r = buf_add_str(ret, ")\n                _arguments -s -S");
        if (r == 0)
                r = add_options(ret, c->options);
        if (r == 0)
                r = add_options(ret, command_global_options);
        if (r == 0 && c->max_arguments > 0) {
                r = buf_add_str(ret, " \\\n                        '*");
                if (r == 0)
                        r = add_action(ret, "argument", generate_argument_kind(c));
                if (r == 0)
                        r = buf_add_char(ret, '\'');
        }
        return r < 0 ? r : buf_add_str(ret, "\n                ;;\n");
}

static int add_description(struct buf *ret, const char *name, size_t len, const char *summary)
{
        int r = buf_printf(ret, "                        '%.*s:", (int)len, name);

        if (r == 0)
                r = add_quoted(ret, summary, ":\\");
        return r < 0 ? r : buf_add_str(ret, "'\n");
}

/* The first words of all names, when there is none yet. */
static int add_first_words(struct buf *ret, const struct command *const *table)
{
        int r = buf_add_str(ret, "        if ((i == CURRENT)) && [[ $words[i] == -* ]]; then\n"
                                 "                _arguments -s -S '*'{-V,--version}'[print the version]'");

        if (r == 0)
                r = add_options(ret, command_global_options);
        if (r == 0)
                r = buf_add_str(ret, "\n                return\n        fi\n"
                                     "        ((i < CURRENT)) && [[ $words[i] == help ]] && ((i++))\n"
                                     "        if ((i == CURRENT)); then\n"
                                     "                commands=(\n"
                                     "                        'help:Show help, of a command or of all'\n");
        for (size_t i = 0; r == 0 && table[i]; i++) {
                size_t len = generate_group_length(table[i]);

                if (len == 0)
                        r = add_description(ret, table[i]->name, strlen(table[i]->name), table[i]->summary);
                else if (generate_is_first_of_group(table, table[i]))
                        r = buf_printf(ret, "                        '%.*s:More commands'\n", (int)len, table[i]->name);
        }
        return r < 0 ? r : buf_add_str(ret, "                )\n"
                                            "                _describe -t commands command commands\n"
                                            "                return\n        fi\n"
                                            "        command=$words[i]\n        commands=()\n"
                                            "        case $command in\n");
}

/* A group's second words; then I and COMMAND move on. */
static int add_groups(struct buf *ret, const struct command *const *table)
{
        int r = 0;

        for (size_t i = 0; r == 0 && table[i]; i++) {
                size_t len = generate_group_length(table[i]);

                if (len == 0 || !generate_is_first_of_group(table, table[i]))
                        continue;
                r = buf_printf(ret, "        (%.*s)\n                commands=(\n", (int)len, table[i]->name);
                for (size_t k = i; r == 0 && table[k]; k++)
                        if (generate_group_length(table[k]) == len &&
                            memcmp(table[k]->name, table[i]->name, len) == 0)
                                r = add_description(ret, table[k]->name + len + 1, strlen(table[k]->name) - len - 1,
                                                    table[k]->summary);
                if (r == 0)
                        r = buf_add_str(ret, "                )\n                ;;\n");
        }
        return r < 0 ? r : buf_add_str(ret, "        esac\n        if (($#commands)); then\n                ((i++))\n"
                                            "                if ((i == CURRENT)); then\n"
                                            "                        _describe -t commands command commands\n"
                                            "                        return\n                fi\n"
                                            "                command+=\" $words[i]\"\n        fi\n\n"
                                            "        # The rest is as if the command were a program.\n"
                                            "        shift $((i - 1)) words\n        ((CURRENT -= i - 1))\n"
                                            "        case $command in\n");
}

int generate_zsh(const struct command *const *table, struct buf *ret)
{
        int r = buf_add_str(ret, head);

        if (r == 0)
                r = add_first_words(ret, table);
        if (r == 0)
                r = add_groups(ret, table);
        for (size_t i = 0; r == 0 && table[i]; i++)
                r = add_command(ret, table[i]);
        return r < 0 ? r : buf_add_str(ret, tail);
}
