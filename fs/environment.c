#include "fs/environment.h"

#include "store/files.h"
#include "store/wheel_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

static char *copy_string(const char *s)
{
        return s ? strdup(s) : NULL;
}

static void file_release(struct generated_file *f)
{
        free(f->name);
        *f = (struct generated_file){ 0 };
}

void slot_release(struct slot *slot)
{
        for (size_t i = 0; i < slot->file_count; i++)
                file_release(&slot->files[i]);
        free(slot->files);
        free(slot->name);
        free(slot->version);
        free(slot->filename);
        free(slot->url);
        *slot = (struct slot){ 0 };
}

void environment_free(struct environment *e)
{
        if (!e)
                return;
        for (size_t i = 0; i < e->slot_count; i++)
                slot_release(&e->slots[i]);
        for (size_t i = 0; i < e->hidden_count; i++)
                free(e->hidden[i]);
        for (size_t i = 0; i < e->dir_count; i++)
                free(e->dirs[i].path);
        free(e->slots);
        free(e->hidden);
        free(e->dirs);
        free(e->store_path);
        free(e->python);
        free(e->site);
        free(e);
}

int environment_new(const char *site, const char *python, const struct store *s, unsigned umask_,
                    struct environment **ret)
{
        struct environment *e = calloc(1, sizeof(*e));
        int r = -ENOMEM;

        if (!e)
                return -ENOMEM;
        e->umask = umask_ & 0777;
        e->next_slot = 1;
        memcpy(e->store_id, s->id, sizeof(e->store_id));
        e->store_path = strdup(s->path);
        e->python = strdup(python);
        e->site = strdup(site);
        if (e->store_path && e->python && e->site)
                r = random_hex(e->id, sizeof(e->id));
        if (r < 0) {
                environment_free(e);
                return r;
        }
        *ret = e;
        return 0;
}

/* A file whose bytes are not written yet keeps pointing at the bytes of who made it. */
static int copy_files(const struct slot *from, struct slot *to)
{
        if (!from->file_count)
                return 0;
        to->files = calloc(from->file_count, sizeof(*to->files));
        if (!to->files)
                return -ENOMEM;
        for (size_t i = 0; i < from->file_count; i++) {
                to->files[i] = from->files[i];
                to->files[i].name = copy_string(from->files[i].name);
                to->file_count = i + 1;
                if (from->files[i].name && !to->files[i].name)
                        return -ENOMEM;
        }
        return 0;
}

static int copy_slot(const struct slot *from, struct slot *to)
{
        *to = *from;
        to->files = NULL;
        to->file_count = 0;
        to->name = copy_string(from->name);
        to->version = copy_string(from->version);
        to->filename = copy_string(from->filename);
        to->url = copy_string(from->url);
        if ((from->name && !to->name) || (from->version && !to->version) || (from->filename && !to->filename) ||
            (from->url && !to->url))
                return -ENOMEM;
        return copy_files(from, to);
}

