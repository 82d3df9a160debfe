/* tree_hash.h: the canonical tree, and the SHA-256 over it that names an image.
 *
 * The bytes that are hashed: "fusepkg tree 1\n", then for each file, in the order of the bytes of their paths: the
 * path, a NUL, 'x' or '-' (executable or not), the size (64 bits, little-endian), the SHA-256 of the content.
 * Directories are implied: an image has no empty ones.  RECORD is not a file of the tree. */
#ifndef FUSEPKG_TREE_HASH_H
#define FUSEPKG_TREE_HASH_H

#include "store/base.h"

struct tree_file {
        const char *path; /* from the image's root */
        bool executable;
        uint64_t size;
        const uint8_t *sha256;
};

/* Sorts FILES and hashes them.  -EEXIST: two of one path. */
int tree_hash(struct tree_file *files, size_t n, uint8_t ret_id[SHA256_SIZE]);

#endif
