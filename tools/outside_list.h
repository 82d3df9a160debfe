/* outside_list.h: `.fusepkg/outside`: what fusepkg has put into the venv outside of site-packages.
 *
 *     fusepkg outside 1
 *     generation <n>                     of the environment that it was made for; 0: to be applied again
 *     slot <number>                      and the scripts that this slot has, whether they won or not:
 *     script <sha256> <size> <name>
 *     link <path>                        symlinks, relative to the venv
 *     dir <path>                         folders that we made
 *     bare <dist-info>                   its scripts are moved away
 *
 * Words are percent-encoded (buf.h).  A file that is missing or broken is taken for an empty list: then only what has
 * the bytes that it should have is taken for ours. */
#ifndef FUSEPKG_OUTSIDE_LIST_H
#define FUSEPKG_OUTSIDE_LIST_H

#include "store/buf.h"

#define OUTSIDE_FILE "outside"

struct outside_claim {
        uint32_t slot;
        char *name;
        uint64_t size;
        uint8_t sha256[SHA256_SIZE];
};

struct outside_paths {
        char **paths;
        size_t count;
};

struct outside_list {
        uint64_t generation;
        uint32_t *slots;
        size_t slot_count;
        struct outside_claim *claims; /* by slot */
        size_t claim_count;
        struct outside_paths links;
        struct outside_paths dirs;
        struct outside_paths bare;
};

int outside_list_load(int state_fd, struct outside_list *ret);
int outside_list_save(int state_fd, const struct outside_list *l);
void outside_list_release(struct outside_list *l);

/* Parsing and its reverse, for tests.  -EBADMSG: not a list. */
int outside_list_parse(const char *text, size_t len, struct outside_list *ret);
int outside_list_format(const struct outside_list *l, struct buf *ret);

bool outside_list_has_slot(const struct outside_list *l, uint32_t slot);
/* All copy what they are given; outside_paths_add keeps one of each. */
int outside_list_add_slot(struct outside_list *l, uint32_t slot);
int outside_list_add_claim(struct outside_list *l, uint32_t slot, const char *name, uint64_t size,
                           const uint8_t sha256[SHA256_SIZE]);
int outside_paths_add(struct outside_paths *p, const char *path);
void outside_paths_release(struct outside_paths *p);
bool outside_paths_have(const struct outside_paths *p, const char *path);

static inline void cleanup_outside_list_(struct outside_list *l)
{
        outside_list_release(l);
}
#define cleanup_outside_list __attribute__((cleanup(cleanup_outside_list_)))

#endif
