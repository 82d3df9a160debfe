/* lookups: times stat, a name that does not exist, and open+read+close, over the same files in two folders, in
 * interleaved pairs.  Prints for each kind and run one line: kind, ns per file in the first, in the second.
 *
 *     lookups RUNS FOLDER FOLDER <LIST      (LIST: relative paths, one a line) */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MAX = 200000, READ_SIZE = 1 << 20 };

static char read_buffer[READ_SIZE];

static uint64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *path)
{
        fprintf(stderr, "lookups: %s: %s\n", path, strerror(errno));
        exit(1);
}

static void do_stat(const char *path)
{
        struct stat st;

        if (stat(path, &st) != 0)
                die(path);
}

static void do_absent(const char *path)
{
        struct stat st;

        if (stat(path, &st) == 0 || errno != ENOENT)
                die(path);
}

static void do_read(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                die(path);
        while ((n = read(fd, read_buffer, sizeof(read_buffer))) > 0)
                ;
        if (n < 0)
                die(path);
        close(fd);
}

static uint64_t pass(void (*action)(const char *path), char **paths, size_t count)
{
        uint64_t begin = now_ns();

        for (size_t i = 0; i < count; i++)
                action(paths[i]);
        return (now_ns() - begin) / count;
}

static char *join(const char *folder, const char *path, const char *suffix)
{
        char *s = NULL;

        if (asprintf(&s, "%s/%s%s", folder, path, suffix) < 0)
                exit(1);
        return s;
}

static void measure(const char *kind, void (*action)(const char *path), char **paths[2], size_t count, int runs)
{
        for (int warm = 0; warm < 3; warm++)
                for (int side = 0; side < 2; side++)
                        pass(action, paths[side], count);
        for (int run = 0; run < runs; run++) {
                uint64_t ns[2];
                int first = run & 1;

                ns[first] = pass(action, paths[first], count);
                ns[!first] = pass(action, paths[!first], count);
                printf("%s %llu %llu\n", kind, (unsigned long long)ns[0], (unsigned long long)ns[1]);
        }
}

int main(int argc, char **argv)
{
        static char *there[2][FILES_MAX], *absent[2][FILES_MAX];
        char **present_sides[2] = { there[0], there[1] }, **absent_sides[2] = { absent[0], absent[1] };
        char *line = NULL;
        size_t size = 0, count = 0;
        ssize_t len;

        if (argc != 4)
                return 2;
        while (count < FILES_MAX && (len = getline(&line, &size, stdin)) > 0) {
                line[strcspn(line, "\n")] = '\0';
                for (int side = 0; side < 2; side++) {
                        there[side][count] = join(argv[2 + side], line, "");
                        absent[side][count] = join(argv[2 + side], line, ".absent");
                }
                count++;
        }
        if (count == 0)
                return 2;
        measure("stat", do_stat, present_sides, count, atoi(argv[1]));
        measure("absent", do_absent, absent_sides, count, atoi(argv[1]));
        measure("read", do_read, present_sides, count, atoi(argv[1]));
        return 0;
}
