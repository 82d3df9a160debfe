/* doctor_checks.h: what this machine offers to fusepkg, one finding for each question.
 *
 * ok is false only for what keeps fusepkg from working for this caller; the hint then says what to do.  A finding
 * that is ok may have a hint too.  Nothing is changed and nothing that could hang is touched. */
#ifndef FUSEPKG_DOCTOR_CHECKS_H
#define FUSEPKG_DOCTOR_CHECKS_H

#include "store/base.h"

struct finding {
        const char *check; /* "/dev/fuse" */
        bool ok;
        char found[512];
        char hint[768];
};

struct target;

/* What the questions are about. */
struct doctor_place {
        const char *venv;             /* absolute; NULL: none */
        const char *site;             /* absolute; NULL: none */
        const struct target *target;  /* may be NULL */
        const char *missing;          /* why there is no target, or NULL */
        bool named;                   /* the user named the venv: not to find it is a failure */
};

/* Each fills RET, and returns 0 or -errno when the question itself could not be asked (then ok is false). */
int doctor_check_kernel(const struct doctor_place *p, struct finding *ret);
int doctor_check_libfuse(const struct doctor_place *p, struct finding *ret);
int doctor_check_device(const struct doctor_place *p, struct finding *ret);
int doctor_check_fusermount(const struct doctor_place *p, struct finding *ret);
int doctor_check_others(const struct doctor_place *p, struct finding *ret);
int doctor_check_apparmor(const struct doctor_place *p, struct finding *ret);
int doctor_check_namespaces(const struct doctor_place *p, struct finding *ret);
int doctor_check_passthrough(const struct doctor_place *p, struct finding *ret);

/* Does /etc/fuse.conf have the line user_allow_other? */
bool doctor_check_others_allowed(void);

/* Is PATH below one of the places where the AppArmor profile of fusermount3, as Ubuntu has it, allows mounts?  HOME and
 * RUNTIME_DIR may be NULL. */
bool doctor_check_apparmor_allows(const char *path, const char *home, const char *runtime_dir);
/* Does the text of fuse.conf have the line? */
bool doctor_check_conf_allows(const char *text);

/* doctor_places.c */
int doctor_places_store(const struct doctor_place *p, struct finding *ret);
int doctor_places_venv(const struct doctor_place *p, struct finding *ret);

#endif
