#include "store/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

struct call {
        void (*fn)(void *user);
        void *user;
};

unsigned threads_count(unsigned wanted)
{
        cpu_set_t set;
        int cores = 1;

        if (wanted == 0) {
                CPU_ZERO(&set);
                /* Fails on machines with more cores than the set has room for. */
                cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : THREADS_MAX;
                wanted = cores < 1 ? 1 : (unsigned)cores;
        }
        return wanted < THREADS_MAX ? wanted : THREADS_MAX;
}

static void *start(void *user)
{
        struct call *c = user;

        c->fn(c->user);
        return NULL;
}

void threads_run(unsigned count, void (*fn)(void *user), void *user)
{
        struct call c = { fn, user };
        pthread_t threads[THREADS_MAX];
        unsigned started = 0;
        sigset_t all, before;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (started + 1 < count && started < THREADS_MAX)
                if (pthread_create(&threads[started], NULL, start, &c) == 0)
                        started++;
                else
                        break;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        fn(user);
        for (unsigned i = 0; i < started; i++)
                pthread_join(threads[i], NULL);
}
