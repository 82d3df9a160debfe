/* container_hints.h: in a container: what its command line, or its pod, lacks for mounting. */
#ifndef FUSEPKG_CONTAINER_HINTS_H
#define FUSEPKG_CONTAINER_HINTS_H

#include "store/buf.h"

enum container_kind {
        CONTAINER_NONE,
        CONTAINER_DOCKER,
        CONTAINER_PODMAN,
        CONTAINER_KUBERNETES,
        CONTAINER_OTHER,
};

struct container_facts {
        enum container_kind kind;
        bool device;   /* /dev/fuse can be opened */
        bool may_mount;/* CAP_SYS_ADMIN, our own or (for fusermount3) one that a program can get */
};

/* Looks; VENV is for the words about the way out. */
void container_look(struct container_facts *ret);
/* Appends lines, each a hint, ended by '\n'; none outside of containers. */
int container_hints(const struct container_facts *f, const char *venv, struct buf *ret);

#endif
