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
        bool device;   /* there is a /dev/fuse that the container's own limits do not refuse */
        bool may_mount;/* CAP_SYS_ADMIN, our own or (for fusermount3) one that a program can get */
};

void container_look(struct container_facts *ret);
/* Appends a line, ended by '\n', for each thing that the container lacks; none outside of containers. */
int container_lacks(const struct container_facts *f, struct buf *ret);
/* The same for what to try when it lacks nothing, and nothing else explains the failure. */
int container_advice(const struct container_facts *f, struct buf *ret);
/* The same: what can be done without a mount. */
int container_ways_out(const struct container_facts *f, const char *venv, struct buf *ret);

#endif
