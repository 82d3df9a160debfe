#include "tools/generate.h"

/* Lines of running text: new ones begin behind a sentence, as mdoc(7) wants it, and before they become too long. */
enum { LINE_BYTES = 76 };

struct text {
        struct buf *ret;
        size_t column;
        bool literal;  /* between two backquotes */
};

static int add_byte(struct buf *ret, char c)
{
        switch (c) {
        case '\\':
                return buf_add_str(ret, "\\e");
        case '-':
                return buf_add_str(ret, "\\-");
        default:
                return buf_add_char(ret, c);
        }
}

/* A word on a line of a macro: never a macro itself, and no punctuation that mdoc would move. */
static int add_argument(struct buf *ret, const char *word, size_t len)
{
        int r = buf_add_str(ret, " \\&");

        for (size_t i = 0; i < len && r == 0; i++)
                r = add_byte(ret, word[i]);
        return r;
}

static int add_arguments(struct buf *ret, const char *words)
{
        int r = 0;

        while (*words && r == 0) {
                size_t len = strcspn(words, " ");

                r = add_argument(ret, words, len);
                words += len + strspn(words + len, " ");
        }
        return r;
}

/* With what add_word() makes of it, and mandoc of what is not ASCII: of three bytes \[u2026]. */
static size_t count_bytes(const char *word, size_t len)
{
        size_t n = len;

        for (size_t i = 0; i < len; i++) {
                if (word[i] == '`' || (unsigned char)word[i] >= 0x80)
                        n += 2;
                else
                        n += word[i] == '-' || word[i] == '\\';
        }
        return n;
}

/* What stands in `backquotes` is set in bold. */
static int add_word(struct text *t, const char *word, size_t len)
{
        size_t bytes = count_bytes(word, len);
        int r = 0;

        if (t->column > 0 && t->column + bytes >= LINE_BYTES) {
                r = buf_add_char(t->ret, '\n');
                t->column = 0;
        }
        if (r == 0 && t->column > 0)
                r = buf_add_char(t->ret, ' ');
        else if (r == 0 && (*word == '.' || *word == '\''))
                r = buf_add_str(t->ret, "\\&");
        for (size_t i = 0; i < len && r == 0; i++) {
                if (word[i] != '`') {
                        r = add_byte(t->ret, word[i]);
                        continue;
                }
                r = buf_add_str(t->ret, t->literal ? "\\fP" : "\\fB");
                t->literal = !t->literal;
        }
        t->column += bytes + 1;
        return r;
}

static int end_line(struct text *t)
{
        int r = t->column > 0 ? buf_add_char(t->ret, '\n') : 0;

        t->column = 0;
        return r;
}

/* Paragraphs of TEXT, an empty line between them. */
static int add_text(struct buf *ret, const char *text)
{
        struct text t = { .ret = ret };
        int r = 0;

        while (*text && r == 0) {
                size_t len = strcspn(text, " \n"), gap;

                r = add_word(&t, text, len);
                text += len;
                gap = strspn(text, " \n");
                if (r == 0 && len > 0 && strchr(".?!", text[-1]))
                        r = end_line(&t);
                if (r == 0 && gap > 1 && text[0] == '\n' && text[1] == '\n') {
                        r = end_line(&t);
                        if (r == 0)
                                r = buf_add_str(ret, ".Pp\n");
                }
                text += gap;
        }
        return r < 0 ? r : end_line(&t);
}

static int add_option(struct buf *ret, const struct option_spec *s)
{
        int r = buf_add_str(ret, ".It");

        if (r == 0 && s->letter)
                r = buf_printf(ret, " Fl %c ,", s->letter);
        if (r == 0)
                r = buf_printf(ret, " Fl \\-%s", s->name + 2);
        if (r == 0 && s->argument) {
                r = buf_add_str(ret, " Ar");
                if (r == 0)
                        r = add_argument(ret, s->argument, strlen(s->argument));
        }
        if (r == 0)
                r = buf_add_char(ret, '\n');
        return r < 0 ? r : add_text(ret, s->help);
}

static int add_options(struct buf *ret, const struct option_spec *options)
{
        int r;

        if (!options || !options->name)
                return 0;
        r = buf_add_str(ret, ".Pp\n.Bl -tag -width Ds -compact\n");
        for (; r == 0 && options->name; options++)
                r = add_option(ret, options);
        return r < 0 ? r : buf_add_str(ret, ".El\n");
}

static int add_summary(struct buf *ret, const char *summary)
{
        cleanup_buf struct buf sentence = { 0 };
        int r = buf_printf(&sentence, "%s.", summary);

        return r < 0 ? r : add_text(ret, sentence.data);
}

static int add_command(struct buf *ret, const struct command *c)
{
        int r = buf_add_str(ret, ".It Cm");

        if (r == 0)
                r = add_arguments(ret, c->name);
        if (r == 0 && c->usage[0])
                r = buf_add_str(ret, " No");
        if (r == 0)
                r = add_arguments(ret, c->usage);
        if (r == 0)
                r = buf_add_char(ret, '\n');
        if (r == 0)
                r = add_summary(ret, c->summary);
        if (r == 0 && c->aliases) {
                r = buf_add_str(ret, "Also:\n.Cm");
                if (r == 0)
                        r = add_arguments(ret, c->aliases);
                if (r == 0)
                        r = buf_add_str(ret, " .\n");
        }
        if (r == 0 && c->help) {
                r = buf_add_str(ret, ".Pp\n");
                if (r == 0)
                        r = add_text(ret, c->help);
        }
        return r < 0 ? r : add_options(ret, c->options);
}

int generate_man(const struct command *const *table, struct buf *ret)
{
        int r = buf_add_str(ret, ".Sh COMMANDS\nAll commands take these options, which may also stand in front of "
                                 "them:\n");

        if (r == 0)
                r = add_options(ret, command_global_options);
        if (r == 0)
                r = buf_add_str(ret, ".Pp\nThe commands are:\n.Bl -tag -width Ds\n");
        for (; r == 0 && *table; table++)
                r = add_command(ret, *table);
        return r < 0 ? r : buf_add_str(ret, ".El\n");
}
