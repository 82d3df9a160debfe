#include "tools/marker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/facts_fixture.h"

static int facts(void **state)
{
        static struct interpreter_facts f;

        *state = &f;
        return interpreter_parse_facts(FACTS_CPYTHON_312, strlen(FACTS_CPYTHON_312), &f);
}

static int release(void **state)
{
        interpreter_release_facts(*state);
        return 0;
}

static void comparisons_are_evaluated_for_this_python(void **state)
{
        static const struct {
                const char *marker;
                bool value;
        } cases[] = {
                { "python_version >= '3.8'", true },
                { "python_version >= \"3.8\"", true },
                { "python_version < '3.9'", false }, /* as versions: 3.12 is above 3.9 */
                { "python_version<'4'", true },
                { "'3.8' <= python_version", true },
                { "python_version == '3.12.*'", true },
                { "python_version != '3.12'", false },
                { "python_version ~= '3.8'", true },
                { "python_version === '3.12'", true },
                { "python_full_version >= '3.12.1'", true },
                { "python_full_version == '3.12'", false },
                { "python_version in '3.11 3.12'", true },
                { "python_version not in '2.7, 3.6'", true },
                { "python_version not  in '3.12'", false },
                { "sys_platform == 'linux'", true },
                { "sys_platform != 'win32'", true },
                { "'linux' in sys_platform", true },
                { "platform_system == 'Windows'", false },
                { "platform_machine in 'x86_64 AMD64'", true },
                { "os_name == 'posix'", true },
                { "os.name == 'nt'", false },
                { "implementation_name == 'cpython'", true },
                { "platform_python_implementation != 'PyPy'", true },
                { "implementation_version >= '3.12'", true },
                { "sys_platform == 'win32' and python_version < '3' or os_name == 'posix'", true },
                { "sys_platform == 'win32' and (python_version < '3' or os_name == 'posix')", false },
                { "os_name == 'posix' or sys_platform == 'win32' and os_name == 'nt'", true },
                { " ( ( os_name=='posix' ) ) ", true },
                { "'a' < 'b'", true },
        };
        const struct interpreter_facts *f = *state;

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct errtext err = { "" };
                bool value = !cases[i].value;

                if (marker_evaluate(cases[i].marker, f, &value, &err) < 0)
                        fail_msg("%s: %s", cases[i].marker, err.text);
                if (value != cases[i].value)
                        fail_msg("%s is %d", cases[i].marker, value);
        }
}

static void what_is_no_marker_is_refused_with_a_sentence(void **state)
{
        static const char *const texts[] = {
                "", "python_version", "python_version >=", "python_version >= 3.8", "python_version >= '3.8", "os_name = 'posix'",
                "os_name == 'posix' and", "os_name == 'posix' or or os_name == 'nt'", "(os_name == 'posix'", "os_name == 'posix')",
                "os_name == 'posix' xor os_name == 'nt'", "extra == 'test'", "colour == 'red'", "os_name ~= 'posix'",
                "os_name not 'posix'", "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
        };
        const struct interpreter_facts *f = *state;

        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                struct errtext err = { "" };
                bool value;

                if (marker_evaluate(texts[i], f, &value, &err) != -EINVAL || !err.text[0])
                        fail_msg("'%s' is taken", texts[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(comparisons_are_evaluated_for_this_python),
                cmocka_unit_test(what_is_no_marker_is_refused_with_a_sentence),
        };

        return cmocka_run_group_tests(tests, facts, release);
}
