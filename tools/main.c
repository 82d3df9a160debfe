#include "tools/command.h"

#include "tools/output.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

/* A file that we open must never become somebody's stdout. */
static bool open_standard_streams(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd < 0)
                return false;
        close(fd);
        return true;
}

/* What we were started with that would make us fail half-way. */
static void settle_inheritance(void)
{
        signal(SIGPIPE, SIG_IGN); /* a closed stdout is found out at the end; a commit is never torn by one */
        signal(SIGXFSZ, SIG_IGN); /* a write over the limit is an error like any other */
        signal(SIGCHLD, SIG_DFL); /* ignored: who waits for a child is told that there is none */
        umask(umask(077) & ~(mode_t)0700); /* what we cannot open ourselves is no good to us */
}

/* Whoever reads no further (`| head`) wants no more, and no words about it either. */
int main(int argc, char **argv)
{
        struct output output;
        int status, r;

        if (!open_standard_streams() || output_open(&output) < 0)
                return EXIT_USAGE;
        settle_inheritance();
        status = command_main(command_table, argc, argv);
        r = output_close(&output);
        if (r < 0 && r != -EPIPE)
                ui_error("cannot write the result: %s", errno_name(r, (char[128]){ 0 }));
        return r < 0 ? EXIT_USAGE : status;
}
