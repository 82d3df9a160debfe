/* generate.c: run when fusepkg is built.
 *
 *     fusepkg-generate man TEMPLATE OUTPUT       TEMPLATE, in which the line @COMMANDS@ is replaced
 *     fusepkg-generate bash|zsh|fish OUTPUT */
#include "tools/generate.h"

#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>

enum { TEMPLATE_MAX = 1 << 20 };

/* --- what the generators share --- */

static bool is_word(const char *text, size_t len, const char *word)
{
        return strlen(word) == len && memcmp(text, word, len) == 0;
}

enum value_kind generate_option_kind(const struct option_spec *s)
{
        if (!s->argument)
                return VALUE_OTHER;
        if (strchr(s->argument, '|'))
                return VALUE_WORDS;
        if (strcmp(s->argument, "DIR") == 0)
                return VALUE_FOLDER;
        return strcmp(s->argument, "FILE") == 0 || strcmp(s->argument, "PATH") == 0 ? VALUE_FILE : VALUE_OTHER;
}

enum value_kind generate_argument_kind(const struct command *c)
{
        static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

        for (const char *p = c->max_arguments > 0 ? c->usage : ""; *p;) {
                size_t len = strspn(p, capitals);

                if (is_word(p, len, "WHEEL") || is_word(p, len, "FILE") || is_word(p, len, "PATH"))
                        return VALUE_FILE;
                if (is_word(p, len, "DIR"))
                        return VALUE_FOLDER;
                p += len ? len : 1;
        }
        return VALUE_OTHER;
}

size_t generate_group_length(const struct command *c)
{
        const char *space = strchr(c->name, ' ');

        return space ? (size_t)(space - c->name) : 0;
}

bool generate_is_first_of_group(const struct command *const *table, const struct command *c)
{
        size_t len = generate_group_length(c);

        for (; *table != c; table++)
                if (generate_group_length(*table) == len && memcmp((*table)->name, c->name, len) == 0)
                        return false;
        return true;
}

int generate_escaped(struct buf *ret, const char *text, size_t len, const char *special)
{
        int r = 0;

        for (size_t i = 0; i < len && r == 0; i++) {
                if (strchr(special, text[i]))
                        r = buf_add_char(ret, '\\');
                if (r == 0)
                        r = buf_add_char(ret, text[i]);
        }
        return r;
}

int generate_words(struct buf *ret, const char *words)
{
        int r = 0;

        for (; *words && r == 0; words++)
                r = buf_add_char(ret, *words == '|' ? ' ' : *words);
        return r;
}

int generate_pattern(struct buf *ret, const struct command *c)
{
        int r = buf_printf(ret, "'%s'", c->name);

        for (const char *p = c->aliases; r == 0 && p && *p;) {
                size_t len = strcspn(p, " ");

                r = buf_printf(ret, "|%.*s", (int)len, p);
                p += len + strspn(p + len, " ");
        }
        return r;
}

/* --- the program --- */

static int fill_template(const char *path, struct buf *ret)
{
        static const char mark[] = "@COMMANDS@\n";
        cleanup_buf struct buf text = { 0 };
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        int r = fd < 0 ? -errno : file_read_all(fd, TEMPLATE_MAX, &text);
        const char *at = text.data ? strstr(text.data, mark) : NULL;

        if (r < 0 || !at)
                return r < 0 ? r : -EINVAL;
        r = buf_add(ret, text.data, (size_t)(at - text.data));
        if (r == 0)
                r = generate_man(command_table, ret);
        return r < 0 ? r : buf_add_str(ret, at + strlen(mark));
}

static int generate(const char *what, const char *from, struct buf *ret)
{
        if (strcmp(what, "man") == 0)
                return fill_template(from, ret);
        if (strcmp(what, "bash") == 0)
                return generate_bash(command_table, ret);
        if (strcmp(what, "zsh") == 0)
                return generate_zsh(command_table, ret);
        return strcmp(what, "fish") == 0 ? generate_fish(command_table, ret) : -EINVAL;
}

int main(int argc, char **argv)
{
        cleanup_buf struct buf text = { 0 };
        const char *output = argv[argc - 1];
        FILE *file;
        int r;

        if (argc < 3 || argc != (strcmp(argv[1], "man") == 0 ? 4 : 3)) {
                fprintf(stderr, "usage: fusepkg-generate man TEMPLATE OUTPUT\n"
                                "       fusepkg-generate bash|zsh|fish OUTPUT\n");
                return EXIT_USAGE;
        }
        r = generate(argv[1], argv[2], &text);
        if (r < 0) {
                fprintf(stderr, "fusepkg-generate: cannot make %s: %s\n", output, strerror(-r));
                return EXIT_UNMET;
        }
        file = fopen(output, "we");
        if (!file || fwrite(text.data, 1, text.len, file) != text.len || fclose(file) != 0) {
                fprintf(stderr, "fusepkg-generate: cannot write %s: %s\n", output, strerror(errno));
                return EXIT_UNMET;
        }
        return EXIT_DONE;
}
