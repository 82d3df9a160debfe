/* Images that are held by whoever cannot have a lease: see store.h. */
#include "store/store.h"

#include "store/files.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

bool store_is_read_only(const struct store *s)
{
        return faccessat(s->root_fd, ".", W_OK, AT_EACCESS) < 0;
}

int store_hold_open(const struct store *s)
{
        return file_open_beneath(s->root_fd, "images", O_RDONLY | O_DIRECTORY, 0);
}

bool store_hold_is_of(const struct store *s, int hold_fd)
{
        struct stat held, images;

        return fstat(hold_fd, &held) == 0 && fstat(s->images_fd, &images) == 0 && held.st_dev == images.st_dev &&
               held.st_ino == images.st_ino;
}

static struct flock byte_of(const uint8_t id[SHA256_SIZE], short type)
{
        struct le64 first;

        memcpy(&first, id, sizeof first);
        return (struct flock){
                .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)(le64_get(first) >> 1), .l_len = 1,
        };
}

int store_hold_image(int hold_fd, const uint8_t id[SHA256_SIZE])
{
        struct flock byte = byte_of(id, F_RDLCK);

        return fcntl(hold_fd, F_OFD_SETLK, &byte) < 0 ? -errno : 0;
}

bool store_is_held(const struct store *s, const uint8_t id[SHA256_SIZE])
{
        struct flock byte = byte_of(id, F_WRLCK);

        return fcntl(s->images_fd, F_OFD_GETLK, &byte) < 0 || byte.l_type != F_UNLCK;
}
