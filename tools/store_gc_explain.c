#include "tools/store_gc_explain.h"

#include "tools/command.h"
#include "tools/json_out.h"
#include "tools/ui.h"

#include <inttypes.h>
#include <stdio.h>

static const char *why_name(enum gc_why why)
{
        switch (why) {
        case GC_CURRENT:
                return "current";
        case GC_HISTORY:
                return "history";
        case GC_MOUNT:
                return "mount";
        case GC_ABSENT:
                return "absent";
        case GC_HELD:
                return "held";
        case GC_DOUBT:
                break;
        }
        return "doubt";
}

/* The reasons of one environment that are alike. */
struct group {
        const struct gc_image *image;
        const struct gc_reason *first;
};

static bool has_user(const struct gc_reason *reason)
{
        return reason->why != GC_DOUBT && reason->why != GC_HELD;
}

static bool is_alike(const struct gc_reason *a, const struct gc_reason *b)
{
        return a->why == b->why && (!has_user(a) || a->user == b->user);
}

/* The next group from *I on; false: there is none. */
static bool next_group(const struct gc_image *image, size_t *i, struct group *ret)
{
        for (; *i < image->reason_count; ++*i) {
                const struct gc_reason *reason = &image->reasons[*i];
                bool told = false;

                for (size_t k = 0; k < *i; k++)
                        told = told || is_alike(&image->reasons[k], reason);
                if (told)
                        continue;
                *ret = (struct group){ image, reason };
                ++*i;
                return true;
        }
        return false;
}

static int compare_generations(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* The generations of a group, in order, as uint64_t. */
static int list_generations(const struct group *g, struct buf *ret)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < g->image->reason_count; i++)
                if (is_alike(&g->image->reasons[i], g->first))
                        r = buf_add(ret, &g->image->reasons[i].generation, sizeof(uint64_t));
        if (r == 0)
                qsort(ret->data, ret->len / sizeof(uint64_t), sizeof(uint64_t), compare_generations);
        return r;
}

static uint64_t generation_at(const struct buf *list, size_t i)
{
        uint64_t n;

        memcpy(&n, list->data + i * sizeof n, sizeof n);
        return n;
}

static void print_generations(const struct group *g)
{
        cleanup_buf struct buf list = { 0 };
        size_t n;

        if (list_generations(g, &list) < 0)
                return;
        n = list.len / sizeof(uint64_t);
        printf(", generation%s", n == 1 ? "" : "s");
        for (size_t i = 0; i < n; i++) {
                size_t last = i;

                while (last + 1 < n && generation_at(&list, last + 1) <= generation_at(&list, last) + 1)
                        last++;
                printf("%s %" PRIu64, i ? "," : "", generation_at(&list, i));
                if (generation_at(&list, last) > generation_at(&list, i))
                        printf("-%" PRIu64, generation_at(&list, last));
                i = last;
        }
}

static void print_group(const struct group *g, const struct gc_roots *roots)
{
        const struct gc_user *u = has_user(g->first) ? &roots->list[g->first->user] : NULL;

        switch (g->first->why) {
        case GC_CURRENT:
                printf("    %s has it\n", u->venv);
                break;
        case GC_HISTORY:
                printf("    %s had it", u->venv);
                print_generations(g);
                putchar('\n');
                break;
        case GC_MOUNT:
                printf("    %s had it, and its mount may still serve it\n", u->venv);
                break;
        case GC_ABSENT:
                printf("    %s had it when it was last seen: %s\n", u->venv, u->detail ? u->detail : "");
                break;
        case GC_DOUBT:
                puts("    the list of environments was lost: one that is missing in it may have it");
                break;
        case GC_HELD:
                puts("    a mount without a lease has it, as in a container in which the store is read-only");
                break;
        }
}

