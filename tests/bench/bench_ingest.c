/* bench_ingest STORE WHEEL...: takes wheels into a store, and says how long that took and how much memory. */
#include "store/ingest.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

static double now_s(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const char *path, struct ingest_wheel *wheels, size_t n, struct errtext *err)
{
        struct ingest_options options = { 0 };
        struct store *s = NULL;
        struct index *x = NULL;
        int r = store_open(path, STORE_CREATE, &s, err);

        if (r == 0)
                r = index_open(s, &x, err);
        if (r == 0)
                r = ingest_wheels(s, x, wheels, n, &options, err);
        index_close(x);
        store_close(s);
        return r;
}

int main(int argc, char **argv)
{
        size_t n = argc < 3 ? 0 : (size_t)argc - 2;
        cleanup_free struct ingest_wheel *wheels = calloc(n + 1, sizeof(*wheels));
        struct errtext err = { "" };
        struct rusage usage;
        double start = now_s();
        size_t prepared = 0;
        int r;

        if (wheels == NULL || n == 0) {
                fprintf(stderr, "usage: bench_ingest STORE WHEEL...\n");
                return 2;
        }
        for (size_t i = 0; i < n; i++)
                wheels[i].path = argv[i + 2];
        r = run(argv[1], wheels, n, &err);
        getrusage(RUSAGE_SELF, &usage);
        for (size_t i = 0; i < n; i++) {
                prepared += wheels[i].prepared;
                if (wheels[i].result < 0)
                        fprintf(stderr, "%s\n", wheels[i].err.text);
                if (wheels[i].warnings.len > 0)
                        fputs(wheels[i].warnings.data, stderr);
                ingest_wheel_release(&wheels[i]);
        }
        if (r < 0)
                fprintf(stderr, "bench_ingest: %s\n", err.text);
        printf("prepared %zu of %zu in %.3f s; user %ld.%03ld s, system %ld.%03ld s, at most %ld KiB\n", prepared, n,
               now_s() - start, (long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec / 1000,
               (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec / 1000, usage.ru_maxrss);
        return r < 0;
}
