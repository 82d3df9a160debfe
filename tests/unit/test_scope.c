/* Which mounts get a scope of their own: by the cgroup of who starts them. */
#include "tools/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { USER = 1000 };

static void by_cgroup(void **state)
{
        static const struct {
                const char *cgroups;
                uid_t uid;
                bool lingers;
                enum scope_manager which;
        } cases[] = {
                { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n", USER, false, SCOPE_USER },
                { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n", 0, false, SCOPE_SYSTEM },
                { "0::/user.slice/user-1000.slice/session-3.scope\n", USER, true, SCOPE_USER },
                { "0::/user.slice/user-1000.slice/session-3.scope\n", USER, false, SCOPE_NONE },
                { "0::/user.slice/user-1000.slice/session-3.scope\n", 0, false, SCOPE_SYSTEM },
                { "0::/user.slice/user-1000.slice/session-3.scope", 0, false, SCOPE_SYSTEM },
                { "3:cpu:/x\n1:name=systemd:/user.slice/user-0.slice/session-c1.scope\n0::/\n", 0, false, SCOPE_SYSTEM },
                /* Somebody else's manager would not take them. */
                { "0::/user.slice/user-1001.slice/user@1001.service/app.slice/a.scope\n", USER, true, SCOPE_NONE },
                { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/fusepkg-12-ab.scope\n", USER, true, SCOPE_NONE },
                { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service\n", USER, true, SCOPE_NONE },
                { "0::/system.slice/cron.service\n", 0, false, SCOPE_NONE },
                { "0::/machine.slice/libpod-0123.scope\n", 0, false, SCOPE_NONE },
                { "0::/machine.slice/libpod-0123.scope\n", USER, true, SCOPE_NONE },
                { "0::/init.scope\n", 0, false, SCOPE_NONE },
                { "4:memory:/user.slice/user-1000.slice/session-3.scope\n0::/\n", 0, false, SCOPE_NONE },
                { "0::/\n", 0, true, SCOPE_NONE },
                { "", USER, true, SCOPE_NONE },
                { "nothing of the kind\n\n:/:\n", USER, true, SCOPE_NONE },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                if (scope_choose(cases[i].cgroups, cases[i].uid, cases[i].lingers) != cases[i].which)
                        fail_msg("%u, %s", (unsigned)cases[i].uid, cases[i].cgroups);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(by_cgroup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