void store_gc_explain(const struct gc *g, const struct gc_roots *roots)
{
        for (size_t i = 0; i < gc_image_count(g); i++) {
                const struct gc_image *image = gc_image(g, i);
                char hex[SHA256_HEX_SIZE], bytes[32];
                struct group group;
                size_t at = 0;

                hex_encode(image->id, SHA256_SIZE, hex);
                ui_format_bytes(image->frees, bytes);
                if (image->name[0])
                        printf("%s==%s  %.12s  frees %s\n", image->name, image->version, hex, bytes);
                else
                        printf("image %.12s  frees %s\n", hex, bytes);
                while (next_group(image, &at, &group))
                        print_group(&group, roots);
                if (image->reason_count == 0)
                        puts("    nobody needs it");
        }
}

/* --- JSON --- */

static json_t *image_json(const struct gc_image *image)
{
        char hex[SHA256_HEX_SIZE];

        hex_encode(image->id, SHA256_SIZE, hex);
        return json_pack("{s:o, s:o, s:s, s:I}", "name", json_out_string(image->name),
                         "version", json_out_string(image->version), "image", hex,
                         "bytes", (json_int_t)image->frees);
}

static json_t *group_json(const struct group *g, const struct gc_roots *roots)
{
        const struct gc_user *u = has_user(g->first) ? &roots->list[g->first->user] : NULL;
        json_t *generations = json_array();
        cleanup_buf struct buf list = { 0 };

        if ((g->first->why == GC_CURRENT || g->first->why == GC_HISTORY) && list_generations(g, &list) == 0)
                for (size_t i = 0; i < list.len / sizeof(uint64_t); i++)
                        json_array_append_new(generations, json_integer((json_int_t)generation_at(&list, i)));
        return json_pack("{s:s, s:o, s:o}", "why", why_name(g->first->why),
                         "venv", u ? json_out_string(u->venv) : json_null(), "generations", generations);
}

static json_t *packages_json(const struct gc *g, const struct gc_roots *roots)
{
        json_t *list = json_array();
        int r = list ? 0 : -1;

        for (size_t i = 0; r == 0 && i < gc_image_count(g); i++) {
                json_t *package = image_json(gc_image(g, i)), *reasons = json_array();
                struct group group;
                size_t at = 0;

                while (next_group(gc_image(g, i), &at, &group))
                        r |= json_array_append_new(reasons, group_json(&group, roots));
                r |= json_object_set_new(package, "needed_by", reasons);
                r |= json_array_append_new(list, package);
        }
        if (r == 0)
                return list;
        json_decref(list);
        return NULL;
}

static json_t *removed_json(const struct gc *g)
{
        json_t *list = json_array();

        for (size_t i = 0; i < gc_image_count(g); i++)
                if (gc_image(g, i)->reason_count == 0 && json_array_append_new(list, image_json(gc_image(g, i))) < 0) {
                        json_decref(list);
                        return NULL;
                }
        return list;
}

static json_t *users_json(const struct gc_roots *roots)
{
        json_t *list = json_array();

        for (size_t i = 0; i < roots->count; i++) {
                const struct gc_user *u = &roots->list[i];
                json_t *row = json_pack("{s:o, s:s, s:o}", "venv", json_out_string(u->venv),
                                        "state", gc_user_state_name(u->state),
                                        "reason", u->detail ? json_out_string(u->detail) : json_null());

                if (json_array_append_new(list, row) < 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

int store_gc_json(const struct gc *g, const struct gc_roots *roots, bool dry, bool explain)
{
        struct gc_totals t;
        json_t *result;

        gc_totals(g, &t);
        result = json_pack("{s:b, s:I, s:I, s:I, s:o, s:o}", "dry_run", dry, "bytes", (json_int_t)t.bytes,
                           "kept", (json_int_t)t.kept, "kept_bytes", (json_int_t)t.kept_bytes,
                           "removed", removed_json(g), "environments", users_json(roots));
        if (result && explain && json_object_set_new(result, "packages", packages_json(g, roots)) < 0)
                return json_out_failed(result);
        if (!result)
                return json_out_failed(NULL);
        return json_out(result) < 0 ? EXIT_USAGE : EXIT_DONE;
}
