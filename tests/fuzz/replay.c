/* replay.c: the main program of a fuzz driver without libFuzzer: `replay_x DAMAGE FOLDER`.
 *
 * Gives the driver every file of FOLDER, and DAMAGE damaged copies of each: the same ones at every run, so that a
 * failure can be repeated.  The name of the input is printed when the driver dies. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char current[4200]; /* what is being run; for the signal handler, so no other place will do */

static void say_where(int signal_number)
{
        ssize_t ignored = write(STDERR_FILENO, current, strlen(current));

        (void)ignored;
        signal(signal_number, SIG_DFL);
        raise(signal_number);
}

/* xorshift64: the same numbers everywhere. */
static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* A copy of exactly LEN bytes, so that a sanitizer sees the first one beyond. */
static void run(const uint8_t *data, size_t len)
{
        uint8_t *copy = malloc(len ? len : 1);

        FUZZ_CHECK(copy);
        if (len > 0)
                memcpy(copy, data, len);
        LLVMFuzzerTestOneInput(copy, len);
        free(copy);
}

/* One to four changes: a byte set or flipped, a number put in, a piece cut out or doubled, the end cut off. */
static size_t damage(uint8_t *data, size_t len, uint64_t *state)
{
        static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff, '\n', '"', ',', '/', '.' };

        for (uint64_t n = 1 + next_random(state) % 4; n > 0 && len > 0; n--) {
                size_t at = next_random(state) % len;
                size_t piece = 1 + next_random(state) % 8;

                if (piece > len - at)
                        piece = len - at;
                switch (next_random(state) % 6) {
                case 0:
                        data[at] ^= (uint8_t)(1u << next_random(state) % 8);
                        break;
                case 1:
                        data[at] = values[next_random(state) % sizeof values];
                        break;
                case 2:
                        memset(data + at, values[next_random(state) % 5], piece);
                        break;
                case 3:
                        memmove(data + at, data + at + piece, len - at - piece);
                        len -= piece;
                        break;
                case 4:
                        memmove(data + at, data + next_random(state) % (len - piece + 1), piece);
                        break;
                default:
                        if (next_random(state) % 8 == 0)
                                len = at;
                        else
                                data[at] = (uint8_t)(data[at] + 1);
                }
        }
        return len;
}

static bool replay(const char *path, unsigned long copies)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        uint8_t *data = NULL;
        uint8_t *copy = NULL;
        bool read_all = false;

        if (fd >= 0 && fstat(fd, &st) == 0) {
                size_t len = (size_t)st.st_size;

                data = malloc(len + 1);
                copy = malloc(len + 1);
                read_all = data && copy && read(fd, data, len + 1) == (ssize_t)len;
                if (read_all) {
                        snprintf(current, sizeof current, "input: %s\n", path);
                        run(data, len);
                }
                for (unsigned long i = 1; read_all && i <= copies; i++) {
                        uint64_t state = i * 0x9e3779b97f4a7c15u + len;

                        snprintf(current, sizeof current, "input: %s, damaged copy %lu\n", path, i);
                        memcpy(copy, data, len);
                        run(copy, damage(copy, len, &state));
                }
        }
        if (!read_all)
                fprintf(stderr, "cannot read %s\n", path);
        free(copy);
        free(data);
        if (fd >= 0)
                close(fd);
        return read_all;
}

int main(int argc, char **argv)
{
        size_t count = 0;
        bool failed = false;
        DIR *dir = argc == 3 ? opendir(argv[2]) : NULL;

        if (!dir) {
                fprintf(stderr, "usage: %s DAMAGE FOLDER\n", argv[0]);
                return 2;
        }
        signal(SIGABRT, say_where);
        signal(SIGSEGV, say_where);
        for (const struct dirent *d; (d = readdir(dir));) {
                char path[4096];

                if (d->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof path, "%s/%s", argv[2], d->d_name);
                failed |= !replay(path, strtoul(argv[1], NULL, 10));
                count++;
        }
        closedir(dir);
        if (count == 0)
                fprintf(stderr, "%s has no inputs\n", argv[2]);
        return failed || count == 0;
}
