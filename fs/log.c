#include "fs/log.h"
#include "fs/control.h"
#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

static void reopen(struct log *l)
{
        struct stat st;

        if (l->fd >= 0)
                close(l->fd);
        if (fstatat(l->state_fd, CONTROL_LOG_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > LOG_MAX)
                renameat(l->state_fd, CONTROL_LOG_FILE, l->state_fd, CONTROL_LOG_FILE ".1");
        l->fd = file_open_own(l->state_fd, CONTROL_LOG_FILE, O_WRONLY | O_CREAT | O_APPEND, 0644);
}

void log_open(struct log *l, int state_fd, bool to_stderr)
{
        *l = (struct log){ .state_fd = state_fd, .fd = -1, .to_stderr = to_stderr };
        pthread_mutex_init(&l->lock, NULL);
        reopen(l);
}

void log_line(struct log *l, const char *format, ...)
{
        char text[sizeof(l->last)], line[sizeof(text) + 64];
        struct timespec now;
        struct tm tm;
        va_list args;
        int n;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);

        pthread_mutex_lock(&l->lock);
        if (strcmp(text, l->last) != 0) {
                memcpy(l->last, text, sizeof(text));
                clock_gettime(CLOCK_REALTIME, &now);
                gmtime_r(&now.tv_sec, &tm);
                n = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02dZ [%d] %s\n", tm.tm_year + 1900,
                             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)getpid(), text);
                if (n > 0 && l->fd >= 0 && lseek(l->fd, 0, SEEK_END) > LOG_MAX)
                        reopen(l);
                if (n > 0 && l->fd >= 0)
                        file_write_full(l->fd, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
                if (l->to_stderr)
                        fprintf(stderr, "fusepkg-mount: %s\n", text);
        }
        pthread_mutex_unlock(&l->lock);
}
