/* generate.h: what is made from the table of commands when fusepkg is built: the man page, and what shells complete.
 *
 * Each function appends a whole file (generate_man: a part of one) to RET and returns 0 or -ENOMEM.  They read the
 * table and nothing else, so that a command or an option that is added there is everywhere. */
#ifndef FUSEPKG_GENERATE_H
#define FUSEPKG_GENERATE_H

#include "tools/command.h"

/* The section COMMANDS of fusepkg(1), in mdoc(7). */
int generate_man(const struct command *const *table, struct buf *ret);
int generate_bash(const struct command *const *table, struct buf *ret);
int generate_zsh(const struct command *const *table, struct buf *ret);
int generate_fish(const struct command *const *table, struct buf *ret);

/* --- what they share --- */

enum value_kind {
        VALUE_OTHER,  /* a number, a name: nothing to complete */
        VALUE_FOLDER,
        VALUE_FILE,
        VALUE_WORDS,  /* "a|b|c" */
};

/* Of an option's argument; VALUE_OTHER also for a flag (NULL). */
enum value_kind generate_option_kind(const struct option_spec *s);
/* Of a command's arguments, from its usage; VALUE_OTHER also when it takes none. */
enum value_kind generate_argument_kind(const struct command *c);

/* How long the first word of the name is: "store" of "store du"; 0 when the name is one word. */
size_t generate_group_length(const struct command *c);
/* Is C the first command of its group in TABLE? */
bool generate_is_first_of_group(const struct command *const *table, const struct command *c);

/* Appends TEXT, LEN bytes of it, with a backslash before each of its bytes that is in SPECIAL. */
int generate_escaped(struct buf *ret, const char *text, size_t len, const char *special);
/* Appends "a b c" of "a|b|c". */
int generate_words(struct buf *ret, const char *words);
/* Appends what the command is called, as a pattern: "'add'|install", "'store du'". */
int generate_pattern(struct buf *ret, const struct command *c);

#endif