static int copy_slots(const struct environment *from, struct environment *to)
{
        if (!from->slot_count)
                return 0;
        to->slots = calloc(from->slot_count, sizeof(*to->slots));
        if (!to->slots)
                return -ENOMEM;
        for (size_t i = 0; i < from->slot_count; i++) {
                int r = copy_slot(&from->slots[i], &to->slots[i]);

                to->slot_count = i + 1;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int copy_rows(const struct environment *from, struct environment *to)
{
        to->hidden = calloc(from->hidden_count + 1, sizeof(*to->hidden));
        to->dirs = calloc(from->dir_count + 1, sizeof(*to->dirs));
        if (!to->hidden || !to->dirs)
                return -ENOMEM;
        for (size_t i = 0; i < from->hidden_count; i++) {
                to->hidden[i] = strdup(from->hidden[i]);
                if (!to->hidden[i])
                        return -ENOMEM;
                to->hidden_count = i + 1;
        }
        for (size_t i = 0; i < from->dir_count; i++) {
                to->dirs[i] = from->dirs[i];
                to->dirs[i].path = strdup(from->dirs[i].path);
                if (!to->dirs[i].path)
                        return -ENOMEM;
                to->dir_count = i + 1;
        }
        return 0;
}

int environment_copy(const struct environment *e, struct environment **ret)
{
        struct environment *c = malloc(sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        *c = *e;
        c->slots = NULL;
        c->hidden = NULL;
        c->dirs = NULL;
        c->slot_count = c->hidden_count = c->dir_count = 0;
        c->store_path = strdup(e->store_path);
        c->python = strdup(e->python);
        c->site = strdup(e->site);
        r = c->store_path && c->python && c->site ? 0 : -ENOMEM;
        if (!r)
                r = copy_slots(e, c);
        if (!r)
                r = copy_rows(e, c);
        if (r < 0) {
                environment_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

size_t environment_dirs_before(const struct environment *e, const char *path)
{
        size_t low = 0, high = e->dir_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(e->dirs[mid].path, path) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

const struct dir_row *environment_dir(const struct environment *e, const char *path)
{
        size_t i = environment_dirs_before(e, path);

        return i < e->dir_count && strcmp(e->dirs[i].path, path) == 0 ? &e->dirs[i] : NULL;
}

struct slot *environment_find(struct environment *e, const char *name)
{
        for (size_t i = 0; i < e->slot_count; i++)
                if (e->slots[i].name && name_equal(e->slots[i].name, name))
                        return &e->slots[i];
        return NULL;
}

int environment_add_slot(struct environment *e, struct slot **ret)
{
        struct slot *slots;

        if (e->next_slot >= ENVIRONMENT_SLOTS_MAX)
                return -ENOSPC;
        slots = reallocarray(e->slots, e->slot_count + 1, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        e->slots = slots;
        slots[e->slot_count] = (struct slot){ .number = e->next_slot++ };
        *ret = &slots[e->slot_count++];
        return 0;
}

const struct slot *environment_slot(const struct environment *e, uint32_t number)
{
        for (size_t i = 0; i < e->slot_count; i++)
                if (e->slots[i].number == number)
                        return &e->slots[i];
        return NULL;
}

static void close_gap(struct environment *e, size_t at)
{
        memmove(&e->slots[at], &e->slots[at + 1], (e->slot_count - at - 1) * sizeof(*e->slots));
        e->slot_count--;
}

int environment_remove_slot(struct environment *e, uint32_t number)
{
        const struct slot *slot = environment_slot(e, number);
        size_t at = slot ? (size_t)(slot - e->slots) : 0;

        if (!slot)
                return -ENOENT;
        slot_release(&e->slots[at]);
        close_gap(e, at);
        return 0;
}

int environment_renew_slot(struct environment *e, uint32_t number)
{
        const struct slot *slot = environment_slot(e, number);
        size_t at = slot ? (size_t)(slot - e->slots) : 0;
        struct slot *last;
        int r = slot ? environment_add_slot(e, &last) : -ENOENT;

        if (r < 0)
                return r;
        number = last->number;
        *last = e->slots[at];
        last->number = number;
        last->time = 0; /* of the commit to come */
        close_gap(e, at);
        return 0;
}

int environment_hide(struct environment *e, const char *dist_info)
{
        char **hidden;
        char *copy;
        size_t at = 0;

        if (!dist_info[0] || strchr(dist_info, '/') || !strcmp(dist_info, ".") || !strcmp(dist_info, ".."))
                return -EINVAL;
        while (at < e->hidden_count && strcmp(e->hidden[at], dist_info) < 0)
                at++;
        if (at < e->hidden_count && !strcmp(e->hidden[at], dist_info))
                return 0;
        hidden = reallocarray(e->hidden, e->hidden_count + 1, sizeof(*hidden));
        if (!hidden)
                return -ENOMEM;
        e->hidden = hidden;
        copy = strdup(dist_info);
        if (!copy)
                return -ENOMEM;
        memmove(&hidden[at + 1], &hidden[at], (e->hidden_count - at) * sizeof(*hidden));
        hidden[at] = copy;
        e->hidden_count++;
        return 0;
}

static int add_word(struct buf *b, const char *word)
{
        int r = buf_add_char(b, ' ');

        return r < 0 ? r : buf_add_escaped(b, word, strlen(word));
}

static int format_file(const struct generated_file *f, struct buf *b)
{
        int r = buf_printf(b, "file %c %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64, (char)f->kind,
                           f->generation, f->size, f->offset, f->length, f->sum);

        r = r < 0 ? r : add_word(b, f->name);
        return r < 0 ? r : buf_add_char(b, '\n');
}

static int format_slot(const struct slot *s, struct buf *b)
{
        char image[SHA256_HEX_SIZE], archive[SHA256_HEX_SIZE];
        int r;

        hex_encode(s->image, SHA256_SIZE, image);
        hex_encode(s->archive, SHA256_SIZE, archive);
        r = buf_printf(b, "slot %" PRIu32 " %s %" PRIu64 " %s", s->number, image, s->time, s->requested ? "r" : "-");
        r = r < 0 ? r : add_word(b, s->name);
        r = r < 0 ? r : add_word(b, s->version);
        r = r < 0 ? r : add_word(b, archive);
        r = r < 0 ? r : add_word(b, s->filename);
        r = r < 0 ? r : add_word(b, s->url ? s->url : "-");
        r = r < 0 ? r : buf_add_char(b, '\n');
        for (size_t i = 0; i < s->file_count && r >= 0; i++)
                r = format_file(&s->files[i], b);
        return r;
}

static int format_head(const struct environment *e, struct buf *b)
{
        int r = buf_printf(b, "fusepkg environment 1\nid %s\ngeneration %" PRIu64 "\ntime %" PRIu64 "\nstore %s", e->id,
                           e->generation, e->time, e->store_id);

        r = r < 0 ? r : add_word(b, e->store_path);
        r = r < 0 ? r : buf_printf(b, "\numask %03o\npython", e->umask);
        r = r < 0 ? r : add_word(b, e->python);
        r = r < 0 ? r : buf_add_str(b, "\nsite");
        r = r < 0 ? r : add_word(b, e->site);
        return r < 0 ? r : buf_printf(b, "\nnext %" PRIu32 "\n", e->next_slot);
}

static int format_rows(const struct environment *e, struct buf *b)
{
        int r = 0;

        for (size_t i = 0; i < e->hidden_count && r >= 0; i++) {
                r = buf_add_str(b, "hide");
                r = r < 0 ? r : add_word(b, e->hidden[i]);
                r = r < 0 ? r : buf_add_char(b, '\n');
        }
        for (size_t i = 0; i < e->dir_count && r >= 0; i++) {
                r = buf_printf(b, "dir %" PRIx64 " %" PRIu64 " %" PRIu64, e->dirs[i].id, e->dirs[i].time,
                               e->dirs[i].as_of);
                r = r < 0 ? r : add_word(b, e->dirs[i].path);
                r = r < 0 ? r : buf_add_char(b, '\n');
        }
        return r;
}

int environment_format(const struct environment *e, struct buf *ret)
{
        struct buf b cleanup_buf = { 0 };
        int r = format_head(e, &b);

        for (size_t i = 0; i < e->slot_count && r >= 0; i++)
                r = format_slot(&e->slots[i], &b);
        r = r < 0 ? r : format_rows(e, &b);
        r = r < 0 ? r : buf_printf(&b, "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(b.data, b.len));
        return r < 0 ? r : buf_add(ret, b.data, b.len);
}

static int load_file(int dirfd, const char *path, struct environment **ret, struct errtext *err)
{
        struct buf text cleanup_buf = { 0 };
        struct errtext why = { "" };
        char name[128];
        int r = file_read_at(dirfd, path, ENVIRONMENT_MAX, &text);

        if (r < 0)
                return errtext_set(err, r, "cannot read '%s/%s': %s", ENVIRONMENT_DIR, path, errno_name(r, name));
        r = environment_parse(text.data ? text.data : "", text.len, ret, &why);
        if (r < 0)
                return errtext_set(err, r, "cannot use '%s/%s': %s", ENVIRONMENT_DIR, path,
                                   why.text[0] ? why.text : errno_name(r, name));
        return 0;
}

int environment_load(int dirfd, struct environment **ret, struct errtext *err)
{
        int r = load_file(dirfd, ENVIRONMENT_FILE, ret, err);

        return r == -ENOENT ? errtext_set(err, r, "there is no fusepkg environment here") : r;
}

int environment_load_generation(int dirfd, uint64_t generation, struct environment **ret, struct errtext *err)
{
        char path[64];

        snprintf(path, sizeof(path), "history/%" PRIu64, generation);
        return load_file(dirfd, path, ret, err);
}
