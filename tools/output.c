#include "tools/output.h"

static ssize_t put(void *cookie, const char *data, size_t size)
{
        struct output *o = cookie;
        size_t done = 0;

        while (done < size && o->error == 0) {
                ssize_t n = write(STDOUT_FILENO, data + done, size - done);

                if (n < 0 && errno != EINTR)
                        o->error = -errno;
                else if (n > 0)
                        done += (size_t)n;
        }
        return (ssize_t)done;
}

int output_open(struct output *output)
{
        FILE *f = fopencookie(output, "w", (cookie_io_functions_t){ .write = put });

        if (!f)
                return -ENOMEM;
        if (isatty(STDOUT_FILENO))
                setvbuf(f, NULL, _IOLBF, 0);
        *output = (struct output){ .before = stdout };
        stdout = f;
        return 0;
}

int output_close(struct output *output)
{
        FILE *f = stdout;

        stdout = output->before;
        return fclose(f) != 0 && output->error == 0 ? -errno : output->error;
}
