#include "fs/mount_write.h"
#include "fs/tree_plain.h"
#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static bool is_ours(int fd)
{
        DIR *dir = dir_stream(fd, ".");
        const struct dirent *d;
        struct stat st;
        bool empty = dir && fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0777) == 0700;

        while (dir && empty && (d = readdir(dir)))
                empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
        if (dir)
                closedir(dir);
        return empty;
}

int mount_write(struct server *s, const char *dir, struct errtext *err)
{
        cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct tree_plain written = { 0 };
        int r;

        if (fd < 0)
                return errtext_set(err, -errno, "cannot open '%s': %s", dir, errno_name(-errno, (char[128]){ 0 }));
        if (!is_ours(fd))
                return errtext_set(err, -EPERM, "'%s' is not an empty folder of your own with mode 0700", dir);
        r = tree_plain_write(s->tree, s->store, s->pool, fd, &written, err);
        edits_close(s->edits);
        s->edits = NULL;
        if (r == 0)
                printf("written %llu %llu\n", (unsigned long long)written.files, (unsigned long long)written.bytes);
        return fflush(stdout) == 0 ? r : errtext_set(err, -EIO, "cannot write to stdout");
}
