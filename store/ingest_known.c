/* ingest_known.c: is a wheel in the store already? */
#include "store/ingest_internal.h"

#include "store/verify.h"
#include "store/version.h"
#include "store/wheel_name.h"

#include <fcntl.h>
#include <sys/stat.h>

bool ingest_known_whole(const struct store *s, const struct image *img)
{
        for (uint32_t i = 0; i < image_objects(img); i++) {
                struct image_object o = image_object(img, i);
                char name[80];
                struct stat st;

                store_object_name(o.id, name);
                if (fstatat(s->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
                    (uint64_t)st.st_size != o.size)
                        return false;
        }
        return true;
}

/* The key says what is in a wheel, not what it is called. */
static bool is_named(const char *base, const struct image_meta *meta)
{
        struct wheel_name name;
        bool same;

        if (wheel_name_parse(base, &name, NULL) < 0)
                return false;
        same = name_equal(name.distribution, meta->name) && version_equal_public(name.version, meta->version);
        wheel_name_release(&name);
        return same;
}

/* What an earlier boot wrote was not synced, and may not have reached the disk: it is verified when it is first
 * wanted. */
static int check_settled(struct ingest *g, const uint8_t id[SHA256_SIZE])
{
        int sound = g->options->verify ? verify_image(g->store, id) : 0;
        int r;

        if (sound < 0 && sound != -EBADMSG)
                return sound;
        pthread_mutex_lock(&g->index_lock);
        r = sound == 0 ? index_is_settled(g->index, id) : 0;
        if (r == 0)
                r = verify_unsettled(g->store, g->index, id);
        pthread_mutex_unlock(&g->index_lock);
        return r == -EBADMSG ? -ENOENT : r < 0 ? r : 0;
}

/* -ENOENT also for an image that is damaged, so that it is made again. */
static int check_image(struct ingest *g, const struct ingest_job *j, const uint8_t id[SHA256_SIZE])
{
        struct image *img = NULL;
        cleanup_close int fd = store_open_image_file(g->store, id);
        bool usable;
        int r = fd < 0 ? fd : image_open(fd, &img, NULL);

        if (r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EACCES)
                return r;
        usable = r == 0 && memcmp(image_id(img), id, SHA256_SIZE) == 0 && ingest_known_whole(g->store, img);
        if (usable)
                r = is_named(j->base, image_meta(img)) ? 0 : -ENOENT;
        image_close(img);
        if (usable)
                return r < 0 ? r : check_settled(g, id);
        pthread_mutex_lock(&g->index_lock);
        r = index_forget_image(g->index, id);
        pthread_mutex_unlock(&g->index_lock);
        return r < 0 && r != -ENOENT && r != -EROFS ? r : -ENOENT;
}

static int found(struct ingest *g, struct ingest_job *j, int r, const uint8_t image[SHA256_SIZE],
                 const uint8_t archive[SHA256_SIZE], struct errtext *err)
{
        if (r == 0)
                r = check_image(g, j, image);
        if (r < 0)
                return r == -ENOENT ? r : ingest_store_error(g, r, "cannot look into the store", err);
        memcpy(j->wheel->image, image, SHA256_SIZE);
        memcpy(j->wheel->archive, archive, SHA256_SIZE);
        return 0;
}

int ingest_known_key(struct ingest *g, struct ingest_job *j, const uint8_t key[SHA256_SIZE], struct errtext *err)
{
        uint8_t image[SHA256_SIZE];
        uint8_t archive[SHA256_SIZE];
        int r;

        pthread_mutex_lock(&g->index_lock);
        r = index_find_key(g->index, key, image, archive);
        pthread_mutex_unlock(&g->index_lock);
        return found(g, j, r, image, archive, err);
}

int ingest_known_archive(struct ingest *g, struct ingest_job *j, const uint8_t sha256[SHA256_SIZE],
                         struct errtext *err)
{
        uint8_t image[SHA256_SIZE];
        int r;

        pthread_mutex_lock(&g->index_lock);
        r = index_find_archive(g->index, sha256, image);
        pthread_mutex_unlock(&g->index_lock);
        return found(g, j, r, image, sha256, err);
}
