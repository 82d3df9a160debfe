#include "tools/doctor_checks.h"

#include "fs/mountinfo.h"
#include "tools/mounts.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SAY(field, ...) snprintf((field), sizeof(field), __VA_ARGS__)

/* The type of the file system that PATH (absolute) lies in, read off the list of mounts. */
static void file_system_of(const char *path, char text[64])
{
        cleanup_buf struct buf list = { 0 };
        struct mountinfo info;

        if (mountinfo_load(&list) == 0 && mountinfo_holding(list.data, list.len, path, &info) == 0)
                snprintf(text, 64, "%s", info.type);
        else
                snprintf(text, 64, "an unknown file system");
}

/* Cuts PATH to the nearest folder that exists. */
static void cut_to_existing(char *path)
{
        while (access(path, F_OK) < 0) {
                char *slash = strrchr(path, '/');

                if (!slash || slash == path) {
                        strcpy(path, "/");
                        return;
                }
                *slash = '\0';
        }
}

static int store_path_of(const struct doctor_place *p, char **ret)
{
        const char *chosen = getenv("FUSEPKG_STORE");

        if (p->target && p->target->environment && !(chosen && chosen[0])) {
                *ret = strdup(p->target->environment->store_path);
                return *ret ? 0 : -ENOMEM;
        }
        return default_store_path(ret);
}

static int open_store(const struct doctor_place *p, enum store_mode mode, struct errtext *err)
{
        struct store *s = NULL;
        int r = p->target ? target_store(p->target, mode, &s, err) : default_store(mode, &s, err);

        store_close(s);
        return r;
}

int doctor_places_store(const struct doctor_place *p, struct finding *ret)
{
        cleanup_free char *path = NULL, *there = NULL, *real = NULL;
        char type[64], free_text[32];
        struct errtext err = { "" };
        struct statvfs v;
        bool exists;
        int r = store_path_of(p, &path);

        ret->check = "store";
        if (r < 0) {
                SAY(ret->found, "no place for it");
                SAY(ret->hint, "set FUSEPKG_STORE or HOME");
                return 0;
        }
        there = strdup(path);
        if (!there)
                return -ENOMEM;
        cut_to_existing(there);
        real = realpath(there, NULL);
        file_system_of(real ? real : there, type);
        ui_format_bytes(statvfs(there, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : 0, free_text);
        exists = strcmp(there, path) == 0;
        SAY(ret->found, "%.300s, %son %s, %s free", path, exists ? "" : "not made yet, ", type, free_text);
        if (!exists) {
                ret->ok = access(there, W_OK | X_OK) == 0;
                if (!ret->ok)
                        SAY(ret->hint, "you may not make folders in %.300s: set FUSEPKG_STORE to a folder of yours",
                            there);
                return 0;
        }
        r = open_store(p, STORE_WRITE, &err);
        /* As containers have the host's: it serves all but filling it. */
        if ((r == -EROFS || r == -EACCES) && open_store(p, STORE_READ, &err) == 0) {
                size_t len = strlen(ret->found);

                snprintf(ret->found + len, sizeof(ret->found) - len, "; it is read-only: wheels that it lacks cannot be added");
                r = 0;
        }
        /* An empty folder becomes a store with the first `add`. */
        ret->ok = r == 0 || (r == -ENOENT && access(path, W_OK | X_OK) == 0);
        if (!ret->ok)
                SAY(ret->hint, "%.700s", err.text);
        return 0;
}

static void describe_venv(const struct target *t, const struct mount_info *info, struct finding *ret)
{
        cleanup_free char *store = NULL;
        struct stat venv_st, store_st;
        const char *relation = "";
        char type[64];

        file_system_of(t->venv, type);
        if (t->environment)
                store = strdup(t->environment->store_path);
        else if (default_store_path(&store) < 0)
                store = NULL;
        if (store)
                cut_to_existing(store);
        if (store && fstat(t->venv_fd, &venv_st) == 0 && stat(store, &store_st) == 0)
                relation = venv_st.st_dev == store_st.st_dev ? ", on the store's partition"
                                                             : ", on another partition than the store";
        SAY(ret->found, "%.300s, on %s%s, %s", t->venv, type, relation,
            t->environment ? mount_state_name(info->state) : "nothing installed by fusepkg yet");
}

int doctor_places_venv(const struct doctor_place *p, struct finding *ret)
{
        struct mount_info info = { 0 };
        int r;

        ret->check = "venv";
        if (!p->target) {
                ret->ok = !p->named;
                SAY(ret->found, "%.500s", p->missing ? p->missing : "none");
                SAY(ret->hint, "make one (python3 -m venv .venv), or name it with --venv");
                return 0;
        }
        r = mount_examine(p->target->site, p->target->state_fd, &info);
        if (r < 0)
                return r;
        describe_venv(p->target, &info, ret);
        ret->ok = info.state != MOUNT_FOREIGN;
        if (info.state == MOUNT_FOREIGN)
                SAY(ret->hint, "something that is not fusepkg's is mounted at %.300s: unmount it", p->target->site);
        else if (info.state == MOUNT_DEAD)
                SAY(ret->hint, "the mount's process has died: `fusepkg mount` mounts it again");
        else if (access(p->target->venv, W_OK) < 0) {
                ret->ok = false;
                SAY(ret->hint, "you may not write to %.300s", p->target->venv);
        }
        return 0;
}
