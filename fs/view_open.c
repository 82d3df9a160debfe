#include "fs/view_private.h"
#include "store/files.h"

#include <fcntl.h>

int view_open(const struct view *v, uint64_t id)
{
        const struct view_slot *s;
        struct image_entry e;
        const char *path;

        if (view_entry(v, id, &s, &e) == 0) {
                if (e.type != IMAGE_OBJECT)
                        return -ENOENT;
                return store_open_object(image_pool_store(v->pool), image_object(s->image, e.object).id);
        }
        path = v->base && view_is_base(id) ? base_path(v->base, id) : NULL;
        return path ? file_open_beneath(base_fd(v->base), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0) : -ENOENT;
}
