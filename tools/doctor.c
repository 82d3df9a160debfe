#include "tools/doctor_checks.h"

#include "tools/command.h"
#include "tools/json_out.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <stdio.h>

static int (*const checks[])(const struct doctor_place *, struct finding *) = {
        doctor_check_kernel,     doctor_check_libfuse,    doctor_check_device,     doctor_check_fusermount,
        doctor_check_others,     doctor_check_apparmor,   doctor_check_namespaces, doctor_check_passthrough,
        doctor_places_store,     doctor_places_venv,
};

static json_t *finding_json(const struct finding *f)
{
        return json_pack("{s:s, s:b, s:o, s:o}", "check", f->check, "ok", f->ok,
                         "found", json_out_string(f->found), "hint", json_out_string(f->hint));
}

static void print_finding(const struct finding *f)
{
        printf("%-16s %-4s %s\n", f->check, f->ok ? "ok" : "BAD", f->found);
        if (f->hint[0])
                printf("%-16s      %s\n", "", f->hint);
}

static int run(const struct options *o)
{
        cleanup_target struct target target = TARGET_INIT;
        struct errtext err = { "" };
        struct doctor_place place = { .named = option_count(o, "--venv") || option_count(o, "--python") };
        json_t *list = option_count(o, "--json") ? json_array() : NULL;
        bool all_ok = true;

        if (target_open_as_is(o, &target, &err) == 0)
                place = (struct doctor_place){ .venv = target.venv, .site = target.site, .target = &target };
        else
                place.missing = err.text;
        for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
                struct finding f = { 0 };
                int r = checks[i](&place, &f);

                if (r < 0)
                        snprintf(f.found, sizeof f.found, "cannot tell: %s", errno_name(r, (char[128]){ 0 }));
                all_ok = all_ok && f.ok;
                if (!list)
                        print_finding(&f);
                else if (json_array_append_new(list, finding_json(&f)) < 0)
                        return json_out_failed(list);
        }
        if (list && json_out(list) < 0)
                return EXIT_USAGE;
        return all_ok ? EXIT_DONE : EXIT_UNMET;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--json", 0, NULL, "print a list of {check, ok, found, hint}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_doctor = {
        .name = "doctor",
        .usage = "[OPTIONS]",
        .summary = "Show what this machine offers, and what to do about what is missing",
        .options = options,
        .run = run,
};
