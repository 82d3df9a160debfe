#include "tools/command.h"

#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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
        signal(SIGPIPE, SIG_IGN); /* a closed stdout is found out below; a commit is never torn by one */
        signal(SIGXFSZ, SIG_IGN); /* a write over the limit is an error like any other */
        signal(SIGCHLD, SIG_DFL); /* ignored: who waits for a child is told that there is none */
        umask(umask(077) & ~(mode_t)0700); /* what we cannot open ourselves is no good to us */
}

int main(int argc, char **argv)
{
        int status;

        if (!open_standard_streams())
                return EXIT_USAGE;
        settle_inheritance();
        status = command_main(command_table, argc, argv);
        if (fflush(stdout) != 0 || ferror(stdout)) {
                if (errno != EPIPE)
                        ui_error("cannot write the result: %s", strerror(errno));
                return status == EXIT_DONE ? EXIT_USAGE : status;
        }
        return status;
}
