#include "tools/command.h"

#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

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

int main(int argc, char **argv)
{
        int status;

        if (!open_standard_streams())
                return EXIT_USAGE;
        signal(SIGPIPE, SIG_IGN); /* a closed stdout is found out below; a commit is never torn by one */
        status = command_main(command_table, argc, argv);
        if (fflush(stdout) != 0 || ferror(stdout)) {
                if (errno != EPIPE)
                        ui_error("cannot write the result: %s", strerror(errno));
                return status == EXIT_DONE ? EXIT_USAGE : status;
        }
        return status;
}
