/* command.h: the table of commands, from which help, usage and argument counts come.
 *
 * Exit statuses, stable: 0 done; 1 the request cannot be met; 2 usage, or an internal error.  stdout is the result,
 * stderr everything else.  A command prints its error once: "error: <sentence>", and hints as "hint: <sentence>".
 *
 * Options: --name VALUE, --name=VALUE, -x VALUE, -xVALUE, flags of one letter combined (-qv), and "--", after which
 * everything is an argument.  Options and arguments may be mixed.  Every command also takes command_global_options,
 * which may stand in front of the command's name as well.
 *
 * Words in capitals, in `usage` and in `argument`, tell shells what to complete: DIR a folder; FILE, PATH and WHEEL a
 * file; "a|b|c" one of these; of anything else they know nothing. */
#ifndef FUSEPKG_COMMAND_H
#define FUSEPKG_COMMAND_H

#include "store/base.h"
#include "store/buf.h"

enum {
        EXIT_DONE = 0,
        EXIT_UNMET = 1,
        EXIT_USAGE = 2,
};

struct option_spec {
        const char *name;     /* "--venv" */
        char letter;          /* 'p' or 0 */
        const char *argument; /* "DIR", "auto|always|never", NULL for a flag */
        const char *help;     /* one line */
};

/* What every command takes besides its own; ends with a NULL name. */
extern const struct option_spec command_global_options[];

struct options; /* the parsed command line of one command */
const char *option_value(const struct options *o, const char *name);          /* the last one; NULL when absent */
size_t option_count(const struct options *o, const char *name);               /* how often it was given */
const char *option_value_at(const struct options *o, const char *name, size_t i);
size_t argument_count(const struct options *o);
const char *argument_at(const struct options *o, size_t i);

struct command {
        const char *name;    /* "add", or "store verify" for a command of a group */
        const char *aliases; /* "install", space-separated, or NULL */
        const char *usage;   /* "[OPTIONS] WHEEL|NAME[==VERSION]..." */
        const char *summary; /* one line */
        const char *help;    /* paragraphs, or NULL */
        const struct option_spec *options; /* ends with a NULL name; every command also takes -q, -v, --help, --color */
        size_t min_arguments;
        size_t max_arguments;  /* SIZE_MAX: any number */
        int (*run)(const struct options *o);
};

extern const struct command command_add, command_remove, command_list, command_show, command_freeze, command_status,
        command_mount, command_umount, command_upgrade_mounts, command_doctor, command_export, command_eject,
        command_store_path, command_store_du, command_store_verify, command_store_gc, command_debug_requests,
        command_diff, command_revert, command_verify;

/* All of them, in the order of `fusepkg help`, and a NULL.  Help, the man page and the shells' completions come from
 * it. */
extern const struct command *const command_table[];

/* Runs `fusepkg ARGV…` with a NULL-terminated table: finds the command, answers help and version, parses, sets the ui
 * up, runs.  Returns the exit status. */
int command_main(const struct command *const *table, int argc, char *const *argv);

/* The parts of it, for tests. */

/* The command that WORDS (N of them) begin with; RET_USED is how many words its name took.  NULL: there is none. */
const struct command *command_find(const struct command *const *table, const char *const *words, size_t n,
                                   size_t *ret_used);
/* Parses the words after the command's name, which must outlive RET.  -EINVAL with a sentence: a wrong option, value
 * or number of arguments (not counted when --help is among the words). */
int command_parse(const struct command *c, const char *const *words, size_t n, struct options **ret,
                  struct errtext *err);
void options_free(struct options *o); /* NULL is fine */

/* Appends what `fusepkg help` and `fusepkg COMMAND --help` print. */
int command_overview(const struct command *const *table, struct buf *ret);
int command_help(const struct command *c, struct buf *ret);

#endif
