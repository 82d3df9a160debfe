/* gc_private.h: what gc.c (taking stock) and gc_sweep.c (removing) share. */
#ifndef FUSEPKG_GC_PRIVATE_H
#define FUSEPKG_GC_PRIVATE_H

#include "store/gc.h"

struct gc_object {
        uint8_t id[SHA256_SIZE];
        uint64_t bytes;   /* on disk */
        size_t referrers; /* images */
        bool needed;
};

struct gc {
        struct gc_image *images;
        size_t image_count;
        size_t image_cap;
        bool by_id;                 /* how the images are sorted; else by name */
        struct gc_object *objects;  /* by id */
        size_t object_count;
        size_t object_cap;
        bool keep_objects;          /* a needed image does not tell which ones it needs */
};

#endif
