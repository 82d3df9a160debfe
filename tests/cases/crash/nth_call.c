/* nth_call: runs a command and kills it, or fails one of its system calls, at the n-th call that changes files.
 *
 *     nth_call OUT ACTION N COMMAND [ARGUMENT...]
 *
 * ACTION is `kill` (SIGKILL before the call is made) or a number, the errno with which the call fails instead of being
 * made.  N counts from 1 over all threads of the command; 0 never hits.  Processes that it starts are left alone.
 * Writes to OUT the number of calls that it saw and the name of the one that was hit, and ends with the
 * command's own status, 128 + signal when it was killed.  x86-64 only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS_MAX = 4096 };

struct call {
        long number;
        const char *name;
};

static const struct call calls[] = {
        { SYS_open, "open" },           { SYS_openat, "openat" },       { SYS_openat2, "openat2" },
        { SYS_creat, "creat" },         { SYS_write, "write" },         { SYS_pwrite64, "pwrite64" },
        { SYS_writev, "writev" },       { SYS_pwritev2, "pwritev2" },   { SYS_fsync, "fsync" },
        { SYS_fdatasync, "fdatasync" }, { SYS_ftruncate, "ftruncate" }, { SYS_fallocate, "fallocate" },
        { SYS_rename, "rename" },       { SYS_renameat, "renameat" },   { SYS_renameat2, "renameat2" },
        { SYS_unlink, "unlink" },       { SYS_unlinkat, "unlinkat" },   { SYS_rmdir, "rmdir" },
        { SYS_symlink, "symlink" },     { SYS_symlinkat, "symlinkat" }, { SYS_link, "link" },
        { SYS_linkat, "linkat" },       { SYS_mkdir, "mkdir" },         { SYS_mkdirat, "mkdirat" },
        { SYS_chmod, "chmod" },         { SYS_fchmod, "fchmod" },       { SYS_fchmodat, "fchmodat" },
        { SYS_utimensat, "utimensat" }, { SYS_copy_file_range, "copy_file_range" },
};

static const char *name_of(long number)
{
        for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
                if (calls[i].number == number)
                        return calls[i].name;
        return NULL;
}

static unsigned long long flags_of_openat2(pid_t pid, unsigned long long address)
{
        struct open_how how = { 0 };
        struct iovec here = { &how, sizeof(how) }, there = { (void *)address, sizeof(how) };

        return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof(how) ? how.flags : 0;
}

/* The name of a call that changes files, else NULL. */
static const char *changes_files(pid_t pid, const struct __ptrace_syscall_info *info)
{
        const char *name = name_of((long)info->entry.nr);
        unsigned long long flags = O_CREAT;

        if (!name)
                return NULL;
        if (!strcmp(name, "open"))
                flags = info->entry.args[1];
        if (!strcmp(name, "openat"))
                flags = info->entry.args[2];
        if (!strcmp(name, "openat2"))
                flags = flags_of_openat2(pid, info->entry.args[2]);
        if (!(flags & (O_CREAT | O_TRUNC)))
                return NULL;
        if ((!strcmp(name, "write") || !strcmp(name, "writev")) && info->entry.args[0] <= 2)
                return NULL;
        return name;
}

struct thread {
        pid_t pid;
        int failing; /* errno that the call in progress shall give */
};

static struct thread *thread_of(struct thread *threads, pid_t pid)
{
        size_t i = 0;

        while (threads[i].pid && threads[i].pid != pid)
                if (++i == THREADS_MAX - 1)
                        abort();
        threads[i].pid = pid;
        return &threads[i];
}

struct plan {
        int error; /* 0: kill */
        long n;
        long seen;
        const char *hit;
};

static void set_registers(pid_t pid, int failing)
{
        struct user_regs_struct regs;

        if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
                return;
        if (failing)
                regs.rax = (unsigned long long)-failing;
        else
                regs.orig_rax = (unsigned long long)-1; /* no call is made */
        ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

static void on_call(struct plan *plan, pid_t leader, struct thread *t)
{
        struct __ptrace_syscall_info info;
        const char *name;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) <= 0)
                return;
        if (info.op == PTRACE_SYSCALL_INFO_EXIT && t->failing) {
                set_registers(t->pid, t->failing);
                t->failing = 0;
        }
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !(name = changes_files(t->pid, &info)) || ++plan->seen != plan->n)
                return;
        plan->hit = name;
        if (!plan->error) {
                kill(leader, SIGKILL);
                return;
        }
        t->failing = plan->error;
        set_registers(t->pid, 0);
}

static int trace(struct plan *plan, pid_t leader)
{
        static struct thread threads[THREADS_MAX];
        int status;
        pid_t pid;

        waitpid(leader, &status, 0);
        ptrace(PTRACE_SETOPTIONS, leader, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
        ptrace(PTRACE_SYSCALL, leader, NULL, NULL);
        while ((pid = waitpid(-1, &status, __WALL)) > 0) {
                int sig = 0;

                if (WIFEXITED(status) || WIFSIGNALED(status)) {
                        if (pid == leader)
                                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                        continue;
                }
                if (WSTOPSIG(status) == (SIGTRAP | 0x80))
                        on_call(plan, leader, thread_of(threads, pid));
                else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
                        sig = WSTOPSIG(status);
                ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)sig);
        }
        return 255;
}

int main(int argc, char **argv)
{
        struct plan plan = { 0 };
        int status;
        pid_t leader;
        FILE *out;

        if (argc < 5)
                return 255;
        plan.error = strcmp(argv[2], "kill") ? atoi(argv[2]) : 0;
        plan.n = atol(argv[3]);
        leader = fork();
        if (leader == 0) {
                ptrace(PTRACE_TRACEME, 0, NULL, NULL);
                execv(argv[4], argv + 4);
                _exit(127);
        }
        status = trace(&plan, leader);
        out = fopen(argv[1], "w");
        if (!out)
                return 255;
        fprintf(out, "%ld %s\n", plan.seen, plan.hit ? plan.hit : "-");
        fclose(out);
        return status;
}
